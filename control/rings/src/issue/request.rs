//! Certificate requests (PKCS#10, RFC 2986).

use der::asn1::{Any, ObjectIdentifier, SetOfVec, Utf8StringRef};
use der::{Decode, Encode};
use x509_cert::attr::{Attribute, Attributes};
use x509_cert::ext::Extensions;
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;
use x509_cert::request::{CertReq, CertReqInfo, ExtensionReq, Version};
use x509_cert::spki::SubjectPublicKeyInfoOwned;

use super::profile::extension;
use super::{IssuingKey, sign, unwritable};
use crate::key::{KeyKind, PublicKey};
use crate::verify::RSA_FLOOR;
use crate::verify::signature::Signed;
use crate::{Error, Result};

/// What somebody asks to be certified, signed by the key it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Who it says it is.
    pub subject: Name,
    /// Its other names.
    pub names: Vec<GeneralName>,
    /// Its key.
    pub key: PublicKey,
}

/// challengePassword (RFC 2985 5.4.1).
const CHALLENGE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.7");

/// DER of a request for `key`. By the `challenge` an authority may ask whoever wants the certificate taken back; it
/// stands in the request for all to read.
pub fn make_request(
    subject: &Name,
    names: &[GeneralName],
    challenge: Option<&str>,
    key: &impl IssuingKey,
) -> Result<Vec<u8>> {
    if subject.is_empty() && names.is_empty() {
        return Err(Error::Unfit("a request needs a subject or an alternative name".to_owned()));
    }
    let content = || -> der::Result<CertReqInfo> {
        Ok(CertReqInfo {
            version: Version::V1,
            subject: subject.clone(),
            public_key: SubjectPublicKeyInfoOwned::from_der(key.public().spki())?,
            attributes: attributes(subject, names, challenge)?,
        })
    };
    sign(&content().map_err(unwritable)?, key)
}

fn attributes(subject: &Name, names: &[GeneralName], challenge: Option<&str>) -> der::Result<Attributes> {
    let mut attributes = Attributes::new();
    if !names.is_empty() {
        let wanted: Extensions = vec![extension(subject.is_empty(), &SubjectAltName(names.to_vec()))?];
        attributes.insert(Attribute::try_from(ExtensionReq(wanted))?)?;
    }
    if let Some(challenge) = challenge {
        let value = Any::encode_from(&Utf8StringRef::new(challenge)?)?;
        attributes.insert(Attribute { oid: CHALLENGE, values: SetOfVec::try_from(vec![value])? })?;
    }
    Ok(attributes)
}

/// Reads a request, and sees that it was signed by the key it names, so that nobody has another's key certified.
pub fn read_request(der: &[u8]) -> Result<Request> {
    let wrong = |problem: String| Error::format("request", problem);
    let request = CertReq::from_der(der).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    let spki = request.info.public_key.to_der().map_err(|e| wrong(e.to_string()))?;
    let key = PublicKey::from_spki(&spki)?;
    if let KeyKind::Rsa(bits) = key.kind()
        && bits < RSA_FLOOR
    {
        return Err(wrong(format!(
            "its RSA key has {bits} bits, the floor is {RSA_FLOOR}; ask for one of a larger key"
        )));
    }
    Signed::from_der(der)
        .map_err(|e| wrong(e.to_string()))?
        .check(&spki)
        .map_err(|problem| wrong(format!("it is not signed by its own key: {problem}")))?;
    let names =
        requested_names(&request.info.attributes).map_err(|e| wrong(format!("its attributes: {e}")))?;
    Ok(Request { subject: request.info.subject, names, key })
}

/// subjectAltName of the extensionRequest attribute (RFC 2985 5.4.2).
fn requested_names(attributes: &SetOfVec<Attribute>) -> der::Result<Vec<GeneralName>> {
    use der::oid::AssociatedOid;
    let wanted = attributes.iter().filter(|attribute| attribute.oid == ExtensionReq::OID);
    let mut names = Vec::new();
    for value in wanted.flat_map(|attribute| attribute.values.iter()) {
        for extension in decode_extensions(value)? {
            if extension.extn_id == SubjectAltName::OID {
                names.extend(SubjectAltName::from_der(extension.extn_value.as_bytes())?.0);
            }
        }
    }
    Ok(names)
}

fn decode_extensions(value: &Any) -> der::Result<Extensions> {
    Extensions::from_der(&value.to_der()?)
}
