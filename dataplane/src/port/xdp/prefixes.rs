//! Ranges of addresses as prefixes, which is what the program's tables take.

use std::net::IpAddr;

use ravelin_contract::address::AddressRange;

/// The fewest prefixes that cover exactly this range.
pub(crate) fn prefixes(range: AddressRange) -> Vec<(IpAddr, u8)> {
    let (first, last, width) = match (range.first(), range.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (first.to_bits().into(), last.to_bits().into(), 32),
        (IpAddr::V6(first), IpAddr::V6(last)) => (first.to_bits(), last.to_bits(), 128),
        _ => return Vec::new(), // a range never mixes families
    };
    let address = |bits: u128| match width {
        32 => IpAddr::V4((bits as u32).into()),
        _ => IpAddr::V6(bits.into()),
    };
    blocks(first, last, width).into_iter().map(|(bits, length)| (address(bits), length)).collect()
}

/// Cuts `first..=last` into aligned blocks of a power of two: (first number, prefix length).
fn blocks(first: u128, last: u128, width: u32) -> Vec<(u128, u8)> {
    let mut found = Vec::new();
    let mut at = first;
    loop {
        // The block may be as large as `at` is aligned, and no larger than what is left.
        let left = last - at;
        let fits = left.checked_add(1).map_or(128, |count| 127 - count.leading_zeros());
        let host_bits = at.trailing_zeros().min(fits).min(width);
        found.push((at, (width - host_bits) as u8));
        let end = if host_bits == 128 { u128::MAX } else { at | ((1 << host_bits) - 1) };
        if end >= last {
            return found;
        }
        at = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn whole_families_are_one_prefix() {
        let v4 = AddressRange::prefix(Ipv4Addr::UNSPECIFIED.into(), 0).unwrap();
        let v6 = AddressRange::prefix(Ipv6Addr::UNSPECIFIED.into(), 0).unwrap();
        assert_eq!(prefixes(v4), [(Ipv4Addr::UNSPECIFIED.into(), 0)]);
        assert_eq!(prefixes(v6), [(Ipv6Addr::UNSPECIFIED.into(), 0)]);
    }

    proptest! {
        /// The prefixes follow each other without gap or overlap from the first address to the last.
        #[test]
        fn prefixes_cover_exactly_the_range(a: u32, b: u32) {
            let (first, last) = (a.min(b), a.max(b));
            let range = AddressRange::new(Ipv4Addr::from(first).into(), Ipv4Addr::from(last).into()).unwrap();
            let mut next = u64::from(first);
            for (address, length) in prefixes(range) {
                let block = AddressRange::prefix(address, length).unwrap();
                let (IpAddr::V4(from), IpAddr::V4(to)) = (block.first(), block.last()) else { unreachable!() };
                prop_assert_eq!((u64::from(from.to_bits()), block.first()), (next, address));
                next = u64::from(to.to_bits()) + 1;
            }
            prop_assert_eq!(next, u64::from(last) + 1);
        }

        #[test]
        fn any_prefix_is_one_prefix(bits: u128, length in 0..=128u8) {
            let range = AddressRange::prefix(Ipv6Addr::from(bits).into(), length).unwrap();
            prop_assert_eq!(prefixes(range), [(range.first(), length)]);
        }
    }
}
