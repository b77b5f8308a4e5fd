//! The start of the process, in the order that keeps it closed: filters, walls, workers, then the doors.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use anyhow::{Context, anyhow};
use ravelin_config::appliance::{self, Appliance, Cores, XdpMode};
use ravelin_config::default_filters;
use ravelin_config::diagnostic::Findings;
use ravelin_contract::limits;
use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::FilterSettings;
use ravelin_events::tell;

use crate::clock::Clock;
use crate::engine::{Carried, Engine, ModeFile, Parts};
use crate::esp::builder::Builder;
use crate::esp::numbers::Numbers;
use crate::esp::reservation::{STEP, Store};
use crate::forward::neighbour::{Asks, asks};
use crate::gate::{Gate, Walls};
use crate::inbox;
use crate::kernel;
use crate::kernel::detour::Detour;
use crate::kernel::ports::Agreed;
use crate::kernel::tun::Tun;
use crate::pin;
use crate::port::Port;
use crate::port::xdp::meter::Meter;
use crate::port::xdp::offload;
use crate::port::xdp::steering::{ModeChoice, Steering};
use crate::port::xdp::worker::{WorkerOptions, WorkerPorts};
use crate::report::counter::WorkerCounters;
use crate::report::events::Events;
use crate::stack;
use crate::table::forwarding::Forwarding;
use crate::table::forwarding::view::View;
use crate::table::policy::{Policy, PolicySource};
use crate::table::publish::{self, Reader};
use crate::table::{PortInfo, Tables};
use crate::tls::Tls;
use crate::tls::standing::Standing;
use crate::wiring::{Place, TrunkIndex, Wiring};
use crate::worker::desk::Desk;
use crate::worker::handoff::Post;
use crate::worker::host::Host;
use crate::worker::run::{self, Bell, Idle};
use crate::worker::{self, Worker};

/// Octets of a frame: what AF_XDP takes at most, so that a packet of 1500 octets has room to grow.
const FRAME: u16 = 4096;
/// How often reservations are looked at.
const TOP_UP: Duration = Duration::from_millis(5);
/// Looks between two notes of accepted numbers: a second.
const NOTE_EVERY: u32 = 200;

/// Looks between two at negotiated SAs.
const LOOK_AT_CHILDREN: u32 = (limits::CHILD_LOOK_MS / TOP_UP.as_millis() as u64) as u32;

/// Everything that runs. Dropping it leaves the walls standing.
pub struct Gateway {
    engine: Arc<Engine>,
    bells: Vec<Arc<Bell>>,
    threads: Vec<std::thread::JoinHandle<()>>,
    _follower: kernel::Follower,
}

impl Gateway {
    /// Starts by the appliance file, which was read with these warnings.
    pub fn start(appliance: &Appliance, notes: &Findings) -> anyhow::Result<Self> {
        notes.iter().for_each(|note| tell!(CONFIG_NOTE, %note));
        let defaults = default_policy(appliance)?;
        std::fs::create_dir_all(&appliance.dataplane.state).context("state directory")?;
        let listener = inbox::bind(&appliance.dataplane.socket, &appliance.dataplane.allow)
            .with_context(|| format!("contract socket {}", appliance.dataplane.socket.display()))?;
        pin::forbid_core_dumps().context("core dumps")?;
        if let Err(error) = pin::lock_memory() {
            tell!(PACKETS_NOT_LOCKED, %error);
        }
        if ravelin_crypto_accel::key_memory().unlocked > 0 {
            tell!(MEMORY_NOT_LOCKED);
        }

        let mut steerings = load_steerings(appliance)?;
        let crew = Crew::hire(appliance, &mut steerings)?;
        let bells = crew.bells.clone();
        let (host, detour) = open_stack(appliance, &bells)?;
        let meters = crew.meters().context("AF_XDP sockets")?;
        let gate = Gate::new(steerings, meters, bells.clone(), detour, &appliance.dataplane.state)
            .map_err(|error| anyhow!(error))?;
        let desk = Desk::new(bells.len(), bells.clone()).context("queues of TLS")?;
        let (engine, readers) = engine(appliance, defaults, &crew, &gate, &desk);
        engine.guard_host().map_err(|refusal| anyhow!("{refusal}"))?;
        let asks = asks();
        // Workers first: the first picture of the kernel is handed to them, and waits until they take it.
        let threads = crew.work(readers, &asks, &host, &desk)?;
        let follower = follow(appliance, &engine, &gate, &asks)?;
        attach(appliance, &gate)?;

        let (answering, allowed) = (Arc::clone(&engine), appliance.dataplane.allow.clone());
        std::thread::Builder::new()
            .name("inbox".to_owned())
            .spawn(move || inbox::serve(&listener, &answering, &allowed))?;
        tell!(DATAPLANE_READY, ports = appliance.ports.len(), workers = bells.len());
        Ok(Self { engine, bells, threads, _follower: follower })
    }

    /// Keeps house until `stop` says so, then stops the workers and notes what must survive.
    pub fn run(self, stop: &mpsc::Receiver<()>) {
        let mut looks = 0;
        while stop.recv_timeout(TOP_UP) == Err(mpsc::RecvTimeoutError::Timeout) {
            self.engine.top_up_numbers();
            looks += 1;
            if looks % LOOK_AT_CHILDREN == 0 {
                self.engine.look_at_children();
            }
            if looks % NOTE_EVERY == 0 {
                self.engine.note_accepted_numbers();
            }
        }
        self.bells.iter().for_each(|bell| bell.stop());
        for thread in self.threads {
            // A panic in it was reported by the panic hook.
            let _ = thread.join();
        }
        self.engine.note_accepted_numbers();
        tell!(DATAPLANE_STOPPED);
    }
}

/// Filters for the time without a policy. No file means that nothing is permitted; a wrong file is an error.
fn default_policy(appliance: &Appliance) -> anyhow::Result<Policy> {
    let path = &appliance.dataplane.default_filters;
    let zones = appliance.zones();
    let filters = if path.exists() {
        let loaded = default_filters::DefaultFilters::load(path, &zones);
        let (filters, notes) = loaded.map_err(|found| anyhow!("{}", found.render(false)))?;
        notes.iter().for_each(|note| tell!(CONFIG_NOTE, %note));
        filters
    } else {
        tell!(NO_DEFAULT_FILTERS, file = %path.display());
        default_filters::DefaultFilters::default()
    };
    let settings = FilterSettings { log_implicit: filters.log_implicit, ..FilterSettings::default() };
    let source = PolicySource { rules: filters.rules, zones, settings, ..PolicySource::default() };
    Ok(Policy::compile(source, appliance.workers.count(), None))
}

fn load_steerings(appliance: &Appliance) -> anyhow::Result<Vec<Steering>> {
    let queues = appliance.workers.count() as u32;
    let load = |trunk: &str| {
        give_queues(trunk, queues)?;
        Steering::load(trunk, &appliance.dataplane.pins).with_context(|| format!("XDP program of {trunk}"))
    };
    appliance.trunks().into_iter().map(load).collect()
}

/// Which port comes by which of the interfaces that are steered.
fn wiring(appliance: &Appliance) -> Wiring {
    let trunks = appliance.trunks();
    let place = |port: &appliance::Port| {
        let number = trunks.iter().take_while(|trunk| **trunk != port.trunk()).count();
        Place { trunk: TrunkIndex(number as u8), vlan: port.vlan.as_ref().map(|vlan| vlan.number) }
    };
    Wiring::new(appliance.ports.iter().map(place))
}

/// One queue a worker: what arrives on a queue that nobody serves is dropped.
fn give_queues(interface: &str, wanted: u32) -> anyhow::Result<()> {
    if offload::queues(interface).with_context(|| format!("interface {interface}"))? == wanted {
        return Ok(());
    }
    offload::set_queues(interface, wanted).with_context(|| {
        format!("{interface} cannot have {wanted} queues; set `workers` to the number that it has")
    })
}

/// The ways between workers and the host's own stack. Without the interface everything but them works.
fn open_stack(appliance: &Appliance, bells: &[Arc<Bell>]) -> anyhow::Result<(Arc<Host>, Option<Detour>)> {
    let name = &appliance.dataplane.tun;
    let opened = Tun::open(name).and_then(|tun| Ok((Detour::open(name, tun.index())?, tun)));
    match opened {
        Ok((detour, tun)) => {
            let host =
                Host::open(usize::from(FRAME), bells.first().cloned()).context("queues of the host")?;
            stack::serve(tun, Arc::clone(&host)).context("thread of the host's stack")?;
            Ok((host, Some(detour)))
        }
        Err(error) => {
            tell!(HOST_DETACHED, interface = name, %error);
            Ok((Host::closed().context("queues of the host")?, None))
        }
    }
}

fn attach(appliance: &Appliance, gate: &Gate) -> anyhow::Result<()> {
    let choice = match appliance.dataplane.xdp {
        XdpMode::Native => ModeChoice::Native,
        XdpMode::Generic => ModeChoice::Generic,
        XdpMode::Auto => ModeChoice::NativeOrGeneric,
    };
    for steering in gate.steerings().iter_mut() {
        let interface = steering.interface().to_owned();
        let mode = steering.attach(choice).with_context(|| format!("XDP program of {interface}"))?;
        tell!(XDP_ATTACHED, interface, ?mode);
    }
    Ok(())
}

/// The workers before they work.
struct Crew {
    /// Core, rings and pool of each.
    places: Vec<(u32, WorkerPorts)>,
    wiring: Arc<Wiring>,
    counters: Vec<Arc<WorkerCounters>>,
    bells: Vec<Arc<Bell>>,
    clock: Clock,
    events: Arc<Events>,
    idle: Idle,
    /// TLS connections of each worker.
    connections: u32,
}

impl Crew {
    /// Opens one queue of every trunk for each worker.
    fn hire(appliance: &Appliance, steerings: &mut [Steering]) -> anyhow::Result<Self> {
        let cores: Vec<u32> = match &appliance.workers.cores {
            Cores::Pinned(cores) => cores.clone(),
            Cores::Count(count) => (0..*count).collect(),
        };
        let options = WorkerOptions {
            frames: appliance.workers.frames,
            frame_size: FRAME,
            ring_size: appliance.workers.queue,
            zero_copy: true,
        };
        let mut places = Vec::with_capacity(cores.len());
        for (queue, core) in (0..).zip(cores) {
            places.push((core, WorkerPorts::open(queue, steerings, options)?));
        }
        let ports = appliance.ports.len();
        let counters = places.iter().map(|(core, _)| Arc::new(WorkerCounters::new(*core, ports))).collect();
        let bells = places.iter().map(|_| Bell::new()).collect::<std::io::Result<_>>()?;
        let idle = match appliance.workers.idle {
            appliance::Idle::Wait => Idle::Sleep,
            appliance::Idle::Poll => Idle::Spin,
        };
        let wiring = Arc::new(wiring(appliance));
        let (clock, events, connections) = (Clock::start(), Events::new(), appliance.workers.tls_connections);
        Ok(Self { places, wiring, counters, bells, clock, events, idle, connections })
    }

    fn carried(&self, appliance: &Appliance) -> Vec<Carried> {
        let first = self.places.first().map(|(_, place)| place.ports.as_slice()).unwrap_or_default();
        let carried = |(port, (_, trunk)): (&appliance::Port, (_, TrunkIndex))| Carried {
            trunk: port.trunk().to_owned(),
            driver: first[usize::from(trunk.0)].driver().to_owned(),
        };
        appliance.ports.iter().zip(self.wiring.ports()).map(carried).collect()
    }

    /// Of the queues of each trunk.
    fn meters(&self) -> std::io::Result<Vec<Vec<Meter>>> {
        let trunks = self.places.first().map_or(0, |(_, place)| place.ports.len());
        let of_trunk =
            |trunk: usize| self.places.iter().map(|(_, place)| place.ports[trunk].meter()).collect();
        (0..trunks).map(of_trunk).collect()
    }

    /// Starts the threads.
    fn work(
        self,
        readers: Vec<Reader<Tables>>,
        asks: &Asks,
        host: &Arc<Host>,
        desk: &Arc<Desk>,
    ) -> anyhow::Result<Vec<std::thread::JoinHandle<()>>> {
        let workers = self.places.len();
        let post = Arc::new(Post::new(workers, usize::from(FRAME)).ringing(self.bells.clone()));
        let Self { places, wiring, counters, bells, clock, events, idle, connections } = self;
        let standing = Standing::new(workers * connections as usize);
        let mut threads = Vec::with_capacity(workers);
        let seats = places.into_iter().zip(readers).zip(counters.into_iter().zip(bells));
        for (index, (((core, place), reader), (counters, bell))) in seats.enumerate() {
            let tls = Tls::new((index, workers), &standing, connections, &place.pool, clock.read());
            let mut worker = Worker::new(worker::Parts {
                index,
                workers,
                clock,
                reader,
                pool: place.pool,
                trunks: place.ports.into_iter().map(|port| Box::new(port) as Box<dyn Port>).collect(),
                wiring: Arc::clone(&wiring),
                counters,
                events: Arc::clone(&events),
                asks: Arc::clone(asks),
                post: Arc::clone(&post),
                host: Arc::clone(host),
                desk: Arc::clone(desk),
                tls: tls.map_err(|unfit| anyhow!("TLS connections: {unfit:?}"))?,
            });
            let life = move || {
                if let Err(error) = pin::to_core(core as usize) {
                    tell!(WORKER_NOT_PINNED, %error, core);
                }
                run::live(&mut worker, &bell, idle);
            };
            threads.push(std::thread::Builder::new().name(format!("worker-{index}")).spawn(life)?);
        }
        Ok(threads)
    }
}

fn engine(
    appliance: &Appliance,
    defaults: Policy,
    crew: &Crew,
    gate: &Arc<Gate>,
    desk: &Arc<Desk>,
) -> (Arc<Engine>, Vec<Reader<Tables>>) {
    let defaults = Arc::new(defaults);
    let ports = ports(appliance, &View::default(), &[]);
    let first = Tables {
        generation: 1,
        mode: FilterMode::DefaultNoPolicy,
        policy: Arc::clone(&defaults),
        sas: Arc::default(),
        encapsulation_ports: Arc::default(),
        forwarding: Arc::new(Forwarding::default()),
        ports: ports.iter().cloned().collect(),
    };
    let (publisher, readers) = publish::channel(Arc::new(first), crew.counters.len());
    let store = Store::open(&appliance.dataplane.state.join("sequence-numbers"));
    let engine = Engine::new(Parts {
        defaults,
        ports,
        carried: crew.carried(appliance),
        counters: crew.counters.clone(),
        events: Arc::clone(&crew.events),
        builder: Builder::new(Numbers::new(store, STEP)),
        clock: crew.clock,
        mode_file: ModeFile::new(&appliance.dataplane.state),
        surroundings: Box::new(Walls::new(Arc::clone(gate))),
        publisher,
        crypto: ravelin_crypto_accel::back_end().to_owned(),
        desk: Arc::clone(desk),
    });
    (Arc::new(engine), readers)
}

/// Ports as the kernel shows them now; one that is not there has no index.
fn ports(appliance: &Appliance, view: &View, indexes: &[u32]) -> Vec<PortInfo> {
    let info = |(number, port): (usize, &appliance::Port)| {
        let ifindex = indexes.get(number).copied().unwrap_or(0);
        let link = view.links.iter().find(|link| link.index == ifindex);
        PortInfo {
            name: port.interface.clone(),
            ifindex,
            mac: link.and_then(|link| link.mac).unwrap_or_default(),
            mtu: link.map_or(0, |link| link.mtu.min(u16::MAX.into()) as u16),
            zone: None,
            zone_name: port.zone.to_string(),
            protected: port.protected,
        }
    };
    appliance.ports.iter().enumerate().map(info).collect()
}

fn follow(
    appliance: &Appliance,
    engine: &Arc<Engine>,
    gate: &Arc<Gate>,
    asks: &Asks,
) -> anyhow::Result<kernel::Follower> {
    let names = appliance.ports.iter().map(|port| port.interface.clone()).collect();
    let (engine, gate, appliance) = (Arc::clone(engine), Arc::clone(gate), appliance.clone());
    let (tell, told) = mpsc::channel();
    let mut known = Vec::new();
    let publish = move |view: &View, indexes: &[u32]| {
        let Agreed { indexes, mistakes } = kernel::ports::agreed(&appliance.ports, view, indexes);
        let news = mistakes.iter().filter(|mistake| !known.contains(*mistake));
        news.for_each(|problem| tell!(PORT_DISAGREES, %problem));
        known.clone_from(&mistakes);
        gate.follow(view);
        engine.forwarding_changed(
            |before: &Forwarding| before.rebuild(view, &indexes),
            ports(&appliance, view, &indexes),
        );
        // Only the start listens.
        let _ = tell.send(mistakes);
    };
    let follower = kernel::follow(names, Arc::clone(asks), Box::new(publish)).context("netlink")?;
    match told.try_recv() {
        Ok(mistakes) if !mistakes.is_empty() => Err(anyhow!("{}", mistakes.join("\n"))),
        _ => Ok(follower),
    }
}

/// Reads the appliance file.
///
/// # Errors
/// Its mistakes, for people.
pub fn load(config: &Path) -> anyhow::Result<(Appliance, Findings)> {
    Appliance::load(config).map_err(|found| anyhow!("{}", found.render(false)))
}

/// Takes the XDP programs off all interfaces of the appliance file.
pub fn detach(config: &Path) -> anyhow::Result<()> {
    let (appliance, _) = load(config)?;
    for trunk in appliance.trunks() {
        Steering::remove(trunk, &appliance.dataplane.pins)
            .with_context(|| format!("XDP program of {trunk}"))?;
    }
    Ok(())
}
