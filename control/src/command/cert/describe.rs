//! Certificates in words and as JSON.

use ravelin_rings::certificate::{Certificate, hex};
use ravelin_rings::ring::{Entry, Trust, Usage};
use serde_json::json;
use x509_cert::ext::pkix::name::GeneralName;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAltName};

/// Usage in a word.
pub(crate) fn usage_text(usage: Usage) -> &'static str {
    match usage {
        Usage::Identity => "identity",
        Usage::TrustAnchor => "trust-anchor",
    }
}

/// Trust status in a word.
pub(crate) fn trust_text(trust: Trust) -> &'static str {
    match trust {
        Trust::Trusted => "trusted",
        Trust::NotTrusted => "not-trusted",
    }
}

/// Kind of the key, or that it is of no kind that a ring may hold.
pub(crate) fn kind(certificate: &Certificate) -> String {
    certificate.public_key().map_or_else(|_| "unsupported".to_owned(), |key| key.kind().to_string())
}

/// Seconds since 1970 as `2026-11-21 13:00:00` UTC.
pub(crate) fn date(seconds: u64) -> String {
    let time = std::time::Duration::from_secs(seconds);
    match x509_cert::der::DateTime::from_unix_duration(time) {
        Ok(t) => format!(
            "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minutes(),
            t.seconds()
        ),
        Err(_) => "-".to_owned(),
    }
}

/// An entry as JSON.
pub(crate) fn value(entry: &Entry) -> serde_json::Value {
    let mut value = certificate_value(entry.certificate());
    value["label"] = json!(entry.label);
    value["usage"] = json!(entry.usage);
    value["trust"] = json!(entry.trust);
    value["key"] = json!(entry.has_key);
    value["connected"] = json!(entry.connected.as_ref().map(ToString::to_string));
    value["chain"] = json!(entry.chain.iter().map(Certificate::subject).collect::<Vec<_>>());
    value
}

/// A certificate as JSON.
pub(crate) fn certificate_value(certificate: &Certificate) -> serde_json::Value {
    let (first, last) = certificate.validity();
    json!({
        "subject": certificate.subject(),
        "issuer": certificate.issuer(),
        "serial": certificate.serial(),
        "not_before": first,
        "not_after": last,
        "kind": kind(certificate),
        "names": alternative_names(certificate),
        "ca": is_ca(certificate),
        "key_usage": key_usage(certificate),
        "extended_key_usage": extended_usage(certificate),
        "sha256": hex(&certificate.fingerprint()),
    })
}

/// An entry field by field.
pub(crate) fn rows(entry: &Entry) -> Vec<[String; 2]> {
    let mut rows = vec![
        ["label".to_owned(), entry.label.to_string()],
        ["usage".to_owned(), usage_text(entry.usage).to_owned()],
        ["trust".to_owned(), trust_text(entry.trust).to_owned()],
        ["private key".to_owned(), if entry.has_key { "yes" } else { "no" }.to_owned()],
    ];
    rows.extend(entry.connected.iter().map(|place| ["connected from".to_owned(), place.to_string()]));
    rows.extend(certificate_rows(entry.certificate()));
    rows.extend(entry.chain[1..].iter().map(|issuer| ["chain".to_owned(), issuer.subject()]));
    rows
}

/// A certificate field by field.
pub(crate) fn certificate_rows(certificate: &Certificate) -> Vec<[String; 2]> {
    let (first, last) = certificate.validity();
    let listed = |parts: Vec<String>| if parts.is_empty() { "-".to_owned() } else { parts.join(", ") };
    let rows = [
        ("subject", certificate.subject()),
        ("issuer", certificate.issuer()),
        ("serial", certificate.serial()),
        ("not before (UTC)", date(first)),
        ("not after (UTC)", date(last)),
        ("key", kind(certificate)),
        ("names", listed(alternative_names(certificate))),
        ("CA", if is_ca(certificate) { "yes" } else { "no" }.to_owned()),
        ("key usage", listed(key_usage(certificate))),
        ("extended key usage", listed(extended_usage(certificate))),
        ("SHA-256", hex(&certificate.fingerprint())),
    ];
    rows.map(|(field, value)| [field.to_owned(), value]).to_vec()
}

fn is_ca(certificate: &Certificate) -> bool {
    let found = certificate.parts().get_extension::<BasicConstraints>();
    matches!(found, Ok(Some((_, constraints))) if constraints.ca)
}

fn alternative_names(certificate: &Certificate) -> Vec<String> {
    let Ok(Some((_, names))) = certificate.parts().get_extension::<SubjectAltName>() else {
        return Vec::new();
    };
    names.0.iter().map(name).collect()
}

fn name(name: &GeneralName) -> String {
    match name {
        GeneralName::DnsName(text) => format!("dns:{text}"),
        GeneralName::Rfc822Name(text) => format!("email:{text}"),
        GeneralName::UniformResourceIdentifier(text) => format!("uri:{text}"),
        GeneralName::DirectoryName(name) => format!("dn:{name}"),
        GeneralName::IpAddress(octets) => match octets.as_bytes() {
            &[a, b, c, d] => format!("ip:{}", std::net::Ipv4Addr::new(a, b, c, d)),
            other => match <[u8; 16]>::try_from(other) {
                Ok(octets) => format!("ip:{}", std::net::Ipv6Addr::from(octets)),
                Err(_) => "ip:malformed".to_owned(),
            },
        },
        GeneralName::RegisteredId(oid) => format!("oid:{oid}"),
        GeneralName::OtherName(other) => format!("other:{}", other.type_id),
        _ => "other".to_owned(),
    }
}

fn key_usage(certificate: &Certificate) -> Vec<String> {
    let Ok(Some((_, usage))) = certificate.parts().get_extension::<KeyUsage>() else { return Vec::new() };
    usage.0.into_iter().map(|bit| format!("{bit:?}")).collect()
}

fn extended_usage(certificate: &Certificate) -> Vec<String> {
    let found = certificate.parts().get_extension::<ExtendedKeyUsage>();
    let Ok(Some((_, usages))) = found else { return Vec::new() };
    let word = |oid: &x509_cert::der::asn1::ObjectIdentifier| match oid.to_string().as_str() {
        "1.3.6.1.5.5.7.3.1" => "server-auth".to_owned(),
        "1.3.6.1.5.5.7.3.2" => "client-auth".to_owned(),
        "1.3.6.1.5.5.7.3.3" => "code-signing".to_owned(),
        "1.3.6.1.5.5.7.3.4" => "email".to_owned(),
        "1.3.6.1.5.5.7.3.8" => "time-stamping".to_owned(),
        "1.3.6.1.5.5.7.3.9" => "ocsp-signing".to_owned(),
        "1.3.6.1.5.5.7.3.17" => "ipsec-ike".to_owned(),
        other => other.to_owned(),
    };
    usages.0.iter().map(word).collect()
}
