//! EAP (RFC 3748, RFC 7296 2.16): each method is a state that takes a packet and gives the next one.
//!
//! No clock, no I/O, no table of users: who knows passwords is asked through a function.

pub mod client;
pub mod identity;
pub mod mschapv2;
pub mod server;
pub mod tls;

use crate::crypto::Secret;
use crate::wire::Eap;

/// What a method says to a response.
#[derive(Debug)]
pub enum Step<Method> {
    /// Send this, and wait for the answer with this state.
    Continue(Method, Eap<'static>),
    /// The peer is who it says: send Success.
    Accepted(Accepted),
    /// It is not: send Failure.
    Refused(Refused),
}

/// A peer that has proved itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The Success packet.
    pub packet: Eap<'static>,
    /// Who it is.
    pub who: Who,
    /// The master session key that AUTH is made with.
    pub msk: Secret,
}

/// What a method has proved.
#[derive(Debug, PartialEq, Eq)]
pub enum Who {
    /// The name that a password belongs to.
    Name(Vec<u8>),
    /// The holder of the key of the first of these certificates, in DER. Nobody has judged them yet.
    Certificates(Vec<Vec<u8>>),
}

/// A peer that has not.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// The Failure packet.
    pub packet: Eap<'static>,
    /// Why, for our log alone.
    pub reason: Refusal,
}

/// Why a peer was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The packet is not the response that was due.
    #[error("the EAP packet is not the response that was due")]
    Unexpected,
    /// The peer asks for other methods.
    #[error("the peer refuses the method {0}")]
    Nak(crate::wire::EapType),
    /// More packets than any honest conversation has.
    #[error("the conversation does not come to an end")]
    TooLong,
    /// The method's data has not its form.
    #[error("the EAP data is malformed")]
    Malformed,
    /// Unknown name, wrong password, or a certificate that is not believed: which of them is not told.
    #[error("the name is unknown, the password wrong or the certificate not believed")]
    Credentials,
}

impl Refused {
    fn new(identifier: u8, reason: Refusal) -> Self {
        Self { packet: Eap::Failure { identifier }, reason }
    }
}

/// The data of the response with this identifier and type, or why there is none.
fn response<'a>(
    packet: &'a Eap<'_>,
    identifier: u8,
    kind: crate::wire::EapType,
) -> Result<&'a [u8], Refused> {
    use crate::wire::EapType;
    match packet {
        Eap::Response { identifier: found, kind: found_kind, data } if *found == identifier => {
            match *found_kind {
                same if same == kind => Ok(data),
                EapType::Nak => Err(Refused::new(identifier, Refusal::Nak(kind))),
                _ => Err(Refused::new(identifier, Refusal::Unexpected)),
            }
        }
        _ => Err(Refused::new(identifier, Refusal::Unexpected)),
    }
}
