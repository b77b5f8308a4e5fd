//! What an IKE SA that works knows of itself besides its keys.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::random;
use crate::time::Time;

/// Certificates that end sooner are not worth proving by again.
const MINUTE: Duration = Duration::from_secs(60);
/// Longest time before the end of a certificate at which everything is proved again.
const DAY: Duration = Duration::from_secs(24 * 3600);

/// What both sides said they can.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Features {
    pub(crate) mobike: bool,
    pub(crate) redirect: bool,
    pub(crate) childless: bool,
}

/// How an IKE SA came to be. Rekeys hand it on: it tells SAs apart that both sides began at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Birth {
    /// Whether we sent the first message.
    pub(crate) ours: bool,
    /// The first SPIs, the initiator's first.
    pub(crate) spis: (u64, u64),
    /// When the first message went or came.
    pub(crate) began: Time,
    /// When both had proved themselves.
    pub(crate) proved: Time,
}

/// When something is to be done about the IKE SA itself.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(crate) struct Clock {
    /// When the peer was last heard of.
    pub(crate) heard: Time,
    pub(crate) rekey: Option<Time>,
    pub(crate) hard: Option<Time>,
    pub(crate) reauthenticate: Option<Time>,
    /// When a certificate ends that proved one of us.
    pub(crate) proof: Option<Time>,
}

impl Clock {
    /// Nothing outlives the certificates that it rests on: everything is proved again before they end, and not all
    /// IKE SAs at once. With too little time left for that, the end is all that is kept.
    pub(crate) fn end_with_proof(&mut self, ctx: &mut Context<'_>, end: Option<Time>) {
        let Some(end) = end else { return };
        self.proof = Some(end);
        let left = end.since(ctx.now);
        let spare = (left / 10).min(DAY);
        if left > MINUTE {
            let due = ctx.now + (left - spare + random::up_to(ctx.random, spare / 2));
            self.reauthenticate = Some(self.reauthenticate.map_or(due, |own| own.min(due)));
        }
    }
}
