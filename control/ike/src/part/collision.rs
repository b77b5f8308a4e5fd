//! Both sides rekeyed at once: who yields (RFC 7296 2.8.1 and 2.8.2).

use crate::exchange::child::NONCE;

/// What becomes of the SA that we made.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It stays; we delete the old one.
    Won,
    /// The lowest of the four nonces is in our exchange: we delete what we made.
    Lost,
}

/// The lower nonce of one exchange, as octets compare; longer nonces are cut, which both sides do alike only for ours, so
/// that a nonce is first compared up to the length that all of them have.
pub(crate) fn lowest(a: &[u8], b: &[u8]) -> [u8; NONCE] {
    let lower = a.min(b);
    let mut octets = [0; NONCE];
    let length = lower.len().min(NONCE);
    octets[..length].copy_from_slice(&lower[..length]);
    octets
}

/// Compares the lower nonces of our exchange and the peer's.
pub(crate) fn judge(ours: &[u8; NONCE], theirs: &[u8; NONCE]) -> Verdict {
    if ours < theirs { Verdict::Lost } else { Verdict::Won }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_side_yields() {
        let nonces: [&[u8]; 4] = [&[9; 32], &[3; 32], &[5; 32], &[4; 32]];
        let first = lowest(nonces[0], nonces[1]);
        let second = lowest(nonces[2], nonces[3]);
        assert_eq!(judge(&first, &second), Verdict::Lost);
        assert_eq!(judge(&second, &first), Verdict::Won);
    }
}
