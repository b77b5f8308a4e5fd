//! The gateway's walls towards the kernel, kept in step with the policy: the XDP programs and the second line.
//!
//! What they guard is also kept on disk: between the start of this process and the first word of control, what the last
//! policy protected stays guarded.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use ravelin_contract::address::AddressRange;
use ravelin_contract::report::{FilterMode, InterfaceStatus};
use tracing::{debug, error, warn};

use crate::engine::{InForce, Surroundings};
use crate::kernel::detour::Detour;
use crate::kernel::guard::{self, Guarded};
use crate::port::xdp::meter::Meter;
use crate::port::xdp::prefixes::prefixes;
use crate::port::xdp::steering::Steering;
use crate::table::forwarding::view::{RouteKind, View};
use crate::worker::run::Bell;

/// The walls. Shared by the engine and the thread that follows the kernel.
pub struct Gate {
    steerings: Mutex<Vec<Steering>>,
    /// Of the queues of each interface.
    meters: Vec<Vec<Meter>>,
    bells: Vec<Arc<Bell>>,
    /// The host's own way into tunnels, where there is one.
    detour: Mutex<Option<Detour>>,
    /// Keeps the prefixes that are guarded.
    file: PathBuf,
}

impl Gate {
    /// Around these ports. Guards at once what was guarded before a restart.
    pub fn new(
        steerings: Vec<Steering>,
        meters: Vec<Vec<Meter>>,
        bells: Vec<Arc<Bell>>,
        detour: Option<Detour>,
        state: &Path,
    ) -> Arc<Self> {
        let file = state.join("protected-prefixes");
        let gate = Self { steerings: Mutex::new(steerings), meters, bells, detour: Mutex::new(detour), file };
        let kept = gate.kept();
        gate.steer("protected prefixes", |steering| steering.set_protected(kept.iter().copied()));
        gate.lead(&kept);
        Arc::new(gate)
    }

    /// The XDP programs.
    pub fn steerings(&self) -> MutexGuard<'_, Vec<Steering>> {
        self.steerings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// For the report. An interface whose maps cannot be read is left out.
    fn interfaces(&self) -> Vec<InterfaceStatus> {
        let told = |(steering, meters): (&Steering, &Vec<Meter>)| match steering.status(meters) {
            Ok(status) => Some(status),
            Err(error) => {
                warn!(interface = steering.interface(), %error, "its counters cannot be read");
                None
            }
        };
        self.steerings().iter().zip(&self.meters).filter_map(told).collect()
    }

    /// This host's addresses are those of `view`.
    pub fn follow(&self, view: &View) {
        let own = view.addresses.iter().map(|address| address.address);
        let broadcast = view.routes.iter().filter(|route| route.kind == RouteKind::Broadcast);
        let addresses: Vec<IpAddr> = own.chain(broadcast.map(|route| route.prefix)).collect();
        self.steer("own addresses", |steering| steering.set_local(addresses.iter().copied()));
    }

    /// A map that cannot be changed leaves the ports as they are: closed for what is new, never open.
    fn steer<E: std::fmt::Display>(
        &self,
        what: &str,
        mut change: impl FnMut(&mut Steering) -> Result<(), E>,
    ) {
        for steering in self.steerings().iter_mut() {
            if let Err(error) = change(steering) {
                error!(interface = steering.interface(), %error, "steering: {what} not set");
            }
        }
    }

    fn detour(&self) -> MutexGuard<'_, Option<Detour>> {
        self.detour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the host sends to these goes to the workers.
    fn lead(&self, ranges: &[AddressRange]) {
        let Some(detour) = &mut *self.detour() else { return };
        if let Err(error) = detour.set(ranges.iter().copied().flat_map(prefixes).collect()) {
            error!(%error, "this host cannot send through all tunnels");
        }
    }

    fn kept(&self) -> Vec<AddressRange> {
        let text = fs::read_to_string(&self.file).unwrap_or_default();
        text.lines().filter_map(range).collect()
    }

    fn keep(&self, prefixes: &[AddressRange]) -> io::Result<()> {
        let text: String =
            prefixes.iter().map(|range| format!("{} {}\n", range.first(), range.last())).collect();
        let new = self.file.with_extension("new");
        fs::write(&new, text)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.file)
    }
}

fn range(line: &str) -> Option<AddressRange> {
    let (first, last) = line.split_once(' ')?;
    AddressRange::new(first.parse().ok()?, last.parse().ok()?).ok()
}

/// The engine's view of the gate.
pub struct Walls {
    gate: Arc<Gate>,
    /// Prefixes that are guarded.
    protected: Mutex<Vec<AddressRange>>,
}

impl Walls {
    /// With the prefixes that were guarded before a restart.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { protected: Mutex::new(gate.kept()), gate }
    }

    fn protected(&self) -> MutexGuard<'_, Vec<AddressRange>> {
        self.protected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Surroundings for Walls {
    fn host(&self, in_force: &InForce<'_>) -> Result<(), String> {
        let held = self.protected().clone();
        let detour = self.gate.detour().as_ref().map(|detour| detour.interface().to_owned());
        let guarded = Guarded {
            protected: in_force.protected.unwrap_or(&held),
            ports: in_force.ports,
            workers: detour.as_deref(),
            filters: in_force.policy,
            by_policy: in_force.mode == FilterMode::Policy,
        };
        let begun = Instant::now();
        guard::raise(&guarded)
            .map_err(|error| format!("this host's own traffic is not filtered: {error}"))?;
        debug!(took = ?begun.elapsed(), "second line raised");
        Ok(())
    }

    fn protect(&self, prefixes: &[AddressRange]) {
        self.gate.steer("protected prefixes", |steering| steering.set_protected(prefixes.iter().copied()));
        if let Err(error) = self.gate.keep(prefixes) {
            error!(%error, file = %self.gate.file.display(), "protected prefixes are not kept for the next start");
        }
        *self.protected() = prefixes.to_vec();
        self.gate.lead(prefixes);
    }

    fn encapsulation_ports(&self, ports: &[u16]) {
        self.gate.steer("UDP ports of ESP", |steering| steering.set_natt_ports(ports.iter().copied()));
    }

    fn peers(&self, peers: &[IpAddr]) {
        self.gate.steer("peers", |steering| steering.set_peers(peers.iter().copied()));
    }

    fn wake(&self) {
        self.gate.bells.iter().for_each(|bell| bell.ring());
    }

    fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.gate.interfaces()
    }
}
