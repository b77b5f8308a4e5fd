//! One IKE SA: the state it is in, and how an input reaches that state.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;

use crate::action::Action;
use crate::child::{Child, Life};
use crate::context::{Context, Effect};
use crate::event::Code;
use crate::exchange::child::Want;
use crate::exchange::mobike;
use crate::input::{Answer, IkeId, Path};
use crate::policy::{Identity, Peer};
use crate::state::State;
use crate::state::authenticating::Authenticating;
use crate::state::closing::Closing;
use crate::state::established::{Birth, Established, Task};
use crate::state::initiated::{Initiated, Plan};
use crate::state::responding::Responding;
use crate::time::Time;

/// What an IKE SA is handed.
#[derive(Debug)]
pub(crate) enum SessionInput {
    /// A datagram with its SPI.
    Message(Path, Vec<u8>),
    /// Its deadline may have come.
    Timer,
    /// An order.
    Order(Order),
    /// The answer to one of its questions.
    Answer(u64, Answer),
    /// Children of another IKE SA.
    Adopt(Vec<Child>, VecDeque<Task>),
    /// Addresses that another IKE SA had given the peer.
    Lease(Name, Vec<IpAddr>),
}

/// What an IKE SA is ordered to do.
#[derive(Debug)]
pub(crate) enum Order {
    Bring(Vec<Want>),
    Down(&'static str),
    /// Gone without a word: the peer has begun anew.
    Forget,
    DownChild(Spi),
    Rekey,
    RekeyChild(Spi),
    Reauthenticate,
    Probe,
    AddressChanged {
        old: IpAddr,
        new: IpAddr,
        remote: IpAddr,
    },
    PeerMoved(SocketAddr),
    Redirect(IpAddr),
    /// Another IKE SA with the peer is about to go: send under these children now.
    Prefer,
    /// Another IKE SA, with new proofs, has taken over.
    Superseded,
    /// That one is to be deleted as soon as the peer has shown that it knows this one.
    Confirm(IkeId),
    /// The peer knows what has replaced it, or nobody does any more.
    Known,
    /// The peer will delete it, or never had it: what it was to do, that one does.
    Redundant(IkeId),
}

/// One IKE SA.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) state: State,
}

impl Session {
    /// Begins a negotiation.
    pub(crate) fn initiate(ctx: &mut Context<'_>, id: IkeId, plan: Plan) -> Option<Self> {
        Initiated::begin(ctx, id, plan).map(|state| Self { state: State::Initiated(Box::new(state)) })
    }

    pub(crate) fn established(state: Established) -> Self {
        Self { state: State::Established(Box::new(state)) }
    }

    pub(crate) fn closing(state: Closing) -> Self {
        Self { state: State::Closing(Box::new(state)) }
    }

    /// Its name.
    pub(crate) fn id(&self) -> IkeId {
        match &self.state {
            State::Initiated(state) => state.id,
            State::Authenticating(state) => state.agreed.sa.id,
            State::Responding(state) => state.agreed.sa.id,
            State::Established(state) => state.sa.id,
            State::Closing(state) => state.sa.id,
            State::Gone => IkeId(0),
        }
    }

    /// Handles one input. What comes back may be [`State::Gone`].
    pub(crate) fn handle(self, ctx: &mut Context<'_>, input: SessionInput) -> Self {
        let state = match input {
            SessionInput::Message(path, bytes) => self.message(ctx, path, &bytes),
            SessionInput::Timer => self.timer(ctx),
            SessionInput::Order(order) => self.order(ctx, order),
            SessionInput::Answer(question, answer) => match self.state {
                State::Authenticating(state) => state.answer(ctx, question, answer),
                State::Responding(state) => state.answer(ctx, question, answer),
                other => other,
            },
            SessionInput::Adopt(children, tasks) => match self.state {
                State::Established(state) => state.adopt(ctx, children, tasks),
                State::Closing(state) => state.adopt(ctx, children),
                other => {
                    children.iter().for_each(|child| crate::state::established::remove(ctx, child));
                    other
                }
            },
            SessionInput::Lease(pool, addresses) => match self.state {
                State::Established(mut state) => {
                    state.leased.extend(addresses);
                    State::Established(state)
                }
                other => {
                    ctx.shared.release(&pool, &addresses);
                    other
                }
            },
        };
        Self { state }
    }

    fn message(self, ctx: &mut Context<'_>, path: Path, datagram: &[u8]) -> State {
        match self.state {
            State::Initiated(state) => state.message(ctx, path, datagram),
            State::Authenticating(state) => state.message(ctx, path, datagram),
            State::Responding(state) => state.message(ctx, path, datagram),
            State::Established(state) => state.message(ctx, path, datagram),
            State::Closing(state) => state.message(ctx, path, datagram),
            State::Gone => State::Gone,
        }
    }

    fn timer(self, ctx: &mut Context<'_>) -> State {
        match self.state {
            State::Initiated(state) => state.timer(ctx),
            State::Authenticating(state) => state.timer(ctx),
            State::Responding(state) => state.timer(ctx),
            State::Established(state) => state.timer(ctx),
            State::Closing(state) => state.timer(ctx),
            State::Gone => State::Gone,
        }
    }

    fn order(self, ctx: &mut Context<'_>, order: Order) -> State {
        match (self.state, order) {
            (State::Established(mut state), Order::Forget) => {
                state.settle_rival(ctx);
                state.end(ctx, "the peer has begun anew");
                State::Gone
            }
            (State::Established(state), Order::Down(why)) => state.close(ctx, why),
            (State::Established(mut state), Order::Redundant(winner)) => {
                state.abandon(ctx);
                ctx.out.push(Effect::Adopt(winner, Vec::new(), std::mem::take(&mut state.tasks)));
                State::Closing(Box::new(Closing::redundant(ctx, state.sa, state.peer)))
            }
            (State::Established(state), Order::Superseded) => {
                state.close(ctx, "another IKE SA has taken over")
            }
            (State::Closing(state), Order::Confirm(old)) => {
                ctx.out.extend(state.sa.window.has_heard().then_some(Effect::Known(old)));
                State::Closing(state)
            }
            (State::Closing(state), Order::Known) => state.delete_replaced(ctx),
            (State::Established(state), order) => state.order(ctx, order),
            (State::Initiated(mut state), Order::Bring(wants)) => {
                add_wants(&mut state.plan.wants, wants);
                State::Initiated(state)
            }
            (State::Authenticating(mut state), Order::Bring(wants)) => {
                add_wants(&mut state.agreed.plan.wants, wants);
                State::Authenticating(state)
            }
            (State::Initiated(state), Order::Down(why)) => {
                ctx.event(Code::IkeDown, Some(&state.plan.peer), state.id, state.path, why);
                State::Gone
            }
            (State::Authenticating(mut state), Order::Down(why)) => {
                state.forget(ctx);
                let sa = &state.agreed.sa;
                ctx.event(Code::IkeDown, Some(&state.agreed.plan.peer), sa.id, sa.path, why);
                State::Gone
            }
            (State::Responding(state), Order::Down(why)) => {
                let sa = &state.agreed.sa;
                ctx.event(Code::IkeDown, Some(&state.agreed.plan.peer), sa.id, sa.path, why);
                State::Gone
            }
            (state, _) => state,
        }
    }

    /// When it wants [`SessionInput::Timer`] next.
    pub(crate) fn deadline(&self, patience: std::time::Duration) -> Option<Time> {
        match &self.state {
            State::Initiated(state) => state.deadline(),
            State::Authenticating(state) => state.deadline(patience),
            State::Responding(state) => state.deadline(),
            State::Established(state) => state.deadline(),
            State::Closing(state) => state.deadline(),
            State::Gone => None,
        }
    }

    /// The rule it lives by.
    pub(crate) fn peer(&self) -> Option<&Arc<Peer>> {
        match &self.state {
            State::Initiated(state) => Some(&state.plan.peer),
            State::Authenticating(state) => Some(&state.agreed.plan.peer),
            State::Responding(state) => Some(&state.agreed.plan.peer),
            State::Established(state) => Some(&state.peer),
            State::Closing(state) => Some(&state.peer),
            State::Gone => None,
        }
    }

    /// Who the peer proved to be, and how the IKE SA came to be.
    pub(crate) fn proved(&self) -> Option<(&Identity, Birth)> {
        match &self.state {
            State::Established(state) => Some((&state.identity, state.birth)),
            _ => None,
        }
    }

    /// Whether it stands or is on its way there, by us.
    pub(crate) fn is_of_use(&self) -> bool {
        matches!(self.state, State::Initiated(_) | State::Authenticating(_) | State::Established(_))
    }

    /// Whether nothing is left.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self.state, State::Gone)
    }

    /// Octets on the heap, without what the cryptographic library holds.
    pub(crate) fn heap(&self) -> usize {
        match &self.state {
            State::Initiated(state) => size_of::<Initiated>() + state.heap(),
            State::Authenticating(state) => size_of::<Authenticating>() + state.agreed.heap(),
            State::Responding(state) => size_of::<Responding>() + state.agreed.heap(),
            State::Established(state) => size_of::<Established>() + state.heap(),
            State::Closing(state) => size_of::<Closing>() + state.heap(),
            State::Gone => 0,
        }
    }
}

fn add_wants(wants: &mut Vec<Want>, more: Vec<Want>) {
    for want in more {
        if !wants.iter().any(|known| known.child.name == want.child.name && known.flow == want.flow) {
            wants.push(want);
        }
    }
}

impl Established {
    /// Lets its children send. Of a child that has just been rekeyed the peer says when.
    pub(crate) fn preferred(&self) -> impl Iterator<Item = Action> {
        let standing = self.children.iter().filter(|child| child.life == Life::Standing && !child.waits);
        standing.filter(|child| self.is_alone(child)).map(|child| Action::UseChild { inbound: child.inbound })
    }

    fn order(mut self, ctx: &mut Context<'_>, order: Order) -> State {
        match order {
            Order::Bring(wants) => wants.into_iter().for_each(|want| self.bring(want)),
            Order::DownChild(spi) => self.push(Task::DeleteChild(spi)),
            Order::Rekey => self.push(Task::RekeyIke),
            Order::RekeyChild(spi) => self.push(Task::RekeyChild(spi)),
            Order::Reauthenticate => self.reauthenticate(ctx),
            Order::Probe => self.push(Task::Probe),
            Order::AddressChanged { old, new, remote } => {
                mobike::address_changed(&mut self, ctx, old, new, remote);
            }
            Order::PeerMoved(remote) => {
                if self.sa.nat.there && self.sa.path.remote != remote {
                    self.sa.path.remote = remote;
                    self.moved(ctx, "authentic ESP comes from another address");
                }
            }
            Order::Redirect(gateway) => self.push(Task::Redirect(gateway)),
            Order::Prefer => {
                self.preferred().for_each(|action| ctx.act(action));
            }
            Order::Confirm(old) if self.sa.window.has_heard() => ctx.out.push(Effect::Known(old)),
            Order::Confirm(_) if self.doing.is_none() && self.tasks.is_empty() => self.push(Task::Probe),
            Order::Confirm(_) | Order::Known | Order::Redundant(_) => {}
            Order::Superseded | Order::Down(_) | Order::Forget => {}
        }
        self.go_on(ctx)
    }

    /// Queues a child unless it stands already, or one that covers the packet does.
    pub(crate) fn bring(&mut self, want: Want) {
        let standing =
            self.children.iter().filter(|child| matches!(child.life, Life::Standing | Life::Rekeying));
        let covers = |child: &Child| match &want.flow {
            None => true,
            Some(flow) => {
                let (ours, theirs) = crate::policy::Traffic::of_flow(flow);
                child.local.iter().any(|one| one.covers(&ours))
                    && child.remote.iter().any(|one| one.covers(&theirs))
            }
        };
        let mut same =
            standing.filter(|child| child.policy.name == want.child.name && child.resource == want.resource);
        let waits = self.tasks.iter().any(|task| {
            matches!(task, Task::NewChild(known) if known.child.name == want.child.name && known.flow == want.flow)
        });
        if !same.any(covers) && !waits {
            self.push(Task::NewChild(want));
        }
    }
}
