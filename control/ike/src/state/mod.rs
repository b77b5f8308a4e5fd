//! States of an IKE SA: one struct each. Handling an input consumes the state and gives the next.

pub(crate) mod authenticating;
pub(crate) mod closing;
mod eap_client;
mod eap_server;
pub(crate) mod established;
pub(crate) mod facts;
pub(crate) mod initiated;
mod renewal;
pub(crate) mod responding;

use authenticating::Authenticating;
use closing::Closing;
use established::Established;
use initiated::Initiated;
use responding::Responding;

/// Where an IKE SA stands.
#[derive(Debug)]
pub(crate) enum State {
    /// We asked; waiting for the answer to IKE_SA_INIT.
    Initiated(Box<Initiated>),
    /// Keys agreed, we began: proving ourselves.
    Authenticating(Box<Authenticating>),
    /// Keys agreed, the peer began: waiting for its proof.
    Responding(Box<Responding>),
    /// Working.
    Established(Box<Established>),
    /// Deleted; waiting for silence.
    Closing(Box<Closing>),
    /// Nothing is left.
    Gone,
}

impl State {
    /// Its name, for people.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Initiated(_) => "initiated",
            Self::Authenticating(_) => "authenticating",
            Self::Responding(_) => "responding",
            Self::Established(_) => "established",
            Self::Closing(_) => "closing",
            Self::Gone => "gone",
        }
    }
}
