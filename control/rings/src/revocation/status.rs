//! What a source says of one certificate.

use x509_cert::ext::pkix::CrlReason;

/// What a source says of one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It stands.
    Good,
    /// It was taken back.
    Revoked {
        /// Since when.
        at: String,
        /// Why, if said.
        reason: Option<CrlReason>,
    },
    /// No answer, and what stood in the way, if anything was tried.
    Unknown(Option<String>),
}

/// A reason as RFC 5280 5.3.1 names it.
pub fn reason_words(reason: Option<CrlReason>) -> &'static str {
    match reason {
        None | Some(CrlReason::Unspecified) => "unspecified",
        Some(CrlReason::KeyCompromise) => "keyCompromise",
        Some(CrlReason::CaCompromise) => "cACompromise",
        Some(CrlReason::AffiliationChanged) => "affiliationChanged",
        Some(CrlReason::Superseded) => "superseded",
        Some(CrlReason::CessationOfOperation) => "cessationOfOperation",
        Some(CrlReason::CertificateHold) => "certificateHold",
        Some(CrlReason::RemoveFromCRL) => "removeFromCRL",
        Some(CrlReason::PrivilegeWithdrawn) => "privilegeWithdrawn",
        Some(CrlReason::AaCompromise) => "aACompromise",
    }
}
