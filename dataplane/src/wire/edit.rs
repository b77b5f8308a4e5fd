//! Changes to the header of a packet that [`super::ip::parse`] has read.
//!
//! Every function takes octets that begin at an IPv4 or IPv6 header which parsed well; IPv4 header checksums follow
//! each change (RFC 1624). Called with anything else they may panic.

use super::checksum;
use super::ip::{IPV6_HEADER, word};

/// Lowers TTL or hop limit by one. The caller knows it is more than 0.
pub fn decrement_hop_limit(packet: &mut [u8]) {
    if is_ipv4(packet) {
        replace(packet, 8, word(packet, 8).wrapping_sub(0x0100));
    } else {
        packet[7] = packet[7].wrapping_sub(1);
    }
}

/// Writes TTL or hop limit.
pub fn set_hop_limit(packet: &mut [u8], hop_limit: u8) {
    if is_ipv4(packet) {
        replace(packet, 8, u16::from(hop_limit) << 8 | word(packet, 8) & 0x00ff);
    } else {
        packet[7] = hop_limit;
    }
}

/// Writes DSCP and ECN.
pub fn set_traffic_class(packet: &mut [u8], class: u8) {
    if is_ipv4(packet) {
        replace(packet, 0, word(packet, 0) & 0xff00 | u16::from(class));
    } else {
        let first = word(packet, 0) & 0xf00f | u16::from(class) << 4;
        packet[..2].copy_from_slice(&first.to_be_bytes());
    }
}

/// Writes the length of the whole packet, in IPv6 less the base header. At least the header's length.
pub fn set_total_len(packet: &mut [u8], total_len: u16) {
    if is_ipv4(packet) {
        replace(packet, 2, total_len);
    } else {
        let payload_len = total_len.saturating_sub(IPV6_HEADER as u16);
        packet[4..6].copy_from_slice(&payload_len.to_be_bytes());
    }
}

/// Writes the upper-layer protocol at [`super::ip::Headers::protocol_at`].
pub fn set_protocol(packet: &mut [u8], protocol_at: u16, protocol: u8) {
    if is_ipv4(packet) {
        replace(packet, 8, word(packet, 8) & 0xff00 | u16::from(protocol));
    } else {
        packet[usize::from(protocol_at)] = protocol;
    }
}

/// Writes the IPv4 DF bit; IPv6 has none.
pub fn set_dont_fragment(packet: &mut [u8], dont_fragment: bool) {
    if is_ipv4(packet) {
        replace(packet, 6, word(packet, 6) & !0x4000 | u16::from(dont_fragment) << 14);
    }
}

/// Writes the IPv4 identification; an IPv6 base header has none.
pub fn set_identification(packet: &mut [u8], identification: u16) {
    if is_ipv4(packet) {
        replace(packet, 4, identification);
    }
}

/// Makes an IPv4 packet the fragment at `offset` (octets, a multiple of 8). The other flags stay.
pub fn mark_fragment(packet: &mut [u8], offset: u16, more: bool) {
    replace(packet, 6, word(packet, 6) & 0xc000 | u16::from(more) << 13 | offset >> 3);
}

/// Writes the 16-bit word at `at` of an IPv4 header and lets the checksum follow.
fn replace(packet: &mut [u8], at: usize, new: u16) {
    let checksum = checksum::update(word(packet, 10), word(packet, at), new);
    packet[at..at + 2].copy_from_slice(&new.to_be_bytes());
    packet[10..12].copy_from_slice(&checksum.to_be_bytes());
}

fn is_ipv4(packet: &[u8]) -> bool {
    packet[0] >> 4 == 4
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ip::{Headers, parse};
    use super::super::samples::packets;
    use super::*;

    proptest! {
        /// Each edit changes what it says and nothing else, and the result still parses, checksum included.
        #[test]
        fn edits_change_only_their_field(ip in packets(), class: u8, hops: u8, df: bool) {
            let mut octets = ip.octets();
            let Ok(before) = parse(&octets) else { return Ok(()) };
            set_traffic_class(&mut octets, class);
            set_hop_limit(&mut octets, hops);
            set_dont_fragment(&mut octets, df);
            let dont_fragment = df || ip.source.is_ipv6();
            let expected = Headers { traffic_class: class, hop_limit: hops, dont_fragment, ..before };
            prop_assert_eq!(parse(&octets), Ok(expected));
            decrement_hop_limit(&mut octets);
            // Of a TTL of 0 the borrow would reach nothing: it is the high octet of its word.
            prop_assert_eq!(parse(&octets), Ok(Headers { hop_limit: hops.wrapping_sub(1), ..expected }));
        }

        #[test]
        fn lengths_and_protocols_are_as_if_built_so(ip in packets(), tail in prop::collection::vec(any::<u8>(), 0..40)) {
            let mut octets = ip.octets();
            let Ok(before) = parse(&octets) else { return Ok(()) };
            let mut wanted = ip.clone();
            wanted.protocol = 253;
            wanted.payload.extend(&tail);
            octets.extend(&tail);
            let total_len = octets.len() as u16;
            set_total_len(&mut octets, total_len);
            // Extension headers that came as payload end elsewhere; leave them out.
            if octets[usize::from(before.protocol_at)] == ip.protocol && before.flow.upper.is_some() {
                set_protocol(&mut octets, before.protocol_at, 253);
                prop_assert_eq!(octets, wanted.octets());
            }
        }
    }

    #[test]
    fn a_fragment_mark_keeps_df() {
        let mut octets = super::super::samples::Ip::new("10.0.0.1", "10.0.0.2", 50, vec![0; 8]).octets();
        set_dont_fragment(&mut octets, true);
        mark_fragment(&mut octets, 1480, true);
        let headers = parse(&octets).unwrap();
        assert_eq!(
            headers.fragment,
            super::super::ip::Fragment::Later { id: 0x1234, offset: 1480, more: true }
        );
        assert!(headers.dont_fragment);
    }
}
