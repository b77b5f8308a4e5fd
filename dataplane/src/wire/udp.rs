//! UDP headers (RFC 768), as far as encapsulated ESP needs them.

use std::net::IpAddr;

use ravelin_contract::selector::protocol;

use super::checksum::Sum;
use super::ip::word;

/// Octets of a header.
pub const HEADER: usize = 8;

/// The payload of the datagram at the start of `octets`, cut by its length field.
///
/// `None` when it is shorter than its header, or its length field says less than 8 or more than is there.
pub fn payload(octets: &[u8]) -> Option<&[u8]> {
    let header: &[u8; HEADER] = octets.first_chunk()?;
    octets.get(HEADER..word(header, 4).into())
}

/// Writes the header before a payload that already lies in `datagram` after the first 8 octets.
///
/// The checksum is 0 over IPv4, as RFC 3948 2.1 asks. Over IPv6 it is computed: RFC 8200 8.1 demands it, and the
/// exception of RFC 6935 would have to be agreed with the other end first. `None`, with nothing written, when
/// `datagram` has no room for a header or is longer than 65,535 octets.
pub fn write_header(
    datagram: &mut [u8],
    ports: (u16, u16),
    source: IpAddr,
    destination: IpAddr,
) -> Option<()> {
    let length = u16::try_from(datagram.len()).ok()?;
    let header: &mut [u8; HEADER] = datagram.first_chunk_mut()?;
    header[..2].copy_from_slice(&ports.0.to_be_bytes());
    header[2..4].copy_from_slice(&ports.1.to_be_bytes());
    header[4..6].copy_from_slice(&length.to_be_bytes());
    header[6..].fill(0);
    if source.is_ipv6() {
        let sum = Sum::default().pseudo_header(source, destination, protocol::UDP, length).octets(datagram);
        // 0 would mean that there is no checksum; 0xffff is its equal.
        let checksum = if sum.finish() == 0 { 0xffff } else { sum.finish() };
        datagram[6..8].copy_from_slice(&checksum.to_be_bytes());
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{internet_checksum, udp};
    use super::*;

    #[test]
    fn ipv4_goes_without_checksum() {
        let mut datagram = udp(0, 0, b"sealed");
        let (source, destination) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        write_header(&mut datagram, (4500, 4501), source, destination).unwrap();
        assert_eq!(datagram, udp(4500, 4501, b"sealed"));
    }

    #[test]
    fn lengths_that_do_not_hold_are_seen() {
        let mut datagram = udp(1, 2, b"four");
        assert_eq!(payload(&datagram), Some(&b"four"[..]));
        datagram[5] = 11;
        assert_eq!(payload(&datagram), Some(&b"fou"[..]));
        for wrong in [0, 7, 13] {
            datagram[5] = wrong;
            assert_eq!(payload(&datagram), None);
        }
        assert_eq!(payload(&datagram[..7]), None);
    }

    proptest! {
        #[test]
        fn ipv6_checksum_verifies(source: u128, destination: u128, data in prop::collection::vec(any::<u8>(), 0..50)) {
            let mut datagram = udp(0, 0, &data);
            let (source, destination) = (IpAddr::V6(source.into()), IpAddr::V6(destination.into()));
            write_header(&mut datagram, (4500, 4500), source, destination).unwrap();
            let (IpAddr::V6(from), IpAddr::V6(to)) = (source, destination) else { unreachable!() };
            let length = (datagram.len() as u32).to_be_bytes();
            let pseudo = [&from.octets()[..], &to.octets(), &length, &[0, 0, 0, 17], &datagram].concat();
            prop_assert_eq!(internet_checksum(&pseudo), 0);
            prop_assert_ne!(word(&datagram, 6), 0);
        }
    }
}
