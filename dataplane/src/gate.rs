//! The gateway's walls towards the kernel, kept in step with the policy: the XDP programs and the second line.
//!
//! What they guard is also kept on disk: between the start of this process and the first word of control, what the last
//! policy protected stays guarded.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ravelin_contract::address::AddressRange;
use tracing::error;

use crate::engine::Surroundings;
use crate::kernel::guard;
use crate::port::xdp::steering::Steering;
use crate::table::forwarding::view::{RouteKind, View};
use crate::worker::run::Bell;

/// The walls. Shared by the engine and the thread that follows the kernel.
pub struct Gate {
    steerings: Mutex<Vec<Steering>>,
    bells: Vec<Arc<Bell>>,
    /// Interfaces of the protected side, by which cleartext may leave.
    trusted: Vec<String>,
    /// Keeps the prefixes that are guarded.
    file: PathBuf,
}

impl Gate {
    /// Around these ports. Guards at once what was guarded before a restart.
    pub fn new(
        steerings: Vec<Steering>,
        bells: Vec<Arc<Bell>>,
        trusted: Vec<String>,
        state: &Path,
    ) -> Arc<Self> {
        let file = state.join("protected-prefixes");
        let gate = Self { steerings: Mutex::new(steerings), bells, trusted, file };
        let kept = gate.kept();
        gate.steer("protected prefixes", |steering| steering.set_protected(kept.iter().copied()));
        gate.raise_second_line(&kept);
        Arc::new(gate)
    }

    /// The XDP programs.
    pub fn steerings(&self) -> MutexGuard<'_, Vec<Steering>> {
        self.steerings.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn raise_second_line(&self, prefixes: &[AddressRange]) {
        if let Err(error) = guard::raise(prefixes, &self.trusted) {
            error!(%error, "second line: the kernel's own output is not guarded");
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
pub struct Walls(pub Arc<Gate>);

impl Surroundings for Walls {
    fn protect(&self, prefixes: &[AddressRange]) {
        self.0.steer("protected prefixes", |steering| steering.set_protected(prefixes.iter().copied()));
        self.0.raise_second_line(prefixes);
        if let Err(error) = self.0.keep(prefixes) {
            error!(%error, file = %self.0.file.display(), "protected prefixes are not kept for the next start");
        }
    }

    fn encapsulation_ports(&self, ports: &[u16]) {
        self.0.steer("UDP ports of ESP", |steering| steering.set_natt_ports(ports.iter().copied()));
    }

    fn peers(&self, peers: &[IpAddr]) {
        self.0.steer("peers", |steering| steering.set_peers(peers.iter().copied()));
    }

    fn wake(&self) {
        self.0.bells.iter().for_each(|bell| bell.ring());
    }
}
