//! Negotiated SAs: held by the SPI under which they receive, changed several at once, kept while their tunnel stands.
//!
//! What is held is what is in force: an edit that does not come into force is taken back, before anybody else looks.

mod delta;
mod edit;
mod look;

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, MutexGuard, PoisonError};

use ravelin_contract::child::{Change, Child, ChildFault, ChildStatus, Happening};
use ravelin_contract::limits;
use ravelin_contract::message::{Event, Refusal, Reply};
use ravelin_contract::sa::Spi;

use super::Engine;
use super::ends::{End, Ends};
use super::install::{Compiled, Installed};
use crate::clock::Now;
use crate::esp::sa::{InboundSa, OutboundSa};
use crate::esp::sequence::Sequence;
use crate::table::sa_table::{InboundEntry, OutboundEntry};
pub(super) use delta::Delta;
use edit::{Before, Edit};
use look::{Agenda, Seen};

/// Most sequences kept of pairs that were refused: control gives such a child back, and rarely tries again.
const ABANDONED: usize = 1024;

/// All negotiated SAs.
#[derive(Debug, Default)]
pub(super) struct Children {
    held: BTreeMap<Spi, Held>,
    agenda: Agenda,
    /// Pairs that began to send so far.
    turns: u64,
    /// Of pairs that workers may have used although they were refused. Should a key come again, its numbers go on.
    abandoned: VecDeque<Arc<Sequence>>,
    /// Of all that are held.
    pub(super) ends: Ends,
}

/// One pair.
#[derive(Debug, Clone)]
struct Held {
    child: Arc<Child>,
    inbound: Arc<InboundSa>,
    outbound: Arc<OutboundSa>,
    /// When it began to send, counted in pairs; the highest of a tunnel is the newest. `None` while it only receives.
    turn: Option<u64>,
    since: Now,
    seen: Seen,
    /// When it is looked at next.
    due: Now,
}

impl Engine {
    /// Makes all of these changes, in their order and in one generation, or none. With forced default filters they are
    /// held, and come into force with the policy.
    ///
    /// # Errors
    /// What stands against one of them, or a worker lags; what was in force stays.
    pub fn change_children(&self, incarnation: u64, changes: Vec<Change>) -> Result<Reply, Refusal> {
        if incarnation != self.incarnation {
            return Err(ChildFault::Restarted.into());
        }
        if changes.len() > limits::ENTRIES {
            return Err(ChildFault::TooMany(changes.len() as u64).into());
        }
        let mut children = self.children();
        let installed = self.state().installed.clone().ok_or(Refusal::NoPolicy)?;
        self.edit(&mut children, &installed, changes)
    }

    /// Some of the negotiated SAs.
    pub fn children_of(&self, spis: &[Spi]) -> Reply {
        let (children, now) = (self.children(), self.clock.read());
        let found = spis.iter().take(limits::ENTRIES).filter_map(|spi| children.held.get(spi));
        Reply::Children(found.map(|held| held.status(now)).collect())
    }

    /// Negotiated SAs after this one, by SPI.
    pub fn list_children(&self, after: Option<Spi>) -> Reply {
        let (children, now) = (self.children(), self.clock.read());
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        let page = children.held.range((from, Bound::Unbounded)).take(limits::ENTRIES);
        Reply::Children(page.map(|(_, held)| held.status(now)).collect())
    }

    /// Nothing negotiated changes, and no policy is installed, while this is held.
    pub(super) fn children(&self) -> MutexGuard<'_, Children> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets those that the policy, now in force, has left out.
    pub(super) fn end_orphans(&self, children: &mut Children, policy: &Compiled) {
        let gone: Vec<Spi> =
            children.held.values().filter(|held| !held.stands(policy)).map(|held| held.child.spi()).collect();
        for held in gone.iter().filter_map(|spi| children.held.remove(spi)) {
            self.tell_of(&held, Happening::Orphaned);
        }
        // What the surroundings must know was told with the policy.
        children.ends = children.ends_in(policy);
    }

    fn edit(
        &self,
        children: &mut Children,
        installed: &Installed,
        changes: Vec<Change>,
    ) -> Result<Reply, Refusal> {
        let mut edit = Edit::new(children, &installed.policy, self.clock.read());
        let made = {
            let mut builder = self.builder();
            changes.into_iter().try_for_each(|change| edit.make(change, &mut builder))
        };
        let (before, delta) = edit.done();
        let in_force = made.and_then(|()| self.put_children_in_force(installed, children, delta));
        if in_force.is_err() {
            children.take_back(before);
        }
        in_force
    }

    fn tell_of(&self, held: &Held, happening: Happening) {
        let (spi, name) = (held.child.spi(), held.child.name.clone());
        self.events.tell(self.clock.read(), Event::Child { spi, name, happening });
    }
}

impl Children {
    /// Those under which we receive.
    pub(super) fn inbound(&self, policy: &Compiled) -> impl Iterator<Item = InboundEntry<InboundSa>> {
        self.standing(policy).filter_map(|held| held.inbound_entry(policy))
    }

    /// Those under which we send, the newest last.
    pub(super) fn outbound(&self, policy: &Compiled) -> impl Iterator<Item = OutboundEntry<OutboundSa>> {
        let mut sending: Vec<&Held> = self.standing(policy).collect();
        sending.sort_unstable_by_key(|held| held.turn);
        sending.into_iter().filter_map(|held| held.outbound_entry(policy))
    }

    /// Where those run to that this policy has a place for.
    pub(super) fn ends_in(&self, policy: &Compiled) -> Ends {
        Ends::of(self.standing(policy).map(Held::end))
    }

    /// As if nothing had been changed. Numbers that workers may have used are not forgotten.
    fn take_back(&mut self, before: Before) {
        for (spi, before) in before.into_iter().rev() {
            let after = match before {
                Some(held) => self.held.insert(spi, held),
                None => self.held.remove(&spi),
            };
            if let Some(held) = after.filter(|held| !self.held.contains_key(&held.child.spi())) {
                self.abandoned.push_back(Arc::clone(held.outbound.sequence()));
            }
        }
        let over = self.abandoned.len().saturating_sub(ABANDONED);
        self.abandoned.drain(..over);
    }

    fn standing(&self, policy: &Compiled) -> impl Iterator<Item = &Held> {
        self.held.values().filter(|held| held.stands(policy))
    }
}

impl Held {
    /// Whether it has a tunnel in the policy, and no SA of the policy itself in its way.
    fn stands(&self, policy: &Compiled) -> bool {
        policy.tunnel(&self.child.tunnel).is_some()
            && !policy.receives(self.child.spi().get(), self.child.path.local)
    }

    fn inbound_entry(&self, policy: &Compiled) -> Option<InboundEntry<InboundSa>> {
        let tunnel = policy.tunnel(&self.child.tunnel)?;
        let (spi, destination) = (self.child.spi().get(), self.child.path.local);
        let (identities, sa) = (policy.filters.identities(&self.child.identities), Arc::clone(&self.inbound));
        Some(InboundEntry { spi, destination, tunnel, identities, sa })
    }

    /// `None` while it only receives.
    fn outbound_entry(&self, policy: &Compiled) -> Option<OutboundEntry<OutboundSa>> {
        let tunnel = policy.tunnel(&self.child.tunnel).filter(|_| self.turn.is_some())?;
        let (spi, destination) = (self.child.outbound.spi.get(), self.child.path.remote);
        let selectors = Arc::clone(self.outbound.selectors());
        let identities = policy.filters.identities(&self.child.identities);
        let (worker, sa) = (self.child.worker, Arc::clone(&self.outbound));
        Some(OutboundEntry { spi, destination, tunnel, selectors, worker, identities, sa })
    }

    fn end(&self) -> End {
        (self.child.path.remote, self.child.path.carrier)
    }

    fn status(&self, now: Now) -> ChildStatus {
        ChildStatus {
            spi: self.child.spi(),
            outbound_spi: self.child.outbound.spi,
            name: self.child.name.clone(),
            tunnel: self.child.tunnel.clone(),
            path: self.child.path,
            leads_to: self.child.leads_to(),
            sends: self.turn.is_some(),
            age: now.since(self.since) / 1_000_000_000,
            received: self.seen.received.usage(self.inbound.traffic(), now),
            sent: self.seen.sent.usage(self.outbound.traffic(), now),
        }
    }
}
