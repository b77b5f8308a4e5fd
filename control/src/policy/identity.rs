//! Identities and patterns of them as an operator writes them (RFC 7296 3.5, rows B37 and B38).

use std::net::IpAddr;

use ravelin_config::value::Value;
use ravelin_contract::address::AddressRange;
use ravelin_ike::policy::{Identity, IdentityPattern};
use ravelin_rings::verify::parse_name;
use x509_cert::der::Encode;

/// Why a text is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wrong {
    /// What it is, after its key.
    says: &'static str,
    /// What to do.
    pub(super) remedy: &'static str,
}

impl Wrong {
    /// What is wrong with what stands under `key`.
    pub(super) fn message(&self, key: &str) -> String {
        format!("`{key}` {}", self.says)
    }
}

/// What `read` makes of the text of `value`.
pub(super) fn of<T>(value: &Value<'_>, read: fn(&str) -> Result<T, Wrong>) -> Option<T> {
    read(value.text()?).map_err(|wrong| value.error(wrong.message(value.key()), wrong.remedy)).ok()
}

/// An address, a mail address, a distinguished name as `CN=gw,O=Example` (RFC 4514), `keyid:` with hexadecimal digits, or a
/// host name (RFC 7296 3.5).
pub(super) fn identity(text: &str) -> Result<Identity, Wrong> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Ok(Identity::Address(address));
    }
    if let Some(digits) = text.strip_prefix("keyid:") {
        let octets = hex(digits).filter(|octets| !octets.is_empty());
        let wrong = Wrong { says: "is not hexadecimal after keyid:", remedy: "write keyid:c0ffee" };
        return octets.map(Identity::KeyId).ok_or(wrong);
    }
    if text.contains('=') {
        return distinguished(text).map(Identity::Dn);
    }
    if text.is_empty() || !text.bytes().all(|octet| octet.is_ascii_graphic()) || text.contains('*') {
        let remedy = "write an address, a name, a mail address, CN=.., or keyid: and hexadecimal digits";
        return Err(Wrong { says: "is nobody's identity", remedy });
    }
    Ok(match text.contains('@') {
        true => Identity::Email(text.to_owned()),
        false => Identity::Fqdn(text.to_owned()),
    })
}

/// A distinguished name in DER.
fn distinguished(text: &str) -> Result<Vec<u8>, Wrong> {
    let der = parse_name(text).ok().and_then(|name| name.to_der().ok());
    let remedy = "write it like CN=gw.example,O=Example,C=DE";
    der.ok_or(Wrong { says: "is no distinguished name", remedy })
}

fn hex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs
        .map(|pair| u8::from_str_radix(str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok())
        .collect()
}

/// An identity, or `*`, `*.example.com`, `*@example.com`, `*,O=Example`, a prefix of addresses (row B37).
pub(super) fn pattern(text: &str) -> Result<IdentityPattern, Wrong> {
    let part =
        |prefix| text.strip_prefix(prefix).filter(|rest: &&str| !rest.is_empty() && !rest.contains('*'));
    if text == "*" {
        return Ok(IdentityPattern::Any);
    }
    if let Some(domain) = part("*.") {
        return Ok(IdentityPattern::Below(domain.to_owned()));
    }
    if let Some(tree) = text.strip_prefix("*,") {
        return distinguished(tree).map(IdentityPattern::DnBelow);
    }
    if let Some(domain) = part("*@") {
        return Ok(IdentityPattern::MailOf(domain.to_owned()));
    }
    if let Some(range) = text.contains('/').then(|| range(text)).flatten() {
        return Ok(IdentityPattern::Within(range));
    }
    identity(text).map(IdentityPattern::Exactly)
}

/// An address or a prefix.
pub(super) fn range(text: &str) -> Option<AddressRange> {
    match text.split_once('/') {
        None => text.parse().ok().map(AddressRange::single),
        Some((address, length)) => AddressRange::prefix(address.parse().ok()?, length.parse().ok()?).ok(),
    }
}
