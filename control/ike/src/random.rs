//! Randomness comes in as an argument, so that a test can repeat a run.

use crate::crypto::Random;

/// An array of random octets.
pub(crate) fn array<const N: usize>(random: &mut dyn Random) -> [u8; N] {
    let mut octets = [0; N];
    random.fill(&mut octets);
    octets
}

/// A random number that is not zero, as SPIs of IKE SAs must be.
pub(crate) fn non_zero(random: &mut dyn Random) -> u64 {
    loop {
        let number = u64::from_be_bytes(array(random));
        if number != 0 {
            return number;
        }
    }
}

/// A random share of `span`, up to all of it.
pub(crate) fn up_to(random: &mut dyn Random, span: std::time::Duration) -> std::time::Duration {
    span.mul_f64(f64::from(u32::from_be_bytes(array(random))) / f64::from(u32::MAX))
}
