//! Numbers and nonces that cannot be used twice.
//!
//! A nonce that repeats under one key gives the key of GCM and Poly1305 away (NIST SP 800-38D appendix A,
//! RFC 8439 4). So the sender's [`Nonce`] is made only from a [`Number`], a number only by a [`NumberRange`],
//! and neither can be copied: making the nonce uses the number up, sealing uses the nonce up. A receiver's
//! [`ReceivedNonce`] is another type, which nothing seals with.

use std::fmt;

/// A block of sequence numbers that belongs to one sender alone.
#[derive(Debug)]
pub struct NumberRange {
    /// The next one to give out; `next == end` when exhausted.
    next: u64,
    /// One past the last; never below `next`.
    end: u64,
}

impl NumberRange {
    /// The numbers `first` to `end - 1`, none if `end <= first`.
    ///
    /// This is the one place where the caller promises what types cannot prove: no other range with any of
    /// these numbers was or will ever be made for the same key. Take `first` from an atomic counter that only
    /// grows, and that a restart does not set back while the key lives.
    #[inline]
    pub fn from_reserved(first: u64, end: u64) -> Self {
        Self { next: first, end: end.max(first) }
    }

    /// The next number, or `None` when the range is exhausted.
    #[inline]
    pub fn take(&mut self) -> Option<Number> {
        if self.next == self.end {
            return None;
        }
        let number = Number(self.next);
        self.next += 1;
        Some(number)
    }

    /// How many numbers are left.
    pub fn remaining(&self) -> u64 {
        self.end - self.next
    }
}

/// One sequence number, to be used once. Neither `Clone` nor `Copy`:
///
/// ```compile_fail
/// use ravelin_crypto_accel::nonce::{Nonce, NumberRange};
/// let number = NumberRange::from_reserved(1, 9).take().unwrap();
/// let first = Nonce::esp([0; 4], number);
/// let again = Nonce::esp([0; 4], number); // the number is used up
/// ```
#[derive(Debug, PartialEq, Eq)]
pub struct Number(u64);

impl Number {
    /// The value, for the sequence number field of the packet (RFC 4303 2.2).
    #[inline]
    pub fn get(&self) -> u64 {
        self.0
    }
}

/// A sender's nonce of 96 bits. Sealing takes it.
///
/// ```compile_fail
/// use ravelin_crypto_accel::nonce::{Nonce, NumberRange};
/// let number = NumberRange::from_reserved(1, 9).take().unwrap();
/// let (nonce, _iv) = Nonce::esp([0; 4], number);
/// let copy = nonce.clone();
/// ```
pub struct Nonce(pub(crate) Octets);

impl Nonce {
    /// ESP: salt, then the number as IV of 64 bits, which travels in the packet.
    ///
    /// The same for AES-GCM (RFC 4106 4), AES-GMAC (RFC 4543 3.2) and ChaCha20-Poly1305 (RFC 7634 2).
    #[inline]
    pub fn esp(salt: [u8; 4], number: Number) -> (Self, [u8; 8]) {
        let iv = number.0.to_be_bytes();
        (Self(salted(salt, iv)), iv)
    }

    /// TLS 1.2 with AES-GCM: salt, then the record number as explicit part, which travels in the record
    /// (RFC 5288 3).
    #[inline]
    pub fn tls12(salt: [u8; 4], number: Number) -> (Self, [u8; 8]) {
        Self::esp(salt, number)
    }

    /// TLS 1.3, and TLS 1.2 with ChaCha20-Poly1305: static IV xor record number (RFC 8446 5.3, RFC 7905 2).
    #[inline]
    pub fn tls13(static_iv: &[u8; 12], number: Number) -> Self {
        Self(mixed(static_iv, number.0))
    }
}

/// A receiver's nonce. What the peer sent may repeat; opening twice harms nobody.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ReceivedNonce(pub(crate) Octets);

impl ReceivedNonce {
    /// ESP: salt and the IV from the packet.
    #[inline]
    pub fn esp(salt: [u8; 4], iv: [u8; 8]) -> Self {
        Self(salted(salt, iv))
    }

    /// TLS 1.2 with AES-GCM: salt and the explicit part from the record (RFC 5288 3).
    #[inline]
    pub fn tls12(salt: [u8; 4], explicit: [u8; 8]) -> Self {
        Self(salted(salt, explicit))
    }

    /// TLS 1.3, and TLS 1.2 with ChaCha20-Poly1305: static IV and the number of the record expected next.
    #[inline]
    pub fn tls13(static_iv: &[u8; 12], number: u64) -> Self {
        Self(mixed(static_iv, number))
    }
}

/// The 96 bits of a nonce, kept as numbers: octets written in parts and read in others make the processor wait.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Octets {
    /// The first eight, least first.
    pub(crate) first: u64,
    /// The last four, least first.
    pub(crate) last: u32,
}

impl Octets {
    #[inline]
    fn new(four: [u8; 4], eight: u64) -> Self {
        let first = u64::from(u32::from_le_bytes(four)) | (eight << 32);
        Self { first, last: (eight >> 32) as u32 }
    }

    /// As they stand in memory.
    pub(crate) fn array(self) -> [u8; 12] {
        let mut array = [0; 12];
        array[..8].copy_from_slice(&self.first.to_le_bytes());
        array[8..].copy_from_slice(&self.last.to_le_bytes());
        array
    }
}

#[inline]
fn salted(salt: [u8; 4], iv: [u8; 8]) -> Octets {
    Octets::new(salt, u64::from_le_bytes(iv))
}

#[inline]
fn mixed(static_iv: &[u8; 12], number: u64) -> Octets {
    let [a, b, c, d, rest @ ..] = *static_iv;
    Octets::new([a, b, c, d], u64::from_le_bytes(rest) ^ number.swap_bytes())
}

impl fmt::Debug for Nonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonce") // salts and static IVs are key material
    }
}

impl fmt::Debug for ReceivedNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReceivedNonce")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_gives_each_number_once_and_ends() {
        let mut range = NumberRange::from_reserved(u64::MAX - 3, u64::MAX);
        let given: Vec<u64> = std::iter::from_fn(|| range.take()).map(|number| number.get()).collect();
        assert_eq!(given, [u64::MAX - 3, u64::MAX - 2, u64::MAX - 1]);
        assert_eq!((range.remaining(), range.take()), (0, None));
    }

    #[test]
    fn an_inverted_range_is_empty() {
        assert_eq!(NumberRange::from_reserved(9, 3).take(), None);
    }

    #[test]
    fn esp_sender_and_receiver_agree() {
        let number = NumberRange::from_reserved(0x0102_0304_0506_0708, u64::MAX).take().unwrap();
        let (nonce, iv) = Nonce::esp(*b"salt", number);
        assert_eq!(iv, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(&nonce.0.array(), b"salt\x01\x02\x03\x04\x05\x06\x07\x08");
        assert_eq!(ReceivedNonce::esp(*b"salt", iv).0.array(), nonce.0.array());
    }

    #[test]
    fn tls13_mixes_the_number_into_the_last_eight_octets() {
        let number = NumberRange::from_reserved(0x0102, 0x0103).take().unwrap();
        let nonce = Nonce::tls13(&[0xff; 12], number);
        assert_eq!(nonce.0.array()[..10], [0xff; 10]);
        assert_eq!(nonce.0.array()[10..], [0xfe, 0xfd]);
        assert_eq!(ReceivedNonce::tls13(&[0xff; 12], 0x0102).0.array(), nonce.0.array());
    }
}
