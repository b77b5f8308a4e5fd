//! Deleted here or there; waiting for silence. Only repetitions and the peer's own delete are still answered.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::State;
use super::established::remove;
use crate::action::Action;
use crate::child::Child;
use crate::context::{Context, Effect};
use crate::event::Code;
use crate::exchange::view::View;
use crate::input::{IkeId, Path};
use crate::policy::Peer;
use crate::sa::{IkeSa, Incoming};
use crate::time::Time;
use crate::window::Tick;
use crate::wire::{Delete, ExchangeType, Notify, NotifyType, Payload};

/// How long repetitions of the peer's last request are still answered.
const LINGER: Duration = Duration::from_secs(30);
/// How long the peer has to delete what its rekey replaced, before we find out whether it knows the successor.
const REPLACED: Duration = Duration::from_secs(90);

/// The window gives up by itself; this is only the outermost limit.
const LONGEST: Duration = Duration::from_secs(3600);

/// Why an IKE SA closes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Why {
    /// Our delete is on the way.
    Deleting,
    /// Our delete follows the answer to the request that is on the way.
    DeleteLater,
    /// A rekey replaced it: the winner deletes it.
    Replaced,
    /// It is deleted: only repetitions are answered.
    Deleted,
    /// Its rekey lost against ours: the peer deletes it, unless it never heard our answer.
    Redundant,
}

/// An IKE SA at its end.
#[derive(Debug)]
pub(crate) struct Closing {
    pub(crate) sa: IkeSa,
    pub(crate) peer: Arc<Peer>,
    pub(crate) why: Why,
    pub(crate) until: Time,
    /// What the peer's rekey has put in its place.
    pub(crate) successor: Option<IkeId>,
    /// Nothing goes out under them any more; what the peer still sends is welcome until it has confirmed.
    children: Vec<Child>,
}

impl Closing {
    /// Asks the peer to delete it.
    pub(crate) fn delete(ctx: &mut Context<'_>, mut sa: IkeSa, peer: Arc<Peer>) -> Self {
        sa.request(ctx, ExchangeType::Informational, &[Payload::Delete(Delete::Ike)]);
        Self::until(ctx.now + LONGEST, sa, peer, Why::Deleting)
    }

    /// The same once the request on the way is answered.
    pub(crate) fn delete_later(ctx: &mut Context<'_>, sa: IkeSa, peer: Arc<Peer>) -> Self {
        Self::until(ctx.now + LONGEST, sa, peer, Why::DeleteLater)
    }

    fn until(until: Time, sa: IkeSa, peer: Arc<Peer>, why: Why) -> Self {
        Self { sa, peer, why, until, successor: None, children: Vec::new() }
    }

    /// With children that end when the peer has confirmed.
    pub(crate) fn with_children(mut self, children: Vec<Child>) -> Self {
        self.children = children;
        self
    }

    /// Children of an IKE SA that this one has replaced. The peer holds them for its own until it has confirmed our delete.
    pub(crate) fn adopt(mut self, ctx: &mut Context<'_>, children: Vec<Child>) -> State {
        for child in &children {
            ctx.shared.hand_over(child.inbound, self.sa.id);
            ctx.act(Action::StopSending { inbound: child.inbound });
        }
        self.children.extend(children);
        if self.why == Why::Deleted {
            self.remove_children(ctx);
        }
        State::Closing(Box::new(self))
    }

    fn remove_children(&mut self, ctx: &mut Context<'_>) {
        std::mem::take(&mut self.children).iter().for_each(|child| remove(ctx, child));
    }

    fn gone(mut self, ctx: &mut Context<'_>) -> State {
        self.remove_children(ctx);
        State::Gone
    }

    /// Tells a peer that we do not believe it, and deletes what it takes for an IKE SA (RFC 7296 2.21.2).
    pub(crate) fn refuse(ctx: &mut Context<'_>, mut sa: IkeSa, peer: Arc<Peer>) -> Self {
        let failed = Notify::new(NotifyType::AuthenticationFailed, Vec::new());
        let payloads = [Payload::Notify(failed), Payload::Delete(Delete::Ike)];
        sa.request(ctx, ExchangeType::Informational, &payloads);
        Self::until(ctx.now + LONGEST, sa, peer, Why::Deleting)
    }

    /// The peer's rekey replaced it.
    pub(crate) fn replaced(ctx: &Context<'_>, sa: IkeSa, peer: Arc<Peer>, successor: IkeId) -> Self {
        Self { successor: Some(successor), ..Self::until(ctx.now + REPLACED, sa, peer, Why::Replaced) }
    }

    /// The peer's rekey made it, and lost against ours: it has no children. A peer that never heard our answer does not know it,
    /// and would not answer our delete.
    pub(crate) fn redundant(ctx: &Context<'_>, sa: IkeSa, peer: Arc<Peer>) -> Self {
        let until = ctx.now + ctx.policy.retransmission.whole() + LINGER;
        Self::until(until, sa, peer, Why::Redundant)
    }

    /// The peer knows the successor, or nobody does any more: what it replaced is deleted.
    pub(crate) fn delete_replaced(self, ctx: &mut Context<'_>) -> State {
        match self.why {
            Why::Replaced if self.sa.window.is_free() => {
                let next = Self::delete(ctx, self.sa, self.peer).with_children(self.children);
                State::Closing(Box::new(next))
            }
            Why::Replaced => self.gone(ctx),
            _ => State::Closing(Box::new(self)),
        }
    }

    /// Goes on from a record. Children that were left to it are left over: see [`crate::record`].
    pub(crate) fn restored(
        sa: IkeSa,
        peer: Arc<Peer>,
        (why, until): (Why, Time),
        successor: Option<IkeId>,
    ) -> Self {
        Self { successor, ..Self::until(until, sa, peer, why) }
    }

    /// It is deleted.
    pub(crate) fn linger(ctx: &Context<'_>, sa: IkeSa, peer: Arc<Peer>) -> Self {
        Self::until(ctx.now + LINGER, sa, peer, Why::Deleted)
    }

    /// A message for it.
    pub(crate) fn message(mut self, ctx: &mut Context<'_>, path: Path, datagram: &[u8]) -> State {
        match self.sa.receive(ctx, path, datagram) {
            Incoming::Nothing => State::Closing(Box::new(self)),
            Incoming::Response { .. } => match self.why {
                Why::DeleteLater => {
                    let next = Self::delete(ctx, self.sa, self.peer).with_children(self.children);
                    State::Closing(Box::new(next))
                }
                Why::Deleting => {
                    self.remove_children(ctx);
                    State::Closing(Box::new(Self::linger(ctx, self.sa, self.peer)))
                }
                Why::Replaced | Why::Deleted | Why::Redundant => State::Closing(Box::new(self)),
            },
            Incoming::Request { exchange, id, plain, .. } => {
                let payloads = plain.payloads().unwrap_or_default();
                let deleted = View(&payloads).deletes().any(|delete| *delete == Delete::Ike);
                let answer = match exchange {
                    ExchangeType::CreateChildSa => {
                        vec![Payload::Notify(Notify::new(NotifyType::TemporaryFailure, Vec::new()))]
                    }
                    _ => Vec::new(),
                };
                self.sa.respond(ctx, exchange, id, &answer);
                // RFC 7296 2.25.2: both delete at once; each answers, and forgets its own.
                if deleted {
                    self.remove_children(ctx);
                    return State::Closing(Box::new(Self::linger(ctx, self.sa, self.peer)));
                }
                State::Closing(Box::new(self))
            }
        }
    }

    /// Time has passed.
    pub(crate) fn timer(mut self, ctx: &mut Context<'_>) -> State {
        if self.until <= ctx.now {
            return match (self.why, self.successor) {
                // The peer never came to delete it. If it does not know the successor, it still asks for it here, and must not be
                // told instead that everything has ended.
                (Why::Replaced, Some(successor)) => {
                    ctx.out.push(Effect::Confirm(successor));
                    self.until = ctx.now + LINGER;
                    State::Closing(Box::new(self))
                }
                _ => self.gone(ctx),
            };
        }
        if matches!(self.why, Why::Deleting | Why::DeleteLater) {
            let pace = ctx.policy.retransmission;
            match self.sa.window.tick(ctx.now, &pace) {
                Tick::Again(packets) => ctx.send(self.sa.path, &packets),
                Tick::GaveUp => {
                    let text =
                        "no answer to our delete: the peer may believe for a while that the IKE SA stands";
                    ctx.event(Code::PeerSilent, Some(&self.peer), self.sa.id, self.sa.path, text);
                    return self.gone(ctx);
                }
                Tick::Idle => {}
            }
        }
        State::Closing(Box::new(self))
    }

    /// Octets held on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.sa.heap()
            + self.children.capacity() * size_of::<Child>()
            + self.children.iter().map(Child::heap).sum::<usize>()
    }

    /// When [`Self::timer`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let window = if matches!(self.why, Why::Deleting | Why::DeleteLater) {
            self.sa.window.deadline()
        } else {
            None
        };
        [Some(self.until), window].into_iter().flatten().min()
    }
}
