//! What an IKE SA that works knows of itself besides its keys.

use serde::{Deserialize, Serialize};

use crate::time::Time;

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
}
