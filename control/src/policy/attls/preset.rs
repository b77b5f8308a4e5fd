//! Lists that go by a name (row A45).

use ravelin_contract::tls_session::{Suite, Version};
use ravelin_rings::scheme::Scheme;
use ravelin_tls::settings::{Group, SCHEMES, VERSIONS};

/// Lists in order of preference.
#[derive(Debug, PartialEq)]
pub(super) struct Preset {
    pub(super) versions: &'static [Version],
    pub(super) suites: &'static [Suite],
    pub(super) groups: &'static [Group],
    pub(super) schemes: &'static [Scheme],
}

/// Presets by their words; the first holds where none is named.
pub(super) const PRESETS: [(&str, &Preset); 3] =
    [("modern", &MODERN), ("compatible", &COMPATIBLE), ("fips", &FIPS)];

/// Everything that is sound, what is secure against quantum computers first.
pub(super) const MODERN: Preset =
    Preset { versions: &VERSIONS, suites: &Suite::ALL, groups: &Group::ALL, schemes: &SCHEMES };

/// The same in an order that suits old peers: a first message that fits one packet.
const COMPATIBLE: Preset = Preset {
    groups: &[Group::X25519, Group::Secp256r1, Group::Secp384r1, Group::X25519MlKem768],
    versions: &VERSIONS,
    suites: &Suite::ALL,
    schemes: &SCHEMES,
};

/// What FIPS 140-3 approves of: AES-GCM and the curves of NIST.
const FIPS: Preset = Preset {
    versions: &VERSIONS,
    suites: &[
        Suite::Aes256GcmSha384,
        Suite::Aes128GcmSha256,
        Suite::EcdheEcdsaAes256GcmSha384,
        Suite::EcdheEcdsaAes128GcmSha256,
        Suite::EcdheRsaAes256GcmSha384,
        Suite::EcdheRsaAes128GcmSha256,
    ],
    groups: &[Group::Secp256r1, Group::Secp384r1],
    schemes: &[
        Scheme::EcdsaP256Sha256,
        Scheme::EcdsaP384Sha384,
        Scheme::EcdsaP521Sha512,
        Scheme::RsaPssSha256,
        Scheme::RsaPssSha384,
        Scheme::RsaPssSha512,
        Scheme::RsaPkcs1Sha256,
        Scheme::RsaPkcs1Sha384,
        Scheme::RsaPkcs1Sha512,
    ],
};
