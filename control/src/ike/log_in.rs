//! What EAP-TLS shows to the other side: a certificate of the rings, whose key signs through their door.

use std::sync::Arc;

use ravelin_ike::eap::tls::{self, Possession};
use ravelin_ike::policy::Identity;
use ravelin_rings::key::KeyKind;
use ravelin_rings::scheme::Scheme;
use rustls::sign::{CertifiedKey, Signer, SigningKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, ServerConfig, SignatureAlgorithm, SignatureScheme};

use super::identity::{Identities, Shown};

/// Signatures by TLS's names, the preferred first (RFC 8446 4.2.3). PKCS#1 v1.5 is for TLS 1.2 alone.
const SCHEMES: &[(SignatureScheme, Scheme)] = &[
    (SignatureScheme::ED25519, Scheme::Ed25519),
    (SignatureScheme::ECDSA_NISTP256_SHA256, Scheme::EcdsaP256Sha256),
    (SignatureScheme::ECDSA_NISTP384_SHA384, Scheme::EcdsaP384Sha384),
    (SignatureScheme::ECDSA_NISTP521_SHA512, Scheme::EcdsaP521Sha512),
    (SignatureScheme::RSA_PSS_SHA256, Scheme::RsaPssSha256),
    (SignatureScheme::RSA_PSS_SHA384, Scheme::RsaPssSha384),
    (SignatureScheme::RSA_PSS_SHA512, Scheme::RsaPssSha512),
    (SignatureScheme::RSA_PKCS1_SHA256, Scheme::RsaPkcs1Sha256),
];

/// Settings for one log-in of a client.
pub(super) fn to_clients(
    identities: &Arc<Identities>,
    key: &str,
    identity: &Identity,
) -> Result<Arc<ServerConfig>, String> {
    let shown = shown(identities, key, identity)?;
    tls::config(shown, Arc::new(Possession::default())).map_err(|error| error.to_string())
}

/// Settings for one log-in of ours.
pub(super) fn to_server(
    identities: &Arc<Identities>,
    key: &str,
    identity: &Identity,
) -> Result<Arc<ClientConfig>, String> {
    tls::client_config(shown(identities, key, identity)?).map_err(|error| error.to_string())
}

/// Rings are read at each log-in, so what was renewed serves at once.
fn shown(
    identities: &Arc<Identities>,
    key: &str,
    identity: &Identity,
) -> Result<Arc<SingleCertAndKey>, String> {
    let shown = Arc::new(identities.show(key, identity)?);
    let chain = shown.chain.clone();
    let key = Key { identities: Arc::clone(identities), shown };
    Ok(Arc::new(CertifiedKey::new(chain, Arc::new(key)).into()))
}

/// The key of what is shown.
#[derive(Debug, Clone)]
struct Key {
    identities: Arc<Identities>,
    shown: Arc<Shown>,
}

impl SigningKey for Key {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let fits =
            |(tls, ours): &&(SignatureScheme, Scheme)| offered.contains(tls) && ours.fits(self.shown.kind);
        let (tls, ours) = SCHEMES.iter().find(fits)?;
        Some(Box::new(Pen { key: self.clone(), tls: *tls, ours: *ours }))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        match self.shown.kind {
            KeyKind::Rsa(_) => SignatureAlgorithm::RSA,
            KeyKind::Ed25519 => SignatureAlgorithm::ED25519,
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => SignatureAlgorithm::ECDSA,
        }
    }
}

/// A key with one way to sign.
#[derive(Debug)]
struct Pen {
    key: Key,
    tls: SignatureScheme,
    ours: Scheme,
}

impl Signer for Pen {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        self.key.identities.sign_shown(&self.key.shown, self.ours, message).map_err(Error::General)
    }

    fn scheme(&self) -> SignatureScheme {
        self.tls
    }
}
