//! Signatures over DER objects: certificates, requests, CRLs and OCSP responses have one shape, and one check.

use der::asn1::{AnyRef, BitStringRef, ObjectIdentifier};
use der::{Decode, Encode, Sequence};
use webpki::ALL_VERIFICATION_ALGS;
use x509_cert::spki::AlgorithmIdentifierRef;

/// What is signed, by which algorithm, and the signature: the frame of RFC 5280 4.1.1, RFC 2986 4.2 and RFC 6960 4.2.1.
#[derive(Debug, Clone, Sequence)]
pub(crate) struct Signed<'a> {
    /// To be signed, whole with its header.
    pub(crate) content: AnyRef<'a>,
    /// The AlgorithmIdentifier.
    pub(crate) algorithm: AnyRef<'a>,
    /// Over the octets of `content`.
    pub(crate) signature: BitStringRef<'a>,
}

/// Why a signature does not hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignatureProblem {
    /// The algorithm is not among those accepted: no MD5, no SHA-1, no DSA.
    #[error("signature algorithm {0} is not accepted")]
    Algorithm(String),
    /// The algorithm is one, the key is of another kind.
    #[error("the signature algorithm does not fit the signer's key")]
    Key,
    /// Key, octets and signature do not belong together.
    #[error("the signature does not match")]
    Mismatch,
    /// Not DER, or not of this shape.
    #[error("not readable: {0}")]
    Malformed(String),
}

impl From<der::Error> for SignatureProblem {
    fn from(error: der::Error) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl Signed<'_> {
    /// Holds the signature against a SubjectPublicKeyInfo.
    pub(crate) fn check(&self, spki: &[u8]) -> Result<(), SignatureProblem> {
        let message = self.content.to_der()?;
        let signature = self.signature.as_bytes().ok_or(SignatureProblem::Mismatch)?;
        check(spki, self.algorithm, &message, signature)
    }
}

/// SubjectPublicKeyInfo (RFC 5280 4.1.2.7), with the algorithm as it was written.
#[derive(Sequence)]
struct KeyInfo<'a> {
    algorithm: AnyRef<'a>,
    key: BitStringRef<'a>,
}

/// Holds `signature` over `message` against a SubjectPublicKeyInfo.
pub(crate) fn check(
    spki: &[u8],
    algorithm: AnyRef<'_>,
    message: &[u8],
    signature: &[u8],
) -> Result<(), SignatureProblem> {
    let info = KeyInfo::from_der(spki)?;
    let key = info.key.as_bytes().ok_or(SignatureProblem::Key)?;
    let mut known = ALL_VERIFICATION_ALGS
        .iter()
        .filter(|candidate| candidate.signature_alg_id().as_ref() == algorithm.value())
        .peekable();
    if known.peek().is_none() {
        return Err(SignatureProblem::Algorithm(algorithm_name(algorithm)));
    }
    let fitting = known
        .find(|candidate| candidate.public_key_alg_id().as_ref() == info.algorithm.value())
        .ok_or(SignatureProblem::Key)?;
    fitting.verify_signature(key, message, signature).map_err(|_| SignatureProblem::Mismatch)
}

/// Whether signatures of this algorithm are accepted at all, whatever the key.
pub(crate) fn accepted(algorithm: AnyRef<'_>) -> bool {
    ALL_VERIFICATION_ALGS.iter().any(|known| known.signature_alg_id().as_ref() == algorithm.value())
}

/// The algorithm in words, where it has a common name.
pub(crate) fn algorithm_name(algorithm: AnyRef<'_>) -> String {
    let Ok(identifier) = algorithm.decode_as::<AlgorithmIdentifierRef<'_>>() else {
        return "of an unreadable kind".to_owned();
    };
    let common = [
        ("1.2.840.113549.1.1.2", "md2WithRSAEncryption"),
        ("1.2.840.113549.1.1.4", "md5WithRSAEncryption"),
        ("1.2.840.113549.1.1.5", "sha1WithRSAEncryption"),
        ("1.2.840.113549.1.1.14", "sha224WithRSAEncryption"),
        ("1.2.840.10045.4.1", "ecdsa-with-SHA1"),
        ("1.2.840.10040.4.3", "dsa-with-SHA1"),
        ("2.16.840.1.101.3.4.3.2", "dsa-with-SHA256"),
    ];
    common
        .iter()
        .find(|(oid, _)| ObjectIdentifier::new_unwrap(oid) == identifier.oid)
        .map_or_else(|| identifier.oid.to_string(), |(_, name)| (*name).to_owned())
}
