//! What an operator gets to hear: a stable code, and the reason in plain words.

use std::net::SocketAddr;

use ravelin_contract::name::Name;
use ravelin_events::{Entry, catalogue};

use crate::input::IkeId;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $entry:ident),+ $(,)?) => {
        /// Stable codes of events: runbooks and alarms may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its entry in the catalogue of everything that can be told.
            pub fn entry(self) -> &'static Entry {
                match self { $(Self::$name => &catalogue::$entry),+ }
            }

            /// The code as it is written in logs and metrics.
            pub fn as_str(self) -> &'static str {
                self.entry().code
            }
        }
    };
}

codes! {
    /// An IKE SA stands.
    IkeUp = IKE_UP,
    /// An IKE SA has ended.
    IkeDown = IKE_DOWN,
    /// An IKE SA has new keys.
    IkeRekeyed = IKE_REKEYED,
    /// An IKE SA of an earlier run of this process goes on.
    IkeRestored = IKE_RESTORED,
    /// An IKE SA of an earlier run does not go on: it is made anew.
    IkeNotRestored = IKE_NOT_RESTORED,
    /// A child SA stands.
    ChildUp = CHILD_UP,
    /// A child SA has ended.
    ChildDown = CHILD_DOWN,
    /// A child SA has new keys.
    ChildRekeyed = CHILD_REKEYED,
    /// A peer could not be brought to an IKE SA.
    NegotiationFailed = IKE_FAILED,
    /// A child SA was refused, here or there.
    ChildFailed = CHILD_FAILED,
    /// The peer has no child SAs for each core (RFC 9611): one carries all.
    PerCoreRefused = CHILD_PER_CORE_REFUSED,
    /// No offer of the peer's is one of ours.
    NoProposal = IKE_NO_PROPOSAL,
    /// The peer did not prove its identity, or we did not to it.
    AuthenticationFailed = IKE_AUTHENTICATION_FAILED,
    /// There is no address for a road warrior: its pool is empty, or it asks for none.
    NoAddress = IKE_NO_ADDRESS,
    /// No rule fits the peer's address or identity.
    NoPeer = IKE_NO_PEER,
    /// The rule that was chosen by address gave way to another, chosen by identity (row B28).
    PeerReplaced = IKE_PEER_REPLACED,
    /// The peer does not answer any more.
    PeerSilent = IKE_PEER_SILENT,
    /// The peer, or this host, goes on from another address.
    Moved = IKE_MOVED,
    /// A peer was sent elsewhere, or sent us elsewhere.
    Redirected = IKE_REDIRECTED,
    /// Somebody speaks IKEv1.
    IkeV1 = IKE_VERSION_1,
    /// A message that no honest peer sends.
    Malformed = IKE_MALFORMED,
    /// Strangers must return cookies from now on.
    UnderLoad = IKE_UNDER_LOAD,
    /// A command that cannot be done.
    CommandRefused = IKE_COMMAND_REFUSED,
}

/// One thing to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// What happened.
    pub code: Code,
    /// The rule, where one is known.
    pub peer: Option<Name>,
    /// The IKE SA, where there is one.
    pub ike: Option<IkeId>,
    /// The peer's address, where there is one.
    pub remote: Option<SocketAddr>,
    /// Why, in plain words; both sides' offers where it is about offers.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_its_own() {
        let texts: std::collections::BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
        assert_eq!(texts.len(), Code::ALL.len());
    }
}
