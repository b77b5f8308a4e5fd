//! OCSP (RFC 6960): the request, and what a response is worth.

use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use der::asn1::{AnyRef, BitStringRef, GeneralizedTime, Null, ObjectIdentifier, OctetString};
use der::{Choice, Decode, Encode, Enumerated, Sequence};
use rustls_pki_types::UnixTime;
use x509_cert::Certificate;
use x509_cert::ext::pkix::{CrlReason, ExtendedKeyUsage};
use x509_cert::ext::{Extension, Extensions};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::AlgorithmIdentifierOwned;

use super::cache::Cache;
use super::status::Status;
use crate::verify::dn;
use crate::verify::link::Link;
use crate::verify::signature;

const SHA1_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.14.3.2.26");
const SHA256_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("2.16.840.1.101.3.4.2.1");
const BASIC_RESPONSE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.1");
const NONCE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.48.1.2");
const OCSP_SIGNING: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.5.5.7.3.9");

/// Clocks may differ by so many seconds.
const SKEW: u64 = 300;

/// An answer that does not say how long it holds is kept for so many seconds.
const SHORT_LIFE: u64 = 300;

/// What ties a response to its request (RFC 9654: 32 octets).
pub type Nonce = [u8; 32];

#[derive(Sequence)]
struct Request {
    list: TbsRequest,
}

#[derive(Sequence)]
struct TbsRequest {
    requests: Vec<SingleRequest>,
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

#[derive(Sequence)]
struct SingleRequest {
    certificate: CertId,
}

/// CertID (RFC 6960 4.1.1).
#[derive(Clone, Debug, Eq, PartialEq, Sequence)]
struct CertId {
    hash: AlgorithmIdentifierOwned,
    issuer_name: OctetString,
    issuer_key: OctetString,
    serial: SerialNumber,
}

#[derive(Clone, Copy, Debug, Enumerated, Eq, PartialEq)]
#[repr(u32)]
enum ResponseStatus {
    Successful = 0,
    MalformedRequest = 1,
    InternalError = 2,
    TryLater = 3,
    SigRequired = 5,
    Unauthorized = 6,
}

#[derive(Sequence)]
struct Response {
    status: ResponseStatus,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    bytes: Option<ResponseBytes>,
}

#[derive(Sequence)]
struct ResponseBytes {
    kind: ObjectIdentifier,
    response: OctetString,
}

#[derive(Sequence)]
struct BasicResponse<'a> {
    data: AnyRef<'a>,
    algorithm: AnyRef<'a>,
    signature: BitStringRef<'a>,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    certificates: Option<Vec<Certificate>>,
}

#[derive(Clone, Copy, Debug, Default, Enumerated, Eq, PartialEq)]
#[asn1(type = "INTEGER")]
#[repr(u8)]
enum Version {
    #[default]
    V1 = 0,
}

#[derive(Sequence)]
struct ResponseData {
    #[asn1(context_specific = "0", default = "Default::default")]
    version: Version,
    responder: Responder,
    produced_at: GeneralizedTime,
    responses: Vec<SingleResponse>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

#[derive(Choice)]
enum Responder {
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", constructed = "true")]
    ByName(Name),
    #[asn1(context_specific = "2", tag_mode = "EXPLICIT", constructed = "true")]
    ByKey(OctetString),
}

#[derive(Sequence)]
struct SingleResponse {
    certificate: CertId,
    status: CertStatus,
    this_update: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    next_update: Option<GeneralizedTime>,
    #[asn1(context_specific = "1", tag_mode = "EXPLICIT", optional = "true")]
    extensions: Option<Extensions>,
}

#[derive(Choice)]
enum CertStatus {
    #[asn1(context_specific = "0", tag_mode = "IMPLICIT")]
    Good(Null),
    #[asn1(context_specific = "1", tag_mode = "IMPLICIT", constructed = "true")]
    Revoked(RevokedInfo),
    #[asn1(context_specific = "2", tag_mode = "IMPLICIT")]
    Unknown(Null),
}

#[derive(Sequence)]
struct RevokedInfo {
    at: GeneralizedTime,
    #[asn1(context_specific = "0", tag_mode = "EXPLICIT", optional = "true")]
    reason: Option<CrlReason>,
}

/// What a good response says, and how long it may be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: Status,
    /// Seconds since 1970.
    pub(crate) until: u64,
}

/// DER of a request for one certificate.
pub fn request(certificate: &[u8], issuer: &[u8], nonce: Option<&Nonce>) -> Result<Vec<u8>, String> {
    let read = |der: &[u8]| Link::read(der, "a certificate").map_err(|refusal| refusal.to_string());
    request_for(&read(certificate)?, &read(issuer)?, nonce).map_err(|e| e.to_string())
}

pub(super) fn request_for(certificate: &Link, issuer: &Link, nonce: Option<&Nonce>) -> der::Result<Vec<u8>> {
    // SHA-1 names the issuer here and proves nothing; prepared responses are found by no other (RFC 5019 2.1.1).
    let certificate = cert_id(certificate, issuer, SHA1_OID, &SHA1_FOR_LEGACY_USE_ONLY)?;
    let extensions = match nonce {
        None => None,
        Some(nonce) => {
            let value = OctetString::new(nonce.as_slice())?.to_der()?;
            Some(vec![Extension { extn_id: NONCE, critical: false, extn_value: OctetString::new(value)? }])
        }
    };
    Request { list: TbsRequest { requests: vec![SingleRequest { certificate }], extensions } }.to_der()
}

/// Names a certificate in the cache.
pub(super) fn key(certificate: &Link, issuer: &Link) -> Vec<u8> {
    let mut key = digest(&SHA256, &issuer.spki()).as_ref().to_vec();
    key.extend_from_slice(certificate.serial());
    key
}

fn cert_id(
    certificate: &Link,
    issuer: &Link,
    oid: ObjectIdentifier,
    algorithm: &'static Algorithm,
) -> der::Result<CertId> {
    let hash = |octets: &[u8]| OctetString::new(digest(algorithm, octets).as_ref());
    let key = issuer.parts().subject_public_key_info().subject_public_key.raw_bytes();
    Ok(CertId {
        hash: AlgorithmIdentifierOwned { oid, parameters: Some(AnyRef::NULL.into()) },
        issuer_name: hash(&issuer.subject().to_der()?)?,
        issuer_key: hash(key)?,
        serial: certificate.parts().serial_number().clone(),
    })
}

/// Judges a response for one certificate at the moment `now`. By `cache` it is seen whether its signer was revoked.
pub(super) fn judge(
    response: &[u8],
    certificate: &Link,
    issuer: &Link,
    nonce: Option<&Nonce>,
    nonce_required: bool,
    now: UnixTime,
    cache: &Cache,
) -> Result<Answer, String> {
    let basic = successful(response)?;
    let basic = BasicResponse::from_der(basic.as_bytes()).map_err(unreadable)?;
    let data: ResponseData =
        basic.data.to_der().and_then(|der| ResponseData::from_der(&der)).map_err(unreadable)?;
    let signer = responder(&basic, &data, issuer, now, cache)?;
    let signed = basic.data.to_der().map_err(unreadable)?;
    let octets = basic.signature.as_bytes().ok_or("its signature is not whole octets")?;
    signature::check(&signer, basic.algorithm, &signed, octets).map_err(|problem| problem.to_string())?;
    check_nonce(&data, nonce, nonce_required)?;
    let single = data
        .responses
        .iter()
        .find(|single| is_about(&single.certificate, certificate, issuer))
        .ok_or("it speaks of other certificates")?;
    answer(single, now)
}

fn unreadable(error: der::Error) -> String {
    format!("it cannot be read: {error}")
}

fn successful(response: &[u8]) -> Result<OctetString, String> {
    let response = Response::from_der(response).map_err(unreadable)?;
    let refused = match response.status {
        ResponseStatus::Successful => None,
        ResponseStatus::MalformedRequest => Some("the responder calls the request malformed"),
        ResponseStatus::InternalError => Some("the responder has an internal error"),
        ResponseStatus::TryLater => Some("the responder says: try later"),
        ResponseStatus::SigRequired => Some("the responder wants signed requests"),
        ResponseStatus::Unauthorized => Some("the responder does not answer for this certificate"),
    };
    match (refused, response.bytes) {
        (Some(problem), _) => Err(problem.to_owned()),
        (None, Some(bytes)) if bytes.kind == BASIC_RESPONSE => Ok(bytes.response),
        (None, _) => Err("it has no basic response".to_owned()),
    }
}

/// SubjectPublicKeyInfo of who may have signed it: the issuer, or whom the issuer appointed (RFC 6960 4.2.2.2).
fn responder(
    basic: &BasicResponse<'_>,
    data: &ResponseData,
    issuer: &Link,
    now: UnixTime,
    cache: &Cache,
) -> Result<Vec<u8>, String> {
    if is_named(&data.responder, issuer) {
        return Ok(issuer.spki());
    }
    let mut problem = "its signer's certificate is not in it".to_owned();
    for candidate in basic.certificates.iter().flatten() {
        let der = candidate.to_der().map_err(unreadable)?;
        let candidate =
            Link::read(&der, "the responder's certificate").map_err(|refusal| refusal.to_string())?;
        if !is_named(&data.responder, &candidate) {
            continue;
        }
        match is_appointed(&candidate, issuer, now, cache) {
            Ok(()) => return Ok(candidate.spki()),
            Err(found) => problem = found,
        }
    }
    Err(problem)
}

fn is_named(responder: &Responder, candidate: &Link) -> bool {
    match responder {
        Responder::ByName(name) => dn::equal(name, candidate.subject()),
        Responder::ByKey(hash) => {
            let key = candidate.parts().subject_public_key_info().subject_public_key.raw_bytes();
            digest(&SHA1_FOR_LEGACY_USE_ONLY, key).as_ref() == hash.as_bytes()
        }
    }
}

/// Whether the issuer appointed it, and has not taken that back as far as its CRLs are known (RFC 6960 4.2.2.2.1).
fn is_appointed(candidate: &Link, issuer: &Link, now: UnixTime, cache: &Cache) -> Result<(), String> {
    candidate.check_time(now).map_err(|refusal| format!("its responder: {refusal}"))?;
    let usage = candidate.extension::<ExtendedKeyUsage>();
    if !usage.is_some_and(|usage| usage.0.contains(&OCSP_SIGNING)) {
        return Err(format!("{} was not made to sign OCSP responses", candidate.words()));
    }
    candidate
        .is_signed_by(issuer)
        .map_err(|problem| format!("{} was not appointed by the issuer: {problem}", candidate.words()))?;
    match cache.crl(candidate, issuer, now) {
        Status::Revoked { at, .. } => Err(format!("its responder {} was revoked at {at}", candidate.words())),
        Status::Good | Status::Unknown(_) => Ok(()),
    }
}

fn check_nonce(data: &ResponseData, sent: Option<&Nonce>, required: bool) -> Result<(), String> {
    let Some(sent) = sent else { return Ok(()) };
    let found = data.extensions.iter().flatten().find(|extension| extension.extn_id == NONCE);
    match found {
        None if required => Err("it does not repeat the nonce".to_owned()),
        None => Ok(()),
        Some(extension) => match OctetString::from_der(extension.extn_value.as_bytes()) {
            Ok(nonce) if nonce.as_bytes() == sent => Ok(()),
            _ => Err("it has another nonce: an old response, replayed".to_owned()),
        },
    }
}

fn is_about(id: &CertId, certificate: &Link, issuer: &Link) -> bool {
    let algorithm: &'static Algorithm = match id.hash.oid {
        SHA1_OID => &SHA1_FOR_LEGACY_USE_ONLY,
        SHA256_OID => &SHA256,
        _ => return false,
    };
    cert_id(certificate, issuer, id.hash.oid, algorithm).is_ok_and(|own| {
        (&own.issuer_name, &own.issuer_key, &own.serial) == (&id.issuer_name, &id.issuer_key, &id.serial)
    })
}

fn answer(single: &SingleResponse, now: UnixTime) -> Result<Answer, String> {
    let now = now.as_secs();
    let this_update = single.this_update.to_unix_duration().as_secs();
    let next_update = single.next_update.map(|time| time.to_unix_duration().as_secs());
    if this_update > now + SKEW {
        return Err("it was made in the future; look at the clocks".to_owned());
    }
    let until = next_update.unwrap_or(this_update + SHORT_LIFE);
    if until + SKEW < now {
        return Err("it is out of date".to_owned());
    }
    if single.extensions.iter().flatten().any(|extension| extension.critical) {
        return Err("it has a critical extension that is not known".to_owned());
    }
    let status = match &single.status {
        CertStatus::Good(_) => Status::Good,
        CertStatus::Revoked(info) => {
            Status::Revoked { at: info.at.to_date_time().to_string(), reason: info.reason }
        }
        CertStatus::Unknown(_) => return Err("the responder does not know the certificate".to_owned()),
    };
    Ok(Answer { status, until })
}
