//! A snapshot of control becomes what workers use: SAs with their numbers, filters with their counts.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::address::AddressRange;
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, TunnelId};
use ravelin_contract::sa::Sa;
use ravelin_contract::snapshot::Snapshot;

use super::children::{Children, Delta};
use super::ends::{End, Ends};
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
    /// UDP ports of ours that carry ESP.
    pub(super) encapsulation_ports: Arc<[u16]>,
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
    /// Under which its own SAs receive, and where.
    receives: HashSet<(u32, IpAddr)>,
    /// Of its own SAs.
    pub(super) ends: Ends,
    prefixes: HashSet<AddressRange>,
}

impl Engine {
    /// Puts a snapshot in force, whole or not at all. With forced default filters it is held, and comes into force when
    /// the operator goes back to the policy. Negotiated SAs stay where their tunnel does.
    ///
    /// # Errors
    /// The snapshot contradicts itself or asks for what this gateway does not have; what was in force stays.
    pub fn install(&self, snapshot: Snapshot) -> Result<Reply, Refusal> {
        self.install_while(snapshot, || true)
    }

    /// The same for an asker who may go. Once other requests that wait for installs have been answered, nothing begins that was
    /// asked by one who had gone before: so the next run of control knows what will stay in force.
    ///
    /// # Errors
    /// As [`Engine::install`], and when the asker has gone before it began.
    pub fn install_while(
        &self,
        snapshot: Snapshot,
        is_there: impl FnOnce() -> bool,
    ) -> Result<Reply, Refusal> {
        snapshot.check()?;
        let mut children = self.children();
        if !is_there() {
            return Err(Refusal::OutOfOrder("who asked for this policy has gone".to_owned()));
        }
        let previous = self.state().begin(&snapshot)?;
        let now = self.clock.read();
        let built = self.builder().prepare(&snapshot.sas, now, &mut super::random)?;
        let before = previous.as_deref().map(|previous| &*previous.policy);
        let (policy, sas) = compile(snapshot, &built, self.counters.len(), before);
        let next = Arc::new(Installed::of(Arc::new(policy), &children));

        // While workers change over, and when they do not, both the old and the new are guarded.
        let both = union(previous.as_deref(), &next);
        let staying = children.ends_in(&next.policy);
        let next_ends = [&next.policy.ends, &staying];
        let before = previous.as_deref().map(|previous| &previous.policy.ends);
        let all_ends: Vec<&Ends> = next_ends.into_iter().chain(before).chain([&children.ends]).collect();
        self.guard_host_for(&next.policy.filters, &sorted_ranges(&both))?;
        if let Err(refusal) = self.guard(&both, &all_ends) {
            // Maps may guard more than before, never less.
            self.try_guard_host();
            return Err(refusal);
        }
        let in_force = self.state().put_in_force(Arc::clone(&next));
        match in_force {
            Ok(_) => {
                self.builder().adopt(&sas, &built);
                complain(self.guard(&next.policy.prefixes, &next_ends));
                self.end_orphans(&mut children, &next.policy);
            }
            Err(_) => self.builder().remember(&sas, &built),
        }
        if both != next.policy.prefixes || !self.is_host_guarded() {
            self.try_guard_host();
        }
        in_force
    }

    /// Puts changes of negotiated SAs in force beside a policy that is.
    ///
    /// # Errors
    /// A worker lags, or packets of new SAs would not reach the workers; what was in force is in force again.
    pub(super) fn put_children_in_force(
        &self,
        previous: &Installed,
        children: &mut Children,
        delta: Delta,
    ) -> Result<Reply, Refusal> {
        let (come, gone) = delta.ends();
        let announced = self.shift_ends(children, &previous.policy, &come, &[]);
        let in_force = announced.and_then(|()| {
            let mut sas = SaTable::clone(&previous.sas);
            delta.apply(&mut sas);
            let ports = Ends::ports(&[&previous.policy.ends, &children.ends]);
            let next = Installed {
                policy: Arc::clone(&previous.policy),
                sas: Arc::new(sas),
                encapsulation_ports: ports.into(),
            };
            self.state().put_in_force(Arc::new(next))
        });
        let over = if in_force.is_ok() { gone } else { come };
        complain(self.shift_ends(children, &previous.policy, &[], &over));
        in_force
    }

    /// Counts the ends of negotiated SAs, and tells the surroundings what is new or over.
    pub(super) fn shift_ends(
        &self,
        children: &mut Children,
        policy: &Compiled,
        come: &[End],
        gone: &[End],
    ) -> Result<(), Refusal> {
        let shift = children.ends.shift(come, gone, &policy.ends);
        if shift.ports {
            self.announce_ports(&[&policy.ends, &children.ends])?;
        }
        if shift.come.is_empty() && shift.gone.is_empty() {
            return Ok(());
        }
        self.surroundings.peers_changed(&shift.come, &shift.gone).map_err(Refusal::Unenforceable)
    }

    fn guard(&self, prefixes: &HashSet<AddressRange>, ends: &[&Ends]) -> Result<(), Refusal> {
        self.announce_ports(ends)?;
        self.surroundings.peers(&Ends::peers(ends)).map_err(Refusal::Unenforceable)?;
        self.surroundings.protect(&sorted_ranges(prefixes)).map_err(Refusal::Unenforceable)
    }

    fn announce_ports(&self, ends: &[&Ends]) -> Result<(), Refusal> {
        self.surroundings.encapsulation_ports(&Ends::ports(ends)).map_err(Refusal::Unenforceable)
    }
}

/// What is no longer needed may stay guarded: that closes more than it must.
fn complain(narrowed: Result<(), Refusal>) {
    if let Err(error) = narrowed {
        ravelin_events::tell!(GUARD_WIDE, %error);
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
    let source = PolicySource {
        rules: snapshot.rules,
        zones: snapshot.zones,
        tunnels,
        identities: snapshot.identities,
        settings: snapshot.filter,
        tls: snapshot.tls,
        fingerprint: snapshot.fingerprint.clone(),
    };
    let filters = Policy::compile(source, workers, previous.map(|previous| &*previous.filters));
    let receives = inbound.iter().map(|entry| (entry.spi, entry.destination)).collect();
    let compiled = Compiled {
        fingerprint: snapshot.fingerprint,
        filters: Arc::new(filters),
        tunnels: numbered,
        inbound,
        outbound,
        receives,
        ends: Ends::of(snapshot.sas.iter().map(|sa| (sa.remote, sa.carrier))),
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
        self.receives.contains(&(spi, local))
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
        let ports = Ends::ports(&[&policy.ends, &children.ends_in(&policy)]);
        let sas = Arc::new(SaTable::new(inbound, outbound));
        Self { policy, sas, encapsulation_ports: ports.into() }
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
                let identities = Arc::default();
                inbound.push(InboundEntry { spi, destination: sa.local, tunnel, identities, sa: built });
            }
            Built::Outbound(built) => {
                let (destination, selectors) = (sa.remote, Arc::clone(built.selectors()));
                outbound.push(OutboundEntry {
                    spi,
                    destination,
                    tunnel,
                    selectors,
                    worker: None,
                    identities: Arc::default(),
                    sa: built,
                });
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

fn union(previous: Option<&Installed>, next: &Installed) -> HashSet<AddressRange> {
    let before = previous.iter().flat_map(|previous| &previous.policy.prefixes);
    before.chain(&next.policy.prefixes).copied().collect()
}

fn sorted_ranges(prefixes: &HashSet<AddressRange>) -> Vec<AddressRange> {
    let mut prefixes: Vec<AddressRange> = prefixes.iter().copied().collect();
    prefixes.sort_unstable_by_key(|range| (range.first(), range.last()));
    prefixes
}
