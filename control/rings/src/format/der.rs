//! What a piece of DER is, seen from its outermost elements.

use x509_cert::der::asn1::{AnyRef, ObjectIdentifier};
use x509_cert::der::{Decode, Error as Malformed, Reader, Result as Decoded, SliceReader, Tag, Tagged};

use crate::{Error, Result};

/// What it looks like. Reading it may still fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Certificate,
    Request,
    Crl,
    Pkcs7,
    Pkcs12,
    Pkcs8,
    EncryptedPkcs8,
    Pkcs1,
    Sec1,
}

/// Elements of a constructed value, a few at most: enough to tell forms apart.
pub(super) fn elements(value: &[u8]) -> Decoded<Vec<AnyRef<'_>>> {
    let mut reader = SliceReader::new(value)?;
    let mut found = Vec::new();
    while !reader.is_finished() {
        found.push(AnyRef::decode(&mut reader)?);
    }
    Ok(found)
}

/// The elements of the outermost sequence.
pub(super) fn sequence(octets: &[u8]) -> Decoded<Vec<AnyRef<'_>>> {
    let outer = AnyRef::from_der(octets)?;
    outer.tag().assert_eq(Tag::Sequence)?;
    elements(outer.value())
}

/// The first element of `octets`, with whatever follows left off.
pub(super) fn first<'a>(what: &str, octets: &'a [u8]) -> Result<&'a [u8]> {
    let bad = |e: Malformed| Error::format(what, e.to_string());
    let mut reader = SliceReader::new(octets).map_err(bad)?;
    reader.tlv_bytes().map_err(bad)
}

/// Tells what `octets` are.
pub(super) fn shape(what: &str, octets: &[u8]) -> Result<Shape> {
    let unknown = |problem: &str| {
        Error::format(
            what,
            format!(
                "is neither PEM nor a DER form that is read ({problem}); `openssl asn1parse -inform DER -in FILE` \
                 shows what it is"
            ),
        )
    };
    let outer = sequence(octets).map_err(|e| unknown(&e.to_string()))?;
    let tags: Vec<Tag> = outer.iter().take(3).map(AnyRef::tag).collect();
    match tags.as_slice() {
        [Tag::ObjectIdentifier, ..] => Ok(Shape::Pkcs7),
        [Tag::Integer, Tag::Integer, ..] => Ok(Shape::Pkcs1),
        [Tag::Integer, Tag::OctetString, ..] => Ok(Shape::Sec1),
        [Tag::Integer, Tag::Sequence, Tag::OctetString] => Ok(Shape::Pkcs8),
        [Tag::Integer, Tag::Sequence, ..] => Ok(Shape::Pkcs12),
        [Tag::Sequence, Tag::OctetString] => Ok(Shape::EncryptedPkcs8),
        [Tag::Sequence, Tag::Sequence, Tag::BitString] => signed(outer[0].value())
            .ok_or_else(|| unknown("signed, but neither certificate, request nor list")),
        _ => Err(unknown("unknown structure")),
    }
}

/// Certificate, request or revocation list, by what is signed.
fn signed(body: &[u8]) -> Option<Shape> {
    let inner = elements(body).ok()?;
    let tags: Vec<Tag> = inner.iter().map(AnyRef::tag).collect();
    let is_time = |tag: &Tag| matches!(tag, Tag::UtcTime | Tag::GeneralizedTime);
    match tags.as_slice() {
        // Version and names, then the key, then attributes.
        [Tag::Integer, Tag::Sequence, Tag::Sequence, rest @ ..]
            if rest.len() <= 1 && key_is_third(&inner) =>
        {
            Some(Shape::Request)
        }
        [Tag::Integer, Tag::Sequence, Tag::Sequence, time, ..] if is_time(time) => Some(Shape::Crl),
        [Tag::Sequence, Tag::Sequence, time, ..] if is_time(time) => Some(Shape::Crl),
        // Serial number, with or without version in front.
        [Tag::ContextSpecific { .. }, Tag::Integer, Tag::Sequence, ..]
        | [Tag::Integer, Tag::Sequence, Tag::Sequence, Tag::Sequence, ..] => Some(Shape::Certificate),
        _ => None,
    }
}

/// Whether the third element is a SubjectPublicKeyInfo.
fn key_is_third(inner: &[AnyRef<'_>]) -> bool {
    let parts = inner.get(2).map(|third| elements(third.value()));
    let algorithm = |part: &AnyRef<'_>| {
        elements(part.value())
            .is_ok_and(|parts| parts.first().is_some_and(|oid| oid.decode_as::<ObjectIdentifier>().is_ok()))
    };
    matches!(parts, Some(Ok(parts)) if parts.len() == 2 && algorithm(&parts[0]) && parts[1].tag() == Tag::BitString)
}
