//! What an authority remembers: whom it issued to, what it took back, and the number of its last CRL.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::CrlReason;

use super::Revocation;
use crate::beside;
use crate::certificate::{Certificate, hex};
use crate::key::PublicKey;
use crate::store::Rings;
use crate::{Error, Result};

/// The memory of one authority, by its key, so that renaming or renewing it loses nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Number of the last CRL; 0 before the first.
    #[serde(default)]
    pub crl_number: u64,
    /// All that was issued.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub issued: Vec<Issued>,
}

/// One certificate that was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Issued {
    /// Serial number in hexadecimal digits.
    pub serial: String,
    /// Its subject when it was issued.
    pub subject: String,
    /// Last second of its validity, since 1970.
    pub not_after: u64,
    /// When it was taken back, since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// Why, as RFC 5280 5.3.1 names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Reasons that an operator may give, as RFC 5280 5.3.1 names them.
pub const REASONS: [(&str, CrlReason); 7] = [
    ("unspecified", CrlReason::Unspecified),
    ("keyCompromise", CrlReason::KeyCompromise),
    ("cACompromise", CrlReason::CaCompromise),
    ("affiliationChanged", CrlReason::AffiliationChanged),
    ("superseded", CrlReason::Superseded),
    ("cessationOfOperation", CrlReason::CessationOfOperation),
    ("privilegeWithdrawn", CrlReason::PrivilegeWithdrawn),
];

impl Issued {
    /// The note of a new certificate.
    pub fn new(certificate: &Certificate) -> Self {
        Self {
            serial: certificate.serial(),
            subject: certificate.subject(),
            not_after: certificate.validity().1,
            revoked_at: None,
            reason: None,
        }
    }
}

impl Ledger {
    /// Takes a certificate back. What is not in the ledger was not issued here.
    pub fn revoke(&mut self, serial: &str, reason: &str, now: u64) -> Result<&Issued> {
        if !REASONS.iter().any(|(name, _)| *name == reason) {
            let names: Vec<&str> = REASONS.iter().map(|(name, _)| *name).collect();
            return Err(Error::Unfit(format!("{reason:?} is no reason; use one of {}", names.join(", "))));
        }
        let digits = serial.replace(':', "").to_ascii_lowercase();
        let unknown =
            || Error::Unfit(format!("this authority issued no certificate of serial number {digits}"));
        let issued = self.issued.iter_mut().find(|issued| issued.serial == digits).ok_or_else(unknown)?;
        if issued.revoked_at.is_some() {
            return Err(Error::Unfit(format!("{} ({digits}) is revoked already", issued.subject)));
        }
        issued.revoked_at = Some(now);
        issued.reason = Some(reason.to_owned());
        Ok(issued)
    }

    /// What a CRL must name: all that was taken back and has not expired.
    pub(super) fn revocations(&self, now: u64) -> Result<Vec<Revocation>> {
        let taken_back = self.issued.iter().filter(|issued| issued.not_after >= now);
        taken_back.filter_map(|issued| issued.revoked_at.map(|at| revocation(issued, at))).collect()
    }
}

fn revocation(issued: &Issued, at: u64) -> Result<Revocation> {
    let unreadable = || Error::format("ledger", format!("the entry of {} cannot be read", issued.subject));
    let octets = |digits: &str| -> Option<Vec<u8>> {
        let pairs = digits.len().is_multiple_of(2).then(|| (0..digits.len()).step_by(2))?;
        pairs.map(|at| u8::from_str_radix(digits.get(at..at + 2)?, 16).ok()).collect()
    };
    let serial = octets(&issued.serial).ok_or_else(unreadable)?;
    let wanted = issued.reason.as_deref().unwrap_or("unspecified");
    let (_, reason) = REASONS.iter().find(|(name, _)| *name == wanted).ok_or_else(unreadable)?;
    Ok(Revocation { serial, at, reason: *reason })
}

/// Does `work` on the ledger of the authority with this key, which others wait for meanwhile; an error of `work` or a
/// power cut leaves it as it was.
pub(super) fn change<T>(
    rings: &Rings,
    key: &PublicKey,
    work: impl FnOnce(&mut Ledger) -> Result<T>,
) -> Result<T> {
    beside::change(rings, &path(rings, key), beside::parse, work)
}

/// The ledger of the authority with this key, as it is now.
pub(super) fn load(rings: &Rings, key: &PublicKey) -> Result<Ledger> {
    beside::load(&path(rings, key), beside::parse)
}

fn path(rings: &Rings, key: &PublicKey) -> PathBuf {
    rings.root().join(".authorities").join(format!("{}.toml", hex(&key.id())))
}
