//! What an IPv4 or IPv6 packet says of itself, through options and extension headers.

use ravelin_contract::selector::FlowKey;
use ravelin_contract::verdict::Verdict;

/// Whether the packet is a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// Not one.
    Whole,
    /// The first: its upper-layer header is there.
    First {
        /// Identification.
        id: u32,
    },
    /// A later one.
    Later {
        /// Identification.
        id: u32,
        /// Offset in octets.
        offset: u16,
        /// Whether more follow.
        more: bool,
    },
}

/// The headers of one IP packet, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Addresses, upper-layer protocol, ports or ICMP type and code. `upper` is `None` in later fragments and for
    /// protocols without ports.
    pub flow: FlowKey,
    /// Octets before the upper-layer header (or before the fragment's payload): base header, options, extension headers.
    pub header_len: u16,
    /// Octets of the whole packet; the frame is never longer.
    pub total_len: u16,
    /// Offset of the octet that names the upper-layer protocol.
    pub protocol_at: u16,
    /// Fragment or not.
    pub fragment: Fragment,
    /// DSCP and ECN, as in the IPv4 TOS octet or the IPv6 traffic class.
    pub traffic_class: u8,
    /// TTL or hop limit.
    pub hop_limit: u8,
    /// IPv4 DF; always set for IPv6.
    pub dont_fragment: bool,
    /// Whether it is a TCP segment with SYN and without ACK.
    pub opens_tcp: bool,
}

/// Reads the headers of the IP packet at the start of `octets`; octets after the packet's end are allowed (link padding).
///
/// Errors: `NotIp`, `Malformed`, `BadChecksum`.
pub fn parse(octets: &[u8]) -> Result<Headers, Verdict> {
    let _ = octets;
    Err(Verdict::NotIp)
}
