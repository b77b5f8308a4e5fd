//! Randomness that is none.

use ravelin_ike::crypto::Random;

/// Hands out the same octets again and again: a private key that a test has chosen.
pub(crate) struct Script(pub(crate) Vec<u8>);

impl Random for Script {
    fn fill(&mut self, out: &mut [u8]) {
        out.iter_mut().zip(self.0.iter().cycle()).for_each(|(to, from)| *to = *from);
    }
}
