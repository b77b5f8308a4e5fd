//! What a state may use while it handles one input, and what it leaves behind.

use std::collections::VecDeque;
use std::net::IpAddr;

use ravelin_contract::name::Name;

use crate::action::Action;
use crate::child::Child;
use crate::crypto::Random;
use crate::event::{Code, Event};
use crate::input::{IkeId, Path};
use crate::policy::{Identity, Peer, Policy};
use crate::session::Session;
use crate::shared::Shared;
use crate::state::established::{Birth, Task};
use crate::state::initiated::Plan;
use crate::time::Time;

/// One thing that an IKE SA leaves behind for its endpoint.
pub(crate) enum Effect {
    /// For the caller.
    Do(Action),
    /// Another IKE SA has come to be.
    Spawn(Box<Session>),
    /// These children, and what was still to be done, go on under that IKE SA.
    Adopt(IkeId, Vec<Child>, VecDeque<Task>),
    /// These addresses of a pool belong to that IKE SA now.
    Lease(IkeId, Name, Vec<IpAddr>),
    /// The peer has proved its identity: the IKE SA is half-open no more.
    Proved,
    /// The peer has no other IKE SA with us (INITIAL_CONTACT): those proved before `since` are dead.
    Only {
        /// Who said so.
        identity: Identity,
        /// Begin of the IKE SA in which it was said.
        since: Time,
    },
    /// A negotiation is to begin.
    Begin(Plan),
    /// This IKE SA has taken over from the one of that birth, which is to be deleted, rekeyed or not.
    Supersedes(Birth),
    /// That IKE SA has replaced this one by the peer's rekey, if the peer knows: it is to be found out.
    Confirm(IkeId),
    /// The peer knows what has replaced that IKE SA.
    Known(IkeId),
    /// The first IKE SA, made by the peer's rekey, has lost against the second, made by ours.
    Redundant(IkeId, IkeId),
}

/// Time, dice, policy and the shared numbers come in; effects go out in order.
pub(crate) struct Context<'a> {
    pub(crate) now: Time,
    pub(crate) random: &'a mut dyn Random,
    pub(crate) policy: &'a Policy,
    pub(crate) shared: &'a Shared,
    pub(crate) out: &'a mut Vec<Effect>,
}

impl Context<'_> {
    /// Leaves an action.
    pub(crate) fn act(&mut self, action: Action) {
        self.out.push(Effect::Do(action));
    }

    /// Sends datagrams along `path`.
    pub(crate) fn send<'p>(&mut self, path: Path, packets: impl IntoIterator<Item = &'p Vec<u8>>) {
        for bytes in packets {
            self.act(Action::Send { local: path.local, remote: path.remote, bytes: bytes.clone() });
        }
    }

    /// Tells the operator.
    pub(crate) fn event(
        &mut self,
        code: Code,
        peer: Option<&Peer>,
        ike: IkeId,
        path: Path,
        text: impl Into<String>,
    ) {
        self.act(Action::Event(Event {
            code,
            peer: peer.map(|peer| peer.name.clone()),
            ike: Some(ike),
            remote: Some(path.remote),
            text: text.into(),
        }));
    }
}
