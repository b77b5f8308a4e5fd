//! A private key of a ring as rustls sees it: something that signs. The key itself stays behind the door.

use std::sync::Arc;

use ravelin_rings::access::Caller;
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer as Door;
use rustls::sign::{Signer, SigningKey};
use rustls::{Error, SignatureAlgorithm, SignatureScheme};

use crate::provider::{ring_scheme, rustls_scheme};
use crate::scope::{self, Refused};

/// A key by its place.
#[derive(Debug, Clone)]
pub(crate) struct RingKey {
    pub(crate) door: Arc<Door>,
    /// Who asks: the lists of the ring are looked at with each signature (row A8).
    pub(crate) caller: Caller,
    pub(crate) ring: RingName,
    pub(crate) label: Label,
    pub(crate) kind: KeyKind,
}

impl SigningKey for RingKey {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let fits = |offered: &SignatureScheme| ring_scheme(*offered).filter(|one| one.fits(self.kind));
        let scheme = offered.iter().find_map(fits)?;
        Some(Box::new(RingSigner { key: self.clone(), scheme }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.kind {
            KeyKind::Rsa(_) => SignatureAlgorithm::RSA,
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => SignatureAlgorithm::ECDSA,
            KeyKind::Ed25519 => SignatureAlgorithm::ED25519,
        }
    }
}

/// One signature to be made.
#[derive(Debug)]
struct RingSigner {
    key: RingKey,
    scheme: Scheme,
}

impl Signer for RingSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let RingKey { door, caller, ring, label, .. } = &self.key;
        door.sign(caller, ring, Some(label), self.scheme, message).map_err(|error| {
            let words = error.to_string();
            scope::notes(|notes| notes.refused = Some(Refused::Signing(words.clone())));
            Error::General(words)
        })
    }

    fn scheme(&self) -> SignatureScheme {
        rustls_scheme(self.scheme)
    }
}
