//! The dear part of one input, for one IKE SA: independent of all others, so that a pool of threads can work on many.

use std::sync::Arc;

use crate::context::{Context, Effect};
use crate::crypto::Random;
use crate::endpoint;
use crate::input::{IkeId, Path};
use crate::policy::Policy;
use crate::session::{Session, SessionInput};
use crate::shared::Shared;
use crate::time::Time;

/// What is to be done.
pub(crate) enum Work {
    /// An input for an IKE SA that we have.
    Handle { session: Box<Session>, input: SessionInput },
    /// A stranger's first message.
    Meet { path: Path, bytes: Vec<u8>, dear: bool },
}

/// Work for one IKE SA.
pub struct Job {
    pub(crate) now: Time,
    pub(crate) id: IkeId,
    /// Nobody has proved who it is for.
    pub(crate) of_stranger: bool,
    pub(crate) work: Work,
    pub(crate) policy: Arc<Policy>,
    pub(crate) shared: Arc<Shared>,
}

/// What came of it.
pub struct Done {
    pub(crate) id: IkeId,
    pub(crate) session: Option<Session>,
    pub(crate) effects: Vec<Effect>,
}

impl Job {
    /// Whether it is for a peer that has not proved who it is: others should not have to wait for it.
    pub fn is_of_stranger(&self) -> bool {
        self.of_stranger
    }

    /// Whether it may take so long that it should not be done where others wait; if not, handing it to another thread costs
    /// more than doing it.
    pub fn is_dear(&self) -> bool {
        match &self.work {
            Work::Handle { session, input } => session.is_dear(input),
            Work::Meet { dear, .. } => *dear,
        }
    }

    /// Does the work: key exchanges, signatures by shared keys, sealing and opening.
    pub fn run(self, random: &mut dyn Random) -> Done {
        let mut effects = Vec::new();
        let mut ctx =
            Context { now: self.now, random, policy: &self.policy, shared: &self.shared, out: &mut effects };
        let session = match self.work {
            Work::Handle { session, input } => Some(session.handle(&mut ctx, input)),
            Work::Meet { path, bytes, .. } => endpoint::meet(&mut ctx, self.id, path, &bytes),
        };
        Done { id: self.id, session, effects }
    }
}

impl Done {
    /// The IKE SA that was worked for.
    pub fn id(&self) -> IkeId {
        self.id
    }
}

const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Job>();
    is_send::<Done>();
};
