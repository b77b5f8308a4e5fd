//! Making certificates, requests and CRLs: what goes in comes as arguments, what signs is a key behind a door.

mod authority;
mod certificate;
mod crl;
mod desk;
mod held;
mod ledger;
mod names;
mod profile;
mod request;

use der::asn1::{Any, BitString, Null, ObjectIdentifier};
use der::{Encode, Sequence};
use x509_cert::spki::AlgorithmIdentifierOwned;

pub use authority::Authority;
pub use certificate::{Plan, issue, self_sign};
pub use crl::{CrlPlan, Revocation, issue_crl};
pub use desk::{Desk, Received, profile_of};
pub use held::HeldKey;
pub use ledger::{Issued, Ledger, REASONS};
pub use names::{parse_alternative_name, parse_subtree};
pub use profile::{Constraints, Profile};
pub use request::{Request, make_request, read_request};

use crate::key::{PrivateKey, PublicKey};
use crate::scheme::Scheme;
use crate::{Error, Result};

/// A key that signs what is issued, without being shown.
pub trait IssuingKey {
    /// Its public half.
    fn public(&self) -> &PublicKey;
    /// Signs.
    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>>;
}

impl IssuingKey for PrivateKey {
    fn public(&self) -> &PublicKey {
        Self::public(self)
    }

    fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>> {
        Self::sign(self, scheme, message)
    }
}

/// What is signed, the algorithm, the signature: the frame of certificates, requests and CRLs.
#[derive(Sequence)]
struct Frame {
    content: Any,
    algorithm: AlgorithmIdentifierOwned,
    signature: BitString,
}

/// DER of `content` signed by `key`.
fn sign(content: &impl Encode, key: &impl IssuingKey) -> Result<Vec<u8>> {
    let octets = content.to_der().map_err(unwritable)?;
    let scheme = Scheme::of(key.public().kind());
    let signature = key.sign(scheme, &octets)?;
    let frame = || -> der::Result<Vec<u8>> {
        let content = <Any as der::Decode>::from_der(&octets)?;
        let signature = BitString::from_bytes(&signature)?;
        Frame { content, algorithm: algorithm(scheme)?, signature }.to_der()
    };
    frame().map_err(unwritable)
}

/// The algorithm as certificates name it (RFC 4055, RFC 5758, RFC 8410).
fn algorithm(scheme: Scheme) -> der::Result<AlgorithmIdentifierOwned> {
    let (oid, null) = match scheme {
        Scheme::RsaPkcs1Sha256 => ("1.2.840.113549.1.1.11", true),
        Scheme::RsaPkcs1Sha384 => ("1.2.840.113549.1.1.12", true),
        Scheme::RsaPkcs1Sha512 => ("1.2.840.113549.1.1.13", true),
        Scheme::EcdsaP256Sha256 => ("1.2.840.10045.4.3.2", false),
        Scheme::EcdsaP384Sha384 => ("1.2.840.10045.4.3.3", false),
        Scheme::EcdsaP521Sha512 => ("1.2.840.10045.4.3.4", false),
        Scheme::Ed25519 => ("1.3.101.112", false),
        // `Scheme::of` never chooses PSS for certificates.
        Scheme::RsaPssSha256 | Scheme::RsaPssSha384 | Scheme::RsaPssSha512 => {
            return Err(der::ErrorKind::Failed.into());
        }
    };
    let parameters = null.then(|| Any::encode_from(&Null)).transpose()?;
    Ok(AlgorithmIdentifierOwned {
        oid: ObjectIdentifier::new(oid).map_err(|_| der::ErrorKind::Failed)?,
        parameters,
    })
}

fn unwritable(error: der::Error) -> Error {
    Error::format("what was to be issued", format!("cannot be written as DER: {error}"))
}
