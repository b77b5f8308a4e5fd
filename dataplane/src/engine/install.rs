//! A snapshot of control becomes what workers use: SAs with their numbers, filters with their counts.

use std::collections::HashSet;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError};

use ravelin_contract::address::AddressRange;
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::rule::{Action, Direction};
use ravelin_contract::sa::{Carrier, Sa};
use ravelin_contract::snapshot::Snapshot;

use super::{Engine, State};
use crate::esp::builder::Built;
use crate::table::SaTable;
use crate::table::policy::{Policy, PolicySource};
use crate::table::sa_table::{InboundEntry, OutboundEntry};

/// A policy that control installed, compiled.
pub(super) struct Installed {
    /// See [`Snapshot::fingerprint`].
    pub(super) fingerprint: String,
    /// Filters.
    pub(super) policy: Arc<Policy>,
    /// SAs of both directions.
    pub(super) sas: Arc<SaTable>,
    guarded: Guarded,
}

/// What the surroundings must know, so that nothing passes them by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Guarded {
    prefixes: HashSet<AddressRange>,
    ports: HashSet<u16>,
    peers: HashSet<IpAddr>,
}

impl Engine {
    /// Puts a snapshot in force, whole or not at all. With forced default filters it is held, and comes into force when
    /// the operator goes back to the policy.
    ///
    /// # Errors
    /// The snapshot contradicts itself or asks for what this gateway does not have; what was in force stays.
    pub fn install(&self, snapshot: Snapshot) -> Result<Reply, Refusal> {
        snapshot.check()?;
        let _one_at_a_time = self.installing.lock().unwrap_or_else(PoisonError::into_inner);
        let previous = self.state().begin(&snapshot)?;
        let now = self.clock.read();
        let built = self.builder().prepare(&snapshot.sas, now, &mut super::random)?;
        let (next, sas) = compile(snapshot, &built, self.counters.len(), previous.as_deref());

        // While workers change over, and when they do not, both the old and the new prefixes are guarded.
        let before = previous.map(|previous| previous.guarded.clone()).unwrap_or_default();
        let both = before.and(&next.guarded);
        self.guard_host_for(&next.policy, &prefixes(&both))?;
        self.guard(&both);
        let in_force = self.state().put_in_force(Arc::clone(&next));
        match in_force {
            Ok(_) => {
                self.builder().adopt(&sas, &built);
                self.guard(&next.guarded);
            }
            Err(_) => self.builder().remember(&sas, &built),
        }
        if both != next.guarded || !self.is_host_guarded() {
            self.try_guard_host();
        }
        in_force
    }

    fn guard(&self, guarded: &Guarded) {
        self.surroundings.encapsulation_ports(&sorted(&guarded.ports));
        self.surroundings.peers(&sorted(&guarded.peers));
        self.surroundings.protect(&prefixes(guarded));
    }
}

/// The policy, and the SAs that it was made from.
fn compile(
    snapshot: Snapshot,
    built: &[Built],
    workers: usize,
    previous: Option<&Installed>,
) -> (Arc<Installed>, Vec<Sa>) {
    let guarded = Guarded::of(&snapshot);
    let sas = Arc::new(sa_table(&snapshot.sas, built));
    let source = PolicySource {
        rules: snapshot.rules,
        zones: snapshot.zones,
        tunnels: snapshot.tunnels.into_iter().map(|tunnel| tunnel.name).collect(),
        log_implicit: snapshot.log_implicit,
    };
    let policy = Policy::compile(source, workers, previous.map(|previous| &*previous.policy));
    let installed = Installed { fingerprint: snapshot.fingerprint, policy: Arc::new(policy), sas, guarded };
    (Arc::new(installed), snapshot.sas)
}

impl Installed {
    /// UDP ports of ours that carry ESP.
    pub(super) fn encapsulation_ports(&self) -> Arc<[u16]> {
        sorted(&self.guarded.ports).into()
    }
}

impl State {
    /// What an install begins with: the policy held, if this gateway has all that the next one names.
    fn begin(&self, snapshot: &Snapshot) -> Result<Option<Arc<Installed>>, Refusal> {
        self.check_zones(snapshot)?;
        Ok(self.installed.clone())
    }

    fn check_zones(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let known = |zone: &str| self.ports.iter().any(|port| port.zone_name == zone);
        match snapshot.zones.iter().find(|zone| !known(zone.as_str())) {
            Some(zone) => Err(Refusal::Unenforceable(format!("no port of this gateway is in zone {zone}"))),
            None => Ok(()),
        }
    }

    /// SAs and filters of the policy held, in force or not.
    pub(super) fn held(&self) -> Option<(Arc<SaTable>, Arc<Policy>)> {
        self.installed.as_ref().map(|held| (Arc::clone(&held.sas), Arc::clone(&held.policy)))
    }
}

fn sa_table(sas: &[Sa], built: &[Built]) -> SaTable {
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    for (sa, built) in sas.iter().zip(built) {
        let (spi, tunnel) = (sa.spi.get(), sa.tunnel);
        match built.clone() {
            Built::Inbound(built) => {
                inbound.push(InboundEntry { spi, destination: sa.local, tunnel, sa: built });
            }
            Built::Outbound(built) => {
                let (destination, selectors) = (sa.remote, sa.selectors.clone());
                outbound.push(OutboundEntry { spi, destination, tunnel, selectors, sa: built });
            }
        }
    }
    SaTable::new(inbound, outbound)
}

impl Guarded {
    fn of(snapshot: &Snapshot) -> Self {
        let protected = snapshot.rules.iter().filter_map(|rule| match (rule.action, rule.direction) {
            (Action::Protect(_), Direction::Outbound) => Some(rule.selector.destination),
            (Action::Protect(_), Direction::Inbound) => Some(rule.selector.source),
            _ => None,
        });
        Self {
            prefixes: protected.collect(),
            ports: snapshot.sas.iter().filter_map(udp_port).collect(),
            peers: snapshot.sas.iter().map(|sa| sa.remote).collect(),
        }
    }

    /// What either guards.
    fn and(mut self, other: &Self) -> Self {
        self.prefixes.extend(&other.prefixes);
        self.ports.extend(&other.ports);
        self.peers.extend(&other.peers);
        self
    }
}

fn prefixes(guarded: &Guarded) -> Vec<AddressRange> {
    let mut prefixes: Vec<AddressRange> = guarded.prefixes.iter().copied().collect();
    prefixes.sort_unstable_by_key(|range| (range.first(), range.last()));
    prefixes
}

fn sorted<T: Ord + Copy>(all: &HashSet<T>) -> Vec<T> {
    let mut list: Vec<T> = all.iter().copied().collect();
    list.sort_unstable();
    list
}

fn udp_port(sa: &Sa) -> Option<u16> {
    match sa.carrier {
        Carrier::Udp { local_port, .. } => Some(local_port),
        Carrier::Ip => None,
    }
}
