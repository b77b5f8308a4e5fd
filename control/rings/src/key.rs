//! Keys: their kinds, the public half, and the private half that never leaves this crate unasked.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{self as lc, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RsaKeyPair};
use x509_cert::der::Decode;
use x509_cert::der::asn1::{ObjectIdentifier, UintRef};
use x509_cert::der::{Reader, SliceReader};
use x509_cert::spki::SubjectPublicKeyInfoRef;
use zeroize::Zeroizing;

use crate::scheme::Scheme;
use crate::{Error, Result};

pub(crate) const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
pub(crate) const EC: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
pub(crate) const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
pub(crate) const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
pub(crate) const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
pub(crate) const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// Kinds of keys that a ring may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyKind {
    /// RSA with a modulus of so many bits, 2048 to 4096.
    Rsa(u16),
    /// ECDSA, NIST P-256.
    P256,
    /// ECDSA, NIST P-384.
    P384,
    /// ECDSA, NIST P-521.
    P521,
    /// Ed25519 (RFC 8032).
    Ed25519,
}

impl std::fmt::Display for KeyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Rsa(bits) => write!(f, "rsa-{bits}"),
            Self::P256 => f.write_str("p256"),
            Self::P384 => f.write_str("p384"),
            Self::P521 => f.write_str("p521"),
            Self::Ed25519 => f.write_str("ed25519"),
        }
    }
}

impl std::str::FromStr for KeyKind {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "rsa-2048" => Self::Rsa(2048),
            "rsa-3072" => Self::Rsa(3072),
            "rsa-4096" => Self::Rsa(4096),
            "p256" => Self::P256,
            "p384" => Self::P384,
            "p521" => Self::P521,
            "ed25519" => Self::Ed25519,
            _ => {
                let kinds = "rsa-2048, rsa-3072, rsa-4096, p256, p384, p521, ed25519";
                return Err(Error::Unfit(format!("{text:?} is no kind of key; use one of {kinds}")));
            }
        })
    }
}

/// A public key: the DER of its SubjectPublicKeyInfo (RFC 5280 4.1.2.7), of a kind that a ring may hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct PublicKey {
    kind: KeyKind,
    spki: Vec<u8>,
}

impl PublicKey {
    /// Reads a SubjectPublicKeyInfo.
    pub fn from_spki(der: &[u8]) -> Result<Self> {
        let bad = |problem: &str| Error::format("public key", problem);
        let info = SubjectPublicKeyInfoRef::from_der(der).map_err(|e| bad(&e.to_string()))?;
        let octets = info.subject_public_key.as_bytes().ok_or_else(|| bad("not whole octets"))?;
        let curve = || info.algorithm.parameters_oid().map_err(|_| bad("no named curve"));
        let kind = match info.algorithm.oid {
            RSA => KeyKind::Rsa(modulus_bits(octets).map_err(|e| bad(&e.to_string()))?),
            EC => match curve()? {
                P256 => KeyKind::P256,
                P384 => KeyKind::P384,
                P521 => KeyKind::P521,
                other => return Err(bad(&format!("curve {other} is not supported; use p256, p384 or p521"))),
            },
            ED25519 => KeyKind::Ed25519,
            other => {
                return Err(bad(&format!("algorithm {other} is not supported; use RSA, ECDSA or Ed25519")));
            }
        };
        Ok(Self { kind, spki: der.to_vec() })
    }

    /// Its kind.
    pub fn kind(&self) -> KeyKind {
        self.kind
    }

    /// SHA-256 of the SubjectPublicKeyInfo: names the key wherever an identifier is wanted.
    pub fn id(&self) -> [u8; 32] {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &self.spki);
        digest.as_ref().try_into().unwrap_or_default()
    }

    /// DER of the SubjectPublicKeyInfo.
    pub fn spki(&self) -> &[u8] {
        &self.spki
    }
}

/// Bits of the modulus of an RSAPublicKey (RFC 8017 A.1.1).
fn modulus_bits(der: &[u8]) -> der::Result<u16> {
    let mut reader = SliceReader::new(der)?;
    let modulus: UintRef<'_> = reader.sequence(|inner| {
        let modulus = inner.decode()?;
        let _exponent: UintRef<'_> = inner.decode()?;
        Ok::<_, der::Error>(modulus)
    })?;
    let octets = modulus.as_bytes();
    let unused = octets.first().map_or(0, |first| first.leading_zeros() as usize);
    Ok(u16::try_from(octets.len() * 8 - unused).unwrap_or(u16::MAX))
}

/// A private key. Outside this crate it can only be made and handed in.
pub struct PrivateKey {
    pair: Pair,
    public: PublicKey,
    pkcs8: Zeroizing<Vec<u8>>,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ecdsa(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

impl std::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "PrivateKey({})", self.public.kind)
    }
}

impl PrivateKey {
    /// Makes a new one.
    pub fn generate(kind: KeyKind) -> Result<Self> {
        const FAILED: Error = Error::Crypto("the system gave no new key");
        let pair = match kind {
            KeyKind::Rsa(bits) => {
                let size = match bits {
                    2048 => KeySize::Rsa2048,
                    3072 => KeySize::Rsa3072,
                    4096 => KeySize::Rsa4096,
                    _ => {
                        return Err(Error::Unfit(format!(
                            "new RSA keys have 2048, 3072 or 4096 bits, not {bits}"
                        )));
                    }
                };
                Pair::Rsa(RsaKeyPair::generate(size).map_err(|_| FAILED)?)
            }
            KeyKind::Ed25519 => Pair::Ed25519(Ed25519KeyPair::generate().map_err(|_| FAILED)?),
            KeyKind::P256 | KeyKind::P384 | KeyKind::P521 => {
                Pair::Ecdsa(EcdsaKeyPair::generate(ecdsa(kind)).map_err(|_| FAILED)?)
            }
        };
        Self::from_pair(pair)
    }

    /// Reads a PKCS#8 PrivateKeyInfo (RFC 5208), not encrypted. RSA keys have 2048 to 4096 bits.
    pub fn from_pkcs8(der: &[u8]) -> Result<Self> {
        let bad = |problem: String| Error::format("private key", problem);
        let info = pkcs8::PrivateKeyInfoRef::try_from(der).map_err(|e| bad(e.to_string()))?;
        let pair = match info.algorithm.oid {
            RSA => Pair::Rsa(RsaKeyPair::from_pkcs8(der).map_err(refused_rsa)?),
            ED25519 => Pair::Ed25519(
                Ed25519KeyPair::from_pkcs8_maybe_unchecked(der).map_err(|e| bad(e.to_string()))?,
            ),
            EC => {
                let curve = info.algorithm.parameters_oid().map_err(|_| bad("no named curve".to_owned()))?;
                let kind = match curve {
                    P256 => KeyKind::P256,
                    P384 => KeyKind::P384,
                    P521 => KeyKind::P521,
                    _ => return Err(bad(format!("curve {curve} is not supported; use p256, p384 or p521"))),
                };
                Pair::Ecdsa(EcdsaKeyPair::from_pkcs8(ecdsa(kind), der).map_err(|e| bad(e.to_string()))?)
            }
            other => {
                return Err(bad(format!("algorithm {other} is not supported; use RSA, ECDSA or Ed25519")));
            }
        };
        Self::from_pair(pair)
    }

    /// Reads an RSAPrivateKey (RFC 8017 A.1.2).
    pub fn from_pkcs1(der: &[u8]) -> Result<Self> {
        Self::from_pair(Pair::Rsa(RsaKeyPair::from_der(der).map_err(refused_rsa)?))
    }

    /// Reads an ECPrivateKey (RFC 5915), of the curve that it names or that its length fits.
    pub fn from_sec1(der: &[u8]) -> Result<Self> {
        let curves = [KeyKind::P256, KeyKind::P384, KeyKind::P521];
        let pair = curves.iter().find_map(|kind| EcdsaKeyPair::from_private_key_der(ecdsa(*kind), der).ok());
        let unknown =
            || Error::format("EC private key", "it is damaged, or its curve is not p256, p384 or p521");
        Self::from_pair(Pair::Ecdsa(pair.ok_or_else(unknown)?))
    }

    fn from_pair(pair: Pair) -> Result<Self> {
        const FAILED: Error = Error::Crypto("the key cannot be written as PKCS#8");
        let (spki, pkcs8) = match &pair {
            Pair::Rsa(pair) => (
                pair.public_key().as_der().map_err(|_| FAILED)?.as_ref().to_vec(),
                Zeroizing::new(pair.as_der().map_err(|_| FAILED)?.as_ref().to_vec()),
            ),
            Pair::Ecdsa(pair) => (
                pair.public_key().as_der().map_err(|_| FAILED)?.as_ref().to_vec(),
                Zeroizing::new(pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec()),
            ),
            Pair::Ed25519(pair) => (
                pair.public_key().as_der().map_err(|_| FAILED)?.as_ref().to_vec(),
                Zeroizing::new(pair.to_pkcs8v1().map_err(|_| FAILED)?.as_ref().to_vec()),
            ),
        };
        let public = PublicKey::from_spki(&spki)?;
        if let KeyKind::Rsa(bits) = public.kind
            && !(2048..=4096).contains(&bits)
        {
            return Err(Error::Unfit(format!("an RSA key of {bits} bits is not held; use 2048 to 4096")));
        }
        Ok(Self { pair, public, pkcs8 })
    }

    /// Its public half.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// PKCS#8 in clear, for stores and the audited export only.
    pub(crate) fn pkcs8(&self) -> &[u8] {
        &self.pkcs8
    }

    /// Signs. Who asks was checked before, by the signer.
    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>> {
        const FAILED: Error = Error::Crypto("the key could not sign");
        let kind = self.public.kind;
        let unfit = || Error::Scheme { key: kind.to_string(), scheme: scheme.name() };
        if !scheme.fits(kind) {
            return Err(unfit());
        }
        let random = SystemRandom::new();
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                let padding = padding(scheme).ok_or_else(unfit)?;
                pair.sign(padding, &random, message, &mut signature).map_err(|_| FAILED)?;
                Ok(signature)
            }
            Pair::Ecdsa(pair) => Ok(pair.sign(&random, message).map_err(|_| FAILED)?.as_ref().to_vec()),
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }
}

/// Why the library does not take an RSA key.
fn refused_rsa(why: aws_lc_rs::error::KeyRejected) -> Error {
    match why.to_string().as_str() {
        "TooSmall" | "TooLarge" => {
            Error::format("RSA private key", "its length is not 2048 to 4096 bits; make a new key")
        }
        other => Error::format("RSA private key", other),
    }
}

fn ecdsa(kind: KeyKind) -> &'static lc::EcdsaSigningAlgorithm {
    match kind {
        KeyKind::P384 => &lc::ECDSA_P384_SHA384_ASN1_SIGNING,
        KeyKind::P521 => &lc::ECDSA_P521_SHA512_ASN1_SIGNING,
        _ => &lc::ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}

fn padding(scheme: Scheme) -> Option<&'static dyn lc::RsaEncoding> {
    Some(match scheme {
        Scheme::RsaPkcs1Sha256 => &lc::RSA_PKCS1_SHA256,
        Scheme::RsaPkcs1Sha384 => &lc::RSA_PKCS1_SHA384,
        Scheme::RsaPkcs1Sha512 => &lc::RSA_PKCS1_SHA512,
        Scheme::RsaPssSha256 => &lc::RSA_PSS_SHA256,
        Scheme::RsaPssSha384 => &lc::RSA_PSS_SHA384,
        Scheme::RsaPssSha512 => &lc::RSA_PSS_SHA512,
        _ => return None,
    })
}
