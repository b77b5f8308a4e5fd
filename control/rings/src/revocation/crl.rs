//! One CRL (RFC 5280 5): read once, looked into often.

use std::collections::HashMap;
use std::sync::Mutex;

use der::Decode;
use der::asn1::ObjectIdentifier;
use der::pem::PemLabel;
use rustls_pki_types::UnixTime;
use x509_cert::crl::CertificateList;
use x509_cert::ext::Extension;
use x509_cert::ext::pkix::name::{DistributionPointName, GeneralName};
use x509_cert::ext::pkix::{CrlNumber, CrlReason, IssuingDistributionPoint, KeyUsages};
use x509_cert::name::Name;

use super::status::Status;
use crate::verify::dn;
use crate::verify::link::Link;
use crate::verify::signature::Signed;

const NUMBER: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.20");
const REASON: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.21");
const ISSUING_POINT: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.5.29.28");

/// A CRL, read but not yet believed: whose signature it has is seen when it is asked.
#[derive(Debug)]
pub struct Crl {
    der: Vec<u8>,
    issuer: Name,
    this_update: u64,
    next_update: u64,
    revoked: HashMap<Vec<u8>, Entry>,
    scope: Option<IssuingDistributionPoint>,
    number: Option<CrlNumber>,
    /// SubjectPublicKeyInfo that the signature was seen to fit.
    signed_by: Mutex<Option<Vec<u8>>>,
}

#[derive(Debug, Clone)]
struct Entry {
    at: String,
    reason: Option<CrlReason>,
}

impl Crl {
    /// Reads DER or PEM. Delta CRLs, indirect ones and unknown critical extensions are refused, for they would mislead.
    pub fn read(octets: &[u8]) -> Result<Self, String> {
        let der = match octets.starts_with(b"-----BEGIN") {
            true => from_pem(octets)?,
            false => octets.to_vec(),
        };
        let list = CertificateList::<x509_cert::certificate::Rfc5280>::from_der(&der)
            .map_err(|e| format!("no readable CRL: {e}"))?;
        let list = list.tbs_cert_list;
        let next_update = list.next_update.ok_or("the CRL does not say when the next one comes")?;
        let mut revoked = HashMap::new();
        for entry in list.revoked_certificates.unwrap_or_default() {
            let reason = entry_reason(entry.crl_entry_extensions.as_deref().unwrap_or_default())?;
            let at = entry.revocation_date.to_string();
            revoked.insert(entry.serial_number.as_bytes().to_vec(), Entry { at, reason });
        }
        let (scope, number) = list_extensions(list.crl_extensions.as_deref().unwrap_or_default())?;
        Ok(Self {
            issuer: list.issuer,
            this_update: list.this_update.to_unix_duration().as_secs(),
            next_update: next_update.to_unix_duration().as_secs(),
            revoked,
            scope,
            number,
            signed_by: Mutex::new(None),
            der,
        })
    }

    /// Its octets.
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// How many certificates it takes back.
    pub fn len(&self) -> usize {
        self.revoked.len()
    }

    /// Whether it takes back none.
    pub fn is_empty(&self) -> bool {
        self.revoked.is_empty()
    }

    /// Its number (RFC 5280 5.2.3), big-endian, if it has one.
    pub fn number(&self) -> Option<&[u8]> {
        self.number.as_ref().map(|number| number.0.as_bytes())
    }

    /// Its last second, since 1970.
    pub fn next_update(&self) -> u64 {
        self.next_update
    }

    /// When it was issued, since 1970.
    pub(super) fn this_update(&self) -> u64 {
        self.this_update
    }

    pub(super) fn is_from(&self, issuer: &Link) -> bool {
        dn::equal(&self.issuer, issuer.subject())
    }

    /// Whether its signature was seen to fit.
    pub(super) fn is_judged(&self) -> bool {
        self.signed_by.lock().is_ok_and(|known| known.is_some())
    }

    /// Whether `issuer` signed it, and may.
    pub(super) fn is_signed_by(&self, issuer: &Link) -> Result<(), String> {
        let spki = issuer.spki();
        let mut known = self.signed_by.lock().map_err(|_| "the cache is broken")?;
        if known.as_ref() == Some(&spki) {
            return Ok(());
        }
        if issuer.key_usage().is_some_and(|usage| !usage.0.contains(KeyUsages::CRLSign)) {
            return Err(format!("{} may not sign CRLs", issuer.words()));
        }
        let signed = Signed::from_der(&self.der).map_err(|e| e.to_string())?;
        signed.check(&spki).map_err(|problem| format!("CRL of {}: {problem}", issuer.words()))?;
        *known = Some(spki);
        Ok(())
    }

    /// What it says of a certificate.
    pub(super) fn status(&self, certificate: &Link, issuer: &Link, now: UnixTime) -> Status {
        let unknown = |problem: &str| Status::Unknown(Some(format!("CRL of {}: {problem}", issuer.words())));
        if !self.covers(certificate) {
            return Status::Unknown(None);
        }
        if let Err(problem) = self.is_signed_by(issuer) {
            return Status::Unknown(Some(problem));
        }
        if now.as_secs() < self.this_update {
            return unknown("issued in the future");
        }
        // An entry stands also in an old list: nothing but a hold is ever taken back.
        match self.revoked.get(certificate.serial()) {
            Some(entry) if entry.reason != Some(CrlReason::RemoveFromCRL) => {
                Status::Revoked { at: entry.at.clone(), reason: entry.reason }
            }
            _ if now.as_secs() >= self.next_update => unknown("out of date, a newer one is due"),
            _ => Status::Good,
        }
    }

    /// Whether the certificate lies in the scope of its issuing distribution point (RFC 5280 6.3.3 b).
    fn covers(&self, certificate: &Link) -> bool {
        let Some(scope) = &self.scope else { return true };
        let authority = certificate.is_authority();
        if scope.only_contains_attribute_certs
            || (scope.only_contains_user_certs && authority)
            || (scope.only_contains_ca_certs && !authority)
        {
            return false;
        }
        match &scope.distribution_point {
            None => true,
            Some(DistributionPointName::FullName(names)) => {
                let of_certificate = super::lookup::distribution_points(certificate);
                names.iter().any(|name| match name {
                    GeneralName::UniformResourceIdentifier(uri) => {
                        of_certificate.iter().any(|point| point == uri.as_str())
                    }
                    _ => false,
                })
            }
            Some(DistributionPointName::NameRelativeToCRLIssuer(_)) => false,
        }
    }
}

fn from_pem(text: &[u8]) -> Result<Vec<u8>, String> {
    let (label, der) = der::pem::decode_vec(text).map_err(|e| format!("no readable PEM: {e}"))?;
    match label == CertificateList::<x509_cert::certificate::Rfc5280>::PEM_LABEL {
        true => Ok(der),
        false => Err(format!("the PEM holds {label}, not an X509 CRL")),
    }
}

fn entry_reason(extensions: &[Extension]) -> Result<Option<CrlReason>, String> {
    let mut reason = None;
    for extension in extensions {
        if extension.extn_id == REASON {
            let read = CrlReason::from_der(extension.extn_value.as_bytes());
            reason = Some(read.map_err(|e| format!("an entry's reason cannot be read: {e}"))?);
        } else if extension.critical {
            return Err(format!(
                "an entry has the critical extension {}, which is not known",
                extension.extn_id
            ));
        }
    }
    Ok(reason)
}

type ListExtensions = (Option<IssuingDistributionPoint>, Option<CrlNumber>);

fn list_extensions(extensions: &[Extension]) -> Result<ListExtensions, String> {
    let (mut scope, mut number) = (None, None);
    for extension in extensions {
        let value = extension.extn_value.as_bytes();
        let unreadable = |e: der::Error| format!("its extension {} cannot be read: {e}", extension.extn_id);
        match extension.extn_id {
            ISSUING_POINT => scope = Some(IssuingDistributionPoint::from_der(value).map_err(unreadable)?),
            NUMBER => number = Some(CrlNumber::from_der(value).map_err(unreadable)?),
            other if extension.critical => {
                return Err(format!(
                    "it has the critical extension {other}, which is not known (a delta CRL?)"
                ));
            }
            _ => {}
        }
    }
    let partial = |scope: &IssuingDistributionPoint| scope.indirect_crl || scope.only_some_reasons.is_some();
    match scope.as_ref().is_some_and(partial) {
        true => Err("indirect CRLs, and those for some reasons only, are not understood".to_owned()),
        false => Ok((scope, number)),
    }
}
