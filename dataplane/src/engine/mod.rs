//! The one writer: turns what control and the kernel say into the next generation, and answers questions.
//!
//! All of it runs outside of the workers. One lock orders installs, switches and route changes; workers never see it.

mod answer;
mod install;
mod mode;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::report::FilterMode;

use crate::clock::Clock;
use crate::esp::builder::Builder;
use crate::report::counter::WorkerCounters;
use crate::report::events::Events;
use crate::table::forwarding::Forwarding;
use crate::table::policy::Policy;
use crate::table::publish::Publisher;
use crate::table::{PortInfo, SaTable, Tables};
use install::Installed;
pub use mode::ModeFile;

/// How long a change may take until every worker works by it, before the answer says that one lags.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the workers' surroundings must hear of a new generation: the XDP program, the second line, sleeping workers.
pub trait Surroundings: Send {
    /// Prefixes whose traffic must not come or go in clear.
    fn protect(&mut self, prefixes: &[ravelin_contract::address::AddressRange]);
    /// UDP ports on which ESP arrives.
    fn encapsulation_ports(&mut self, ports: &[u16]);
    /// Peers of SAs: UDP fragments from them belong to the workers.
    fn peers(&mut self, peers: &[std::net::IpAddr]);
    /// Wakes workers that sleep, so that they take the new generation.
    fn wake(&self);
}

/// What the engine is made of.
pub struct Parts {
    /// Default filters, compiled from the appliance's own file.
    pub defaults: Arc<Policy>,
    /// Ports as they are now.
    pub ports: Vec<PortInfo>,
    /// How each port is driven, for the report.
    pub drivers: Vec<String>,
    /// One per worker.
    pub counters: Vec<Arc<WorkerCounters>>,
    /// Where workers report events.
    pub events: Arc<Events>,
    /// Prepares SAs and keeps the numbers of their keys.
    pub builder: Builder,
    /// The clock that workers read too.
    pub clock: Clock,
    /// Which filters the operator chose.
    pub mode_file: ModeFile,
    /// Who else must hear.
    pub surroundings: Box<dyn Surroundings>,
    /// The writing end towards the workers; holds the first generation.
    pub publisher: Publisher<Tables>,
    /// Name of the cryptographic back end.
    pub crypto: String,
}

/// The one writer.
pub struct Engine {
    /// Changes with every start.
    incarnation: u64,
    started: Instant,
    drivers: Vec<String>,
    counters: Vec<Arc<WorkerCounters>>,
    events: Arc<Events>,
    crypto: String,
    clock: Clock,
    state: Mutex<State>,
}

struct State {
    /// What control installed last, in force or not.
    installed: Option<Installed>,
    defaults: Arc<Policy>,
    /// An SA table with nothing in it, for default filters.
    no_sas: Arc<SaTable>,
    forwarding: Arc<Forwarding>,
    ports: Vec<PortInfo>,
    forced_default: bool,
    generation: u64,
    /// How long the last publication took.
    took: Duration,
    builder: Builder,
    clock: Clock,
    mode_file: ModeFile,
    surroundings: Box<dyn Surroundings>,
    publisher: Publisher<Tables>,
}

impl Engine {
    /// An engine whose workers hold the publisher's first generation: default filters, no route.
    pub fn new(parts: Parts) -> Self {
        let first = Arc::clone(parts.publisher.newest());
        let state = State {
            installed: None,
            defaults: parts.defaults,
            no_sas: Arc::clone(&first.sas),
            forwarding: Arc::clone(&first.forwarding),
            ports: parts.ports,
            forced_default: parts.mode_file.is_forced(),
            generation: first.generation,
            took: Duration::ZERO,
            builder: parts.builder,
            clock: parts.clock,
            mode_file: parts.mode_file,
            surroundings: parts.surroundings,
            publisher: parts.publisher,
        };
        Self {
            incarnation: incarnation(),
            started: Instant::now(),
            drivers: parts.drivers,
            counters: parts.counters,
            events: parts.events,
            crypto: parts.crypto,
            clock: parts.clock,
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the default filters in force and remembers it before anything else, so that a crash in between comes back
    /// closed.
    pub fn use_default_filters(&self) -> Result<Reply, Refusal> {
        self.state().switch(true)
    }

    /// Puts the installed policy in force.
    pub fn use_policy(&self) -> Result<Reply, Refusal> {
        self.state().switch(false)
    }

    /// Reserves more numbers where they run low. Called every few milliseconds.
    pub fn top_up_numbers(&self) {
        if let Err(error) = self.state().builder.numbers.top_up() {
            tracing::warn!(%error, "sequence numbers cannot be reserved; SAs will stop at their limit");
        }
    }

    /// Keeps how far manual inbound SAs have come. Called every second, and at the end.
    pub fn note_accepted_numbers(&self) {
        if let Err(error) = self.state().builder.numbers.note_accepted() {
            tracing::warn!(%error, "accepted sequence numbers cannot be kept");
        }
    }

    /// Routes, neighbours or links have changed.
    pub fn forwarding_changed(&self, rebuild: impl FnOnce(&Forwarding) -> Forwarding, ports: Vec<PortInfo>) {
        let before = Arc::clone(&self.state().forwarding);
        // Outside of the lock: a large table takes its time. Only the thread that follows the kernel comes here.
        let forwarding = Arc::new(rebuild(&before));
        let mut state = self.state();
        state.forwarding = forwarding;
        state.ports = ports;
        // A lagging worker goes on by old routes for a breath; that is no reason to refuse new ones.
        let _ = state.publish();
    }
}

impl State {
    fn mode(&self) -> FilterMode {
        match (self.forced_default, &self.installed) {
            (true, _) => FilterMode::DefaultForced,
            (false, None) => FilterMode::DefaultNoPolicy,
            (false, Some(_)) => FilterMode::Policy,
        }
    }

    fn switch(&mut self, forced: bool) -> Result<Reply, Refusal> {
        if !forced && self.installed.is_none() {
            return Err(Refusal::NoPolicy);
        }
        let keep = |error: std::io::Error| Refusal::Unenforceable(format!("cannot keep the choice: {error}"));
        if forced {
            // In force even when the disk refuses: closed first, then the complaint.
            let kept = self.mode_file.write(true).map_err(keep);
            self.forced_default = true;
            let in_force = self.publish_reply();
            return kept.and(in_force);
        }
        self.mode_file.write(false).map_err(keep)?;
        self.forced_default = false;
        self.publish_reply()
    }

    fn publish_reply(&mut self) -> Result<Reply, Refusal> {
        let took = self.publish().map_err(Refusal::NotInForce)?;
        Ok(Reply::InForce { generation: self.generation, took_us: took.as_micros() as u64 })
    }

    /// Makes the next generation of what the state says and waits until every worker has it.
    fn publish(&mut self) -> Result<Duration, String> {
        self.generation += 1;
        let mode = self.mode();
        let (policy, sas, encapsulation_ports) = match (&self.installed, mode) {
            (Some(installed), FilterMode::Policy) => {
                (&installed.policy, &installed.sas, installed.encapsulation_ports())
            }
            _ => (&self.defaults, &self.no_sas, Arc::default()),
        };
        let ports =
            self.ports.iter().map(|port| PortInfo { zone: policy.zone(&port.zone_name), ..port.clone() });
        let tables = Tables {
            generation: self.generation,
            mode,
            policy: Arc::clone(policy),
            sas: Arc::clone(sas),
            encapsulation_ports,
            forwarding: Arc::clone(&self.forwarding),
            ports: ports.collect(),
        };
        self.publisher.publish(Arc::new(tables));
        self.surroundings.wake();
        let settled = self.publisher.settled(Instant::now() + PATIENCE);
        self.took = settled.map_err(|lagging| lagging.to_string())?;
        Ok(self.took)
    }
}

/// Octets that nobody can guess, from the kernel. It never fails on the kernels that have AF_XDP; if it did, nothing could
/// go on safely.
fn random() -> [u8; 16] {
    let mut octets = [0; 16];
    let mut filled = 0;
    while filled < octets.len() {
        match rustix::rand::getrandom(&mut octets[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("the kernel gives no random octets: {error}"),
        }
    }
    octets
}

/// Differs between starts: the clock, mixed with the process id.
fn incarnation() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    (now.as_nanos() as u64).rotate_left(16) ^ u64::from(std::process::id())
}
