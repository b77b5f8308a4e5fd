//! CRLs of our own authorities (RFC 5280 5).

use der::asn1::{OctetString, Uint};
use x509_cert::Version;
use x509_cert::crl::{RevokedCert, TbsCertList};
use x509_cert::ext::pkix::{AuthorityKeyIdentifier, CrlNumber, CrlReason};
use x509_cert::serial_number::SerialNumber;

use super::certificate::time;
use super::profile::{extension, identifier_of};
use super::{IssuingKey, algorithm, sign, unwritable};
use crate::certificate::Certificate;
use crate::scheme::Scheme;
use crate::{Error, Result};

/// One certificate taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revocation {
    /// Its serial number, as the INTEGER's octets.
    pub serial: Vec<u8>,
    /// When, in seconds since 1970.
    pub at: u64,
    /// Why.
    pub reason: CrlReason,
}

/// What the CRL shall say.
#[derive(Debug, Clone)]
pub struct CrlPlan {
    /// Greater than that of any before (RFC 5280 5.2.3).
    pub number: u64,
    /// When it is issued, in seconds since 1970.
    pub this_update: u64,
    /// When the next one comes at the latest.
    pub next_update: u64,
    /// All that was taken back and has not expired.
    pub revoked: Vec<Revocation>,
}

/// DER of a CRL of `issuer`, signed by its `key`.
pub fn issue_crl(plan: &CrlPlan, issuer: &Certificate, key: &impl IssuingKey) -> Result<Vec<u8>> {
    if plan.next_update <= plan.this_update {
        return Err(Error::Unfit("the next CRL must come after this one".to_owned()));
    }
    let content = || -> der::Result<TbsCertList> {
        let authority = AuthorityKeyIdentifier {
            key_identifier: Some(identifier_of(issuer.parts())?),
            ..AuthorityKeyIdentifier::default()
        };
        let number = CrlNumber(Uint::new(&plan.number.to_be_bytes())?);
        let revoked: Vec<RevokedCert> = plan.revoked.iter().map(entry).collect::<der::Result<_>>()?;
        Ok(TbsCertList {
            version: Version::V2,
            signature: algorithm(Scheme::of(key.public().kind()))?,
            issuer: issuer.parts().subject().clone(),
            this_update: time(plan.this_update)?,
            next_update: Some(time(plan.next_update)?),
            // An empty list is left out (RFC 5280 5.1.2.6).
            revoked_certificates: (!revoked.is_empty()).then_some(revoked),
            crl_extensions: Some(vec![extension(false, &authority)?, extension(false, &number)?]),
        })
    };
    sign(&content().map_err(unwritable)?, key)
}

fn entry(revocation: &Revocation) -> der::Result<RevokedCert> {
    // Unspecified is said by saying nothing (RFC 5280 5.3.1).
    let reason = match revocation.reason {
        CrlReason::Unspecified => None,
        reason => Some(vec![x509_cert::ext::Extension {
            extn_id: <CrlReason as der::oid::AssociatedOid>::OID,
            critical: false,
            extn_value: OctetString::new(der::Encode::to_der(&reason)?)?,
        }]),
    };
    Ok(RevokedCert {
        serial_number: SerialNumber::new(&revocation.serial)?,
        revocation_date: time(revocation.at)?,
        crl_entry_extensions: reason,
    })
}
