//! Working: children, rekeys, liveness. One request of ours at a time, the rest waits in a queue.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::sa::Spi;

use super::State;
use super::closing::Closing;
pub(crate) use super::facts::{Birth, Clock, Features};
use crate::action::Action;
use crate::child::{Child, ChildSa, Life};
use crate::context::{Context, Effect};
use crate::event::Code;
use crate::exchange::child::{NONCE, Parties, Want};
use crate::exchange::create_child::ChildInFlight;
use crate::exchange::followup::{Chain, Next, Pending};
use crate::exchange::rekey_ike::IkeInFlight;
use crate::exchange::view::View;
use crate::exchange::{create_child, followup, forgotten, informational, mobike, rekey_ike};
use crate::input::IkeId;
use crate::policy::{Identity, Peer};
use crate::random;
use crate::sa::{IkeSa, Incoming};
use crate::sealed::Plain;
use crate::time::Time;
use crate::window::Tick;
use crate::wire::{ExchangeType, Message, Notify, NotifyType, Payload};

/// How long the peer has to delete what it replaced, and how long we wait after TEMPORARY_FAILURE at most.
pub(crate) const GRACE: Duration = Duration::from_secs(60);
/// First wait after TEMPORARY_FAILURE (RFC 7296 2.25 leaves it open).
const AGAIN: Duration = Duration::from_secs(4);
/// Requests that may wait. More than a policy has children cannot be of use.
const TASKS: usize = 1024;

/// Something to ask the peer.
#[derive(Debug)]
pub(crate) enum Task {
    /// Does it live?
    Probe,
    /// A child.
    NewChild(Want),
    /// New keys for a child.
    RekeyChild(Spi),
    /// New keys for the IKE SA.
    RekeyIke,
    /// A child is to end.
    DeleteChild(Spi),
    /// We are elsewhere now (RFC 4555).
    UpdateAddresses,
    /// A child that the peer made for an earlier run of this process, without keys here, is to end.
    DeleteForgotten(Spi),
    /// Is the peer really where it says (RFC 4555 3.7)?
    CheckAddress,
    /// Go to that gateway (RFC 5685).
    Redirect(IpAddr),
    /// Everything is to end.
    DeleteIke,
}

/// What the request on the way is about.
#[derive(Debug)]
pub(crate) enum Doing {
    /// Liveness, redirect: any answer will do.
    Probe,
    /// A new child.
    NewChild(Box<ChildInFlight>),
    /// New keys for a child.
    RekeyChild {
        /// The old one.
        old: Spi,
        /// The new one.
        ask: Box<ChildInFlight>,
        /// The peer's own rekey of the same child, which we answered meanwhile.
        rival: Option<Rival<Spi>>,
    },
    /// A child that an earlier run of this process asked for; its keys cannot be had any more.
    Forgotten {
        /// The new one.
        inbound: Spi,
        /// The one that it was to replace.
        old: Option<Spi>,
    },
    /// New keys for the IKE SA.
    RekeyIke {
        /// The new one.
        ask: Box<IkeInFlight>,
        /// The peer's own rekey, which we answered meanwhile.
        rival: Option<Rival<IkeId>>,
    },
    /// Children are to end.
    DeleteChildren(Vec<Spi>),
    /// Addresses; with the nonce that must come back.
    Addresses([u8; 16]),
}

impl Doing {
    /// Whether the answer makes keys.
    pub(crate) fn makes_keys(&self) -> bool {
        matches!(self, Self::NewChild(_) | Self::RekeyChild { .. } | Self::RekeyIke { .. })
    }

    /// Whether the answer may make a child, or end one.
    pub(crate) fn is_about_children(&self) -> bool {
        match self {
            Self::NewChild(_)
            | Self::RekeyChild { .. }
            | Self::Forgotten { .. }
            | Self::DeleteChildren(_) => true,
            Self::Probe | Self::RekeyIke { .. } | Self::Addresses(_) => false,
        }
    }
}

/// An SA that the peer made in a simultaneous rekey, and the lower nonce of that exchange (RFC 7296 2.8.1).
#[derive(Debug)]
pub(crate) struct Rival<Id> {
    pub(crate) id: Id,
    pub(crate) lowest: [u8; NONCE],
}

/// An IKE SA that works.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) sa: IkeSa,
    pub(crate) peer: Arc<Peer>,
    pub(crate) identity: Identity,
    pub(crate) features: Features,
    pub(crate) birth: Birth,
    pub(crate) clock: Clock,
    pub(crate) children: Vec<Child>,
    pub(crate) tasks: VecDeque<Task>,
    pub(crate) doing: Option<Doing>,
    /// What is on the way goes on in further key exchanges.
    pub(crate) chain: Option<Box<Chain>>,
    /// What the peer asked for goes on in further key exchanges.
    pub(crate) pending: Option<Box<Pending>>,
    /// Addresses that the peer's pool gave us.
    pub(crate) assigned: Vec<IpAddr>,
    /// Addresses that our pool gave the peer.
    pub(crate) leased: Vec<IpAddr>,
    /// Children will come from another IKE SA, unless this one loses a collision of rekeys. Until that is decided there is nothing that
    /// the peer could be answered truly: it will repeat what it asks.
    pub(crate) awaits: bool,
}

impl Established {
    /// Sets the clocks of an IKE SA that stands from now on.
    pub(crate) fn clock(ctx: &mut Context<'_>, peer: &Peer) -> Clock {
        let early =
            |ctx: &mut Context<'_>, span: Duration| ctx.now + (span - random::up_to(ctx.random, span / 10));
        Clock {
            heard: ctx.now,
            rekey: peer.lifetime.soft.map(|soft| early(ctx, soft)),
            hard: peer.lifetime.hard.map(|hard| ctx.now + hard),
            reauthenticate: peer.reauthenticate.map(|span| early(ctx, span)),
            proof: None,
        }
    }

    /// What is to be remembered of an IKE SA whose first message went or came at `began`, and that stands from now on.
    pub(crate) fn birth(ctx: &Context<'_>, sa: &IkeSa, began: Time) -> Birth {
        let ours = sa.role == crate::sa::Role::Initiator;
        Birth { ours, spis: (sa.initiator_spi, sa.responder_spi), began, proved: ctx.now }
    }

    /// An IKE SA whose peer has just proved itself, or that takes over from one.
    pub(crate) fn new(
        sa: IkeSa,
        peer: Arc<Peer>,
        identity: Identity,
        features: Features,
        birth: Birth,
        clock: Clock,
    ) -> Self {
        Self {
            sa,
            peer,
            identity,
            features,
            birth,
            clock,
            children: Vec::new(),
            tasks: VecDeque::new(),
            doing: None,
            chain: None,
            pending: None,
            assigned: Vec::new(),
            leased: Vec::new(),
            awaits: false,
        }
    }

    /// Who children are negotiated for.
    pub(crate) fn parties(&self) -> Parties<'_> {
        Parties {
            peer: &self.peer,
            identity: &self.identity,
            assigned: &self.assigned,
            leased: &self.leased,
            children: &self.children,
        }
    }

    /// An authentic or not yet authentic message for this SA.
    pub(crate) fn message(mut self, ctx: &mut Context<'_>, path: crate::Path, datagram: &[u8]) -> State {
        if self.awaits && Message::parse(datagram).is_ok_and(|message| !message.header.response) {
            return State::Established(Box::new(self));
        }
        let before = self.sa.path;
        match self.sa.receive(ctx, path, datagram) {
            Incoming::Nothing => State::Established(Box::new(self)),
            Incoming::Request { exchange, id, plain, .. } => {
                self.clock.heard = ctx.now;
                self.follow(ctx, before);
                match plain.payloads() {
                    Ok(payloads) => self.request(ctx, exchange, id, View(&payloads)),
                    Err(error) => self.malformed(ctx, exchange, id, &error),
                }
            }
            Incoming::Response { plain, .. } => {
                self.clock.heard = ctx.now;
                self.follow(ctx, before);
                match plain.payloads() {
                    Ok(payloads) => self.response(ctx, View(&payloads), &plain),
                    Err(error) => self.disagreed(ctx, &error.to_string(), "the peer's answer makes no sense"),
                }
            }
        }
    }

    fn malformed(
        mut self,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        id: u32,
        error: &crate::wire::ParseError,
    ) -> State {
        ctx.event(Code::Malformed, Some(&self.peer), self.sa.id, self.sa.path, error.to_string());
        let notify = match error {
            crate::wire::ParseError::UnknownCritical(kind) => {
                crate::wire::Content::UnsupportedCriticalPayload(*kind).notify()
            }
            _ => Notify::new(NotifyType::InvalidSyntax, Vec::new()),
        };
        self.sa.respond(ctx, exchange, id, &[Payload::Notify(notify)]);
        if matches!(error, crate::wire::ParseError::UnknownCritical(_)) {
            return self.go_on(ctx);
        }
        self.ended(ctx, "the peer sent a message that makes no sense")
    }

    /// Both sides know that it is over: INVALID_SYNTAX ends it without a delete (RFC 7296 2.21.3).
    fn ended(mut self, ctx: &mut Context<'_>, why: &str) -> State {
        self.settle_rival(ctx);
        self.end(ctx, why);
        State::Closing(Box::new(Closing::linger(ctx, self.sa, self.peer)))
    }

    /// What the peer makes of the request that was on the way is not to be known.
    fn disagreed(mut self, ctx: &mut Context<'_>, text: &str, why: &str) -> State {
        ctx.event(Code::Malformed, Some(&self.peer), self.sa.id, self.sa.path, text);
        self.settle_rival(ctx);
        self.abandon(ctx);
        self.close(ctx, why)
    }

    /// The peer came from elsewhere with an authentic message that is no repetition.
    fn follow(&mut self, ctx: &mut Context<'_>, before: crate::Path) {
        if before != self.sa.path {
            self.moved(ctx, "a NAT on the way gave the peer another address");
        }
    }

    /// Tells the packet process and the operator of the new path.
    pub(crate) fn moved(&mut self, ctx: &mut Context<'_>, why: &str) {
        for child in &self.children {
            ctx.act(Action::MoveChild { inbound: child.inbound, path: self.sa.path, udp: self.sa.udp });
        }
        let text = format!("{why}: now {} to {}", self.sa.path.local, self.sa.path.remote);
        ctx.event(Code::Moved, Some(&self.peer), self.sa.id, self.sa.path, text);
    }

    fn request(mut self, ctx: &mut Context<'_>, exchange: ExchangeType, id: u32, view: View<'_>) -> State {
        self.peer_has_answers(ctx);
        match exchange {
            ExchangeType::CreateChildSa | ExchangeType::FollowupKe => {
                let (payloads, outcome) = match exchange {
                    ExchangeType::FollowupKe => followup::respond(&mut self, ctx, view),
                    _ => create_child::respond(&mut self, ctx, view),
                };
                self.sa.respond(ctx, exchange, id, &payloads);
                match outcome {
                    create_child::Outcome::Stays => self.go_on(ctx),
                    create_child::Outcome::HandedOver(to) => {
                        State::Closing(Box::new(Closing::replaced(ctx, self.sa, self.peer, to)))
                    }
                    create_child::Outcome::Ends => {
                        self.ended(ctx, "the peer sent a request that makes no sense")
                    }
                }
            }
            ExchangeType::Informational => match informational::respond(&mut self, ctx, view) {
                informational::Answer::Goes(payloads) => {
                    self.sa.respond(ctx, exchange, id, &payloads);
                    self.go_on(ctx)
                }
                informational::Answer::Ends(why) => {
                    self.sa.respond(ctx, exchange, id, &[]);
                    self.ended(ctx, why)
                }
            },
            _ => {
                let text = format!("{exchange} out of place: the IKE SA stands");
                ctx.event(Code::Malformed, Some(&self.peer), self.sa.id, self.sa.path, text);
                let refusal = Notify::new(NotifyType::InvalidSyntax, Vec::new());
                self.sa.respond(ctx, exchange, id, &[Payload::Notify(refusal)]);
                self.ended(ctx, "the peer sent a message that is out of place")
            }
        }
    }

    fn response(mut self, ctx: &mut Context<'_>, view: View<'_>, plain: &Plain) -> State {
        if view.error() == Some(NotifyType::InvalidSyntax) {
            let why = "our request makes no sense to the peer";
            return self.disagreed(ctx, "the peer answers INVALID_SYNTAX", why);
        }
        let held = match followup::take(&mut self, ctx, view, plain) {
            Next::Read => None,
            Next::Whole(answer) => Some(answer),
            Next::Waits => return State::Established(Box::new(self)),
            Next::Broken(text) => return self.disagreed(ctx, &text, "the peer's answer makes no sense"),
        };
        // It was read when it came.
        let payloads = held.as_ref().map(|answer| answer.payloads().unwrap_or_default());
        let view = payloads.as_deref().map_or(view, View);
        match self.doing.take() {
            None => self.go_on(ctx),
            Some(Doing::Probe) => self.go_on(ctx),
            Some(Doing::NewChild(ask)) => {
                create_child::created(&mut self, ctx, *ask, view);
                self.go_on(ctx)
            }
            Some(Doing::RekeyChild { old, ask, rival }) => {
                create_child::rekeyed(&mut self, ctx, old, *ask, rival, view);
                self.go_on(ctx)
            }
            Some(Doing::Forgotten { inbound, old }) => {
                forgotten::answered(&mut self, ctx, inbound, old, view);
                self.go_on(ctx)
            }
            Some(Doing::RekeyIke { ask, rival }) => rekey_ike::answered(self, ctx, *ask, rival, view),
            Some(Doing::DeleteChildren(spis)) => {
                spis.into_iter().for_each(|spi| self.drop_child(ctx, spi, "deleted"));
                self.go_on(ctx)
            }
            Some(Doing::Addresses(nonce)) => {
                mobike::confirmed(&mut self, ctx, nonce, view);
                self.go_on(ctx)
            }
        }
    }

    /// The answer to a simultaneous rekey will not come any more: the peer's IKE SA takes the children.
    pub(crate) fn settle_rival(&mut self, ctx: &mut Context<'_>) {
        if let Some(Doing::RekeyIke { rival: Some(rival), .. }) =
            self.doing.take_if(|doing| matches!(doing, Doing::RekeyIke { rival: Some(_), .. }))
        {
            let (children, tasks) = (std::mem::take(&mut self.children), std::mem::take(&mut self.tasks));
            ctx.out.push(Effect::Adopt(rival.id, children, tasks));
        }
    }

    /// Begins the next waiting task if nothing is on the way.
    pub(crate) fn go_on(mut self, ctx: &mut Context<'_>) -> State {
        while !self.awaits && self.doing.is_none() && self.sa.window.is_free() {
            let Some(task) = self.tasks.pop_front() else { break };
            match task {
                Task::Probe => mobike::ask_probe(&mut self, ctx),
                Task::NewChild(want) => create_child::ask_new(&mut self, ctx, want),
                Task::RekeyChild(spi) => create_child::ask_rekey(&mut self, ctx, spi),
                Task::RekeyIke => rekey_ike::ask(&mut self, ctx),
                Task::DeleteChild(spi) => informational::ask_delete(&mut self, ctx, spi),
                Task::DeleteForgotten(spi) => forgotten::ask_delete(&mut self, ctx, spi),
                Task::UpdateAddresses => mobike::ask_update(&mut self, ctx),
                Task::CheckAddress => mobike::ask_check(&mut self, ctx),
                Task::Redirect(gateway) => informational::ask_redirect(&mut self, ctx, gateway),
                Task::DeleteIke => return self.close(ctx, "deleted"),
            }
        }
        State::Established(Box::new(self))
    }

    /// Queues a task, unless the queue is full of what nobody can want.
    pub(crate) fn push(&mut self, task: Task) {
        if self.tasks.len() < TASKS {
            self.tasks.push_back(task);
        }
    }

    /// Ends everything and tells the peer.
    pub(crate) fn close(mut self, ctx: &mut Context<'_>, why: &str) -> State {
        // The peer may have made the successor already and moved the children there: only with its answer do we know
        // which IKE SA to delete. The task goes on under the successor, and there it waits for the children.
        if self.awaits || matches!(self.doing, Some(Doing::RekeyIke { .. })) {
            self.tasks.clear();
            self.push(Task::DeleteIke);
            return State::Established(Box::new(self));
        }
        let children = std::mem::take(&mut self.children);
        children.iter().for_each(|child| ctx.act(Action::StopSending { inbound: child.inbound }));
        self.end(ctx, why);
        let closing = if self.sa.window.is_free() {
            Closing::delete(ctx, self.sa, self.peer)
        } else {
            Closing::delete_later(ctx, self.sa, self.peer)
        };
        State::Closing(Box::new(closing.with_children(children)))
    }

    /// The IKE SA works no more: children go, addresses are given back.
    pub(crate) fn end(&mut self, ctx: &mut Context<'_>, why: &str) {
        self.abandon(ctx);
        for child in std::mem::take(&mut self.children) {
            remove(ctx, &child);
        }
        self.peer.pool().into_iter().for_each(|pool| ctx.shared.release(pool, &self.leased));
        ctx.event(Code::IkeDown, Some(&self.peer), self.sa.id, self.sa.path, why);
    }

    /// Gives back numbers that the request on the way had taken.
    pub(crate) fn abandon(&mut self, ctx: &mut Context<'_>) {
        followup::forget(self, ctx);
        self.chain = None;
        if let Some(Doing::NewChild(ask) | Doing::RekeyChild { ask, .. }) = self.doing.take() {
            ctx.shared.release_spi(ask.ask.inbound);
        }
    }

    /// Puts a negotiated child into the packet process and remembers it.
    pub(crate) fn install(&mut self, ctx: &mut Context<'_>, sa: ChildSa, child: Child) {
        let text = format!(
            "{} to {}, SPIs {} in and {} out, {}",
            crate::policy::traffic::list(&sa.local),
            crate::policy::traffic::list(&sa.remote),
            sa.inbound,
            sa.outbound,
            sa.outbound_transform.name()
        );
        let code = if sa.replaces.is_some() { Code::ChildRekeyed } else { Code::ChildUp };
        ctx.event(code, Some(&self.peer), self.sa.id, self.sa.path, format!("child {}: {text}", sa.name));
        let waits = !sa.use_at_once;
        ctx.act(Action::InstallChild(Box::new(sa)));
        self.children.push(Child { waits, ..child });
    }

    /// What stands, to be asked for again elsewhere. Those of single cores follow the shared one by themselves.
    pub(crate) fn standing(&self) -> Vec<Want> {
        let shared = |child: &&Child| child.life == Life::Standing && child.resource.is_none();
        self.children.iter().filter(shared).map(|child| Want::all_of(&child.policy)).collect()
    }

    /// The child by our SPI.
    pub(crate) fn child(&mut self, inbound: Spi) -> Option<&mut Child> {
        self.children.iter_mut().find(|child| child.inbound == inbound)
    }

    /// The peer asks one thing after the other (RFC 7296 2.3): with the next request it has the answer to the one before, and what
    /// that made. A child that is the only one left for its traffic need not wait for a packet then.
    fn peer_has_answers(&mut self, ctx: &mut Context<'_>) {
        for at in 0..self.children.len() {
            let child = &self.children[at];
            if child.waits && child.life == Life::Standing && self.is_alone(child) {
                self.children[at].waits = false;
                ctx.act(Action::UseChild { inbound: self.children[at].inbound });
            }
        }
    }

    /// Whether no other child is for the same traffic and core.
    pub(crate) fn is_alone(&self, one: &Child) -> bool {
        let same = |other: &&Child| (&one.policy.name, one.resource) == (&other.policy.name, other.resource);
        self.children.iter().filter(same).count() == 1
    }

    /// Whether another child stands for the same traffic and core.
    pub(crate) fn has_successor(&self, old: Spi) -> bool {
        let Some(old) = self.children.iter().find(|child| child.inbound == old) else { return false };
        self.children.iter().any(|child| {
            child.life == Life::Standing
                && child.inbound != old.inbound
                && (&child.policy.name, child.resource) == (&old.policy.name, old.resource)
                && (&child.local, &child.remote) == (&old.local, &old.remote)
        })
    }

    /// A child is gone on both sides.
    pub(crate) fn drop_child(&mut self, ctx: &mut Context<'_>, inbound: Spi, why: &str) {
        let Some(at) = self.children.iter().position(|child| child.inbound == inbound) else { return };
        let child = self.children.swap_remove(at);
        if child.life == Life::Standing {
            let text = format!("child {} with SPI {inbound}: {why}", child.policy.name);
            ctx.event(Code::ChildDown, Some(&self.peer), self.sa.id, self.sa.path, text);
        }
        remove(ctx, &child);
    }

    /// Marks a child whose successor stands: whoever won deletes it, and we do if the peer does not in time.
    pub(crate) fn replaced(&mut self, now: Time, inbound: Spi) {
        if let Some(child) = self.child(inbound)
            && child.life != Life::Deleting
        {
            child.life = Life::Replaced;
            child.soft = Some(now + GRACE);
        }
    }

    /// After TEMPORARY_FAILURE: again, at a time that the peer does not choose too.
    pub(crate) fn again(ctx: &mut Context<'_>) -> Time {
        ctx.now + AGAIN + random::up_to(ctx.random, AGAIN * 2)
    }

    /// Time has passed.
    pub(crate) fn timer(mut self, ctx: &mut Context<'_>) -> State {
        let pace = ctx.policy.retransmission;
        match self.sa.window.tick(ctx.now, &pace) {
            Tick::Again(packets) => ctx.send(self.sa.path, &packets),
            Tick::GaveUp => return self.silent(ctx),
            Tick::Idle => {}
        }
        if self.clock.hard.is_some_and(|hard| hard <= ctx.now) {
            self.clock.hard = None;
            return self.close(ctx, "its lifetime is over");
        }
        if self.clock.proof.is_some_and(|end| end <= ctx.now) {
            self.clock.proof = None;
            return self.close(ctx, "a certificate has ended that it rests on");
        }
        if self.pending.as_ref().is_some_and(|pending| pending.until <= ctx.now) {
            followup::forget(&mut self, ctx);
        }
        self.renew_ike(ctx);
        self.renew_children(ctx);
        let silent_since = self.peer.liveness.map(|liveness| self.clock.heard + liveness);
        if silent_since.is_some_and(|due| due <= ctx.now) && self.doing.is_none() && self.tasks.is_empty() {
            self.push(Task::Probe);
        }
        self.go_on(ctx)
    }

    fn silent(mut self, ctx: &mut Context<'_>) -> State {
        let tries = ctx.policy.retransmission.retries;
        let text = format!("no answer after {tries} repetitions");
        ctx.event(Code::PeerSilent, Some(&self.peer), self.sa.id, self.sa.path, text);
        self.settle_rival(ctx);
        self.end(ctx, "the peer does not answer");
        State::Gone
    }

    /// Children of another IKE SA go on here.
    pub(crate) fn adopt(
        mut self,
        ctx: &mut Context<'_>,
        children: Vec<Child>,
        tasks: VecDeque<Task>,
    ) -> State {
        self.awaits = false;
        children.iter().for_each(|child| ctx.shared.hand_over(child.inbound, self.sa.id));
        self.children.extend(children);
        for task in std::mem::take(&mut self.tasks).into_iter().chain(tasks) {
            match task {
                Task::RekeyIke => {}
                // It may stand by now.
                Task::NewChild(want) => self.bring(want),
                task => self.push(task),
            }
        }
        self.go_on(ctx)
    }

    /// Octets held on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.sa.heap()
            + self.children.capacity() * size_of::<Child>()
            + self.children.iter().map(Child::heap).sum::<usize>()
            + self.tasks.capacity() * size_of::<Task>()
            + (self.assigned.capacity() + self.leased.capacity()) * size_of::<IpAddr>()
    }
}

/// Takes a child out of the packet process.
pub(crate) fn remove(ctx: &mut Context<'_>, child: &Child) {
    ctx.act(Action::RemoveChild { inbound: child.inbound });
    ctx.shared.release_spi(child.inbound);
}
