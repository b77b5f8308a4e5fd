//! Why a certificate is not believed: one reason each, in plain words.

use crate::revocation::Lookup;

/// The first reason found why a chain is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Past its notAfter (RFC 5280 4.1.2.5).
    #[error("{subject}: expired at {not_after}; renew it")]
    Expired {
        /// Whose certificate.
        subject: String,
        /// Its last moment.
        not_after: String,
    },
    /// Before its notBefore.
    #[error("{subject}: not valid before {not_before}; look at the clocks of both sides")]
    NotYetValid {
        /// Whose certificate.
        subject: String,
        /// Its first moment.
        not_before: String,
    },
    /// The identity that was asked for is not in it.
    #[error("the certificate is not for {wanted}; it is for {presented}")]
    WrongName {
        /// What was asked for.
        wanted: String,
        /// What it has.
        presented: String,
    },
    /// Key usage, extended key usage or basic constraints say otherwise.
    #[error("{subject}: not made for this use: {problem}")]
    WrongUsage {
        /// Whose certificate.
        subject: String,
        /// Which usage is missing.
        problem: String,
    },
    /// A link is missing, does not fit, or the path is longer than it may be.
    #[error("the chain is broken at {subject}: {problem}")]
    BrokenChain {
        /// The certificate whose issuer does not fit.
        subject: String,
        /// What is wrong there.
        problem: String,
    },
    /// The chain is whole, and ends at an authority that is not trusted here.
    #[error("{authority} is not a trusted authority; add its certificate as a trust anchor if it should be")]
    Untrusted {
        /// Where the chain ends.
        authority: String,
    },
    /// Its issuer took it back.
    #[error("{subject}: revoked at {at}, reason {reason}")]
    Revoked {
        /// Whose certificate.
        subject: String,
        /// Reason as RFC 5280 5.3.1 has it.
        reason: &'static str,
        /// Since when.
        at: String,
    },
    /// Revocation must be known, and is not.
    #[error("{subject}: whether it was revoked is not known: {problem}")]
    RevocationUnknown {
        /// Whose certificate.
        subject: String,
        /// What was tried.
        problem: String,
        /// What may answer the question; empty when nothing can.
        wanted: Vec<Lookup>,
    },
    /// A key below the floor, or of a kind that is not accepted.
    #[error("{subject}: its key is not strong enough: {problem}")]
    SmallKey {
        /// Whose certificate.
        subject: String,
        /// The key, and the floor.
        problem: String,
    },
    /// An authority above it may not issue for such names (RFC 5280 4.2.1.10).
    #[error("{subject}: an authority above it may not issue for its names")]
    NameConstraint {
        /// Whose certificate.
        subject: String,
    },
    /// Signed by a method that is broken or unknown.
    #[error("{subject}: {problem}")]
    WeakSignature {
        /// Whose certificate.
        subject: String,
        /// The method.
        problem: String,
    },
    /// Octets that are no certificate that can be judged.
    #[error("{what} cannot be read: {problem}")]
    Malformed {
        /// Which one.
        what: String,
        /// Why.
        problem: String,
    },
}

impl Refusal {
    /// A stable word for logs, metrics and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Expired { .. } => "expired",
            Self::NotYetValid { .. } => "not-yet-valid",
            Self::WrongName { .. } => "wrong-name",
            Self::WrongUsage { .. } => "wrong-usage",
            Self::BrokenChain { .. } => "broken-chain",
            Self::Untrusted { .. } => "untrusted",
            Self::Revoked { .. } => "revoked",
            Self::RevocationUnknown { .. } => "revocation-unknown",
            Self::SmallKey { .. } => "small-key",
            Self::NameConstraint { .. } => "name-constraint",
            Self::WeakSignature { .. } => "weak-signature",
            Self::Malformed { .. } => "malformed",
        }
    }
}
