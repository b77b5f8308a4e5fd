//! Certificates (RFC 5280 4): self-signed, or by an authority.

use std::time::Duration;

use der::asn1::{GeneralizedTime, UtcTime};
use der::{DateTime, Decode, Sequence};
use x509_cert::certificate::Version;
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::BasicConstraints;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{AlgorithmIdentifierOwned, SubjectPublicKeyInfoOwned};
use x509_cert::time::{Time, Validity};

use super::profile::{self, Constraints, Profile};
use super::{IssuingKey, algorithm, sign, unwritable};
use crate::certificate::Certificate;
use crate::key::PublicKey;
use crate::scheme::Scheme;
use crate::{Error, Result};

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What the certificate shall say.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whose it is; may be empty where there are alternative names.
    pub subject: Name,
    /// subjectAltName.
    pub names: Vec<GeneralName>,
    /// What it is for.
    pub profile: Profile,
    /// First second of its validity, since 1970.
    pub not_before: u64,
    /// Last second of its validity, since 1970.
    pub not_after: u64,
    /// What an authority may issue for.
    pub constraints: Constraints,
    /// Where its issuer's CRL is to be had.
    pub crl_urls: Vec<String>,
    /// Where its issuer's OCSP responder is.
    pub ocsp_urls: Vec<String>,
}

impl Plan {
    /// Valid from `not_before` for so many days; more is added to the fields.
    pub fn new(subject: Name, names: Vec<GeneralName>, profile: Profile, not_before: u64, days: u32) -> Self {
        Self {
            subject,
            names,
            profile,
            not_before,
            not_after: not_before.saturating_add(u64::from(days) * DAY),
            constraints: Constraints::default(),
            crl_urls: Vec::new(),
            ocsp_urls: Vec::new(),
        }
    }

    fn check(&self) -> Result<()> {
        let unfit = |problem: &str| Err(Error::Unfit(problem.to_owned()));
        if self.subject.is_empty() && self.names.is_empty() {
            return unfit("a certificate needs a subject or an alternative name");
        }
        if self.not_after <= self.not_before {
            return unfit("a certificate must not end before it begins");
        }
        let constrained = !self.constraints.permitted.is_empty() || !self.constraints.excluded.is_empty();
        match self.profile {
            Profile::Ca(_) if self.subject.is_empty() => unfit("an authority needs a subject"),
            Profile::Ca(_) => Ok(()),
            _ if constrained => unfit("only authorities have name constraints"),
            _ => Ok(()),
        }
    }
}

/// TBSCertificate (RFC 5280 4.1), without the parts that nobody uses.
#[derive(Sequence)]
struct Content {
    #[asn1(context_specific = "0", default = "Default::default")]
    version: Version,
    serial_number: SerialNumber,
    signature: AlgorithmIdentifierOwned,
    issuer: Name,
    validity: Validity,
    subject: Name,
    key: SubjectPublicKeyInfoOwned,
    #[asn1(context_specific = "3", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

/// Makes a certificate that `key` signs for itself.
pub fn self_sign(plan: &Plan, key: &impl IssuingKey) -> Result<Certificate> {
    make(plan, key.public(), None, key)
}

/// Makes a certificate for `subject_key`, signed by `key`, whose certificate is `issuer`. Refuses what would not verify:
/// an issuer that is no authority, whose path length is used up, or that ends before the new certificate. One that ends on the same
/// day is meant: it was made a moment earlier for as many days, and the new certificate ends with it.
pub fn issue(
    plan: &Plan,
    subject_key: &PublicKey,
    issuer: &Certificate,
    key: &impl IssuingKey,
) -> Result<Certificate> {
    let constraints =
        issuer.parts().get_extension::<BasicConstraints>().ok().flatten().map(|(_, found)| found);
    let refused = |problem: &str| Err(Error::Unfit(format!("{}: {problem}", issuer.subject())));
    match (constraints, plan.profile) {
        (Some(BasicConstraints { ca: true, path_len_constraint: Some(0) }), Profile::Ca(_)) => {
            return refused("its path length lets no other authority stand below it");
        }
        (Some(BasicConstraints { ca: true, .. }), _) => {}
        _ => return refused("is no authority; make one with `ravelin ca init`"),
    }
    if issuer.public_key()? != *key.public() {
        return refused("its certificate does not belong to the signing key");
    }
    let last = issuer.validity().1;
    match plan.not_after.saturating_sub(last) {
        0 => make(plan, subject_key, Some(issuer), key),
        1..DAY => make(&Plan { not_after: last, ..plan.clone() }, subject_key, Some(issuer), key),
        DAY.. => refused(
            "the authority ends before the new certificate; choose fewer days, or renew the authority",
        ),
    }
}

fn make(
    plan: &Plan,
    subject_key: &PublicKey,
    issuer: Option<&Certificate>,
    key: &impl IssuingKey,
) -> Result<Certificate> {
    plan.check()?;
    let parts = issuer.map(Certificate::parts);
    let content = || -> der::Result<Content> {
        Ok(Content {
            version: Version::V3,
            serial_number: SerialNumber::new(&random_serial()?)?,
            signature: algorithm(Scheme::of(key.public().kind()))?,
            issuer: parts.map_or(&plan.subject, |parts| parts.subject()).clone(),
            validity: Validity::new(time(plan.not_before)?, time(plan.not_after)?),
            subject: plan.subject.clone(),
            key: SubjectPublicKeyInfoOwned::from_der(subject_key.spki())?,
            extensions: Some(profile::extensions(plan, subject_key, parts)?),
        })
    };
    let der = sign(&content().map_err(unwritable)?, key)?;
    Certificate::from_der(&der)
}

/// 128 random bits behind an octet that keeps the number positive and its length the same.
fn random_serial() -> der::Result<[u8; 17]> {
    let mut serial = [0; 17];
    aws_lc_rs::rand::fill(&mut serial[1..]).map_err(|_| der::ErrorKind::Failed)?;
    serial[0] = 0x40;
    Ok(serial)
}

/// UTCTime until 2049, then GeneralizedTime (RFC 5280 4.1.2.5).
pub(super) fn time(seconds: u64) -> der::Result<Time> {
    let moment = DateTime::from_unix_duration(Duration::from_secs(seconds))?;
    match moment.year() <= UtcTime::MAX_YEAR {
        true => UtcTime::from_date_time(moment).map(Time::UtcTime),
        false => Ok(Time::GeneralTime(GeneralizedTime::from_date_time(moment))),
    }
}
