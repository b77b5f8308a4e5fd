//! A snapshot of control becomes what workers use: SAs with their numbers, filters with their counts.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::address::AddressRange;
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, TunnelId};
use ravelin_contract::sa::{Carrier, Sa};
use ravelin_contract::snapshot::Snapshot;

use super::children::Children;
use super::{Engine, State};
use crate::esp::builder::Built;
use crate::esp::sa::{InboundSa, OutboundSa};
use crate::table::SaTable;
use crate::table::policy::{Policy, PolicySource};
use crate::table::sa_table::{InboundEntry, OutboundEntry};

/// What workers go by: a policy, and all SAs.
pub(super) struct Installed {
    /// What control installed.
    pub(super) policy: Arc<Compiled>,
    /// SAs of both directions, those of the policy and those that were negotiated.
    pub(super) sas: Arc<SaTable>,
    /// Of all SAs.
    ends: Ends,
}

/// A policy that control installed, compiled.
pub(super) struct Compiled {
    /// See [`Snapshot::fingerprint`].
    pub(super) fingerprint: String,
    /// Filters.
    pub(super) filters: Arc<Policy>,
    /// Its tunnels by name.
    tunnels: HashMap<Name, TunnelId>,
    /// SAs of its own.
    inbound: Vec<InboundEntry<InboundSa>>,
    outbound: Vec<OutboundEntry<OutboundSa>>,
    ends: Ends,
    prefixes: HashSet<AddressRange>,
}

/// Where SAs end: what the surroundings must know, so that no packet of them passes by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Ends {
    ports: HashSet<u16>,
    peers: HashSet<IpAddr>,
}

impl Engine {
    /// Puts a snapshot in force, whole or not at all. With forced default filters it is held, and comes into force when
    /// the operator goes back to the policy. Negotiated SAs stay where their tunnel does.
    ///
    /// # Errors
    /// The snapshot contradicts itself or asks for what this gateway does not have; what was in force stays.
    pub fn install(&self, snapshot: Snapshot) -> Result<Reply, Refusal> {
        snapshot.check()?;
        let mut children = self.children();
        let previous = self.state().begin(&snapshot)?;
        let now = self.clock.read();
        let built = self.builder().prepare(&snapshot.sas, now, &mut super::random)?;
        let before = previous.as_deref().map(|previous| &*previous.policy);
        let (policy, sas) = compile(snapshot, &built, self.counters.len(), before);
        let next = Arc::new(Installed::of(Arc::new(policy), &children));

        // While workers change over, and when they do not, both the old and the new prefixes are guarded.
        let (both, both_ends) = union(previous.as_deref(), &next);
        self.guard_host_for(&next.policy.filters, &sorted_ranges(&both))?;
        if let Err(refusal) = self.guard(&both, &both_ends) {
            // Maps may guard more than before, never less.
            self.try_guard_host();
            return Err(refusal);
        }
        let in_force = self.state().put_in_force(Arc::clone(&next));
        match in_force {
            Ok(_) => {
                self.builder().adopt(&sas, &built);
                complain(self.guard(&next.policy.prefixes, &next.ends));
                self.end_orphans(&mut children, &next.policy);
            }
            Err(_) => self.builder().remember(&sas, &built),
        }
        if both != next.policy.prefixes || !self.is_host_guarded() {
            self.try_guard_host();
        }
        in_force
    }

    /// Puts the negotiated SAs in force beside a policy that is.
    ///
    /// # Errors
    /// A worker lags, or packets of new SAs would not reach the workers; what was in force is in force again.
    pub(super) fn put_children_in_force(
        &self,
        previous: &Installed,
        children: &Children,
    ) -> Result<Reply, Refusal> {
        let next = Arc::new(Installed::of(Arc::clone(&previous.policy), children));
        let both = previous.ends.clone().and(&next.ends);
        self.announce_ends(&previous.ends, &both)?;
        let in_force = self.state().put_in_force(Arc::clone(&next));
        let now = if in_force.is_ok() { &next.ends } else { &previous.ends };
        complain(self.announce_ends(&both, now));
        in_force
    }

    fn guard(&self, prefixes: &HashSet<AddressRange>, ends: &Ends) -> Result<(), Refusal> {
        self.announce_ports(ends)?;
        self.announce_peers(ends)?;
        self.surroundings.protect(&sorted_ranges(prefixes)).map_err(Refusal::Unenforceable)
    }

    /// Tells only what is new.
    fn announce_ends(&self, before: &Ends, now: &Ends) -> Result<(), Refusal> {
        if before.ports != now.ports {
            self.announce_ports(now)?;
        }
        if before.peers != now.peers {
            self.announce_peers(now)?;
        }
        Ok(())
    }

    fn announce_ports(&self, ends: &Ends) -> Result<(), Refusal> {
        self.surroundings.encapsulation_ports(&sorted(&ends.ports)).map_err(Refusal::Unenforceable)
    }

    fn announce_peers(&self, ends: &Ends) -> Result<(), Refusal> {
        self.surroundings.peers(&sorted(&ends.peers)).map_err(Refusal::Unenforceable)
    }
}

/// What is no longer needed may stay guarded: that closes more than it must.
fn complain(narrowed: Result<(), Refusal>) {
    if let Err(error) = narrowed {
        tracing::error!(%error, "what was guarded before stays guarded too");
    }
}

/// The policy, and the SAs that it was made from.
fn compile(
    snapshot: Snapshot,
    built: &[Built],
    workers: usize,
    previous: Option<&Compiled>,
) -> (Compiled, Vec<Sa>) {
    let prefixes = prefixes(&snapshot);
    let (inbound, outbound) = entries(&snapshot.sas, built);
    let tunnels: Vec<Name> = snapshot.tunnels.into_iter().map(|tunnel| tunnel.name).collect();
    let numbered = tunnels.iter().cloned().zip((0..).map(TunnelId)).collect();
    let source =
        PolicySource { rules: snapshot.rules, zones: snapshot.zones, tunnels, settings: snapshot.filter };
    let filters = Policy::compile(source, workers, previous.map(|previous| &*previous.filters));
    let compiled = Compiled {
        fingerprint: snapshot.fingerprint,
        filters: Arc::new(filters),
        tunnels: numbered,
        inbound,
        outbound,
        ends: snapshot.sas.iter().map(|sa| (sa.remote, sa.carrier)).collect(),
        prefixes,
    };
    (compiled, snapshot.sas)
}

impl Compiled {
    /// The tunnel of that name.
    pub(super) fn tunnel(&self, name: &Name) -> Option<TunnelId> {
        self.tunnels.get(name).copied()
    }

    /// Whether an SA of the policy itself receives under this SPI at this address.
    pub(super) fn receives(&self, spi: u32, local: IpAddr) -> bool {
        self.inbound.iter().any(|entry| (entry.spi, entry.destination) == (spi, local))
    }

    /// SAs of its own.
    pub(super) fn sas(&self) -> usize {
        self.inbound.len() + self.outbound.len()
    }
}

impl Installed {
    /// The policy with those negotiated SAs that have a tunnel in it.
    fn of(policy: Arc<Compiled>, children: &Children) -> Self {
        let (mut inbound, mut outbound) = (policy.inbound.clone(), policy.outbound.clone());
        inbound.extend(children.inbound(&policy));
        outbound.extend(children.outbound(&policy));
        let ends = policy.ends.clone().and(&children.ends(&policy).collect());
        Self { policy, sas: Arc::new(SaTable::new(inbound, outbound)), ends }
    }

    /// UDP ports of ours that carry ESP.
    pub(super) fn encapsulation_ports(&self) -> Arc<[u16]> {
        sorted(&self.ends.ports).into()
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
        self.installed.as_ref().map(|held| (Arc::clone(&held.sas), Arc::clone(&held.policy.filters)))
    }
}

type Entries = (Vec<InboundEntry<InboundSa>>, Vec<OutboundEntry<OutboundSa>>);

fn entries(sas: &[Sa], built: &[Built]) -> Entries {
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
    (inbound, outbound)
}

/// What only ever travels protected, seen from the far side.
fn prefixes(snapshot: &Snapshot) -> HashSet<AddressRange> {
    let protected = snapshot.rules.iter().filter_map(|rule| match (rule.action, rule.direction) {
        (Action::Protect(_), Direction::Outbound) => Some(rule.selector.destination),
        (Action::Protect(_), Direction::Inbound) => Some(rule.selector.source),
        _ => None,
    });
    protected.collect()
}

impl FromIterator<(IpAddr, Carrier)> for Ends {
    fn from_iter<I: IntoIterator<Item = (IpAddr, Carrier)>>(all: I) -> Self {
        let mut ends = Self::default();
        for (remote, carrier) in all {
            ends.peers.insert(remote);
            if let Carrier::Udp { local_port, .. } = carrier {
                ends.ports.insert(local_port);
            }
        }
        ends
    }
}

impl Ends {
    /// What either has.
    fn and(mut self, other: &Self) -> Self {
        self.ports.extend(&other.ports);
        self.peers.extend(&other.peers);
        self
    }
}

fn union(previous: Option<&Installed>, next: &Installed) -> (HashSet<AddressRange>, Ends) {
    match previous {
        None => (next.policy.prefixes.clone(), next.ends.clone()),
        Some(previous) => {
            let prefixes = previous.policy.prefixes.union(&next.policy.prefixes).copied().collect();
            (prefixes, previous.ends.clone().and(&next.ends))
        }
    }
}

fn sorted_ranges(prefixes: &HashSet<AddressRange>) -> Vec<AddressRange> {
    let mut prefixes: Vec<AddressRange> = prefixes.iter().copied().collect();
    prefixes.sort_unstable_by_key(|range| (range.first(), range.last()));
    prefixes
}

fn sorted<T: Ord + Copy>(all: &HashSet<T>) -> Vec<T> {
    let mut list: Vec<T> = all.iter().copied().collect();
    list.sort_unstable();
    list
}
