//! A key of a ring as an issuing key: the signer signs, the key stays where it is.

use super::IssuingKey;
use crate::access::Caller;
use crate::key::PublicKey;
use crate::name::Place;
use crate::ring::Ring;
use crate::scheme::Scheme;
use crate::signer::Signer;
use crate::{Error, Result};

/// A key of a ring, of a certificate or waiting for one.
#[derive(Debug)]
pub struct HeldKey<'a> {
    signer: &'a Signer,
    place: Place,
    public: PublicKey,
}

impl<'a> HeldKey<'a> {
    /// The key at `place` of `ring`, for the operator.
    pub fn new(signer: &'a Signer, ring: &Ring, place: &Place) -> Result<Self> {
        let pending = ring.pending.iter().find(|pending| pending.label == place.label);
        let public = match pending {
            Some(pending) => pending.public.clone(),
            None => {
                let entry = ring.entry(&place.label)?;
                if !entry.has_key {
                    return Err(Error::NoKey { ring: place.ring.clone(), label: place.label.clone() });
                }
                entry.certificate().public_key()?
            }
        };
        Ok(Self { signer, place: place.clone(), public })
    }
}

impl IssuingKey for HeldKey<'_> {
    fn public(&self) -> &PublicKey {
        &self.public
    }

    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>> {
        let Place { ring, label } = &self.place;
        self.signer.sign(&Caller::operator(), ring, Some(label), scheme, message)
    }
}
