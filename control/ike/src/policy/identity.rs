//! Who somebody says to be, and patterns of whom to believe (rows B37 and B38, RFC 7296 3.5).

use std::net::IpAddr;

use ravelin_contract::address::AddressRange;
use serde::{Deserialize, Serialize};

use super::dn::Dn;
use crate::wire;

/// An identity as the ID payload carries it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Identity {
    /// ID_IPV4_ADDR or ID_IPV6_ADDR.
    Address(IpAddr),
    /// ID_FQDN.
    Fqdn(String),
    /// ID_RFC822_ADDR.
    Email(String),
    /// ID_DER_ASN1_DN: a distinguished name in DER.
    Dn(Vec<u8>),
    /// ID_KEY_ID: octets of the vendor's own meaning.
    KeyId(Vec<u8>),
    /// Whoever logged in under this name by EAP. No ID payload says so: a user cannot pass for a gateway of the same name.
    User(String),
}

impl Identity {
    /// What a certificate has to speak for when somebody calls itself so in EAP.
    pub(crate) fn of_user(name: &str) -> Self {
        match name.parse() {
            Ok(address) => Self::Address(address),
            Err(_) if name.contains('@') => Self::Email(name.to_owned()),
            Err(_) => Self::Fqdn(name.to_owned()),
        }
    }

    /// As the ID payload carries it.
    pub(crate) fn to_wire(&self) -> wire::Identity<'static> {
        match self {
            Self::Address(IpAddr::V4(address)) => wire::Identity::Ipv4(*address),
            Self::Address(IpAddr::V6(address)) => wire::Identity::Ipv6(*address),
            Self::Fqdn(name) => wire::Identity::Fqdn(name.clone().into_bytes().into()),
            Self::Email(name) => wire::Identity::Email(name.clone().into_bytes().into()),
            Self::Dn(der) => wire::Identity::DistinguishedName(der.clone().into()),
            Self::KeyId(octets) => wire::Identity::KeyId(octets.clone().into()),
            Self::User(name) => wire::Identity::KeyId(name.clone().into_bytes().into()),
        }
    }

    /// Reads an ID payload. Names must be printable ASCII; anything else is nobody's identity.
    pub(crate) fn from_wire(identity: &wire::Identity<'_>) -> Option<Self> {
        let text = |data: &[u8]| {
            let printable = !data.is_empty() && data.iter().all(u8::is_ascii_graphic);
            printable.then(|| String::from_utf8_lossy(data).into_owned())
        };
        match identity {
            wire::Identity::Ipv4(address) => Some(Self::Address((*address).into())),
            wire::Identity::Ipv6(address) => Some(Self::Address((*address).into())),
            wire::Identity::Fqdn(name) => text(name).map(Self::Fqdn),
            wire::Identity::Email(name) => text(name).map(Self::Email),
            wire::Identity::DistinguishedName(der) => Some(Self::Dn(der.to_vec())),
            wire::Identity::KeyId(octets) => Some(Self::KeyId(octets.to_vec())),
            wire::Identity::GeneralName(_) | wire::Identity::Null | wire::Identity::Unknown { .. } => None,
        }
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Fqdn(name) | Self::Email(name) | Self::User(name) => f.write_str(name),
            Self::Dn(der) => match Dn::parse(der) {
                Some(dn) => write!(f, "{dn}"),
                None => write!(f, "dn:{}", hex(der)),
            },
            Self::KeyId(octets) => write!(f, "keyid:{}", hex(octets)),
        }
    }
}

/// Octets as text.
pub(super) fn hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Whom a rule speaks of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdentityPattern {
    /// Anybody who proves an identity.
    Any,
    /// This one.
    Exactly(Identity),
    /// `*.example.com`: any name below the domain, given without the asterisk and dot.
    Below(String),
    /// `*@example.com`: any mail address of the domain.
    MailOf(String),
    /// Any address in the range.
    Within(AddressRange),
    /// Any distinguished name in the tree under this one, in DER.
    DnBelow(Vec<u8>),
}

impl IdentityPattern {
    /// Whether `identity` is one of those meant. Names compare without regard to case (RFC 7296 3.5, RFC 4343).
    pub fn matches(&self, identity: &Identity) -> bool {
        match (self, identity) {
            (Self::Any, _) => true,
            (Self::Exactly(Identity::Fqdn(want)), Identity::Fqdn(name))
            | (Self::Exactly(Identity::Email(want)), Identity::Email(name)) => {
                want.eq_ignore_ascii_case(name)
            }
            (Self::Exactly(Identity::Dn(want)), Identity::Dn(der)) => both(der, want, Dn::is),
            (Self::Exactly(want), identity) => want == identity,
            (Self::Below(domain), Identity::Fqdn(name)) => ends_below(name, '.', domain),
            (Self::MailOf(domain), Identity::Email(name)) => ends_below(name, '@', domain),
            (Self::Within(range), Identity::Address(address)) => range.contains(*address),
            (Self::DnBelow(tree), Identity::Dn(der)) => both(der, tree, Dn::is_below),
            _ => false,
        }
    }

    /// Whether this peer is one of those meant, where only its own peer's proofs count: a user who logged in is whom the name
    /// of the log-in says.
    pub fn is_of(&self, identity: &Identity) -> bool {
        match identity {
            Identity::User(name) => self.matches(&Identity::of_user(name)),
            other => self.matches(other),
        }
    }

    /// The one identity meant, if it is one.
    pub fn single(&self) -> Option<&Identity> {
        match self {
            Self::Exactly(identity) => Some(identity),
            _ => None,
        }
    }

    /// How much the pattern says; the most specific rule is tried first (row B27).
    pub fn specificity(&self) -> u16 {
        match self {
            Self::Any => 0,
            Self::Within(range) => 1 + u16::from(range.as_prefix().unwrap_or(0)),
            Self::Below(domain) | Self::MailOf(domain) => {
                200 + u16::try_from(domain.len()).unwrap_or(255).min(255)
            }
            Self::DnBelow(tree) => {
                let depth = Dn::parse(tree).map_or(0, |tree| tree.len());
                200 + u16::try_from(depth).unwrap_or(50).min(50) * 10
            }
            Self::Exactly(_) => 1000,
        }
    }
}

impl std::fmt::Display for IdentityPattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Any => f.write_str("anybody"),
            Self::Exactly(identity) => write!(f, "{identity}"),
            Self::Below(domain) => write!(f, "*.{domain}"),
            Self::MailOf(domain) => write!(f, "*@{domain}"),
            Self::Within(range) => write!(f, "{range}"),
            Self::DnBelow(tree) => write!(f, "*,{}", Identity::Dn(tree.clone())),
        }
    }
}

/// Whether `name` is something before `separator` and `domain`, and the something is not empty.
fn ends_below(name: &str, separator: char, domain: &str) -> bool {
    let Some(at) = name.len().checked_sub(domain.len() + 1) else { return false };
    at > 0
        && name.is_char_boundary(at)
        && name[at..].starts_with(separator)
        && name[at + 1..].eq_ignore_ascii_case(domain)
}

/// Whether two distinguished names are so; what is none is like nothing.
fn both(one: &[u8], other: &[u8], so: fn(&Dn, &Dn) -> bool) -> bool {
    Dn::parse(one).zip(Dn::parse(other)).is_some_and(|(one, other)| so(&one, &other))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fqdn(name: &str) -> Identity {
        Identity::Fqdn(name.into())
    }

    #[test]
    fn a_wildcard_needs_a_label_before_the_dot() {
        let pattern = IdentityPattern::Below("example.com".into());
        for (name, want) in [
            ("a.example.com", true),
            ("A.b.EXAMPLE.com", true),
            ("example.com", false),
            (".example.com", false),
            ("badexample.com", false),
            ("a.example.com.evil.org", false),
        ] {
            assert_eq!(pattern.matches(&fqdn(name)), want, "{name}");
        }
        assert!(!pattern.matches(&Identity::Email("x@example.com".into())));
    }

    #[test]
    fn mail_patterns_want_the_domain_itself() {
        let pattern = IdentityPattern::MailOf("corp.example".into());
        assert!(pattern.matches(&Identity::Email("carol@corp.example".into())));
        assert!(!pattern.matches(&Identity::Email("carol@sub.corp.example".into())));
        assert!(!pattern.matches(&Identity::Email("@corp.example".into())));
    }

    #[test]
    fn wire_form_returns_the_same_identity() {
        for identity in [
            Identity::Address([192, 0, 2, 1].into()),
            Identity::Address("2001:db8::1".parse().expect("an address")),
            fqdn("gw.example"),
            Identity::Email("a@b.example".into()),
            Identity::Dn(vec![0x30, 0]),
            Identity::KeyId(vec![0, 1]),
        ] {
            assert_eq!(Identity::from_wire(&identity.to_wire()), Some(identity));
        }
        for odd in [wire::Identity::Fqdn(b"a\0b".into()), wire::Identity::Null] {
            assert_eq!(Identity::from_wire(&odd), None);
        }
    }

    #[test]
    fn the_most_exact_pattern_says_most() {
        let patterns = [
            IdentityPattern::Any,
            IdentityPattern::Within(AddressRange::prefix([10, 0, 0, 0].into(), 8).expect("a prefix")),
            IdentityPattern::Below("example.com".into()),
            IdentityPattern::Exactly(fqdn("a.example.com")),
        ];
        assert!(patterns.windows(2).all(|pair| pair[0].specificity() < pair[1].specificity()));
    }
}
