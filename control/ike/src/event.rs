//! What an operator gets to hear: a stable code, and the reason in plain words.

use std::net::SocketAddr;

use ravelin_contract::name::Name;

use crate::input::IkeId;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal),+ $(,)?) => {
        /// Stable codes of events: runbooks and alarms may rely on them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($(#[$doc])* $name),+ }

        impl Code {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The code as it is written in logs and metrics.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

codes! {
    /// An IKE SA stands.
    IkeUp = "ike.up",
    /// An IKE SA has ended.
    IkeDown = "ike.down",
    /// An IKE SA has new keys.
    IkeRekeyed = "ike.rekeyed",
    /// An IKE SA of an earlier run of this process goes on.
    IkeRestored = "ike.restored",
    /// An IKE SA of an earlier run does not go on: it is made anew.
    IkeNotRestored = "ike.not_restored",
    /// A child SA stands.
    ChildUp = "child.up",
    /// A child SA has ended.
    ChildDown = "child.down",
    /// A child SA has new keys.
    ChildRekeyed = "child.rekeyed",
    /// A peer could not be brought to an IKE SA.
    NegotiationFailed = "ike.failed",
    /// A child SA was refused, here or there.
    ChildFailed = "child.failed",
    /// The peer has no child SAs for each core (RFC 9611): one carries all.
    PerCoreRefused = "child.per_core_refused",
    /// No offer of the peer's is one of ours.
    NoProposal = "ike.no_proposal",
    /// The peer did not prove its identity, or we did not to it.
    AuthenticationFailed = "ike.authentication_failed",
    /// There is no address for a road warrior: its pool is empty, or it asks for none.
    NoAddress = "ike.no_address",
    /// No rule fits the peer's address or identity.
    NoPeer = "ike.no_peer",
    /// The rule that was chosen by address gave way to another, chosen by identity (row B28).
    PeerReplaced = "ike.peer_replaced",
    /// The peer does not answer any more.
    PeerSilent = "ike.peer_silent",
    /// The peer, or this host, goes on from another address.
    Moved = "ike.moved",
    /// A peer was sent elsewhere, or sent us elsewhere.
    Redirected = "ike.redirected",
    /// Somebody speaks IKEv1.
    IkeV1 = "ike.version_1",
    /// A message that no honest peer sends.
    Malformed = "ike.malformed",
    /// Strangers must return cookies from now on.
    UnderLoad = "ike.under_load",
    /// A command that cannot be done.
    CommandRefused = "ike.command_refused",
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
