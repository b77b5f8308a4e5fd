//! A snapshot of control becomes what workers use: SAs with their numbers, filters with their counts.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

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
#[derive(Debug, Clone, Default)]
struct Guarded {
    prefixes: Vec<AddressRange>,
    ports: Vec<u16>,
    peers: Vec<IpAddr>,
}

impl Engine {
    /// Puts a snapshot in force, whole or not at all. With forced default filters it is held, and comes into force when
    /// the operator goes back to the policy.
    ///
    /// # Errors
    /// The snapshot contradicts itself or asks for what this gateway does not have; what was in force stays.
    pub fn install(&self, snapshot: Snapshot) -> Result<Reply, Refusal> {
        snapshot.check()?;
        self.state().install(snapshot, self.counters.len())
    }
}

impl Installed {
    /// UDP ports of ours that carry ESP.
    pub(super) fn encapsulation_ports(&self) -> Arc<[u16]> {
        self.guarded.ports.as_slice().into()
    }
}

impl State {
    fn install(&mut self, snapshot: Snapshot, workers: usize) -> Result<Reply, Refusal> {
        self.check_zones(&snapshot)?;
        let now = self.clock.read();
        let built = self.builder.build(&snapshot.sas, now, &mut super::random)?;
        let guarded = Guarded::of(&snapshot);
        let sas = Arc::new(sa_table(&snapshot.sas, built));
        let previous = self.installed.take();
        let source = PolicySource {
            rules: snapshot.rules,
            zones: snapshot.zones,
            tunnels: snapshot.tunnels.into_iter().map(|tunnel| tunnel.name).collect(),
            log_implicit: snapshot.log_implicit,
        };
        let policy = Policy::compile(source, workers, previous.as_ref().map(|p| &*p.policy));
        // While workers change over, both the old and the new prefixes are guarded.
        let before = previous.map(|previous| previous.guarded).unwrap_or_default();
        self.guard(&before.clone().and(&guarded));
        let fingerprint = snapshot.fingerprint;
        self.installed =
            Some(Installed { fingerprint, policy: Arc::new(policy), sas, guarded: guarded.clone() });
        let reply = self.publish_reply();
        if reply.is_ok() {
            self.guard(&guarded);
        }
        reply
    }

    fn check_zones(&self, snapshot: &Snapshot) -> Result<(), Refusal> {
        let known = |zone: &str| self.ports.iter().any(|port| port.zone_name == zone);
        match snapshot.zones.iter().find(|zone| !known(zone.as_str())) {
            Some(zone) => Err(Refusal::Unenforceable(format!("no port of this gateway is in zone {zone}"))),
            None => Ok(()),
        }
    }

    fn guard(&mut self, guarded: &Guarded) {
        self.surroundings.encapsulation_ports(&guarded.ports);
        self.surroundings.peers(&guarded.peers);
        self.surroundings.protect(&guarded.prefixes);
    }

    /// SAs and filters of the policy held, in force or not.
    pub(super) fn held(&self) -> Option<(Arc<SaTable>, Arc<Policy>)> {
        self.installed.as_ref().map(|held| (Arc::clone(&held.sas), Arc::clone(&held.policy)))
    }
}

fn sa_table(sas: &[Sa], built: Vec<Built>) -> SaTable {
    let (mut inbound, mut outbound) = (Vec::new(), Vec::new());
    for (sa, built) in sas.iter().zip(built) {
        let (spi, tunnel) = (sa.spi.get(), sa.tunnel);
        match built {
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
        let mut prefixes: Vec<AddressRange> = Vec::new();
        for range in protected {
            if !prefixes.contains(&range) {
                prefixes.push(range);
            }
        }
        let ports: BTreeSet<u16> = snapshot.sas.iter().filter_map(udp_port).collect();
        let peers: BTreeSet<IpAddr> = snapshot.sas.iter().map(|sa| sa.remote).collect();
        Self { prefixes, ports: ports.into_iter().collect(), peers: peers.into_iter().collect() }
    }

    /// What either guards.
    fn and(mut self, other: &Self) -> Self {
        extend(&mut self.prefixes, &other.prefixes);
        extend(&mut self.ports, &other.ports);
        extend(&mut self.peers, &other.peers);
        self
    }
}

fn extend<T: PartialEq + Clone>(all: &mut Vec<T>, more: &[T]) {
    for item in more {
        if !all.contains(item) {
            all.push(item.clone());
        }
    }
}

fn udp_port(sa: &Sa) -> Option<u16> {
    match sa.carrier {
        Carrier::Udp { local_port, .. } => Some(local_port),
        Carrier::Ip => None,
    }
}
