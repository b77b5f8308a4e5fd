//! What an IPv4 or IPv6 packet says of itself, through options and extension headers.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ravelin_contract::selector::{FlowKey, protocol};
use ravelin_contract::verdict::Verdict;

use super::checksum::Sum;

#[cfg(test)]
mod tests;

/// Octets of an IPv4 header without options.
pub const IPV4_HEADER: usize = 20;
/// Octets of the IPv6 base header.
pub const IPV6_HEADER: usize = 40;
/// Most extension headers that are walked; one of each kind and destination options twice are 5 (RFC 8200 4.1).
pub const MAX_EXTENSIONS: usize = 8;

/// Next-header numbers of the extension headers that are walked over. All others count as upper layer, AH too.
mod extension {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const DESTINATION: u8 = 60;

    pub(super) fn is(number: u8) -> bool {
        matches!(number, HOP_BY_HOP | ROUTING | FRAGMENT | DESTINATION)
    }
}

/// Whether the packet is a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fragment {
    /// Not one. An IPv6 atomic fragment (RFC 6946) is whole too, and its fragment header an extension header.
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
        /// Offset in octets, a multiple of 8, never 0.
        offset: u16,
        /// Whether more follow.
        more: bool,
    },
}

/// The headers of one IP packet, read once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Headers {
    /// Addresses, upper-layer protocol, ports or ICMP type and code. `upper` is `None` in later fragments and for
    /// protocols without ports. In a later IPv6 fragment the protocol is what its fragment header names.
    pub flow: FlowKey,
    /// Octets before the upper-layer header (or before the fragment's payload): base header, options, extension headers.
    pub header_len: u16,
    /// Octets of the whole packet, at least `header_len`; the frame is never longer.
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
/// Errors: `NotIp`; `BadChecksum`; `Malformed`, also for first fragments that hide the upper-layer header and for
/// fragments that would reach past 65,535 octets (RFC 1858, 3128, 7112) and jumbograms; `NotForwardable` for packets
/// that name their own way (IPv4 source routes, RFC 7126 4.3 and 4.4; IPv6 routing header 0, RFC 5095).
pub fn parse(octets: &[u8]) -> Result<Headers, Verdict> {
    match octets.first().map(|first| first >> 4) {
        Some(4) => parse_ipv4(octets),
        Some(6) => parse_ipv6(octets),
        _ => Err(Verdict::NotIp),
    }
}

fn parse_ipv4(octets: &[u8]) -> Result<Headers, Verdict> {
    let base: &[u8; IPV4_HEADER] = octets.first_chunk().ok_or(Verdict::Malformed)?;
    let header_len = usize::from(base[0] & 0x0f) * 4;
    let total_len = word(base, 2);
    let packet = octets.get(..total_len.into()).ok_or(Verdict::Malformed)?;
    let (header, payload) = packet.split_at_checked(header_len).ok_or(Verdict::Malformed)?;
    let options = header.get(IPV4_HEADER..).ok_or(Verdict::Malformed)?;
    if !Sum::default().octets(header).is_intact() {
        return Err(Verdict::BadChecksum);
    }
    judge_options(options)?;

    let flags = word(base, 6);
    let fragment = fragment(word(base, 4).into(), flags << 3, flags & 0x2000 != 0, payload.len())?;
    let upper = Upper::read(base[9], fragment, payload)?;
    Ok(Headers {
        flow: FlowKey {
            source: ipv4_at(base, 12),
            destination: ipv4_at(base, 16),
            protocol: base[9],
            upper: upper.fields,
        },
        header_len: header_len as u16,
        total_len,
        protocol_at: 9,
        fragment,
        traffic_class: base[1],
        hop_limit: base[8],
        dont_fragment: flags & 0x4000 != 0,
        opens_tcp: upper.opens_tcp,
    })
}

/// Walks IPv4 options (RFC 791 3.1): lengths must hold, and source routes are refused.
fn judge_options(mut options: &[u8]) -> Result<(), Verdict> {
    const END: u8 = 0;
    const NO_OPERATION: u8 = 1;
    const LOOSE_SOURCE_ROUTE: u8 = 131;
    const STRICT_SOURCE_ROUTE: u8 = 137;
    while let Some((&kind, rest)) = options.split_first() {
        options = match kind {
            END => return Ok(()),
            NO_OPERATION => rest,
            LOOSE_SOURCE_ROUTE | STRICT_SOURCE_ROUTE => return Err(Verdict::NotForwardable),
            _ => match rest.first() {
                // The length counts kind and itself.
                Some(&length) if length >= 2 => options.get(length.into()..).ok_or(Verdict::Malformed)?,
                _ => return Err(Verdict::Malformed),
            },
        };
    }
    Ok(())
}

fn parse_ipv6(octets: &[u8]) -> Result<Headers, Verdict> {
    let base: &[u8; IPV6_HEADER] = octets.first_chunk().ok_or(Verdict::Malformed)?;
    // Frames are shorter than 64 KiB, so a packet whose length does not fit u16 is not all there.
    let total_len = word(base, 4).checked_add(IPV6_HEADER as u16).ok_or(Verdict::Malformed)?;
    let packet = octets.get(..total_len.into()).ok_or(Verdict::Malformed)?;
    let chain = Chain::walk(packet)?;
    let upper = Upper::read(chain.protocol, chain.fragment, &packet[chain.end..])?;
    Ok(Headers {
        flow: FlowKey {
            source: ipv6_at(base, 8),
            destination: ipv6_at(base, 24),
            protocol: chain.protocol,
            upper: upper.fields,
        },
        header_len: chain.end as u16,
        total_len,
        protocol_at: chain.protocol_at as u16,
        fragment: chain.fragment,
        traffic_class: (word(base, 0) >> 4) as u8,
        hop_limit: base[7],
        dont_fragment: true,
        opens_tcp: upper.opens_tcp,
    })
}

/// The extension headers of an IPv6 packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chain {
    /// Offset of the octet that names `protocol`.
    pub(crate) protocol_at: usize,
    /// The first header that is not walked over.
    pub(crate) protocol: u8,
    /// Offset after the last header walked; at most the packet's length.
    pub(crate) end: usize,
    /// What the fragment header says.
    pub(crate) fragment: Fragment,
    /// Offset of the fragment header, and of the next-header octet that announces it.
    pub(crate) fragment_header: Option<(usize, usize)>,
}

impl Chain {
    /// Walks `packet`, which is cut to its length and holds at least the base header.
    pub(crate) fn walk(packet: &[u8]) -> Result<Self, Verdict> {
        let mut chain = Self {
            protocol_at: 6,
            protocol: packet[6],
            end: IPV6_HEADER,
            fragment: Fragment::Whole,
            fragment_header: None,
        };
        let mut walked = 0;
        while extension::is(chain.protocol) && !matches!(chain.fragment, Fragment::Later { .. }) {
            if walked == MAX_EXTENSIONS {
                return Err(Verdict::Malformed);
            }
            chain.pass(packet)?;
            walked += 1;
        }
        Ok(chain)
    }

    fn pass(&mut self, packet: &[u8]) -> Result<(), Verdict> {
        match self.protocol {
            extension::ROUTING => self.pass_routing(packet),
            extension::FRAGMENT => self.pass_fragment(packet),
            // Only directly after the base header (RFC 8200 4.1).
            extension::HOP_BY_HOP if self.end > IPV6_HEADER => Err(Verdict::Malformed),
            _ => self.pass_options(packet),
        }
    }

    /// The length octet counts units of 8 octets, not including the first.
    fn pass_options(&mut self, packet: &[u8]) -> Result<(), Verdict> {
        let units = *packet.get(self.end + 1).ok_or(Verdict::Malformed)?;
        self.step(packet, 8 + usize::from(units) * 8)
    }

    fn pass_routing(&mut self, packet: &[u8]) -> Result<(), Verdict> {
        let at = self.end;
        self.pass_options(packet)?;
        let (kind, segments_left) = (packet[at + 2], packet[at + 3]);
        if kind == 0 && segments_left > 0 { Err(Verdict::NotForwardable) } else { Ok(()) }
    }

    fn pass_fragment(&mut self, packet: &[u8]) -> Result<(), Verdict> {
        if self.fragment_header.is_some() {
            return Err(Verdict::Malformed);
        }
        let (at, named_at) = (self.end, self.protocol_at);
        self.step(packet, 8)?;
        let (position, id) = (word(packet, at + 2), long(packet, at + 4));
        self.fragment = fragment(id, position & !7, position & 1 != 0, packet.len() - self.end)?;
        self.fragment_header = Some((at, named_at));
        Ok(())
    }

    fn step(&mut self, packet: &[u8], length: usize) -> Result<(), Verdict> {
        let at = self.end;
        if at + length > packet.len() {
            return Err(Verdict::Malformed);
        }
        *self = Self { protocol_at: at, protocol: packet[at], end: at + length, ..*self };
        Ok(())
    }
}

/// Judges a fragment of `length` octets at `offset`: not empty, in whole units of 8 unless the last, and ending
/// within the longest packet.
fn fragment(id: u32, offset: u16, more: bool, length: usize) -> Result<Fragment, Verdict> {
    if !more && offset == 0 {
        return Ok(Fragment::Whole);
    }
    let fits = usize::from(offset) + length <= usize::from(u16::MAX);
    if length == 0 || (more && !length.is_multiple_of(8)) || !fits {
        return Err(Verdict::Malformed);
    }
    Ok(if offset == 0 { Fragment::First { id } } else { Fragment::Later { id, offset, more } })
}

/// What the upper-layer header shows to a selector.
struct Upper {
    /// Ports, or ICMP type and code.
    fields: Option<(u16, u16)>,
    opens_tcp: bool,
}

impl Upper {
    fn read(named: u8, fragment: Fragment, payload: &[u8]) -> Result<Self, Verdict> {
        let opaque = Self { fields: None, opens_tcp: false };
        match fragment {
            // It would replace the TCP flags of the first fragment (RFC 1858 3, RFC 3128).
            Fragment::Later { offset: 8, .. } if named == protocol::TCP => return Err(Verdict::Malformed),
            Fragment::Later { .. } => return Ok(opaque),
            Fragment::Whole | Fragment::First { .. } => (),
        }
        if payload.len() < least_header(named, fragment) {
            return Err(Verdict::Malformed);
        }
        match named {
            protocol::TCP => Self::read_tcp(fragment, payload),
            _ if protocol::has_ports(named) => {
                Ok(Self { fields: Some((word(payload, 0), word(payload, 2))), ..opaque })
            }
            _ if protocol::is_icmp(named) => {
                Ok(Self { fields: Some((payload[0].into(), payload[1].into())), ..opaque })
            }
            _ => Ok(opaque),
        }
    }

    /// `payload` holds at least [`TCP_FIRST`] octets.
    fn read_tcp(fragment: Fragment, payload: &[u8]) -> Result<Self, Verdict> {
        const SYN: u8 = 0x02;
        const ACK: u8 = 0x10;
        let header = usize::from(payload[12] >> 4) * 4;
        if header < TCP_HEADER || (fragment == Fragment::Whole && header > payload.len()) {
            return Err(Verdict::Malformed);
        }
        let fields = Some((word(payload, 0), word(payload, 2)));
        Ok(Self { fields, opens_tcp: payload[13] & (SYN | ACK) == SYN })
    }
}

/// Octets of a TCP header without options.
const TCP_HEADER: usize = 20;
/// Octets of TCP that a first fragment must hold, so that ports and flags are in it (RFC 1858 3.2.1, TMIN).
const TCP_FIRST: usize = 16;

/// Octets that the header of the upper layer has at least.
fn least_header(named: u8, fragment: Fragment) -> usize {
    match named {
        protocol::TCP if fragment != Fragment::Whole => TCP_FIRST,
        protocol::TCP => TCP_HEADER,
        protocol::ICMPV6 => 4,
        // SCTP and DCCP have 12, but their first 8 hold all that is read.
        _ if protocol::has_ports(named) || named == protocol::ICMP => 8,
        _ => 0,
    }
}

/// The 16-bit number at `at`, which the caller knows to be there.
pub(crate) fn word(octets: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([octets[at], octets[at + 1]])
}

/// The 32-bit number at `at`, which the caller knows to be there.
pub(crate) fn long(octets: &[u8], at: usize) -> u32 {
    u32::from(word(octets, at)) << 16 | u32::from(word(octets, at + 2))
}

fn ipv4_at(base: &[u8; IPV4_HEADER], at: usize) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(long(base, at)))
}

fn ipv6_at(base: &[u8; IPV6_HEADER], at: usize) -> IpAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&base[at..at + 16]);
    IpAddr::V6(Ipv6Addr::from(octets))
}
