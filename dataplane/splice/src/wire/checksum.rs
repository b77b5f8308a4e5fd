//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624).

use std::net::IpAddr;

use multiversion::multiversion;

/// A running one's-complement sum of 16-bit words in network order, not yet folded.
///
/// All pieces but the last must be of even length.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u64);

impl Sum {
    /// Adds octets; an odd last octet counts as if a zero followed.
    #[inline]
    pub fn octets(self, octets: &[u8]) -> Self {
        // A sum of words in the machine's own order has its octets swapped (RFC 1071 2 (B)), which is put right once for all.
        let (words, rest) = octets.as_chunks::<4>();
        let whole: u64 = words.chunks(MOST).map(total).sum();
        let mut tail = [0; 4];
        tail.iter_mut().zip(rest).for_each(|(place, octet)| *place = *octet);
        let sum = whole + halves(u32::from_ne_bytes(tail).into());
        Self(self.0 + u64::from(u16::from_be(fold(sum))))
    }

    /// Adds eight octets that are at hand as a number.
    #[inline]
    pub fn long(self, word: u64) -> Self {
        Self(self.0 + halves(word))
    }

    /// Adds one 16-bit word.
    #[inline]
    pub fn word(self, word: u16) -> Self {
        Self(self.0 + u64::from(word))
    }

    /// Adds the pseudo-header of RFC 9293 3.1 or RFC 8200 8.1. `length` is that of the upper-layer header and data.
    #[inline]
    pub fn pseudo_header(self, source: IpAddr, destination: IpAddr, protocol: u8, length: u16) -> Self {
        self.addresses(source, destination).word(protocol.into()).word(length)
    }

    /// Adds both addresses of a pseudo-header.
    #[inline]
    pub fn addresses(self, source: IpAddr, destination: IpAddr) -> Self {
        self.address(source).address(destination)
    }

    /// The value for the checksum field.
    #[inline]
    pub fn finish(self) -> u16 {
        !fold(self.0)
    }

    /// Whether everything that was added, the checksum field among it, is intact.
    #[inline]
    pub fn is_intact(self) -> bool {
        fold(self.0) == 0xffff
    }

    #[inline]
    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => Self(self.0 + u64::from(address.to_bits())),
            IpAddr::V6(address) => {
                let bits = address.to_bits();
                self.long((bits >> 64) as u64).long(bits as u64)
            }
        }
    }
}

/// Words that are summed before anything may overflow.
const MOST: usize = 1 << 14;

/// The sum of the 16-bit halves of at most [`MOST`] words, many at a time: the upper halves by themselves; the lower ones are what
/// is left of the sum of whole words, modulo 2^32. Built for several widths of registers, and chosen when it first runs.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2"))]
fn total(words: &[[u8; 4]]) -> u64 {
    let (mut whole, mut upper) = (0u32, 0u32);
    for word in words {
        let word = u32::from_ne_bytes(*word);
        whole = whole.wrapping_add(word);
        upper = upper.wrapping_add(word >> 16);
    }
    let lower = whole.wrapping_sub(upper << 16);
    u64::from(lower) + u64::from(upper)
}

#[inline]
fn halves(word: u64) -> u64 {
    (word >> 32) + (word & 0xffff_ffff)
}

/// Adds what lies above 16 bits to what lies below, until nothing does. 0 only for 0.
#[inline]
fn fold(sum: u64) -> u16 {
    let sum = halves(halves(sum));
    let sum = (sum >> 16) + (sum & 0xffff);
    ((sum >> 16) + (sum & 0xffff)) as u16
}

/// The checksum field after one covered 16-bit word went from `old` to `new` (RFC 1624, equation 3).
pub fn update(checksum: u16, old: u16, new: u16) -> u16 {
    Sum::default().word(!checksum).word(!old).word(new).finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 1071 as its text reads: 16-bit words, carry added at once.
    fn slow(octets: &[u8]) -> u16 {
        let mut sum: u16 = 0;
        for pair in octets.chunks(2) {
            let word = u16::from(pair[0]) * 256 + u16::from(pair.get(1).copied().unwrap_or(0));
            let (next, carry) = sum.overflowing_add(word);
            sum = next + u16::from(carry);
        }
        !sum
    }

    #[test]
    fn example_of_rfc_1071() {
        let sum = Sum::default().octets(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(fold(sum.0), 0xddf2);
    }

    #[test]
    fn long_texts_do_not_overflow() {
        let octets = vec![0xff; 8 * MOST + 3];
        assert_eq!(Sum::default().octets(&octets).finish(), slow(&octets));
    }

    /// RFC 1624 section 4: the case in which RFC 1141 gives the wrong zero.
    #[test]
    fn example_of_rfc_1624() {
        assert_eq!(update(0xdd2f, 0x5555, 0x3285), 0x0000);
    }

    proptest! {
        #[test]
        fn same_as_slow(octets in prop::collection::vec(any::<u8>(), 0..300)) {
            prop_assert_eq!(Sum::default().octets(&octets).finish(), slow(&octets));
        }

        #[test]
        fn update_is_recomputation(mut words in prop::collection::vec(any::<u16>(), 2..20), at in 0usize..20, new: u16) {
            let bytes = |words: &[u16]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<_>>();
            let at = at % words.len();
            // A header is never all zero: it has a version.
            words[usize::from(at == 0)] |= 1;
            let before = slow(&bytes(&words));
            let old = std::mem::replace(&mut words[at], new);
            prop_assert_eq!(update(before, old, new), slow(&bytes(&words)));
        }

        #[test]
        fn what_was_finished_is_intact(mut octets in prop::collection::vec(any::<u8>(), 2..60), flip in 0usize..60) {
            octets[..2].fill(0);
            let checksum = Sum::default().octets(&octets).finish();
            octets[..2].copy_from_slice(&checksum.to_be_bytes());
            prop_assert!(Sum::default().octets(&octets).is_intact());
            let flip = flip % octets.len();
            octets[flip] ^= 0x10;
            prop_assert!(!Sum::default().octets(&octets).is_intact());
        }
    }
}
