//! Distinguished names in DER (RFC 5280 4.1.2.4): when two are the same, when one lies below another, and as text (RFC 4514).

use std::fmt::{self, Write};

use crate::crypto::der::{Der, OID, SEQUENCE, SET};

/// A name, from the root of its tree on.
pub(super) struct Dn(Vec<Vec<Attribute>>);

/// One attribute of a relative name. What is not text is compared as it stands.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Attribute {
    kind: Vec<u8>,
    value: Value,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Value {
    Text(String),
    Octets(Vec<u8>),
}

const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const TELETEX: u8 = 0x14;
const IA5: u8 = 0x16;
const BMP: u8 = 0x1e;

/// Attributes that have a word (RFC 4514 3, RFC 4519), by the octets of their identifiers.
const WORDS: &[(&[u8], &str)] = &[
    (&[0x55, 4, 3], "CN"),
    (&[0x55, 4, 5], "serialNumber"),
    (&[0x55, 4, 6], "C"),
    (&[0x55, 4, 7], "L"),
    (&[0x55, 4, 8], "ST"),
    (&[0x55, 4, 9], "street"),
    (&[0x55, 4, 10], "O"),
    (&[0x55, 4, 11], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25], "DC"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1], "UID"),
    (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1], "emailAddress"),
];

impl Dn {
    /// Reads one; `None` for anything else.
    pub(super) fn parse(octets: &[u8]) -> Option<Self> {
        let mut outer = Der::new(octets);
        let mut names = Der::new(outer.element(SEQUENCE)?);
        let mut dn = Vec::new();
        while !names.is_empty() {
            let mut parts = Der::new(names.element(SET)?);
            let mut relative = Vec::new();
            while !parts.is_empty() {
                relative.push(Attribute::parse(parts.sequence()?)?);
            }
            relative.sort();
            dn.push(relative);
        }
        outer.is_empty().then_some(Self(dn))
    }

    /// How many relative names it has.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The same attributes in the same order, text without regard to case, blanks or string type (RFC 5280 7.1).
    pub(super) fn is(&self, other: &Self) -> bool {
        self.len() == other.len() && self.begins_with(other)
    }

    /// Whether it is a name in the tree under `other`.
    pub(super) fn is_below(&self, other: &Self) -> bool {
        self.len() > other.len() && self.begins_with(other)
    }

    fn begins_with(&self, other: &Self) -> bool {
        self.0.iter().zip(&other.0).all(|(one, other)| {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| one.is(other))
        })
    }
}

impl Attribute {
    fn parse(mut octets: Der<'_>) -> Option<Self> {
        let kind = octets.element(OID)?.to_vec();
        let tag = octets.peek()?;
        let value = octets.element(tag).filter(|_| octets.is_empty())?;
        Some(Self { kind, value: Value::parse(tag, value) })
    }

    fn is(&self, other: &Self) -> bool {
        self.kind == other.kind && self.value.folded() == other.value.folded()
    }
}

impl Value {
    fn parse(tag: u8, octets: &[u8]) -> Self {
        let text = match tag {
            UTF8 | PRINTABLE | IA5 => String::from_utf8(octets.to_vec()).ok(),
            // T.61 as everyone writes it: Latin-1.
            TELETEX => Some(octets.iter().map(|&octet| char::from(octet)).collect()),
            BMP => {
                let units = octets.chunks(2).map(|pair| match *pair {
                    [high, low] => u16::from_be_bytes([high, low]),
                    _ => 0xdc00,
                });
                char::decode_utf16(units).collect::<Result<_, _>>().ok()
            }
            _ => None,
        };
        text.map_or_else(|| Self::Octets([&[tag], octets].concat()), Self::Text)
    }

    fn folded(&self) -> Self {
        match self {
            Self::Text(text) => {
                Self::Text(text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase())
            }
            Self::Octets(octets) => Self::Octets(octets.clone()),
        }
    }
}

impl fmt::Display for Dn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, relative) in self.0.iter().rev().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            for (at, attribute) in relative.iter().enumerate() {
                f.write_str(if at == 0 { "" } else { "+" })?;
                write!(f, "{attribute}")?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match WORDS.iter().find(|(kind, _)| *kind == self.kind) {
            Some((_, word)) => f.write_str(word)?,
            None => write!(f, "oid:{}", super::identity::hex(&self.kind))?,
        }
        f.write_char('=')?;
        match &self.value {
            Value::Octets(octets) => write!(f, "#{}", super::identity::hex(octets)),
            Value::Text(text) => text.chars().try_for_each(|c| match c {
                ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => write!(f, "\\{c}"),
                c if c.is_control() => write!(f, "\\{:02x}", u32::from(c)),
                c => f.write_char(c),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, inside: &[u8]) -> Vec<u8> {
        [&[tag, u8::try_from(inside.len()).expect("short")], inside].concat()
    }

    fn name(parts: &[(u8, u8, &[u8])]) -> Vec<u8> {
        let relative = |(kind, tag, value): &(u8, u8, &[u8])| {
            let attribute = [wrap(OID, &[0x55, 4, *kind]), wrap(*tag, value)].concat();
            wrap(SET, &wrap(SEQUENCE, &attribute))
        };
        wrap(SEQUENCE, &parts.iter().flat_map(relative).collect::<Vec<_>>())
    }

    fn dn(parts: &[(u8, u8, &[u8])]) -> Dn {
        Dn::parse(&name(parts)).expect("a name")
    }

    #[test]
    fn case_blanks_and_string_types_make_no_difference() {
        let one = dn(&[(10, UTF8, b"Example  Corp"), (3, UTF8, b"gw")]);
        let other = dn(&[(10, PRINTABLE, b"example corp "), (3, BMP, b"\0G\0W")]);
        assert!(one.is(&other) && !one.is_below(&other));
        assert!(!one.is(&dn(&[(3, UTF8, b"gw"), (10, UTF8, b"Example Corp")])), "order counts");
        assert!(!one.is(&dn(&[(10, UTF8, b"Example Corp"), (3, 4, b"gw")])), "octets are no text");
    }

    #[test]
    fn below_is_deeper_in_the_same_tree() {
        let tree = dn(&[(6, PRINTABLE, b"DE"), (10, UTF8, b"Example")]);
        let inside = dn(&[(6, UTF8, b"de"), (10, UTF8, b"EXAMPLE"), (3, UTF8, b"gw")]);
        assert!(inside.is_below(&tree) && !tree.is_below(&tree) && !tree.is_below(&inside));
        assert!(!dn(&[(6, UTF8, b"DE"), (10, UTF8, b"Example2"), (3, UTF8, b"gw")]).is_below(&tree));
    }

    #[test]
    fn text_has_the_last_name_first_and_nothing_that_misleads() {
        let one = dn(&[(6, PRINTABLE, b"DE"), (10, UTF8, b"A, B=C"), (3, UTF8, b"a\nb"), (99, 4, b"\x01")]);
        assert_eq!(one.to_string(), "oid:550463=#0401,CN=a\\0ab,O=A\\, B\\=C,C=DE");
    }

    #[test]
    fn what_is_no_name_is_nobody() {
        let whole = name(&[(3, UTF8, b"gw")]);
        for octets in [&whole[..whole.len() - 1], &[&whole[..], &[0]].concat(), &[0x30, 2, 0x31, 5], b""] {
            assert!(Dn::parse(octets).is_none(), "{octets:?}");
        }
    }
}
