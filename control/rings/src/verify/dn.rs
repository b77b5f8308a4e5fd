//! Distinguished names: when two are the same (RFC 5280 7.1), and their attributes as text.

use der::Encode;
use der::Tagged;
use der::asn1::{Any, ObjectIdentifier};
use x509_cert::name::Name;

/// Whether two names are the same: equal attributes in equal order, strings without regard to case, blanks or string type.
pub(crate) fn equal(one: &Name, other: &Name) -> bool {
    let folded = |name: &Name| -> Vec<Vec<(ObjectIdentifier, Value)>> { name.iter_rdn().map(fold).collect() };
    folded(one) == folded(other)
}

fn fold(rdn: &x509_cert::name::RelativeDistinguishedName) -> Vec<(ObjectIdentifier, Value)> {
    let mut attributes: Vec<_> = rdn.iter().map(|part| (part.oid, Value::of(&part.value))).collect();
    attributes.sort();
    attributes
}

/// Attributes in order, with their values as text where they are text.
pub(crate) fn attributes(name: &Name) -> impl Iterator<Item = (ObjectIdentifier, Option<String>)> + '_ {
    name.iter().map(|part| (part.oid, text(&part.value)))
}

/// A value for comparison.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    Octets(Vec<u8>),
}

impl Value {
    fn of(value: &Any) -> Self {
        match text(value) {
            Some(text) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                Self::Text(words.join(" ").to_lowercase())
            }
            None => Self::Octets(value.to_der().unwrap_or_default()),
        }
    }
}

/// The text of the string types that a DirectoryString may be.
fn text(value: &Any) -> Option<String> {
    use der::Tag;
    let octets = value.value();
    match value.tag() {
        Tag::Utf8String | Tag::PrintableString | Tag::Ia5String => String::from_utf8(octets.to_vec()).ok(),
        // T.61 as everyone writes it: Latin-1.
        Tag::TeletexString => Some(octets.iter().map(|&octet| char::from(octet)).collect()),
        Tag::BmpString => {
            let units = octets.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            octets
                .len()
                .is_multiple_of(2)
                .then(|| char::decode_utf16(units).collect::<Result<_, _>>().ok())?
        }
        _ => None,
    }
}
