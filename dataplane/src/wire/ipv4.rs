//! Writing IPv4 headers (RFC 791).

use std::net::Ipv4Addr;

use super::checksum::Sum;
use super::ip::IPV4_HEADER;

/// A header without options of a packet that is not a fragment; [`super::edit::mark_fragment`] makes it one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// DSCP and ECN.
    pub traffic_class: u8,
    /// Octets of the whole packet.
    pub total_len: u16,
    /// Identification; means nothing when `dont_fragment` is set (RFC 6864).
    pub identification: u16,
    /// DF.
    pub dont_fragment: bool,
    /// TTL.
    pub hop_limit: u8,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// Source address.
    pub source: Ipv4Addr,
    /// Destination address.
    pub destination: Ipv4Addr,
}

impl Header {
    /// Writes it, checksum and all.
    pub fn write(&self, into: &mut [u8; IPV4_HEADER]) {
        into[0] = 0x45;
        into[1] = self.traffic_class;
        into[2..4].copy_from_slice(&self.total_len.to_be_bytes());
        into[4..6].copy_from_slice(&self.identification.to_be_bytes());
        into[6..8].copy_from_slice(&(u16::from(self.dont_fragment) << 14).to_be_bytes());
        into[8] = self.hop_limit;
        into[9] = self.protocol;
        into[12..16].copy_from_slice(&self.source.octets());
        into[16..].copy_from_slice(&self.destination.octets());
        write_checksum(into);
    }
}

/// Computes the checksum of a whole header, options and all, and writes it. The header has at least 20 octets.
pub fn write_checksum(header: &mut [u8]) {
    header[10..12].fill(0);
    let checksum = Sum::default().octets(header).finish();
    header[10..12].copy_from_slice(&checksum.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::Ip;
    use super::*;

    proptest! {
        #[test]
        fn same_octets_as_by_hand(traffic_class: u8, dont_fragment: bool, hop_limit: u8, protocol: u8, ends: (u32, u32)) {
            let (source, destination) = (Ipv4Addr::from(ends.0), Ipv4Addr::from(ends.1));
            let mut ip = Ip::new("0.0.0.0", "0.0.0.0", protocol, vec![0; 100]);
            (ip.source, ip.destination) = (source.into(), destination.into());
            (ip.traffic_class, ip.dont_fragment, ip.hop_limit) = (traffic_class, dont_fragment, hop_limit);
            ip.fragment = Some((0x4321, 0, false));
            let header = Header {
                traffic_class, total_len: 120, identification: 0x4321, dont_fragment, hop_limit, protocol, source, destination,
            };
            let mut written = [0xaa; IPV4_HEADER];
            header.write(&mut written);
            prop_assert_eq!(&written[..], &ip.octets()[..IPV4_HEADER]);
        }
    }
}
