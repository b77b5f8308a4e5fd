//! What an operator can do about an event of IKE.

use ravelin_ike::Code;

/// The remedy, where the event is a failure.
pub(super) fn remedy(code: Code) -> Option<&'static str> {
    Some(match code {
        Code::IkeUp
        | Code::IkeDown
        | Code::IkeRekeyed
        | Code::IkeRestored
        | Code::ChildUp
        | Code::ChildDown
        | Code::ChildRekeyed
        | Code::PeerReplaced
        | Code::Moved
        | Code::Redirected => return None,
        Code::IkeNotRestored => {
            "none needed: it is negotiated anew; what policy protects is dropped meanwhile"
        }
        Code::NegotiationFailed => {
            "see what the event says; without an answer at all, see whether UDP 500 and 4500 reach the peer, and whether it runs"
        }
        Code::ChildFailed => {
            "let the traffic of `[[tunnel]]` (local, remote) and its algorithms meet the peer's on both sides"
        }
        Code::PerCoreRefused => {
            "none needed: one child SA carries all; a peer with RFC 9611 would use all cores"
        }
        Code::NoProposal => {
            "name in the `[[peer]]` at least one suite and group that the peer offers, or the other way round"
        }
        Code::AuthenticationFailed => {
            "compare secret, certificate and trust, and the identities of both sides: `local_id` here is `remote_id` there"
        }
        Code::NoAddress => {
            "give the `[[pool]]` more addresses, or let the client ask for one (RFC 7296 3.15)"
        }
        Code::NoPeer => {
            "write a `[[peer]]` for this address and identity, or correct `remote` and `remote_id` of the one meant"
        }
        Code::PeerSilent => {
            "see whether the peer runs and UDP 500 and 4500 pass; the tunnel comes back by itself when it may begin here"
        }
        Code::IkeV1 => "let the other side speak IKEv2: IKEv1 is not spoken here",
        Code::Malformed => "none here: somebody sends what no IKE program sends; a capture shows who",
        Code::UnderLoad => {
            "none needed: proved peers go on; if it lasts, see who sends IKE_SA_INIT without end"
        }
        Code::CommandRefused => "see what the event says",
    })
}
