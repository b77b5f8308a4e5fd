//! Names as operators write them: `dns:gw.example`, `ip:192.0.2.1`, `email:ops@example`, `uri:https://..`, `dn:CN=..`.

use std::net::IpAddr;

use der::asn1::{Ia5String, OctetString};
use rustls_pki_types::DnsName;
use x509_cert::ext::pkix::constraints::name::GeneralSubtree;
use x509_cert::ext::pkix::name::GeneralName;

use crate::verify::parse_name;
use crate::{Error, Result};

const KINDS: &str = "dns:, ip:, email:, uri: or dn:";

/// Reads one subjectAltName (RFC 5280 4.2.1.6).
pub fn parse_alternative_name(text: &str) -> Result<GeneralName> {
    let (kind, value) = split(text)?;
    match kind {
        "dns" => dns(value).map(GeneralName::DnsName),
        "ip" => {
            let address: IpAddr = value.parse().map_err(|_| unfit(format!("{value:?} is no address")))?;
            Ok(GeneralName::from(address))
        }
        "email" => mailbox(value).map(GeneralName::Rfc822Name),
        "uri" if value.contains(':') => ascii(value).map(GeneralName::UniformResourceIdentifier),
        "uri" => Err(unfit(format!("{value:?} is no URI; it begins with a scheme, like https:"))),
        "dn" => parse_name(value).map(GeneralName::DirectoryName).map_err(unfit),
        _ => Err(unfit(format!("{kind:?} is no kind of name; use {KINDS}"))),
    }
}

/// Reads a name constraint: `dns:example`, `ip:192.0.2.0/24`, `email:example`, `dn:O=Example`.
pub fn parse_subtree(text: &str) -> Result<GeneralSubtree> {
    let (kind, value) = split(text)?;
    let base = match kind {
        "ip" => subnet(value)?,
        "dns" => dns(value.trim_start_matches('.')).and_then(|_| ascii(value)).map(GeneralName::DnsName)?,
        "email" => ascii(value).map(GeneralName::Rfc822Name)?,
        _ => parse_alternative_name(text)?,
    };
    Ok(GeneralSubtree { base, minimum: 0, maximum: None })
}

fn split(text: &str) -> Result<(&str, &str)> {
    match text.split_once(':') {
        Some((kind, value)) if !value.is_empty() => Ok((kind, value)),
        _ => Err(unfit(format!("{text:?} is no name; write its kind before it: {KINDS}"))),
    }
}

fn dns(value: &str) -> Result<Ia5String> {
    let plain = value.strip_prefix("*.").unwrap_or(value);
    match DnsName::try_from(plain) {
        Ok(_) => ascii(value),
        Err(_) => Err(unfit(format!(
            "{value:?} is no host name; write international names in their xn-- form, * only as the first label"
        ))),
    }
}

fn mailbox(value: &str) -> Result<Ia5String> {
    match value.rsplit_once('@') {
        Some((local, domain)) if !local.is_empty() && DnsName::try_from(domain).is_ok() => ascii(value),
        _ => Err(unfit(format!("{value:?} is no mailbox"))),
    }
}

fn ascii(value: &str) -> Result<Ia5String> {
    Ia5String::new(value).map_err(|_| unfit(format!("{value:?} has characters beyond ASCII")))
}

/// An address and its mask (RFC 5280 4.2.1.10).
fn subnet(value: &str) -> Result<GeneralName> {
    let wrong = || unfit(format!("{value:?} is no network; write it like 192.0.2.0/24"));
    let (address, length) = value.split_once('/').ok_or_else(wrong)?;
    let address: IpAddr = address.parse().map_err(|_| wrong())?;
    let length: u32 = length.parse().map_err(|_| wrong())?;
    let octets = match address {
        IpAddr::V4(address) if length <= 32 => {
            let mask = u32::MAX.checked_shl(32 - length).unwrap_or(0);
            if address.to_bits() & !mask != 0 {
                return Err(wrong());
            }
            [address.octets(), mask.to_be_bytes()].concat()
        }
        IpAddr::V6(address) if length <= 128 => {
            let mask = u128::MAX.checked_shl(128 - length).unwrap_or(0);
            if address.to_bits() & !mask != 0 {
                return Err(wrong());
            }
            [address.octets(), mask.to_be_bytes()].concat()
        }
        _ => return Err(wrong()),
    };
    OctetString::new(octets).map(GeneralName::IpAddress).map_err(|_| wrong())
}

fn unfit(problem: String) -> Error {
    Error::Unfit(problem)
}
