//! PKCS#7 as a bag of certificates: SignedData that signs nothing (RFC 5652 5.1, "certs-only").

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Encode, Error as Malformed, Result as Encoded, Tag, TagNumber, Tagged};

use super::der::{elements, sequence};
use crate::certificate::Certificate;
use crate::{Error, Result};

const SIGNED_DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.2");
const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CERTIFICATES: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(0) };
const CRLS: Tag = Tag::ContextSpecific { constructed: true, number: TagNumber(1) };

/// Certificates and revocation lists of the file `what`. What it signs is not looked at.
pub(super) fn read(what: &str, octets: &[u8]) -> Result<(Vec<Certificate>, Vec<Vec<u8>>)> {
    let bad = |e: Malformed| Error::format(what, format!("PKCS#7: {e}"));
    let info = sequence(octets).map_err(bad)?;
    let kind: ObjectIdentifier = info[0].decode_as().map_err(bad)?;
    if kind != SIGNED_DATA {
        return Err(Error::format(
            what,
            format!("PKCS#7 of type {kind}; only signed data holds certificates"),
        ));
    }
    let content = info.get(1).ok_or_else(|| Error::format(what, "PKCS#7 without content"))?;
    let signed = sequence(content.value()).map_err(bad)?;
    let part = |tag: Tag| signed.iter().find(|element| element.tag() == tag).map(|element| element.value());
    let certificates = elements(part(CERTIFICATES).unwrap_or_default()).map_err(bad)?;
    let crls = elements(part(CRLS).unwrap_or_default()).map_err(bad)?;
    let mut found = Vec::new();
    // Other choices than a certificate have tags of their own; nobody uses them.
    for element in certificates.iter().filter(|element| element.tag() == Tag::Sequence) {
        let der = element.to_der().map_err(bad)?;
        found.push(Certificate::from_der(&der).map_err(|e| Error::format(what, e.to_string()))?);
    }
    let is_list = |element: &&AnyRef<'_>| element.tag() == Tag::Sequence;
    let lists = crls.iter().filter(is_list).map(|crl| crl.to_der().map_err(bad)).collect::<Result<_>>()?;
    Ok((found, lists))
}

/// Certificates as PKCS#7, DER.
pub fn write(certificates: &[Certificate]) -> Result<Vec<u8>> {
    assemble(certificates).map_err(|_| Error::Crypto("PKCS#7 cannot be written"))
}

fn assemble(certificates: &[Certificate]) -> Encoded<Vec<u8>> {
    let wrap = |tag: Tag, parts: &[&[u8]]| AnyRef::new(tag, &parts.concat())?.to_der();
    // DER wants the elements of a set in order.
    let mut set: Vec<&[u8]> = certificates.iter().map(Certificate::der).collect();
    set.sort();
    let version = wrap(Tag::Integer, &[&[1]])?;
    let nothing = wrap(Tag::Set, &[])?;
    let content = wrap(Tag::Sequence, &[&DATA.to_der()?])?;
    let bag = wrap(CERTIFICATES, &set)?;
    let signed = wrap(Tag::Sequence, &[&version, &nothing, &content, &bag, &nothing])?;
    let explicit = wrap(Tag::ContextSpecific { constructed: true, number: TagNumber(0) }, &[&signed])?;
    wrap(Tag::Sequence, &[&SIGNED_DATA.to_der()?, &explicit])
}
