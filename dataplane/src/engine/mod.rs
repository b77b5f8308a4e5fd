//! The one writer: turns what control and the kernel say into the next generation, and answers questions.
//!
//! All of it runs outside of the workers. No worker ever sees its locks: `children` keeps
//! negotiated SAs and orders installs; `builder` keeps SAs
//! and their numbers, `mode_file` the operator's choice, and both are held while the disk is waited for; `host` orders
//! what the kernel is told; `state`, always taken last, makes generations. Nothing slow happens under `state`, so that the emergency switch need not wait.

mod answer;
mod children;
mod ends;
mod host;
mod install;
mod mode;
mod tls;

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ravelin_contract::address::AddressRange;
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::report::{FilterMode, InterfaceStatus};

use crate::clock::Clock;
use crate::esp::builder::Builder;
use crate::report::counter::WorkerCounters;
use crate::report::events::Events;
use crate::table::forwarding::Forwarding;
use crate::table::policy::Policy;
use crate::table::publish::Publisher;
use crate::table::{PortInfo, SaTable, Tables};
use crate::worker::desk::Desk;
use children::Children;
use install::Installed;
pub use mode::ModeFile;

/// How long a change may take until every worker works by it, before the answer says that one lags.
const PATIENCE: Duration = Duration::from_millis(500);

/// What the workers' surroundings must hear of a new generation: the XDP program, the second line, sleeping workers.
///
/// May be slow, but for [`Self::wake`].
pub trait Surroundings: Send + Sync {
    /// Filters for what this host itself sends and receives, which the kernel carries (row B1).
    ///
    /// # Errors
    /// Why the kernel does not keep to them; it keeps to those before.
    fn host(&self, in_force: &InForce<'_>) -> Result<(), String>;
    /// Prefixes whose traffic must not come or go in clear.
    ///
    /// # Errors
    /// Why some of it may, now or after a restart.
    fn protect(&self, prefixes: &[AddressRange]) -> Result<(), String>;
    /// UDP ports on which ESP arrives.
    ///
    /// # Errors
    /// Why some of it does not.
    fn encapsulation_ports(&self, ports: &[u16]) -> Result<(), String>;
    /// Peers of SAs: UDP fragments from them belong to the workers.
    ///
    /// # Errors
    /// Why some do not reach them.
    fn peers(&self, peers: &[IpAddr]) -> Result<(), String>;
    /// Peers that have come, and such as are none any more, since the last call of this or [`Self::peers`].
    ///
    /// # Errors
    /// As [`Self::peers`].
    fn peers_changed(&self, come: &[IpAddr], gone: &[IpAddr]) -> Result<(), String>;
    /// Wakes workers that sleep, so that they take the new generation.
    fn wake(&self);
    /// The physical interfaces, where there are any.
    fn interfaces(&self) -> Vec<InterfaceStatus> {
        Vec::new()
    }
}

/// What the kernel must hold to by itself.
#[derive(Debug, Clone, Copy)]
pub struct InForce<'a> {
    /// Which filters `policy` holds.
    pub mode: FilterMode,
    /// Filters in force.
    pub policy: &'a Policy,
    /// The ports with their zones.
    pub ports: &'a [PortInfo],
    /// Prefixes to guard; `None` for those of [`Surroundings::protect`].
    pub protected: Option<&'a [AddressRange]>,
}

/// What carries a port.
#[derive(Debug, Clone)]
pub struct Carried {
    /// Name of the physical interface.
    pub trunk: String,
    /// See [`crate::port::Port::driver`].
    pub driver: String,
}

/// What the engine is made of.
pub struct Parts {
    /// Default filters, compiled from the appliance's own file.
    pub defaults: Arc<Policy>,
    /// Ports as they are now.
    pub ports: Vec<PortInfo>,
    /// What carries each port, for the report.
    pub carried: Vec<Carried>,
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
    /// Between TLS connections and control.
    pub desk: Arc<Desk>,
}

/// The one writer.
pub struct Engine {
    /// Changes with every start.
    incarnation: u64,
    started: Instant,
    carried: Vec<Carried>,
    counters: Vec<Arc<WorkerCounters>>,
    events: Arc<Events>,
    crypto: String,
    desk: Arc<Desk>,
    clock: Clock,
    surroundings: Arc<dyn Surroundings>,
    children: Mutex<Children>,
    builder: Mutex<Builder>,
    mode_file: Mutex<ModeFile>,
    /// The filters that the kernel holds to; none before the first.
    host: Mutex<Option<Arc<Policy>>>,
    state: Mutex<State>,
}

struct State {
    /// What control installed last, in force or not.
    installed: Option<Arc<Installed>>,
    defaults: Arc<Policy>,
    /// An SA table with nothing in it, for default filters.
    no_sas: Arc<SaTable>,
    forwarding: Arc<Forwarding>,
    ports: Vec<PortInfo>,
    forced_default: bool,
    generation: u64,
    /// How long the last publication took.
    took: Duration,
    surroundings: Arc<dyn Surroundings>,
    publisher: Publisher<Tables>,
}

impl Engine {
    /// An engine whose workers hold the publisher's first generation: default filters, no route.
    pub fn new(parts: Parts) -> Self {
        let first = Arc::clone(parts.publisher.newest());
        let surroundings: Arc<dyn Surroundings> = parts.surroundings.into();
        let state = State {
            installed: None,
            defaults: parts.defaults,
            no_sas: Arc::clone(&first.sas),
            forwarding: Arc::clone(&first.forwarding),
            ports: parts.ports,
            forced_default: parts.mode_file.is_forced(),
            generation: first.generation,
            took: Duration::ZERO,
            surroundings: Arc::clone(&surroundings),
            publisher: parts.publisher,
        };
        Self {
            incarnation: incarnation(),
            started: Instant::now(),
            carried: parts.carried,
            counters: parts.counters,
            events: parts.events,
            crypto: parts.crypto,
            desk: parts.desk,
            clock: parts.clock,
            surroundings,
            children: Mutex::default(),
            builder: Mutex::new(parts.builder),
            mode_file: Mutex::new(parts.mode_file),
            host: Mutex::new(None),
            state: Mutex::new(state),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn builder(&self) -> MutexGuard<'_, Builder> {
        self.builder.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts the default filters in force, then keeps the choice over restarts: traffic stops whatever the disk does.
    /// The kernel's turn comes last, as it takes longest.
    ///
    /// # Errors
    /// The choice cannot be kept, the kernel refuses, or a worker lags. Workers change over all the same: closed first,
    /// then the complaint.
    pub fn use_default_filters(&self) -> Result<Reply, Refusal> {
        let in_force = self.state().use_default_filters();
        let kept = self.keep_choice();
        let held = self.guard_host();
        kept.and(held).and(in_force)
    }

    /// Puts the installed policy in force, then keeps the choice: a crash in between comes back closed.
    ///
    /// # Errors
    /// There is none, the choice cannot be kept, the kernel refuses, or a worker lags: what was in force stays.
    pub fn use_policy(&self) -> Result<Reply, Refusal> {
        let (forced, in_force) = self.state().use_policy()?;
        let kept = self.keep_choice().and_then(|()| self.guard_host());
        if kept.is_err() && forced {
            let _ = self.state().use_default_filters();
            // What could not be removed is there; what was removed is written again if the disk allows.
            let _ = self.keep_choice();
        }
        kept.and(Ok(in_force))
    }

    /// Writes the choice that holds now. Whoever writes last writes what was chosen last.
    fn keep_choice(&self) -> Result<(), Refusal> {
        let file = self.mode_file.lock().unwrap_or_else(PoisonError::into_inner);
        let forced = self.state().forced_default;
        file.write(forced).map_err(|error| Refusal::Unenforceable(format!("cannot keep the choice: {error}")))
    }

    /// Reserves more numbers where they run low. Called every few milliseconds.
    pub fn top_up_numbers(&self) {
        if let Err(error) = self.builder().numbers.top_up() {
            ravelin_events::tell!(NUMBERS_NOT_RESERVED, %error);
        }
    }

    /// Keeps how far manual inbound SAs have come. Called every second, and at the end.
    pub fn note_accepted_numbers(&self) {
        if let Err(error) = self.builder().numbers.note_accepted() {
            ravelin_events::tell!(NUMBERS_NOT_KEPT, %error);
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

    fn filters(&self, mode: FilterMode) -> &Arc<Policy> {
        match (&self.installed, mode) {
            (Some(installed), FilterMode::Policy) => &installed.policy.filters,
            _ => &self.defaults,
        }
    }

    fn use_default_filters(&mut self) -> Result<Reply, Refusal> {
        self.forced_default = true;
        self.publish_reply()
    }

    /// Whether default filters were forced before, and the answer.
    fn use_policy(&mut self) -> Result<(bool, Reply), Refusal> {
        if self.installed.is_none() {
            return Err(Refusal::NoPolicy);
        }
        let forced = std::mem::replace(&mut self.forced_default, false);
        let in_force = self.publish_reply();
        if in_force.is_err() && forced {
            self.forced_default = true;
            self.announce();
        }
        in_force.map(|reply| (forced, reply))
    }

    /// Holds `next` and works by it, or, when a worker does not follow in time, goes on by what was held.
    fn put_in_force(&mut self, next: Arc<Installed>) -> Result<Reply, Refusal> {
        let before = self.installed.replace(next);
        let in_force = self.publish_reply();
        if in_force.is_err() {
            self.installed = before;
            self.announce();
        }
        in_force
    }

    fn publish_reply(&mut self) -> Result<Reply, Refusal> {
        let took = self.publish().map_err(Refusal::NotInForce)?;
        Ok(Reply::InForce { generation: self.generation, took_us: took.as_micros() as u64 })
    }

    /// Announces the next generation and waits until every worker has it.
    fn publish(&mut self) -> Result<Duration, String> {
        self.announce();
        let settled = self.publisher.settled(Instant::now() + PATIENCE);
        self.took = settled.map_err(|lagging| lagging.to_string())?;
        Ok(self.took)
    }

    /// Makes the next generation of what the state says, and wakes the workers.
    fn announce(&mut self) {
        self.generation += 1;
        let mode = self.mode();
        let policy = self.filters(mode);
        let (sas, encapsulation_ports) = match (&self.installed, mode) {
            (Some(installed), FilterMode::Policy) => {
                (&installed.sas, Arc::clone(&installed.encapsulation_ports))
            }
            _ => (&self.no_sas, Arc::default()),
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

#[cfg(test)]
mod tests;
