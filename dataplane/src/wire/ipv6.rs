//! Writing IPv6 base headers (RFC 8200 3).

use std::net::Ipv6Addr;

use super::ip::IPV6_HEADER;

/// A base header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Flow label, 20 bits; higher bits are ignored.
    pub flow_label: u32,
    /// Octets after the base header.
    pub payload_len: u16,
    /// What follows.
    pub next_header: u8,
    /// Hop limit.
    pub hop_limit: u8,
    /// Source address.
    pub source: Ipv6Addr,
    /// Destination address.
    pub destination: Ipv6Addr,
}

impl Header {
    /// Writes it.
    pub fn write(&self, into: &mut [u8; IPV6_HEADER]) {
        let first = 6 << 28 | u32::from(self.traffic_class) << 20 | self.flow_label & 0xf_ffff;
        into[..4].copy_from_slice(&first.to_be_bytes());
        into[4..6].copy_from_slice(&self.payload_len.to_be_bytes());
        into[6] = self.next_header;
        into[7] = self.hop_limit;
        into[8..24].copy_from_slice(&self.source.octets());
        into[24..].copy_from_slice(&self.destination.octets());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::Ip;
    use super::*;

    proptest! {
        #[test]
        fn same_octets_as_by_hand(traffic_class: u8, hop_limit: u8, next_header: u8, ends: (u128, u128)) {
            let (source, destination) = (Ipv6Addr::from(ends.0), Ipv6Addr::from(ends.1));
            let mut ip = Ip::new("::", "::", next_header, vec![0; 100]);
            (ip.source, ip.destination) = (source.into(), destination.into());
            (ip.traffic_class, ip.hop_limit) = (traffic_class, hop_limit);
            let header = Header {
                traffic_class, flow_label: 0xfffa_bcde, payload_len: 100, next_header, hop_limit, source, destination,
            };
            let mut written = [0xaa; IPV6_HEADER];
            header.write(&mut written);
            prop_assert_eq!(&written[..], &ip.octets()[..IPV6_HEADER]);
        }
    }
}
