//! What the core wants done, in its order: messages sent, children handed to the packet process, records kept.
//!
//! The packet process answers later. What an IKE SA wants done after a change of its SAs waits for the answer, so that
//! the peer hears nothing that does not hold yet; further changes need not wait, and other IKE SAs go on.

use std::collections::{HashMap, VecDeque};

use ravelin_contract::child::Change;
use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;
use ravelin_events::{tell, tell_of};
use ravelin_ike::{Action, Ask, ChildSa, Command, IkeId, Input, Keep};

use super::children;
use super::driver::{Driver, now};
use super::left_over::LeftOvers;
use super::link::{Outcome, Ticket};
use super::served::Served;
use crate::policy::whom::Whom;

/// What is under way.
#[derive(Default)]
pub(super) struct Deeds {
    orders: HashMap<Ticket, Order>,
    /// Of IKE SAs whose changes are not answered yet.
    held: HashMap<IkeId, Held>,
    /// Children that were handed over.
    pub(super) served: Served,
    pub(super) left_over: LeftOvers,
}

/// A change that is not answered yet.
struct Order {
    ike: Option<IkeId>,
    install: Option<Install>,
}

struct Install {
    inbound: Spi,
    tunnel: Name,
    use_at_once: bool,
}

#[derive(Default)]
struct Held {
    /// Changes that are not answered yet.
    unanswered: usize,
    waiting: VecDeque<Deed>,
}

/// One thing to do for an IKE SA.
enum Deed {
    Act(Action),
    Keep(Keep),
}

impl Deed {
    /// Whether it is a change of SAs; these need not wait for each other's answers.
    fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Act(
                Action::InstallChild(_)
                    | Action::UseChild { .. }
                    | Action::RemoveChild { .. }
                    | Action::MoveChild { .. }
            )
        )
    }

    /// Whether its order means nothing.
    fn is_free(&self) -> bool {
        matches!(self, Self::Act(Action::SetTimer(_) | Action::Event(_)))
    }
}

impl Driver {
    /// Children are installed, then what is to survive is written down, then all else is done.
    pub(super) fn carry_out(&mut self, ike: Option<IkeId>, actions: Vec<Action>) {
        let is_install = |action: &Action| matches!(action, Action::InstallChild(_));
        let (installs, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(is_install);
        installs.into_iter().for_each(|action| self.step(ike, Deed::Act(action)));
        for keep in self.endpoint.records(now()) {
            let of = match &keep {
                Keep::Put(kept) => kept.ike,
                Keep::Drop(ike) => *ike,
            };
            self.step(Some(of), Deed::Keep(keep));
        }
        others.into_iter().for_each(|action| self.step(ike, Deed::Act(action)));
    }

    /// Now, or as soon as what must come before it is done.
    fn step(&mut self, ike: Option<IkeId>, deed: Deed) {
        let held = ike.and_then(|ike| self.deeds.held.get_mut(&ike));
        let may_go = |held: &Held| deed.is_free() || deed.is_change() && held.waiting.is_empty();
        if let Some(held) = held
            && !may_go(held)
        {
            return held.waiting.push_back(deed);
        }
        match deed {
            Deed::Act(action) => self.act(ike, action),
            Deed::Keep(keep) => self.records.keep(keep),
        }
    }

    fn act(&mut self, ike: Option<IkeId>, action: Action) {
        match action {
            Action::Send { local, remote, bytes } => self.sockets.send(local, remote, &bytes),
            Action::InstallChild(sa) => self.install(ike, &sa),
            Action::UseChild { inbound } => self.sends(ike, inbound),
            // What no other child of the tunnel sends for is dropped once this one is removed, as policy says.
            Action::StopSending { .. } => {}
            Action::RemoveChild { inbound } => {
                self.deeds.left_over.forget(inbound);
                for gone in self.deeds.served.end(inbound, now()) {
                    self.change(ike, Change::Remove(gone), None);
                }
            }
            Action::MoveChild { inbound, path, udp } => {
                let path = children::path(&path, udp, self.ike.keepalive);
                self.change(ike, Change::Move { spi: inbound, path }, None);
            }
            Action::Assigned(assigned) => {
                tell!(IKE_ASSIGNED, peer = %assigned.peer, addresses = ?assigned.addresses);
            }
            Action::Ask { question, ike, ask } => {
                let answer = match ask {
                    Ask::Password { peer, user } => {
                        Some(Input::Answer { ike, question, answer: self.password(&peer, &user) })
                    }
                    ask => self.authority.ask(ike, question, ask),
                };
                answer.into_iter().for_each(|answer| self.handle(answer));
            }
            Action::Event(event) => {
                self.door.journal.note(&event);
                tell(&event);
            }
            Action::SetTimer(timer) => self.timer = timer,
        }
    }

    fn install(&mut self, ike: Option<IkeId>, sa: &ChildSa) {
        let Some(dress) = self.ike.dress.get(&sa.name) else {
            return self.command(Command::DownChild { inbound: sa.inbound });
        };
        let child = children::child(sa, dress, &self.ike.whom, self.ike.keepalive);
        self.key_log.write(sa);
        self.deeds.served.install(sa);
        self.deeds.left_over.expect(&child);
        let install = Install { inbound: sa.inbound, tunnel: sa.name.clone(), use_at_once: sa.use_at_once };
        self.change(ike, Change::Install(Box::new(child)), Some(install));
    }

    /// Rules of the policy that came into force ask for other identities than `before`: the packet process hears who fits which.
    pub(super) fn identify(&mut self, before: &Whom) {
        let whom = &self.ike.whom;
        let news = self.endpoint.statuses().filter_map(|ike| {
            let identities = whom.fitting(&ike.identity);
            (identities != before.fitting(&ike.identity)).then_some((ike, identities))
        });
        let news: Vec<_> = news.collect();
        for (ike, identities) in news {
            for child in ike.children {
                let identities = identities.clone();
                self.change(Some(ike.ike), Change::Identify { spi: child.inbound, identities }, None);
            }
        }
    }

    /// An SA that is no IKE SA's goes.
    pub(super) fn remove(&mut self, inbound: Spi) {
        self.change(None, Change::Remove(inbound), None);
    }

    fn change(&mut self, ike: Option<IkeId>, change: Change, install: Option<Install>) {
        let ticket = self.link.change(change);
        if let Some(ike) = ike {
            self.deeds.held.entry(ike).or_default().unanswered += 1;
        }
        self.deeds.orders.insert(ticket, Order { ike, install });
    }

    /// The packet process has answered.
    pub(super) fn changed(&mut self, outcomes: Vec<(Ticket, Outcome)>) {
        for (ticket, outcome) in outcomes {
            let Some(Order { ike, install }) = self.deeds.orders.remove(&ticket) else { continue };
            let give_back = match install {
                Some(install) => self.installed(install, outcome),
                None => {
                    if let Err(error) = outcome {
                        tell!(IKE_LINK, error);
                    }
                    None
                }
            };
            ike.into_iter().for_each(|ike| self.release(ike));
            give_back.into_iter().for_each(|inbound| self.command(Command::DownChild { inbound }));
        }
    }

    /// A child that the packet process does not take is given back to the peer: better none than half of one.
    fn installed(&mut self, install: Install, outcome: Outcome) -> Option<Spi> {
        let Install { inbound, tunnel, use_at_once } = install;
        if let Err(error) = outcome {
            tell!(IKE_INSTALL, %tunnel, spi = %inbound, error);
            return Some(inbound);
        }
        if use_at_once {
            self.retire(inbound);
        }
        None
    }

    /// What waited for the last answer is done now.
    fn release(&mut self, ike: IkeId) {
        let Some(held) = self.deeds.held.get_mut(&ike) else { return };
        held.unanswered = held.unanswered.saturating_sub(1);
        if held.unanswered > 0 {
            return;
        }
        let waiting = self.deeds.held.remove(&ike).map(|held| held.waiting).unwrap_or_default();
        waiting.into_iter().for_each(|deed| self.step(Some(ike), deed));
    }

    /// The child sends from now on. Not one that has ended and only receives: the peer may have dropped its key.
    pub(super) fn sends(&mut self, ike: Option<IkeId>, inbound: Spi) {
        if !self.deeds.served.send(inbound) {
            return;
        }
        self.change(ike, Change::Send(inbound), None);
        self.retire(inbound);
    }

    /// Takes out what has received for long enough after its end.
    pub(super) fn remove_late(&mut self) {
        for gone in self.deeds.served.over(now()) {
            self.remove(gone);
        }
    }
}

fn tell(event: &ravelin_ike::Event) {
    let peer = event.peer.as_ref().map(Name::as_str);
    let (ike, remote) = (event.ike.map(tracing::field::display), event.remote.map(tracing::field::display));
    tell_of!(event.code.entry(), peer, ike, remote, why = event.text);
}
