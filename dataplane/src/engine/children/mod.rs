//! Negotiated SAs: held by the SPI under which they receive, changed several at once, kept while their tunnel stands.
//!
//! What is held is what is in force: an edit that does not come into force is taken back, before anybody else looks.

mod edit;
mod look;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Bound;
use std::sync::{Arc, MutexGuard, PoisonError};

use ravelin_contract::child::{Change, Child, ChildFault, ChildStatus, Happening};
use ravelin_contract::limits;
use ravelin_contract::message::{Event, Refusal, Reply};
use ravelin_contract::sa::{Carrier, Spi};

use super::Engine;
use super::install::{Compiled, Installed};
use crate::clock::Now;
use crate::esp::sa::{InboundSa, OutboundSa};
use crate::esp::sequence::Sequence;
use crate::table::sa_table::{InboundEntry, OutboundEntry};
use edit::Edit;
use look::Seen;

/// All negotiated SAs.
#[derive(Debug, Default)]
pub(super) struct Children {
    held: BTreeMap<Spi, Held>,
    /// Pairs that began to send so far.
    turns: u64,
    /// Of pairs that workers may have used although they were refused. Should a key come again, its numbers go on.
    abandoned: Vec<Arc<Sequence>>,
}

/// One pair.
#[derive(Debug, Clone)]
struct Held {
    child: Child,
    inbound: Arc<InboundSa>,
    outbound: Arc<OutboundSa>,
    /// When it began to send, counted in pairs; the highest of a tunnel is the newest. `None` while it only receives.
    turn: Option<u64>,
    since: Now,
    seen: Seen,
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
        let in_force = made.and_then(|()| self.put_children_in_force(installed, edit.children()));
        if in_force.is_err() {
            edit.take_back();
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
        self.standing(policy).filter_map(|held| {
            let (child, tunnel) = (&held.child, policy.tunnel(&held.child.tunnel)?);
            let (spi, destination) = (child.spi().get(), child.path.local);
            Some(InboundEntry { spi, destination, tunnel, sa: Arc::clone(&held.inbound) })
        })
    }

    /// Those under which we send, the newest last.
    pub(super) fn outbound(&self, policy: &Compiled) -> impl Iterator<Item = OutboundEntry<OutboundSa>> {
        let mut sending: Vec<&Held> = self.standing(policy).filter(|held| held.turn.is_some()).collect();
        sending.sort_unstable_by_key(|held| held.turn);
        sending.into_iter().filter_map(|held| {
            let (child, tunnel) = (&held.child, policy.tunnel(&held.child.tunnel)?);
            let (spi, destination) = (child.outbound.spi.get(), child.path.remote);
            let selectors = child.selectors.clone();
            Some(OutboundEntry { spi, destination, tunnel, selectors, sa: Arc::clone(&held.outbound) })
        })
    }

    /// Where they run to.
    pub(super) fn ends(&self, policy: &Compiled) -> impl Iterator<Item = (IpAddr, Carrier)> {
        self.standing(policy).map(|held| (held.child.path.remote, held.child.path.carrier))
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

    fn status(&self, now: Now) -> ChildStatus {
        ChildStatus {
            spi: self.child.spi(),
            outbound_spi: self.child.outbound.spi,
            name: self.child.name.clone(),
            tunnel: self.child.tunnel.clone(),
            path: self.child.path,
            sends: self.turn.is_some(),
            age: now.since(self.since) / 1_000_000_000,
            received: self.seen.received.usage(self.inbound.traffic(), now),
            sent: self.seen.sent.usage(self.outbound.traffic(), now),
        }
    }
}
