//! Settings in rustls' words: suites, groups and signature schemes as its provider has them.

use ravelin_contract::tls_session::{Suite, Version};
use ravelin_rings::scheme::Scheme;
use rustls::crypto::{CryptoProvider, SupportedKxGroup, WebPkiSupportedAlgorithms, aws_lc_rs};
use rustls::{SignatureScheme, SupportedCipherSuite, SupportedProtocolVersion};

use crate::environment::SettingsError;
use crate::settings::{Group, Settings};

/// aws-lc-rs with nothing but what the settings name, in their order.
pub(crate) fn provider(settings: &Settings) -> Result<CryptoProvider, SettingsError> {
    let wanted = |suite: &&Suite| settings.versions.contains(&suite.version());
    let suites: Vec<_> = settings.suites.iter().filter(wanted).copied().collect();
    for version in &settings.versions {
        if !suites.iter().any(|suite| suite.version() == *version) {
            return Err(SettingsError::NoSuite(version.name()));
        }
    }
    if settings.versions.is_empty() {
        return Err(SettingsError::Empty("versions"));
    }
    if settings.groups.is_empty() {
        return Err(SettingsError::Empty("groups"));
    }
    if settings.schemes.is_empty() {
        return Err(SettingsError::Empty("signature schemes"));
    }
    let cipher_suites = suites.iter().filter_map(|suite| rustls_suite(*suite)).collect();
    let kx_groups = settings.groups.iter().map(|group| rustls_group(*group)).collect();
    Ok(CryptoProvider { cipher_suites, kx_groups, ..aws_lc_rs::default_provider() })
}

pub(crate) fn versions(settings: &Settings) -> Vec<&'static SupportedProtocolVersion> {
    settings
        .versions
        .iter()
        .map(|version| match version {
            Version::Tls12 => &rustls::version::TLS12,
            Version::Tls13 => &rustls::version::TLS13,
        })
        .collect()
}

fn rustls_suite(suite: Suite) -> Option<SupportedCipherSuite> {
    let known = aws_lc_rs::ALL_CIPHER_SUITES.iter();
    known.copied().find(|known| u16::from(known.suite()) == suite.code())
}

fn rustls_group(group: Group) -> &'static dyn SupportedKxGroup {
    match group {
        Group::X25519MlKem768 => aws_lc_rs::kx_group::X25519MLKEM768,
        Group::X25519 => aws_lc_rs::kx_group::X25519,
        Group::Secp256r1 => aws_lc_rs::kx_group::SECP256R1,
        Group::Secp384r1 => aws_lc_rs::kx_group::SECP384R1,
    }
}

/// Rings' schemes and rustls', which have the same meaning in TLS 1.3. In TLS 1.2 an ECDSA scheme names only the hash
/// (RFC 5246 7.4.1.4.1); we hold to the curve there, too.
const SCHEMES: [(Scheme, SignatureScheme); 10] = [
    (Scheme::RsaPkcs1Sha256, SignatureScheme::RSA_PKCS1_SHA256),
    (Scheme::RsaPkcs1Sha384, SignatureScheme::RSA_PKCS1_SHA384),
    (Scheme::RsaPkcs1Sha512, SignatureScheme::RSA_PKCS1_SHA512),
    (Scheme::RsaPssSha256, SignatureScheme::RSA_PSS_SHA256),
    (Scheme::RsaPssSha384, SignatureScheme::RSA_PSS_SHA384),
    (Scheme::RsaPssSha512, SignatureScheme::RSA_PSS_SHA512),
    (Scheme::EcdsaP256Sha256, SignatureScheme::ECDSA_NISTP256_SHA256),
    (Scheme::EcdsaP384Sha384, SignatureScheme::ECDSA_NISTP384_SHA384),
    (Scheme::EcdsaP521Sha512, SignatureScheme::ECDSA_NISTP521_SHA512),
    (Scheme::Ed25519, SignatureScheme::ED25519),
];

pub(crate) fn rustls_scheme(scheme: Scheme) -> SignatureScheme {
    let found = SCHEMES.iter().find(|(ours, _)| *ours == scheme);
    found.map_or(SignatureScheme::Unknown(0), |(_, theirs)| *theirs)
}

pub(crate) fn ring_scheme(scheme: SignatureScheme) -> Option<Scheme> {
    SCHEMES.iter().find(|(_, theirs)| *theirs == scheme).map(|(ours, _)| *ours)
}

/// How signatures are verified.
pub(crate) fn verification() -> WebPkiSupportedAlgorithms {
    aws_lc_rs::default_provider().signature_verification_algorithms
}
