//! Records of IKE SAs for the next run of this process, and going on from them.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;

use super::{Endpoint, Place};
use crate::action::Action;
use crate::child::{Child, Life};
use crate::event::{Code, Event};
use crate::exchange::child::Want;
use crate::input::IkeId;
use crate::policy::{Lease, Peer, Policy};
use crate::record::{Keep, Kept, Record};
use crate::session::Session;
use crate::state::State;
use crate::state::established::{Established, Task};
use crate::time::Time;

/// What is kept, and what has changed since.
#[derive(Debug, Default)]
pub(super) struct Records {
    /// Nobody keeps records unless asked for.
    wanted: bool,
    changed: BTreeSet<IkeId>,
    kept: HashSet<IkeId>,
    /// Digests of rules, as long as they are the same.
    fingerprints: HashMap<Name, (Arc<Peer>, [u8; 32])>,
}

impl Records {
    pub(super) fn changed(&mut self, ike: IkeId) {
        if self.wanted {
            self.changed.insert(ike);
        }
    }

    fn fingerprint(&mut self, peer: &Arc<Peer>) -> [u8; 32] {
        match self.fingerprints.get(&peer.name) {
            Some((known, digest)) if Arc::ptr_eq(known, peer) => *digest,
            _ => {
                let digest = peer.fingerprint();
                self.fingerprints.insert(peer.name.clone(), (Arc::clone(peer), digest));
                digest
            }
        }
    }
}

/// A child that the packet process has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Installed {
    /// Its inbound SPI.
    pub inbound: Spi,
    /// Whether packets go out under it.
    pub sends: bool,
}

impl Endpoint {
    /// From now on [`Self::records`] tells what to keep, all that stands to begin with.
    pub fn keep_records(&mut self) {
        self.records.wanted = true;
        self.records.changed.extend(self.slots.keys());
    }

    /// An SA of an earlier run, which no IKE SA goes on with, carries these addresses of clients: others are given first.
    pub fn orphan(&self, lease: &Lease, addresses: &[IpAddr]) {
        self.shared.orphan(lease, addresses);
    }

    /// It is gone.
    pub fn bury(&self, lease: &Lease, addresses: &[IpAddr]) {
        self.shared.bury(lease, addresses);
    }

    /// What is to be kept, and what forgotten, after the children of the same input are installed and before any other of its
    /// actions is done.
    pub fn records(&mut self, now: Time) -> Vec<Keep> {
        let mut list = Vec::new();
        for ike in std::mem::take(&mut self.records.changed) {
            let record = match self.slots.get(&ike).map(|slot| &slot.place) {
                Some(Place::Away(_)) => {
                    self.records.changed.insert(ike);
                    continue;
                }
                Some(Place::Home(session)) => {
                    let fingerprint = |peer: &_| self.records.fingerprint(peer);
                    Record::of(&session.state, now, fingerprint).and_then(|record| record.write())
                }
                None => None,
            };
            match record {
                Some(octets) => {
                    self.records.kept.insert(ike);
                    list.push(Keep::Put(Kept { ike, octets }));
                }
                None if self.records.kept.remove(&ike) => list.push(Keep::Drop(ike)),
                None => {}
            }
        }
        list
    }

    /// Goes on from the records of an earlier run, under a policy and with the children that the packet process has. To be
    /// called before anything else. `now` must be on the clock of that run.
    pub fn restore(
        &mut self,
        now: Time,
        policy: &Arc<Policy>,
        records: Vec<Kept>,
        installed: &[Installed],
    ) -> Vec<Action> {
        let mut actions = Vec::new();
        for kept in records {
            let revived = Record::read(&kept.octets).and_then(|record| {
                if record.ike() != kept.ike || self.slots.contains_key(&kept.ike) {
                    return Err("it is the record of another IKE SA".to_owned());
                }
                record.revive(now, policy, &self.shared)
            });
            // Dropped unless it is told again what to keep.
            self.records.kept.insert(kept.ike);
            self.records.changed(kept.ike);
            match revived {
                Ok(mut state) => {
                    if let State::Established(works) = &mut state {
                        actions.push(told(works));
                        actions.extend(reconcile(works, installed));
                    }
                    self.spawn(Session { state });
                }
                Err(why) => actions.push(not_restored(kept.ike, why)),
            }
        }
        self.announce(&mut actions);
        actions
    }
}

/// Children that the packet process ended are made anew, and those whose time to send came while nobody was there send.
fn reconcile(state: &mut Established, installed: &[Installed]) -> Vec<Action> {
    let place = |child: &Child| installed.iter().find(|one| one.inbound == child.inbound);
    let lost: Vec<_> = state.children.iter().filter(|child| place(child).is_none()).collect();
    let mut tasks = Vec::new();
    for child in &lost {
        if matches!(child.life, Life::Standing | Life::Rekeying) {
            let want = Want { child: Arc::clone(&child.policy), flow: None, resource: child.resource };
            tasks.push(Task::NewChild(want));
        }
        tasks.push(Task::DeleteChild(child.inbound));
    }
    let sends = |child: &Child| place(child).is_some_and(|one| one.sends);
    let idle = state.children.iter().filter(|child| child.life == Life::Standing && !child.waits);
    let idle = idle.filter(|child| place(child).is_some());
    // Where another one sends, the peer may not be ready yet: it will show that it is.
    let same =
        |one: &Child, two: &Child| (&one.policy.name, one.resource) == (&two.policy.name, two.resource);
    let idle = idle.filter(|child| !state.children.iter().any(|other| same(child, other) && sends(other)));
    let mut actions: Vec<_> = idle.map(|child| Action::UseChild { inbound: child.inbound }).collect();
    // The record was kept before sending stopped.
    let ends = state.children.iter().filter(|child| child.life == Life::Deleting && sends(child));
    actions.extend(ends.map(|child| Action::StopSending { inbound: child.inbound }));
    tasks.into_iter().rev().for_each(|task| state.tasks.push_front(task));
    actions
}

fn told(state: &Established) -> Action {
    let count = state.children.len();
    Action::Event(Event {
        code: Code::IkeRestored,
        peer: Some(state.peer.name.clone()),
        ike: Some(state.sa.id),
        remote: Some(state.sa.path.remote),
        text: format!("goes on with {} and {count} children", state.identity),
    })
}

fn not_restored(ike: IkeId, why: String) -> Action {
    let text = format!("it is made anew: {why}");
    Action::Event(Event { code: Code::IkeNotRestored, peer: None, ike: Some(ike), remote: None, text })
}
