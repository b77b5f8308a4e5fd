//! Signatures of AUTH payloads (RFC 7427, RFC 8420): names of algorithms, public keys, verification. Signing is the caller's.

use aws_lc_rs::signature::{self as lc, UnparsedPublicKey, VerificationAlgorithm};

use super::CryptoError;
use super::der::{self, Der};
use crate::wire::SignatureHash;

/// A signature algorithm with its hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureScheme {
    /// RSASSA-PSS, SHA-256.
    RsaPssSha256,
    /// RSASSA-PSS, SHA-384.
    RsaPssSha384,
    /// RSASSA-PSS, SHA-512.
    RsaPssSha512,
    /// RSASSA-PKCS1-v1_5, SHA-256.
    RsaPkcs1Sha256,
    /// RSASSA-PKCS1-v1_5, SHA-384.
    RsaPkcs1Sha384,
    /// RSASSA-PKCS1-v1_5, SHA-512.
    RsaPkcs1Sha512,
    /// ECDSA, SHA-256.
    EcdsaSha256,
    /// ECDSA, SHA-384.
    EcdsaSha384,
    /// ECDSA, SHA-512.
    EcdsaSha512,
    /// Ed25519.
    Ed25519,
}

const SHA256: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];
const SHA384: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02];
const SHA512: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03];
const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const MGF1: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08];
const RSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const RSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b];
const RSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c];
const RSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d];
const EC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
const P384: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x22];
const P521: &[u8] = &[0x2b, 0x81, 0x04, 0x00, 0x23];
const ECDSA_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
const ECDSA_SHA384: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03];
const ECDSA_SHA512: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04];
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

impl SignatureScheme {
    /// All, the preferred first.
    pub const ALL: [Self; 10] = [
        Self::Ed25519,
        Self::EcdsaSha256,
        Self::EcdsaSha384,
        Self::EcdsaSha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
    ];

    /// The hash that the peer must have announced in SIGNATURE_HASH_ALGORITHMS.
    pub fn hash(self) -> SignatureHash {
        match self {
            Self::RsaPssSha256 | Self::RsaPkcs1Sha256 | Self::EcdsaSha256 => SignatureHash::Sha2_256,
            Self::RsaPssSha384 | Self::RsaPkcs1Sha384 | Self::EcdsaSha384 => SignatureHash::Sha2_384,
            Self::RsaPssSha512 | Self::RsaPkcs1Sha512 | Self::EcdsaSha512 => SignatureHash::Sha2_512,
            Self::Ed25519 => SignatureHash::Identity,
        }
    }

    /// Whether keys of this kind sign by it.
    pub fn fits(self, kind: KeyKind) -> bool {
        match self {
            Self::RsaPssSha256 | Self::RsaPssSha384 | Self::RsaPssSha512 => {
                matches!(kind, KeyKind::Rsa | KeyKind::RsaPssOnly)
            }
            Self::RsaPkcs1Sha256 | Self::RsaPkcs1Sha384 | Self::RsaPkcs1Sha512 => kind == KeyKind::Rsa,
            Self::EcdsaSha256 | Self::EcdsaSha384 | Self::EcdsaSha512 => {
                matches!(kind, KeyKind::EcdsaP256 | KeyKind::EcdsaP384 | KeyKind::EcdsaP521)
            }
            Self::Ed25519 => kind == KeyKind::Ed25519,
        }
    }

    /// The first of `allowed` that fits our key and whose hash the peer knows. For ECDSA the curve's own hash comes first.
    pub fn choose(kind: KeyKind, allowed: &[Self], peer_hashes: &[SignatureHash]) -> Option<Self> {
        let usable = |scheme: &Self| scheme.fits(kind) && peer_hashes.contains(&scheme.hash());
        let natural = match kind {
            KeyKind::EcdsaP384 => Some(Self::EcdsaSha384),
            KeyKind::EcdsaP521 => Some(Self::EcdsaSha512),
            _ => None,
        };
        natural
            .filter(|scheme| allowed.contains(scheme) && usable(scheme))
            .or_else(|| allowed.iter().copied().find(usable))
    }

    /// `AlgorithmIdentifier` in DER, as RFC 7427 appendix A has them.
    pub fn algorithm_identifier(self) -> Vec<u8> {
        match self {
            Self::RsaPssSha256 => pss_identifier(SHA256, 32),
            Self::RsaPssSha384 => pss_identifier(SHA384, 48),
            Self::RsaPssSha512 => pss_identifier(SHA512, 64),
            Self::RsaPkcs1Sha256 => with_null(RSA_SHA256),
            Self::RsaPkcs1Sha384 => with_null(RSA_SHA384),
            Self::RsaPkcs1Sha512 => with_null(RSA_SHA512),
            Self::EcdsaSha256 => wrap(der::SEQUENCE, &wrap(der::OID, ECDSA_SHA256)),
            Self::EcdsaSha384 => wrap(der::SEQUENCE, &wrap(der::OID, ECDSA_SHA384)),
            Self::EcdsaSha512 => wrap(der::SEQUENCE, &wrap(der::OID, ECDSA_SHA512)),
            Self::Ed25519 => wrap(der::SEQUENCE, &wrap(der::OID, ED25519)),
        }
    }

    /// The scheme that a peer names. Parameters must say what they mean; defaults that lead to SHA-1 are refused.
    pub fn from_algorithm_identifier(octets: &[u8]) -> Option<Self> {
        let mut outer = Der::new(octets);
        let mut inside = outer.sequence().filter(|_| outer.is_empty())?;
        let oid = inside.element(der::OID)?;
        if oid == RSA_PSS {
            let parameters = inside.sequence().filter(|_| inside.is_empty())?;
            return parse_pss(parameters);
        }
        let absent = inside.is_empty();
        let null = inside.optional(der::NULL)? == Some(&[]);
        if !inside.is_empty() {
            return None;
        }
        match oid {
            RSA_SHA256 => Some(Self::RsaPkcs1Sha256),
            RSA_SHA384 => Some(Self::RsaPkcs1Sha384),
            RSA_SHA512 => Some(Self::RsaPkcs1Sha512),
            ECDSA_SHA256 if absent || null => Some(Self::EcdsaSha256),
            ECDSA_SHA384 if absent || null => Some(Self::EcdsaSha384),
            ECDSA_SHA512 if absent || null => Some(Self::EcdsaSha512),
            ED25519 if absent => Some(Self::Ed25519),
            _ => None,
        }
    }
}

/// RFC 4055 3.1, with the restrictions that the library and RFC 7427 have: MGF1 with the same hash, salt as long as it.
fn parse_pss(mut parameters: Der<'_>) -> Option<SignatureScheme> {
    let hash = hash_name(Der::new(parameters.element(0xa0)?))?;
    let mut mask = Der::new(parameters.element(0xa1)?).sequence()?;
    if mask.element(der::OID)? != MGF1 || hash_name(mask)? != hash {
        return None;
    }
    let salt = Der::new(parameters.element(0xa2)?).element(der::INTEGER)?;
    let trailer = parameters.optional(0xa3)?;
    if !parameters.is_empty() || trailer.is_some_and(|trailer| trailer != [der::INTEGER, 1, 1]) {
        return None;
    }
    match (hash, salt) {
        (SHA256, [32]) => Some(SignatureScheme::RsaPssSha256),
        (SHA384, [48]) => Some(SignatureScheme::RsaPssSha384),
        (SHA512, [64]) => Some(SignatureScheme::RsaPssSha512),
        _ => None,
    }
}

fn hash_name(mut octets: Der<'_>) -> Option<&[u8]> {
    let mut inside = octets.sequence().filter(|_| octets.is_empty())?;
    let oid = inside.element(der::OID)?;
    let parameters = inside.optional(der::NULL)?;
    (inside.is_empty() && parameters.is_none_or(<[u8]>::is_empty)).then_some(oid)
}

fn wrap(tag: u8, inside: &[u8]) -> Vec<u8> {
    // Everything that is written here is shorter than 128 octets.
    [&[tag, inside.len() as u8], inside].concat()
}

fn with_null(oid: &[u8]) -> Vec<u8> {
    wrap(der::SEQUENCE, &[wrap(der::OID, oid), wrap(der::NULL, &[])].concat())
}

fn pss_identifier(hash: &[u8], salt: u8) -> Vec<u8> {
    let hash = with_null(hash);
    let mask = wrap(der::SEQUENCE, &[wrap(der::OID, MGF1), hash.clone()].concat());
    let salt = wrap(der::INTEGER, &[salt]);
    let parameters = [wrap(0xa0, &hash), wrap(0xa1, &mask), wrap(0xa2, &salt)].concat();
    wrap(der::SEQUENCE, &[wrap(der::OID, RSA_PSS), wrap(der::SEQUENCE, &parameters)].concat())
}

impl std::fmt::Display for SignatureScheme {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::RsaPssSha256 => "RSA_PSS_SHA2_256",
            Self::RsaPssSha384 => "RSA_PSS_SHA2_384",
            Self::RsaPssSha512 => "RSA_PSS_SHA2_512",
            Self::RsaPkcs1Sha256 => "RSA_PKCS1_SHA2_256",
            Self::RsaPkcs1Sha384 => "RSA_PKCS1_SHA2_384",
            Self::RsaPkcs1Sha512 => "RSA_PKCS1_SHA2_512",
            Self::EcdsaSha256 => "ECDSA_SHA2_256",
            Self::EcdsaSha384 => "ECDSA_SHA2_384",
            Self::EcdsaSha512 => "ECDSA_SHA2_512",
            Self::Ed25519 => "ED25519",
        })
    }
}

/// What a public key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA, for PSS and PKCS#1.
    Rsa,
    /// RSA whose certificate allows PSS alone.
    RsaPssOnly,
    /// ECDSA on P-256.
    EcdsaP256,
    /// ECDSA on P-384.
    EcdsaP384,
    /// ECDSA on P-521.
    EcdsaP521,
    /// Ed25519.
    Ed25519,
}

/// A public key out of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    kind: KeyKind,
    octets: Vec<u8>,
}

impl PublicKey {
    /// The key of a SubjectPublicKeyInfo in DER (RFC 5280 4.1.2.7), if it is of a kind that signs here.
    pub fn from_spki(spki: &[u8]) -> Option<Self> {
        let mut outer = Der::new(spki);
        let mut inside = outer.sequence().filter(|_| outer.is_empty())?;
        let mut algorithm = inside.sequence()?;
        let bits = inside.element(der::BIT_STRING).filter(|_| inside.is_empty())?;
        let (0, octets) = bits.split_first().map(|(unused, octets)| (*unused, octets))? else { return None };
        let oid = algorithm.element(der::OID)?;
        let kind = match oid {
            RSA => KeyKind::Rsa,
            RSA_PSS => KeyKind::RsaPssOnly,
            EC_KEY => match algorithm.element(der::OID)? {
                P256 => KeyKind::EcdsaP256,
                P384 => KeyKind::EcdsaP384,
                P521 => KeyKind::EcdsaP521,
                _ => return None,
            },
            ED25519 => KeyKind::Ed25519,
            _ => return None,
        };
        Some(Self { kind, octets: octets.to_vec() })
    }

    /// What it is.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Whether `signature` is this key's over `message`.
    pub fn verify(&self, scheme: SignatureScheme, message: &[u8], signature: &[u8]) -> bool {
        self.algorithm(scheme).is_some_and(|algorithm| self.verify_by(algorithm, message, signature))
    }

    /// The same for methods 9 to 11 of RFC 4754, where each curve has its hash and the signature is r and s.
    pub fn verify_fixed_ecdsa(&self, message: &[u8], signature: &[u8]) -> bool {
        let algorithm: &'static dyn VerificationAlgorithm = match self.kind {
            KeyKind::EcdsaP256 => &lc::ECDSA_P256_SHA256_FIXED,
            KeyKind::EcdsaP384 => &lc::ECDSA_P384_SHA384_FIXED,
            KeyKind::EcdsaP521 => &lc::ECDSA_P521_SHA512_FIXED,
            KeyKind::Rsa | KeyKind::RsaPssOnly | KeyKind::Ed25519 => return false,
        };
        self.verify_by(algorithm, message, signature)
    }

    fn verify_by(
        &self,
        algorithm: &'static dyn VerificationAlgorithm,
        message: &[u8],
        signature: &[u8],
    ) -> bool {
        UnparsedPublicKey::new(algorithm, &self.octets).verify(message, signature).is_ok()
    }

    /// RSA below 2,048 bits fails in the library (RFC 8247 asks for no less).
    fn algorithm(&self, scheme: SignatureScheme) -> Option<&'static dyn VerificationAlgorithm> {
        use SignatureScheme as S;
        Some(match (scheme, self.kind) {
            (scheme, kind) if !scheme.fits(kind) => return None,
            (S::RsaPssSha256, _) => &lc::RSA_PSS_2048_8192_SHA256,
            (S::RsaPssSha384, _) => &lc::RSA_PSS_2048_8192_SHA384,
            (S::RsaPssSha512, _) => &lc::RSA_PSS_2048_8192_SHA512,
            (S::RsaPkcs1Sha256, _) => &lc::RSA_PKCS1_2048_8192_SHA256,
            (S::RsaPkcs1Sha384, _) => &lc::RSA_PKCS1_2048_8192_SHA384,
            (S::RsaPkcs1Sha512, _) => &lc::RSA_PKCS1_2048_8192_SHA512,
            (S::EcdsaSha256, KeyKind::EcdsaP256) => &lc::ECDSA_P256_SHA256_ASN1,
            (S::EcdsaSha384, KeyKind::EcdsaP256) => &lc::ECDSA_P256_SHA384_ASN1,
            (S::EcdsaSha512, KeyKind::EcdsaP256) => &lc::ECDSA_P256_SHA512_ASN1,
            (S::EcdsaSha256, KeyKind::EcdsaP384) => &lc::ECDSA_P384_SHA256_ASN1,
            (S::EcdsaSha384, KeyKind::EcdsaP384) => &lc::ECDSA_P384_SHA384_ASN1,
            (S::EcdsaSha512, KeyKind::EcdsaP384) => &lc::ECDSA_P384_SHA512_ASN1,
            (S::EcdsaSha256, _) => &lc::ECDSA_P521_SHA256_ASN1,
            (S::EcdsaSha384, _) => &lc::ECDSA_P521_SHA384_ASN1,
            (S::EcdsaSha512, _) => &lc::ECDSA_P521_SHA512_ASN1,
            (S::Ed25519, _) => &lc::ED25519,
        })
    }
}

/// Holds a private key and signs by it: a key ring, a token, another process.
pub trait Signer: Send + Sync {
    /// What its key is.
    fn kind(&self) -> KeyKind;

    /// A signature over `message`: for ECDSA in DER, as RFC 7427 wants it.
    fn sign(&self, scheme: SignatureScheme, message: &[u8]) -> Result<Vec<u8>, CryptoError>;
}
