//! IKE SAs that stand, by whom they are with: which of them are dead, and which of two that both sides began is kept.

use ravelin_contract::name::Name;

use super::{Begun, Endpoint, Place, Slot};
use crate::exchange::child::Want;
use crate::input::IkeId;
use crate::policy::{Identity, Start};
use crate::session::{Order, Session, SessionInput};
use crate::state::State;
use crate::state::established::Birth;
use crate::time::Time;

/// What the endpoint knows of an IKE SA that stands, also while it is being worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    identity: Identity,
    peer: Name,
    birth: Birth,
}

impl Standing {
    pub(super) fn of(session: &Session) -> Option<Self> {
        let (identity, birth) = session.proved()?;
        Some(Self { identity: identity.clone(), peer: session.peer()?.name.clone(), birth })
    }

    /// Whether both sides began at once: neither of the two stood when the other began.
    fn is_twin(&self, other: &Self) -> bool {
        let (one, two) = (self.birth, other.birth);
        self.peer == other.peer && one.ours != two.ours && one.began < two.proved && two.began < one.proved
    }

    /// Whether this one of two twins is kept. Both sides know the SPIs, so both find the same.
    fn outlives(&self, other: &Self) -> bool {
        self.birth.spis > other.birth.spis
    }
}

impl Endpoint {
    /// What stands by that birth is deleted: under this one everything was proved again.
    pub(super) fn supersede(&mut self, now: Time, id: IkeId, birth: Birth, begun: &mut Begun) {
        let born = |slot: &Slot| slot.stands.as_ref().is_some_and(|one| one.birth == birth);
        let old = self.slots.iter().filter(|(other, slot)| **other != id && born(slot));
        for old in old.map(|(old, _)| *old).collect::<Vec<_>>() {
            self.dispatch(now, old, SessionInput::Order(Order::Superseded), begun);
        }
    }

    /// The peer has begun this IKE SA beside another one that stands. What it installs waits: the answer that makes it is not there
    /// yet, and under the other one packets arrive.
    pub(super) fn comes_beside(&self, id: IkeId) -> bool {
        let Some(this) = self.slots.get(&id).and_then(|slot| slot.stands.as_ref()) else { return false };
        !this.birth.ours && self.others(id, &this.identity).iter().any(|(_, other)| other.peer == this.peer)
    }

    /// One that stood ends, and is not rekeyed: what came beside it sends from now on, whether or not the peer has sent, and
    /// before the children go that sent until now.
    pub(super) fn prefer_rest(&mut self, now: Time, id: IkeId, ended: &Standing, begun: &mut Begun) {
        let mut rest = self.others(id, &ended.identity);
        if rest.iter().any(|(_, other)| other.birth == ended.birth) {
            return;
        }
        rest.retain(|(_, other)| other.peer == ended.peer);
        for (rest, _) in rest {
            match self.slots.get(&rest).map(|slot| &slot.place) {
                Some(Place::Home(session)) => {
                    if let State::Established(state) = &session.state {
                        begun.actions.extend(state.preferred());
                    }
                }
                _ => self.dispatch(now, rest, SessionInput::Order(Order::Prefer), begun),
            }
        }
    }

    /// An IKE SA has begun or ended to stand.
    pub(super) fn restand(&mut self, id: IkeId, before: Option<Standing>, now: Option<Standing>) {
        if let Some(before) = before {
            self.shared.stands_no_more(&before.peer);
            if let Some(ids) = self.identities.get_mut(&before.identity) {
                ids.retain(|known| *known != id);
                if ids.is_empty() {
                    self.identities.remove(&before.identity);
                }
            }
        }
        if let Some(now) = now {
            self.shared.stands(&now.peer);
            self.identities.entry(now.identity).or_default().push(id);
        }
    }

    /// Others with the same identity, by what is known of them.
    fn others(&self, id: IkeId, identity: &Identity) -> Vec<(IkeId, Standing)> {
        let ids = self.identities.get(identity).into_iter().flatten().filter(|other| **other != id);
        ids.filter_map(|other| Some((*other, self.slots.get(other)?.stands.clone()?))).collect()
    }

    /// The peer has begun anew: what stood before it did is dead.
    pub(super) fn forget_others(
        &mut self,
        now: Time,
        id: IkeId,
        identity: &Identity,
        since: Time,
        begun: &mut Begun,
    ) {
        for (other, standing) in self.others(id, identity) {
            if standing.birth.proved < since {
                self.dispatch(now, other, SessionInput::Order(Order::Forget), begun);
            }
        }
    }

    /// Both sides began at once, and two IKE SAs stand. Who began the one that is kept knows, once both stand here, that
    /// they stand there too, and deletes the other; who began that one asks for its children under the one that is kept.
    pub(super) fn settle_twins(&mut self, now: Time, id: IkeId, begun: &mut Begun) {
        let slot = self.slots.get(&id);
        let unique = |slot: &&Slot| slot.peer.as_ref().is_some_and(|peer| peer.unique);
        let Some(this) = slot.filter(unique).and_then(|slot| slot.stands.clone()) else { return };
        for (other, standing) in self.others(id, &this.identity) {
            if !this.is_twin(&standing) {
                continue;
            }
            let (kept, goes) = if this.outlives(&standing) { (id, other) } else { (other, id) };
            let ours = |id: &IkeId| {
                self.slots.get(id).and_then(|slot| slot.stands.as_ref()).is_some_and(|one| one.birth.ours)
            };
            if ours(&kept) {
                self.dispatch(now, kept, SessionInput::Order(Order::Prefer), begun);
                let order = Order::Down("both sides began at once, and another IKE SA is kept");
                self.dispatch(now, goes, SessionInput::Order(order), begun);
            } else if let Some(peer) = self.policy.peer(&this.peer) {
                let wanted = peer.children.iter().filter(|child| child.start == Start::AtOnce);
                let wants = wanted.map(Want::all_of).collect();
                self.dispatch(now, kept, SessionInput::Order(Order::Bring(wants)), begun);
            }
        }
    }
}
