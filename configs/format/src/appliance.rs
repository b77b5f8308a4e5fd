//! `ravelin.toml`: the ports of this gateway, its workers, and where its two processes meet.
//!
//! The smallest file is two ports. Relative paths begin where the file lies.

pub mod log;
mod policy;
mod port;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{FILE_CONTRADICTION, FILE_RANGE, FILE_TWICE};

use crate::diagnostic::{Collector, Findings};
use crate::document::{self, Table};
use crate::source::Source;
use crate::value::Value;
pub use policy::{Policy, Watch};
pub use port::{Port, Vlan};

/// The whole file.
#[derive(Debug, Clone)]
pub struct Appliance {
    /// Name of this gateway, if it has one. It parts the default paths of several gateways on one machine.
    pub name: Option<Name>,
    /// How its operators reach it.
    pub management: Management,
    /// Ports in order of the file: one or more, no interface and no VLAN of one twice.
    pub ports: Vec<Port>,
    /// Threads and their memory.
    pub workers: Workers,
    /// The packet process.
    pub dataplane: Dataplane,
    /// The control process.
    pub control: Control,
    /// How policies are kept, and whether their files are watched.
    pub policy: Policy,
    /// Where events of both go.
    pub log: log::Log,
}

/// How operators reach the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Management {
    /// By its ports, which filters guard.
    Ports,
    /// By a console, or by an interface that is no port.
    Elsewhere,
}

/// Worker threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    /// Where they run.
    pub cores: Cores,
    /// What they do when no packet is there.
    pub idle: Idle,
    /// Packet memory of one worker, in frames of 4 KiB; a power of two, and enough to fill every port's rings.
    pub frames: u32,
    /// Entries of each ring of a port; a power of two.
    pub queue: u32,
    /// TLS connections of one worker at once; further ones are refused.
    pub tls_connections: u32,
}

/// Where workers run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cores {
    /// One on each of these cores.
    Pinned(Vec<u32>),
    /// That many, on the first cores.
    Count(u32),
}

/// What a worker does when no packet is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idle {
    /// It sleeps until the kernel wakes it.
    Wait,
    /// It looks again at once, and keeps its core busy.
    Poll,
}

/// How the XDP program is attached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum XdpMode {
    /// In the driver; else the start fails.
    Native,
    /// In the kernel's general path, for drivers without support.
    Generic,
    /// Native where the driver can, else generic.
    Auto,
}

/// The packet process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dataplane {
    /// Unix socket that control connects to.
    pub socket: PathBuf,
    /// Directory of what must survive a restart.
    pub state: PathBuf,
    /// Filters in force while there is no policy.
    pub default_filters: PathBuf,
    /// Directory in a BPF file system for pinned programs and maps.
    pub pins: PathBuf,
    /// Name of the TUN interface that joins the host's own stack to the workers, 1 to 15 octets.
    pub tun: String,
    /// How the XDP program is attached.
    pub xdp: XdpMode,
    /// Users that may connect.
    pub allow: Vec<u32>,
}

/// The control process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Control {
    /// Unix socket of the operator's command.
    pub socket: PathBuf,
    /// Where Prometheus scrapes; `None` when turned off.
    pub metrics: Option<SocketAddr>,
    /// Policy files, in order.
    pub policy: Vec<PathBuf>,
    /// File of manual keys.
    pub keys: PathBuf,
    /// File of rules for TLS; there need be none.
    pub attls: PathBuf,
    /// File of what is expected of the policy; there need be none.
    pub expect: PathBuf,
    /// Directory of key rings.
    pub rings: PathBuf,
    /// Users that may connect.
    pub allow: Vec<u32>,
}

const KEYS: &[&str] = &["name", "management", "port", "workers", "dataplane", "control", "policy", "log"];
/// TLS connections of a worker where nothing is said.
const TLS_CONNECTIONS: u32 = 10_000;

const WORKER_KEYS: &[&str] = &["cores", "count", "idle", "frames", "queue", "tls_connections"];
const DATAPLANE_KEYS: &[&str] = &["socket", "state", "default_filters", "pins", "tun", "xdp", "allow"];
const CONTROL_KEYS: &[&str] = &["socket", "metrics", "policy", "keys", "attls", "expect", "rings", "allow"];

impl Appliance {
    /// Reads the file at `path`. Warnings come with the value.
    pub fn load(path: &Path) -> Result<(Self, Findings), Findings> {
        Self::parse(&Source::read(path)?)
    }

    /// Reads the text of `source`, whose name tells where relative paths begin.
    pub fn parse(source: &Source) -> Result<(Self, Findings), Findings> {
        let notes = Collector::default();
        let appliance = document::read(source, &notes, KEYS, read);
        notes.conclude(appliance)
    }

    /// The zones of all ports, each once, in order of the file. [`ravelin_contract::rule::ZoneId`] is an index.
    pub fn zones(&self) -> Vec<Name> {
        let mut zones: Vec<Name> = Vec::new();
        for port in &self.ports {
            if !zones.contains(&port.zone) {
                zones.push(port.zone.clone());
            }
        }
        zones
    }

    /// The physical interfaces that all ports come by, each once, in order of the file.
    pub fn trunks(&self) -> Vec<&str> {
        port::trunks(&self.ports)
    }
}

impl Workers {
    /// How many there are.
    pub fn count(&self) -> usize {
        match &self.cores {
            Cores::Pinned(cores) => cores.len(),
            Cores::Count(count) => *count as usize,
        }
    }
}

fn read(file: &Table<'_>) -> Option<Appliance> {
    let name = file.get("name").and_then(|value| value.name());
    if let Some(name) = &name
        && (name.as_str().contains('/') || name.as_str().starts_with('.'))
    {
        file.get("name")?.error("`name` becomes a folder's name", "use no / and no dot in front");
    }
    let ports = port::read_all(file);
    let paths = Paths::new(file, name.as_ref());
    let ways = [("ports", Management::Ports), ("elsewhere", Management::Elsewhere)];
    let management = file.get("management").map_or(Some(Management::Ports), |value| value.choice(&ways));
    Some(Appliance {
        workers: read_workers(file, port::trunks(&ports).len())?,
        dataplane: read_dataplane(file, &paths)?,
        control: read_control(file, &paths)?,
        policy: policy::read(file)?,
        log: log::read(file)?,
        management: management?,
        name,
        ports,
    })
}

/// Where things are when the file does not say.
struct Paths {
    run: PathBuf,
    state: PathBuf,
    pins: PathBuf,
    tun: String,
    /// The directory of the file.
    beside: PathBuf,
}

impl Paths {
    fn new(file: &Table<'_>, name: Option<&Name>) -> Self {
        let of = |base: &str| match name {
            Some(name) => Path::new(base).join(name.as_str()),
            None => PathBuf::from(base),
        };
        let beside = Path::new(file.context().source.name()).parent().unwrap_or(Path::new("")).to_owned();
        Self {
            run: of("/run/ravelin"),
            state: of("/var/lib/ravelin"),
            pins: of("/sys/fs/bpf/ravelin"),
            tun: name.map_or("rvl0".to_owned(), tun),
            beside,
        }
    }
}

/// Fill, receive, transmit and completion rings of one interface hold at most twice a queue of frames of one worker.
fn frames_needed(trunks: usize, queue: u32) -> u32 {
    (2 * trunks as u32 * queue).next_power_of_two()
}

fn read_workers(file: &Table<'_>, trunks: usize) -> Option<Workers> {
    let default = |queue| frames_needed(trunks, queue).max(8192);
    let Some(table) = file.table("workers", "[workers]", WORKER_KEYS) else {
        let cores = Cores::Count(1);
        let (frames, queue, tls_connections) = (default(2048), 2048, TLS_CONNECTIONS);
        return Some(Workers { cores, idle: Idle::Wait, frames, queue, tls_connections });
    };
    let idle = table.get("idle").map(|value| value.choice(&[("wait", Idle::Wait), ("poll", Idle::Poll)]));
    let queue = table.get("queue").map_or(Some(2048), |value| power_of_two(&value, 64, 1 << 15));
    let frames = table.get("frames").map(|value| power_of_two(&value, 256, 1 << 22));
    let most = table.get("tls_connections").map(|value| value.number(64..=1 << 20));
    let cores = read_cores(&table)?;
    let queue = queue?;
    let frames = match frames {
        Some(frames) => frames?,
        None => default(queue),
    };
    let needed = frames_needed(trunks, queue);
    if frames < needed
        && let Some(value) = table.get("frames")
    {
        value.error(
            FILE_RANGE.of(format!("{frames} frames cannot fill the rings of {trunks} interfaces")),
            format!("use at least {needed}, or a smaller `queue`"),
        );
    }
    let tls_connections = most.map_or(Some(TLS_CONNECTIONS), |most| most.map(|most| most as u32))?;
    Some(Workers { cores, idle: idle.unwrap_or(Some(Idle::Wait))?, frames, queue, tls_connections })
}

fn power_of_two(value: &Value<'_>, least: u64, most: u64) -> Option<u32> {
    let number = value.number(least..=most)?;
    if !number.is_power_of_two() {
        let near = number.next_power_of_two();
        value.error(format!("`{}` is {number}, not a power of two", value.key()), format!("use {near}"));
        return None;
    }
    Some(number as u32)
}

fn read_cores(table: &Table<'_>) -> Option<Cores> {
    let most = limits::WORKERS as u64;
    match (table.get("cores"), table.get("count")) {
        (Some(_), Some(count)) => {
            count.error(
                FILE_CONTRADICTION.of("`cores` and `count` both say how many workers run"),
                "remove one of the two",
            );
            None
        }
        (None, None) => Some(Cores::Count(1)),
        (None, Some(count)) => count.number(1..=most).map(|count| Cores::Count(count as u32)),
        (Some(cores), None) => read_pinned(&cores).map(Cores::Pinned),
    }
}

fn read_pinned(value: &Value<'_>) -> Option<Vec<u32>> {
    let mut cores = Vec::new();
    for item in value.items() {
        let core = item.number(0..=4095)? as u32;
        if cores.contains(&core) {
            item.error(FILE_TWICE.of(format!("core {core} stands twice")), "list each core once");
            return None;
        }
        cores.push(core);
    }
    if cores.is_empty() || cores.len() > limits::WORKERS {
        let remedy = format!("list 1 to {} cores", limits::WORKERS);
        value.error(FILE_RANGE.of(format!("`cores` lists {} cores", cores.len())), remedy);
        return None;
    }
    Some(cores)
}

fn read_dataplane(file: &Table<'_>, paths: &Paths) -> Option<Dataplane> {
    let table = file.table("dataplane", "[dataplane]", DATAPLANE_KEYS);
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let modes = [("native", XdpMode::Native), ("generic", XdpMode::Generic), ("auto", XdpMode::Auto)];
    Some(Dataplane {
        socket: path(get("socket"), || paths.run.join("dataplane.sock"))?,
        state: path(get("state"), || paths.state.clone())?,
        default_filters: path(get("default_filters"), || paths.beside.join("default-filters.toml"))?,
        pins: path(get("pins"), || paths.pins.clone())?,
        tun: match get("tun") {
            Some(value) => port::interface_name(&value)?,
            None => paths.tun.clone(),
        },
        xdp: get("xdp").map_or(Some(XdpMode::Auto), |value| value.choice(&modes))?,
        allow: read_users(get("allow"))?,
    })
}

fn read_control(file: &Table<'_>, paths: &Paths) -> Option<Control> {
    let table = file.table("control", "[control]", CONTROL_KEYS);
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let policy = match get("policy") {
        Some(value) => value.one_or_more().iter().map(Value::path).collect::<Option<Vec<_>>>()?,
        None => vec![paths.beside.join("ipsec.toml")],
    };
    Some(Control {
        socket: path(get("socket"), || paths.run.join("control.sock"))?,
        metrics: read_metrics(get("metrics"))?,
        policy,
        keys: path(get("keys"), || paths.beside.join("keys.toml"))?,
        attls: path(get("attls"), || paths.beside.join("attls.toml"))?,
        expect: path(get("expect"), || paths.beside.join("expect.toml"))?,
        rings: path(get("rings"), || paths.beside.join("rings"))?,
        allow: read_users(get("allow"))?,
    })
}

/// As much of the gateway's name as an interface's name may hold.
fn tun(name: &Name) -> String {
    let fits = name.as_str().chars().filter(|c| !matches!(c, '/' | ':')).take(11);
    format!("rvl-{}", fits.collect::<String>())
}

fn path(value: Option<Value<'_>>, default: impl FnOnce() -> PathBuf) -> Option<PathBuf> {
    value.map_or_else(|| Some(default()), |value| value.path())
}

/// Loopback unless said otherwise: figures tell who talks to whom.
fn read_metrics(value: Option<Value<'_>>) -> Option<Option<SocketAddr>> {
    match value {
        None => Some(Some(SocketAddr::from(([127, 0, 0, 1], 9469)))),
        Some(value) if value.as_text() == Some("off") => Some(None),
        Some(value) => value.socket_address().map(Some),
    }
}

/// User numbers; root alone when nothing is written.
fn read_users(value: Option<Value<'_>>) -> Option<Vec<u32>> {
    let Some(value) = value else { return Some(vec![0]) };
    value
        .one_or_more()
        .iter()
        .map(|item| item.number(0..=u64::from(u32::MAX)).map(|user| user as u32))
        .collect()
}
