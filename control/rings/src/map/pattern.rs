//! Patterns of names: `*` stands for anything, case and blanks do not count.

use der::asn1::ObjectIdentifier;
use serde::{Deserialize, Serialize};
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use crate::verify::name::describe;
use crate::verify::{dn, parse_name};

/// A pattern of a distinguished name, such as `OU=Branch *,O=Example`: its attributes must occur in this order, others
/// may stand between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NamePattern {
    text: String,
    attributes: Vec<(ObjectIdentifier, String)>,
}

/// A pattern of an alternative name, such as `email:*@ops.example`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern {
    kind: Kind,
    value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Dns,
    Ip,
    Email,
    Uri,
}

impl NamePattern {
    /// Whether the name has the attributes.
    pub fn matches(&self, name: &Name) -> bool {
        let mut present = dn::attributes(name);
        self.attributes.iter().all(|(oid, pattern)| {
            present.any(|(found, value)| {
                found == *oid && value.is_some_and(|value| fits(pattern, &fold(&value)))
            })
        })
    }

    /// How much it says: attributes and letters that are not `*`.
    pub(super) fn weight(&self) -> usize {
        self.attributes.iter().map(|(_, pattern)| 1 + letters(pattern)).sum()
    }
}

impl Pattern {
    /// Whether one of the names fits.
    pub fn matches(&self, names: &[GeneralName]) -> bool {
        names.iter().any(|name| {
            let kind = match name {
                GeneralName::DnsName(_) => Kind::Dns,
                GeneralName::IpAddress(_) => Kind::Ip,
                GeneralName::Rfc822Name(_) => Kind::Email,
                GeneralName::UniformResourceIdentifier(_) => Kind::Uri,
                _ => return false,
            };
            kind == self.kind && fits(&self.value, &fold(&describe(name)))
        })
    }

    /// How much it says: letters that are not `*`.
    pub(super) fn weight(&self) -> usize {
        1 + letters(&self.value)
    }
}

impl TryFrom<String> for NamePattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let name = parse_name(&text)?;
        let attributes: Option<Vec<_>> =
            dn::attributes(&name).map(|(oid, value)| value.map(|value| (oid, fold(&value)))).collect();
        let attributes = attributes.ok_or_else(|| format!("{text:?} has attributes that are no text"))?;
        Ok(Self { text, attributes })
    }
}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let kind = |kind: &str| match kind {
            "dns" => Some(Kind::Dns),
            "ip" => Some(Kind::Ip),
            "email" => Some(Kind::Email),
            "uri" => Some(Kind::Uri),
            _ => None,
        };
        match text.split_once(':') {
            Some((name, value)) if !value.is_empty() => match kind(name) {
                Some(kind) => Ok(Self { kind, value: fold(value) }),
                None => Err(format!("{name:?} is no kind of name; use dns:, ip:, email: or uri:")),
            },
            _ => Err(format!("{text:?} is no pattern; write it like email:*@ops.example")),
        }
    }
}

impl std::str::FromStr for NamePattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl std::str::FromStr for Pattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::try_from(text.to_owned())
    }
}

impl std::fmt::Display for NamePattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind {
            Kind::Dns => "dns",
            Kind::Ip => "ip",
            Kind::Email => "email",
            Kind::Uri => "uri",
        };
        write!(f, "{kind}:{}", self.value)
    }
}

impl From<NamePattern> for String {
    fn from(pattern: NamePattern) -> Self {
        pattern.to_string()
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.to_string()
    }
}

fn fold(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase()
}

fn letters(pattern: &str) -> usize {
    pattern.chars().filter(|c| *c != '*').count()
}

/// Whether `text` is the pattern with something, or nothing, for each `*`.
fn fits(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn stars_stand_for_anything() {
        for (pattern, text, good) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("*", "", true),
            ("*@x", "me@x", true),
            ("*@x", "me@xy", false),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, text), good, "{pattern} {text}");
        }
    }
}
