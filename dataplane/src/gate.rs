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
use ravelin_events::tell;
use tracing::debug;

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
    /// Prefixes that are guarded.
    protected: Mutex<Vec<AddressRange>>,
    /// Keeps them for the next start.
    file: PathBuf,
}

impl Gate {
    /// Around these ports. Guards at once what was guarded before a restart.
    ///
    /// # Errors
    /// What that was cannot be read, or a map of an XDP program does not take it.
    pub fn new(
        steerings: Vec<Steering>,
        meters: Vec<Vec<Meter>>,
        bells: Vec<Arc<Bell>>,
        detour: Option<Detour>,
        state: &Path,
    ) -> Result<Arc<Self>, String> {
        let file = state.join("protected-prefixes");
        let kept = kept(&file)?;
        let (steerings, detour) = (Mutex::new(steerings), Mutex::new(detour));
        let gate = Self { steerings, meters, bells, detour, protected: Mutex::new(kept.clone()), file };
        gate.steer("protected prefixes", |steering| steering.set_protected(kept.iter().copied()))?;
        gate.lead(&kept);
        Ok(Arc::new(gate))
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
                tell!(INTERFACE_UNREAD, interface = steering.interface(), %error);
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
        // Nobody can be refused: an address that the programs do not know is no address of ours.
        if let Err(error) =
            self.steer("own addresses", |steering| steering.set_local(addresses.iter().copied()))
        {
            tell!(INTERFACE_STALE, %error);
        }
    }

    /// Changes all that can be changed, and says what could not.
    fn steer<E: std::fmt::Display>(
        &self,
        what: &str,
        mut change: impl FnMut(&mut Steering) -> Result<(), E>,
    ) -> Result<(), String> {
        let mut result = Ok(());
        for steering in self.steerings().iter_mut() {
            if let Err(error) = change(steering) {
                result = Err(format!(
                    "the XDP program of {} does not take the {what}: {error}",
                    steering.interface()
                ));
            }
        }
        result
    }

    fn detour(&self) -> MutexGuard<'_, Option<Detour>> {
        self.detour.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the host sends to these goes to the workers.
    fn lead(&self, ranges: &[AddressRange]) {
        let Some(detour) = &mut *self.detour() else { return };
        if let Err(error) = detour.set(ranges.iter().copied().flat_map(prefixes).collect()) {
            tell!(HOST_ROUTES, %error);
        }
    }

    fn keep(&self, prefixes: &[AddressRange]) -> io::Result<()> {
        let text: String =
            prefixes.iter().map(|range| format!("{} {}\n", range.first(), range.last())).collect();
        let new = self.file.with_extension("new");
        fs::write(&new, text)?;
        fs::File::open(&new)?.sync_all()?;
        fs::rename(&new, &self.file)?;
        self.file.parent().map_or(Ok(()), |directory| fs::File::open(directory)?.sync_all())
    }
}

/// What was guarded before a restart; nothing when there is no file. A file that says nothing clear guards nothing, so it is
/// an error.
fn kept(file: &Path) -> Result<Vec<AddressRange>, String> {
    const REMEDY: &str = "what the last policy protected must stay guarded; mend the file, or remove it if nothing was protected";
    let text = match fs::read_to_string(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        read => read.map_err(|error| format!("{}: {error}; {REMEDY}", file.display()))?,
    };
    let parsed = text.lines().zip(1..).map(|(line, number)| {
        range(line)
            .ok_or_else(|| format!("{}:{number}: not two addresses of a range; {REMEDY}", file.display()))
    });
    parsed.collect()
}

fn range(line: &str) -> Option<AddressRange> {
    let (first, last) = line.split_once(' ')?;
    AddressRange::new(first.parse().ok()?, last.parse().ok()?).ok()
}

/// The engine's view of the gate.
pub struct Walls {
    gate: Arc<Gate>,
}

impl Walls {
    /// Of this gate.
    pub fn new(gate: Arc<Gate>) -> Self {
        Self { gate }
    }

    fn protected(&self) -> MutexGuard<'_, Vec<AddressRange>> {
        self.gate.protected.lock().unwrap_or_else(PoisonError::into_inner)
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

    fn protect(&self, prefixes: &[AddressRange]) -> Result<(), String> {
        self.gate.steer("protected prefixes", |steering| steering.set_protected(prefixes.iter().copied()))?;
        let file = self.gate.file.display();
        self.gate.keep(prefixes).map_err(|error| {
            format!("protected prefixes cannot be kept in {file} for the next start: {error}")
        })?;
        *self.protected() = prefixes.to_vec();
        self.gate.lead(prefixes);
        Ok(())
    }

    fn encapsulation_ports(&self, ports: &[u16]) -> Result<(), String> {
        self.gate.steer("UDP ports of ESP", |steering| steering.set_natt_ports(ports.iter().copied()))
    }

    fn peers(&self, peers: &[IpAddr]) -> Result<(), String> {
        self.gate.steer("peers", |steering| steering.set_peers(peers.iter().copied()))
    }

    fn peers_changed(&self, come: &[IpAddr], gone: &[IpAddr]) -> Result<(), String> {
        let (come, gone) = (come.iter().copied(), gone.iter().copied());
        self.gate.steer("peers", |steering| steering.change_peers(come.clone(), gone.clone()))
    }

    fn wake(&self) {
        self.gate.bells.iter().for_each(|bell| bell.ring());
    }

    fn interfaces(&self) -> Vec<InterfaceStatus> {
        self.gate.interfaces()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_guarded_is_found_again_and_what_is_unclear_stops_the_start() {
        let place = tempfile::tempdir().unwrap();
        let start = || Gate::new(vec![], vec![], vec![], None, place.path());
        let prefixes =
            ["10.2.0.0", "10.3.0.0"].map(|prefix| AddressRange::prefix(prefix.parse().unwrap(), 16).unwrap());
        let gate = start().unwrap();
        assert_eq!(*gate.protected.lock().unwrap(), []);
        Walls::new(gate).protect(&prefixes).unwrap();
        assert_eq!(*start().unwrap().protected.lock().unwrap(), prefixes);

        let file = place.path().join("protected-prefixes");
        fs::write(&file, "10.2.0.0 10.2.255.255\n10.3.0.0\n").unwrap();
        let said = start().err().unwrap();
        assert!(said.contains("protected-prefixes:2: ") && said.contains("mend the file"), "{said}");
        fs::write(&file, [0xff, 0xfe]).unwrap();
        assert!(start().err().unwrap().contains("protected-prefixes: "));
    }

    #[test]
    fn prefixes_that_cannot_be_kept_are_refused() {
        let place = tempfile::tempdir().unwrap();
        let state = place.path().join("state");
        let walls = Walls::new(Gate::new(vec![], vec![], vec![], None, &state).unwrap());
        let prefix = AddressRange::prefix("10.2.0.0".parse().unwrap(), 16).unwrap();
        assert!(walls.protect(&[prefix]).unwrap_err().contains("cannot be kept"), "there is no directory");
        assert_eq!(*walls.protected(), [], "what is not kept is not counted on");
    }
}
