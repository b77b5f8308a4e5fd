//! What operator, packet process and kernel ask of the endpoint, and how negotiations begin.

use std::collections::HashSet;
use std::sync::Arc;

use ravelin_contract::name::Name;
use ravelin_contract::selector::FlowKey;

use super::{Begun, Endpoint, Slot, at_once};
use crate::action::Action;
use crate::context::{Context, Effect};
use crate::crypto::Random;
use crate::event::{Code, Event};
use crate::exchange::child::Want;
use crate::input::{Command, IkeId};
use crate::policy::{Peer, Policy, Start};
use crate::session::{Order, Session, SessionInput};
use crate::state::initiated::Plan;
use crate::time::Time;

impl Endpoint {
    /// Begins, or extends, the IKE SA of this peer with its children that `wanted` picks.
    pub(super) fn bring_up(
        &mut self,
        now: Time,
        name: &Name,
        wanted: impl Fn(Start) -> bool,
        random: &mut dyn Random,
        begun: &mut Begun,
    ) {
        let Some(peer) = self.policy.peer(name).cloned() else { return };
        let wants = peer.children.iter().filter(|child| wanted(child.start)).map(Want::all_of).collect();
        self.bring(now, &peer, wants, random, begun);
    }

    fn bring(
        &mut self,
        now: Time,
        peer: &Arc<Peer>,
        wants: Vec<Want>,
        random: &mut dyn Random,
        begun: &mut Begun,
    ) {
        let existing = self.slots.iter().filter(|(_, slot)| slot.of_use);
        let existing =
            existing.filter(|(_, slot)| slot.peer.as_ref().is_some_and(|known| known.name == peer.name));
        if let Some(id) = existing.map(|(id, _)| *id).min() {
            return self.dispatch(now, id, SessionInput::Order(Order::Bring(wants)), begun);
        }
        let plan = Plan {
            peer: Arc::clone(peer),
            ends: None,
            wants,
            supersedes: None,
            redirects: 0,
            initial_contact: true,
            wishes: Vec::new(),
        };
        self.initiate(now, plan, random, begun);
    }

    pub(super) fn initiate(&mut self, now: Time, plan: Plan, random: &mut dyn Random, begun: &mut Begun) {
        let id = self.fresh_id(random);
        let name = plan.peer.name.clone();
        let mut effects = Vec::new();
        let mut ctx = Context { now, random, policy: &self.policy, shared: &self.shared, out: &mut effects };
        match Session::initiate(&mut ctx, id, plan) {
            Some(session) => self.spawn(session),
            None => begun.actions.push(Action::Event(Event {
                code: Code::CommandRefused,
                peer: Some(name),
                ike: None,
                remote: None,
                text: "policy does not say where this peer can be reached: it must begin".into(),
            })),
        }
        begun.actions.extend(effects.into_iter().filter_map(|effect| match effect {
            Effect::Do(action) => Some(action),
            _ => None,
        }));
    }

    pub(super) fn command(
        &mut self,
        now: Time,
        command: Command,
        random: &mut dyn Random,
        begun: &mut Begun,
    ) {
        let mut order = |this: &mut Self, ike: IkeId, order: Order| {
            if this.slots.contains_key(&ike) {
                this.dispatch(now, ike, SessionInput::Order(order), begun);
            } else {
                begun.actions.push(refused(format!("there is no IKE SA {ike}")));
            }
        };
        match command {
            Command::Down { ike } => {
                let peer = self.slots.get(&ike).and_then(|slot| slot.peer.as_ref());
                self.down.extend(peer.map(|peer| peer.name.clone()));
                order(self, ike, Order::Down("deleted on command"));
            }
            Command::Rekey { ike } => order(self, ike, Order::Rekey),
            Command::Reauthenticate { ike } => order(self, ike, Order::Reauthenticate),
            Command::Probe { ike } => order(self, ike, Order::Probe),
            Command::Redirect { ike, gateway } => order(self, ike, Order::Redirect(gateway)),
            Command::DownChild { inbound } => match self.shared.owner(inbound) {
                Some(ike) => order(self, ike, Order::DownChild(inbound)),
                None => begun.actions.push(refused(format!("there is no child with SPI {inbound}"))),
            },
            // The packet process may speak of a child that has just gone.
            Command::RekeyChild { inbound } => {
                let owner = self.shared.owner(inbound);
                owner.into_iter().for_each(|ike| order(self, ike, Order::RekeyChild(inbound)));
            }
            Command::PeerMoved { inbound, remote } => {
                let owner = self.shared.owner(inbound);
                owner.into_iter().for_each(|ike| order(self, ike, Order::PeerMoved(remote)));
            }
            Command::AddressChanged { old, new, remote } => {
                for id in self.ids() {
                    let order = Order::AddressChanged { old, new, remote };
                    self.dispatch(now, id, SessionInput::Order(order), begun);
                }
            }
            Command::Shutdown => {
                self.down.extend(self.policy.peers.iter().map(|peer| peer.name.clone()));
                for id in self.ids() {
                    self.dispatch(now, id, SessionInput::Order(Order::Down("this gateway ends")), begun);
                }
            }
            Command::Up { peer } => {
                self.down.remove(&peer);
                if self.policy.peer(&peer).is_none() {
                    begun.actions.push(refused(format!("there is no peer {peer}")));
                }
                self.bring_up(now, &peer, |start| start != Start::Remote, random, begun);
            }
            Command::Acquire { peer, child, flow } => self.acquire(now, &peer, &child, flow, random, begun),
            Command::SetPolicy(policy) => self.set_policy(now, policy, begun),
        }
    }

    fn acquire(
        &mut self,
        now: Time,
        peer: &Name,
        child: &Name,
        flow: FlowKey,
        random: &mut dyn Random,
        begun: &mut Begun,
    ) {
        let found = self.policy.peer(peer).cloned();
        let found = found.and_then(|peer| peer.child(child).cloned().map(|child| (peer, child)));
        let Some((peer, child)) = found else {
            return begun.actions.push(refused(format!("there is no child {child} of peer {peer}")));
        };
        if matches!(child.start, Start::OnDemand | Start::AtOnce) && !self.down.contains(&peer.name) {
            self.bring(now, &peer, vec![Want { child, flow: Some(flow), resource: None }], random, begun);
        }
    }

    /// IKE SAs of peers that are as they were go on; the others end and, where policy wants, begin anew.
    fn set_policy(&mut self, now: Time, policy: Arc<Policy>, begun: &mut Begun) {
        self.policy = policy;
        let changed = |slot: &Slot| {
            slot.peer.as_ref().is_some_and(|old| self.policy.peer(&old.name).is_none_or(|new| **new != **old))
        };
        let ids: Vec<IkeId> =
            self.slots.iter().filter(|(_, slot)| changed(slot)).map(|(id, _)| *id).collect();
        for id in ids {
            self.dispatch(now, id, SessionInput::Order(Order::Down("policy for this peer changed")), begun);
        }
        let known: HashSet<Name> = self.policy.peers.iter().map(|peer| peer.name.clone()).collect();
        self.down.retain(|name| known.contains(name));
        let wanted: Vec<Name> = at_once(&self.policy).map(|peer| peer.name.clone()).collect();
        for name in wanted {
            if !self.revive.iter().any(|(_, waiting)| *waiting == name) && !self.down.contains(&name) {
                self.revive.push((now, name));
            }
        }
    }
}

fn refused(text: String) -> Action {
    Action::Event(Event { code: Code::CommandRefused, peer: None, ike: None, remote: None, text })
}
