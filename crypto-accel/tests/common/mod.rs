//! What several test files need.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "helpers of tests fail by panicking, too")]

use ravelin_crypto_accel::aead::{Algorithm, Key, open_one, seal_one};
use ravelin_crypto_accel::nonce::{Nonce, NumberRange, ReceivedNonce};
use ravelin_crypto_accel::{BackEnd, BadTag, Text};

/// Every algorithm of the AEAD face.
#[cfg(not(miri))]
pub(crate) const ALGORITHMS: [Algorithm; 3] =
    [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305];

/// Those that Miri can run on every back end; ring is C and assembly.
#[cfg(miri)]
pub(crate) const ALGORITHMS: [Algorithm; 2] = [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm];

/// Octets from hexadecimal digits; white space between them is ignored.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits.chars().filter_map(|digit| digit.to_digit(16)).collect();
    assert!(digits.len().is_multiple_of(2), "half an octet");
    digits.chunks(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// A key whose octets count up from `first`.
pub(crate) fn counting_key(algorithm: Algorithm, first: u8) -> Key {
    let octets: Vec<u8> = (0..algorithm.key_len()).map(|i| first.wrapping_add(i as u8)).collect();
    Key::new(algorithm, &octets).unwrap()
}

/// The same key for each back end that may run here, the portable one last.
pub(crate) fn keys(algorithm: Algorithm, octets: &[u8]) -> Vec<(&'static str, Key)> {
    BackEnd::available().map(|it| (it.name(), Key::on(it, algorithm, octets).unwrap())).collect()
}

/// A nonce of exactly these octets: number 0 changes nothing in the static IV. Tests only may repeat it.
pub(crate) fn nonce(octets: &[u8]) -> Nonce {
    Nonce::tls13(octets.try_into().unwrap(), NumberRange::from_reserved(0, 1).take().unwrap())
}

/// The receiver's nonce of exactly these octets.
pub(crate) fn received(octets: &[u8]) -> ReceivedNonce {
    ReceivedNonce::tls13(octets.try_into().unwrap(), 0)
}

/// Ciphertext and tag of `clear`, sealed in place.
pub(crate) fn sealed(key: &Key, iv: &[u8], aad: &[u8], clear: &[u8]) -> (Vec<u8>, [u8; 16]) {
    let (mut octets, mut tag) = (clear.to_vec(), [0; 16]);
    seal_one(key, nonce(iv), aad, Text::in_place(&mut octets).unwrap(), &mut tag);
    (octets, tag)
}

/// What opening in place leaves, and its outcome.
pub(crate) fn opened(
    key: &Key,
    iv: &[u8],
    aad: &[u8],
    sealed: &[u8],
    tag: &[u8; 16],
) -> (Vec<u8>, Result<(), BadTag>) {
    let mut octets = sealed.to_vec();
    let outcome = open_one(key, received(iv), aad, Text::in_place(&mut octets).unwrap(), tag);
    (octets, outcome)
}
