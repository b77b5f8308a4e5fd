//! How a message is signed.

use crate::key::KeyKind;

/// Signature schemes of TLS 1.3 (RFC 8446 4.2.3) and IKEv2 (RFC 7427); ECDSA signatures are DER (RFC 3279 2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "the names are those of RFC 8446")]
pub enum Scheme {
    RsaPkcs1Sha256,
    RsaPkcs1Sha384,
    RsaPkcs1Sha512,
    RsaPssSha256,
    RsaPssSha384,
    RsaPssSha512,
    EcdsaP256Sha256,
    EcdsaP384Sha384,
    EcdsaP521Sha512,
    Ed25519,
}

impl Scheme {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::RsaPkcs1Sha256,
        Self::RsaPkcs1Sha384,
        Self::RsaPkcs1Sha512,
        Self::RsaPssSha256,
        Self::RsaPssSha384,
        Self::RsaPssSha512,
        Self::EcdsaP256Sha256,
        Self::EcdsaP384Sha384,
        Self::EcdsaP521Sha512,
        Self::Ed25519,
    ];

    /// What a key of this kind signs certificates by.
    pub fn of(kind: KeyKind) -> Self {
        match kind {
            KeyKind::Rsa(_) => Self::RsaPkcs1Sha256,
            KeyKind::P256 => Self::EcdsaP256Sha256,
            KeyKind::P384 => Self::EcdsaP384Sha384,
            KeyKind::P521 => Self::EcdsaP521Sha512,
            KeyKind::Ed25519 => Self::Ed25519,
        }
    }

    /// Whether a key of this kind can sign so.
    pub fn fits(self, kind: KeyKind) -> bool {
        matches!(
            (self, kind),
            (
                Self::RsaPkcs1Sha256
                    | Self::RsaPkcs1Sha384
                    | Self::RsaPkcs1Sha512
                    | Self::RsaPssSha256
                    | Self::RsaPssSha384
                    | Self::RsaPssSha512,
                KeyKind::Rsa(_)
            ) | (Self::EcdsaP256Sha256, KeyKind::P256)
                | (Self::EcdsaP384Sha384, KeyKind::P384)
                | (Self::EcdsaP521Sha512, KeyKind::P521)
                | (Self::Ed25519, KeyKind::Ed25519)
        )
    }

    /// Its name in logs.
    pub fn name(self) -> &'static str {
        match self {
            Self::RsaPkcs1Sha256 => "rsa-pkcs1-sha256",
            Self::RsaPkcs1Sha384 => "rsa-pkcs1-sha384",
            Self::RsaPkcs1Sha512 => "rsa-pkcs1-sha512",
            Self::RsaPssSha256 => "rsa-pss-sha256",
            Self::RsaPssSha384 => "rsa-pss-sha384",
            Self::RsaPssSha512 => "rsa-pss-sha512",
            Self::EcdsaP256Sha256 => "ecdsa-p256-sha256",
            Self::EcdsaP384Sha384 => "ecdsa-p384-sha384",
            Self::EcdsaP521Sha512 => "ecdsa-p521-sha512",
            Self::Ed25519 => "ed25519",
        }
    }
}
