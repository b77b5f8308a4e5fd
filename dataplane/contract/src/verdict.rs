//! Every way a packet's journey ends. The names are the metric labels and the headings of `docs/operating.md`.

use serde::{Deserialize, Serialize};

/// Where in the packet's way it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Stage {
    /// Receiving and parsing.
    Receive,
    /// Reassembly of fragments.
    Reassemble,
    /// Opening ESP.
    Open,
    /// Filters.
    Classify,
    /// TLS for connections whose ends know nothing of it.
    Tls,
    /// Sealing ESP.
    Seal,
    /// Routes, neighbours, size.
    Forward,
    /// Transmit ring.
    Transmit,
}

macro_rules! verdicts {
    ($($(#[doc = $text:literal])+ $variant:ident = $name:literal, $stage:ident, $dropped:literal;)+) => {
        /// The end of a packet's way.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[repr(u8)]
        pub enum Verdict { $($(#[doc = $text])+ $variant,)+ }

        impl Verdict {
            /// All of them, in order of discriminant.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The metric label.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)+ }
            }

            /// The stage that gave it.
            pub fn stage(self) -> Stage {
                match self { $(Self::$variant => Stage::$stage,)+ }
            }

            /// Whether the packet was dropped.
            pub fn is_drop(self) -> bool {
                match self { $(Self::$variant => $dropped,)+ }
            }

            /// What it means, for help and documents.
            pub fn meaning(self) -> &'static str {
                match self { $(Self::$variant => concat!($($text, "\n",)+),)+ }
            }
        }
    };
}

verdicts! {
    /// Sent on in clear by a permit rule.
    Forwarded = "forwarded", Transmit, false;
    /// Sealed under an SA and sent.
    Protected = "protected", Transmit, false;
    /// Given to this host's own stack.
    Local = "local", Transmit, false;
    /// Held until the next hop's link address is known; counted again when it leaves.
    Held = "held", Forward, false;
    /// A fragment that became part of a reassembled packet, which has a verdict of its own.
    Reassembled = "reassembled", Reassemble, false;
    /// A NAT keepalive (RFC 3948 2.3).
    Keepalive = "keepalive", Receive, false;
    /// A dummy packet, next header 59 (RFC 4303 2.6).
    Dummy = "dummy", Open, false;
    /// Given to the worker that owns the SA.
    HandedOff = "handed_off", Open, false;
    /// An ICMP error for a tunnel was taken in.
    PathMtuLearned = "path_mtu_learned", Receive, false;
    /// Headers that contradict themselves or end early.
    Malformed = "malformed", Receive, true;
    /// A frame whose link-layer destination is another station, or any while the kernel has not told the port's own address.
    OtherStation = "other_station", Receive, true;
    /// A frame with a VLAN tag, or without one, that no port of its interface claims.
    UnknownVlan = "unknown_vlan", Receive, true;
    /// Not IPv4 or IPv6.
    NotIp = "not_ip", Receive, true;
    /// An IPv4 header whose checksum is wrong.
    BadChecksum = "bad_checksum", Receive, true;
    /// More fragments waiting than allowed.
    FragmentLimit = "fragment_limit", Reassemble, true;
    /// Overlapping or impossible fragments (RFC 5722).
    FragmentOverlap = "fragment_overlap", Reassemble, true;
    /// The rest of the fragments did not come in time.
    FragmentTimeout = "fragment_timeout", Reassemble, true;
    /// A later fragment whose first fragment was not seen.
    FragmentUnknown = "fragment_unknown", Classify, true;
    /// No inbound SA has this SPI and destination.
    NoSuchSa = "no_such_sa", Open, true;
    /// The sequence number was seen before or is older than the window.
    Replayed = "replayed", Open, true;
    /// The ICV does not verify.
    BadIcv = "bad_icv", Open, true;
    /// The ESP packet is too short or not aligned for its algorithm.
    BadEspLength = "bad_esp_length", Open, true;
    /// Pad length or pad octets are wrong.
    BadPadding = "bad_padding", Open, true;
    /// The packet inside is not what the SA's mode allows or is malformed.
    BadInner = "bad_inner", Open, true;
    /// A router marked congestion outside, but the packet inside cannot carry the mark on (RFC 6040 4.2).
    BadEcn = "bad_ecn", Open, true;
    /// The packet inside is outside the SA's selectors (RFC 4301 5.2).
    SelectorMismatch = "selector_mismatch", Open, true;
    /// The SA's owner had no room.
    HandOffFull = "hand_off_full", Open, true;
    /// Denied by a rule.
    Denied = "denied", Classify, true;
    /// No rule matched.
    ImplicitlyDenied = "implicitly_denied", Classify, true;
    /// In clear where the policy asks for IPsec.
    CleartextRefused = "cleartext_refused", Classify, true;
    /// Protected, but by another tunnel than the rule asks for.
    WrongTunnel = "wrong_tunnel", Classify, true;
    /// Under an SA, but the rules that speak of such packets are for peers of another identity.
    WrongIdentity = "wrong_identity", Classify, true;
    /// The rule asks for IPsec and there is no SA.
    NoSa = "no_sa", Seal, true;
    /// The SA has no sequence number left.
    SequenceExhausted = "sequence_exhausted", Seal, true;
    /// The SA waits for sequence numbers to be reserved.
    SequenceNotReserved = "sequence_not_reserved", Seal, true;
    /// Transport mode cannot carry it: a fragment, or not between the security endpoints.
    NotSealable = "not_sealable", Seal, true;
    /// The sealed packet would be longer than any frame.
    TooLongToSeal = "too_long_to_seal", Seal, true;
    /// Larger than the path allows and not to be fragmented; the sender was told by ICMP within the rate limit.
    TooBig = "too_big", Forward, true;
    /// Cut into more pieces than one batch holds.
    BatchFull = "batch_full", Forward, true;
    /// No route to the destination.
    NoRoute = "no_route", Forward, true;
    /// The hop limit ended here.
    HopLimitExceeded = "hop_limit_exceeded", Forward, true;
    /// A source or destination that must not be forwarded (RFC 1812 5.3.7, RFC 4291 2.5.6), or a source route
    /// (RFC 7126 4.3, RFC 5095).
    NotForwardable = "not_forwardable", Forward, true;
    /// The next hop did not answer.
    NoNeighbour = "no_neighbour", Forward, true;
    /// The filters that let it pass were replaced while it waited for its next hop.
    PolicyChanged = "policy_changed", Forward, true;
    /// The packet is for this host, and its stack has no room or no interface to take it.
    NoLocalPath = "no_local_path", Forward, true;
    /// No free frame.
    NoFrame = "no_frame", Receive, true;
    /// The transmit ring was full.
    TransmitFull = "transmit_full", Transmit, true;
    /// A segment of a connection that is ended here for TLS; what follows from it goes out as packets of its own.
    Spliced = "spliced", Tls, false;
    /// A segment of a connection that a rule for TLS refuses; it was answered with a reset within the rate limit.
    TlsRefused = "tls_refused", Tls, true;
    /// A fragment that may belong to a connection which is ended here for TLS.
    TlsFragment = "tls_fragment", Tls, true;
}
