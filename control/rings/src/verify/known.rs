//! Signatures that were found good before: who comes again with the same certificate costs no second look at its issuer's.
//!
//! Whether a signature holds depends on nothing but algorithm, key, octets and signature, so what was good once is good for ever;
//! dates, constraints, names and revocation are looked at each time. What does not hold is not kept: whoever sends rubbish fills
//! nothing. This is for the signatures of a chain, which come again, not for proofs of a peer, which never do.

use std::collections::HashSet;
use std::mem;
use std::sync::{Mutex, PoisonError};

use aws_lc_rs::digest::{self, SHA256, SHA256_OUTPUT_LEN};
use rustls_pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use webpki::ALL_VERIFICATION_ALGS;

/// Signatures kept for certain; up to twice as many are.
const MOST: usize = 4096;

type Print = [u8; SHA256_OUTPUT_LEN];

/// Signatures that hold, each as a print of all that it depends on. When there are enough, those of before are forgotten.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<Prints>);

#[derive(Debug, Default)]
struct Prints {
    young: HashSet<Print>,
    old: HashSet<Print>,
}

impl Known {
    /// All accepted algorithms, each with this memory.
    pub(super) fn algorithms(&self) -> Vec<Remembering<'_>> {
        ALL_VERIFICATION_ALGS.iter().map(|&algorithm| Remembering { algorithm, known: self }).collect()
    }

    fn with<T>(&self, work: impl FnOnce(&mut Prints) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Prints {
    fn has(&self, print: &Print) -> bool {
        self.young.contains(print) || self.old.contains(print)
    }

    fn add(&mut self, print: Print) {
        if self.young.len() == MOST {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(print);
    }
}

/// An algorithm that does not look twice.
#[derive(Debug)]
pub(super) struct Remembering<'a> {
    algorithm: &'static dyn SignatureVerificationAlgorithm,
    known: &'a Known,
}

impl Remembering<'_> {
    /// Of everything that the answer depends on; each part with its length, so that no octet changes sides.
    fn print(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Print {
        let (of_key, of_signature) = (self.public_key_alg_id(), self.signature_alg_id());
        let mut context = digest::Context::new(&SHA256);
        for part in [of_key.as_ref(), of_signature.as_ref(), key, message, signature] {
            context.update(&part.len().to_be_bytes());
            context.update(part);
        }
        let mut print = Print::default();
        print.copy_from_slice(context.finish().as_ref());
        print
    }
}

impl SignatureVerificationAlgorithm for Remembering<'_> {
    fn verify_signature(&self, key: &[u8], message: &[u8], signature: &[u8]) -> Result<(), InvalidSignature> {
        let print = self.print(key, message, signature);
        if self.known.with(|prints| prints.has(&print)) {
            return Ok(());
        }
        self.algorithm.verify_signature(key, message, signature)?;
        self.known.with(|prints| prints.add(print));
        Ok(())
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};

    use super::*;

    fn pair() -> EcdsaKeyPair {
        EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).expect("a key")
    }

    fn signed(pair: &EcdsaKeyPair, message: &[u8]) -> Vec<u8> {
        pair.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec()
    }

    fn size(known: &Known) -> usize {
        known.with(|prints| prints.young.len() + prints.old.len())
    }

    /// Whether any algorithm says that it holds.
    fn holds(known: &Known, key: &[u8], message: &[u8], signature: &[u8]) -> bool {
        known.algorithms().iter().any(|one| one.verify_signature(key, message, signature).is_ok())
    }

    #[test]
    fn only_what_held_is_kept_and_nothing_else_passes_for_it() {
        let (known, pair, other) = (Known::default(), pair(), pair());
        let (message, signature) = (b"to be signed", signed(&pair, b"to be signed"));
        let [key, strange] = [&pair, &other].map(|pair| pair.public_key().as_ref());
        assert!(!holds(&known, strange, message, &signature));
        assert_eq!(size(&known), 0, "what does not hold is not kept");
        for _ in 0..3 {
            assert!(holds(&known, key, message, &signature));
        }
        assert_eq!(size(&known), 1);
        let mut bent = signature.clone();
        *bent.last_mut().expect("not empty") ^= 1;
        assert!(!holds(&known, strange, message, &signature), "another key");
        assert!(!holds(&known, key, b"to be signeD", &signature), "other octets");
        assert!(!holds(&known, key, message, &bent), "another signature");
        // The same octets, cut elsewhere.
        let (head, tail) = message.split_at(4);
        let key_and_head = [key, head].concat();
        assert!(!holds(&known, &key_and_head, tail, &signature));
        assert_eq!(size(&known), 1);
    }

    #[test]
    fn another_algorithm_looks_for_itself() {
        let (known, pair) = (Known::default(), pair());
        let signature = signed(&pair, b"x");
        let key = pair.public_key().as_ref();
        assert!(holds(&known, key, b"x", &signature));
        let holding = known
            .algorithms()
            .iter()
            .filter(|one| one.verify_signature(key, b"x", &signature).is_ok())
            .count();
        assert_eq!(holding, 1, "ECDSA on P-256 with SHA-256 alone");
    }

    #[test]
    fn there_are_never_more_than_twice_the_most_and_the_latest_stay() {
        let mut prints = Prints::default();
        let print = |n: usize| {
            let mut print = Print::default();
            print[..8].copy_from_slice(&n.to_be_bytes());
            print
        };
        for n in 0..10 * MOST {
            prints.add(print(n));
            assert!(prints.young.len() + prints.old.len() <= 2 * MOST);
            assert!((n.saturating_sub(MOST - 1)..=n).step_by(511).all(|late| prints.has(&print(late))));
        }
        assert!(!prints.has(&print(0)));
    }
}
