//! Records at rest: encrypted and bound to what they are about, so that one that is foreign, old or changed is refused.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use zeroize::Zeroizing;

use super::Kept;
use crate::crypto::Random;
use crate::input::IkeId;
use crate::random;

/// First octets of a sealed record; the last one counts forms of records.
const FORM: [u8; 8] = *b"rvl-ike\x01";

/// Seals and opens records with a key that is not kept where they are.
pub struct Vault {
    key: RandomizedNonceKey,
    run: u64,
}

impl std::fmt::Debug for Vault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Vault(run {:016x})", self.run)
    }
}

impl Vault {
    /// A key for [`Self::new`].
    pub fn make_key(random: &mut dyn Random) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(random::array(random))
    }

    /// `run` is the run of the packet process that the children's keys are installed in: records of others are refused.
    pub fn new(key: &[u8; 32], run: u64) -> Self {
        let key = RandomizedNonceKey::new(&AES_256_GCM, key).expect("a key of 32 octets");
        Self { key, run }
    }

    fn about(&self, ike: IkeId) -> Aad<[u8; 24]> {
        let mut octets = [0; 24];
        octets[..8].copy_from_slice(&FORM);
        octets[8..16].copy_from_slice(&self.run.to_be_bytes());
        octets[16..].copy_from_slice(&ike.0.to_be_bytes());
        Aad::from(octets)
    }

    /// The record as it may lie on a disk. None when the library refuses.
    pub fn seal(&self, kept: &Kept) -> Option<Vec<u8>> {
        let mut text = Zeroizing::new(kept.octets.to_vec());
        let (nonce, tag) = self.key.seal_in_place_separate_tag(self.about(kept.ike), &mut text).ok()?;
        Some([&FORM[..], nonce.as_ref(), &text, tag.as_ref()].concat())
    }

    /// The record, or why it is refused.
    pub fn open(&self, ike: IkeId, octets: &[u8]) -> Result<Kept, &'static str> {
        let sealed = octets.strip_prefix(&FORM).ok_or("it is no record, or one of another version")?;
        let (nonce, text) = sealed.split_first_chunk::<NONCE_LEN>().ok_or("it is cut off")?;
        let mut text = Zeroizing::new(text.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key.open_in_place(nonce, self.about(ike), &mut text);
        let length = opened.map_err(|_| "it was changed, or belongs to another key, run or IKE SA")?.len();
        text.truncate(length);
        Ok(Kept { ike, octets: text })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::SystemRandom;

    #[test]
    fn only_the_same_record_of_the_same_run_and_ike_sa_is_opened() {
        let key = Vault::make_key(&mut SystemRandom);
        let vault = Vault::new(&key, 7);
        let kept = Kept { ike: IkeId(3), octets: Zeroizing::new(b"sixteen octets !".to_vec()) };
        let sealed = vault.seal(&kept).expect("sealed");
        assert_eq!(vault.open(IkeId(3), &sealed), Ok(kept.clone()));
        assert!(!sealed.windows(7).any(|octets| octets == b"sixteen"), "nothing lies in clear");
        assert_ne!(vault.seal(&kept).expect("sealed"), sealed, "no nonce comes twice");
        assert!(vault.open(IkeId(4), &sealed).is_err());
        assert!(Vault::new(&key, 8).open(IkeId(3), &sealed).is_err());
        assert!(Vault::new(&Vault::make_key(&mut SystemRandom), 7).open(IkeId(3), &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(vault.open(IkeId(3), &changed).is_err(), "octet {at}");
            assert!(vault.open(IkeId(3), &sealed[..at]).is_err(), "cut at {at}");
        }
    }
}
