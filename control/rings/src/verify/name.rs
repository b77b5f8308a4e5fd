//! Whether a certificate is for the peer that was asked for (RFC 9525, RFC 4945 for IKE).

use std::net::IpAddr;

use rustls_pki_types::ServerName;
use webpki::EndEntityCert;
use x509_cert::ext::pkix::SubjectKeyIdentifier;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::name::Name;

use super::dn;
use super::link::Link;
use super::purpose::Purpose;
use super::refusal::Refusal;
use crate::certificate::hex;

/// Who the peer must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerName {
    /// A host name. TLS lets `*` stand for the whole leftmost label of the certificate's name (RFC 9525 6.3); IKE does not.
    Dns(String),
    /// An address.
    Ip(IpAddr),
    /// A mailbox (RFC 5280 4.2.1.6): its local part exactly, its domain without regard to case.
    Email(String),
    /// The subject.
    Subject(Name),
    /// The subject key identifier (RFC 5280 4.2.1.2), as IKE's ID_KEY_ID has it.
    KeyId(Vec<u8>),
}

impl std::fmt::Display for PeerName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => write!(f, "{address}"),
            Self::Email(mailbox) => f.write_str(mailbox),
            Self::Subject(name) => write!(f, "{name}"),
            Self::KeyId(octets) => write!(f, "key {}", hex(octets)),
        }
    }
}

impl PeerName {
    /// Reads what an operator writes: an address, a mailbox, a distinguished name (`CN=..`), or else a host name.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Ip(address));
        }
        if text.contains('=') {
            return super::parse_name(text).map(Self::Subject);
        }
        if text.contains('@') {
            return Ok(Self::Email(text.to_owned()));
        }
        match ServerName::try_from(text) {
            Ok(ServerName::DnsName(_)) => Ok(Self::Dns(text.to_owned())),
            _ => Err(format!("{text:?} is no host name, address, mailbox or distinguished name")),
        }
    }
}

/// Refuses a certificate that is for somebody else.
pub(crate) fn check(leaf: &Link, wanted: &PeerName, purpose: Purpose) -> Result<(), Refusal> {
    match matches(leaf, wanted, purpose) {
        true => Ok(()),
        false => Err(Refusal::WrongName { wanted: wanted.to_string(), presented: presented(leaf) }),
    }
}

/// Whether a certificate is for this name.
pub(crate) fn matches(leaf: &Link, wanted: &PeerName, purpose: Purpose) -> bool {
    match wanted {
        PeerName::Dns(name) if purpose.takes_wildcards() => is_server(leaf, name),
        PeerName::Dns(name) => leaf.alternative_names().iter().any(
            |given| matches!(given, GeneralName::DnsName(given) if given.as_str().eq_ignore_ascii_case(name)),
        ),
        PeerName::Ip(address) => is_server(leaf, &address.to_string()),
        PeerName::Email(mailbox) => leaf.alternative_names().iter().any(
            |given| matches!(given, GeneralName::Rfc822Name(given) if same_mailbox(given.as_str(), mailbox)),
        ),
        PeerName::Subject(name) => dn::equal(leaf.subject(), name),
        PeerName::KeyId(octets) => {
            leaf.extension::<SubjectKeyIdentifier>().is_some_and(|own| own.0.as_bytes() == octets)
        }
    }
}

fn is_server(leaf: &Link, name: &str) -> bool {
    let (der, name) = (leaf.der(), ServerName::try_from(name));
    let parsed = EndEntityCert::try_from(&der);
    parsed.is_ok_and(|parsed| name.is_ok_and(|name| parsed.verify_is_valid_for_subject_name(&name).is_ok()))
}

fn same_mailbox(one: &str, other: &str) -> bool {
    match (one.rsplit_once('@'), other.rsplit_once('@')) {
        (Some((local, domain)), Some((other_local, other_domain))) => {
            local == other_local && domain.eq_ignore_ascii_case(other_domain)
        }
        _ => false,
    }
}

fn presented(leaf: &Link) -> String {
    let mut names: Vec<String> = leaf.alternative_names().iter().map(describe).collect();
    if !leaf.subject().is_empty() {
        names.push(leaf.subject().to_string());
    }
    match names.is_empty() {
        true => "nobody".to_owned(),
        false => names.join(", "),
    }
}

/// A general name as an operator would write it.
pub(crate) fn describe(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(name) => name.as_str().to_owned(),
        GeneralName::Rfc822Name(name) => name.as_str().to_owned(),
        GeneralName::UniformResourceIdentifier(name) => name.as_str().to_owned(),
        GeneralName::DirectoryName(name) => name.to_string(),
        GeneralName::IpAddress(octets) => match address(octets.as_bytes()) {
            Some(address) => address.to_string(),
            None => "an unreadable address".to_owned(),
        },
        GeneralName::OtherName(other) => format!("otherName {}", other.type_id),
        GeneralName::EdiPartyName(_) => "an EDI party name".to_owned(),
        GeneralName::RegisteredId(oid) => format!("registeredID {oid}"),
    }
}

/// The address of an iPAddress name.
pub(crate) fn address(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}
