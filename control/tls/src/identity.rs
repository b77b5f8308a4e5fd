//! Certificates of ours: read from the rings when the environment is made, chosen by host name, authority and scheme.

use std::sync::Arc;

use ravelin_rings::ring::{Entry, Ring, Trust, Usage};
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{CipherSuite, SignatureScheme};
use rustls_pki_types::CertificateDer;
use x509_cert::der::Encode;

use crate::environment::{Doors, SettingsError};
use crate::scope::{self, Hello, Refused};
use crate::settings::{Identity, Pick};
use crate::signing::RingKey;

/// One certificate ready to be shown.
#[derive(Debug, Clone)]
struct Shown {
    /// Ring and label.
    place: String,
    hosts: Vec<String>,
    /// DER of the names that issued it and its chain.
    issuers: Vec<Vec<u8>>,
    certified: Arc<CertifiedKey>,
}

/// What we can show, in order of preference.
#[derive(Debug)]
pub(crate) struct Identities {
    shown: Vec<Shown>,
    strict: bool,
}

impl Identities {
    pub(crate) fn load(doors: &Doors, identities: &[Identity], strict: bool) -> Result<Self, SettingsError> {
        let mut shown = Vec::new();
        for identity in identities {
            shown.extend(read(doors, identity)?);
        }
        Ok(Self { shown, strict })
    }

    fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }
}

/// What of a pick may be shown: with its key, trusted. Never none.
fn read(doors: &Doors, identity: &Identity) -> Result<Vec<Shown>, SettingsError> {
    let Identity { pick, hosts } = identity;
    let rings = |error: ravelin_rings::Error| SettingsError::Ring(pick.to_string(), error.to_string());
    let ring = doors.rings.open(&pick.ring).map_err(rings)?;
    let named: Vec<_> = match &pick.label {
        Some(label) => vec![ring.entry(label).map_err(rings)?],
        None => ring.entries.iter().collect(),
    };
    let ours =
        |entry: &&Entry| entry.has_key && entry.usage == Usage::Identity && entry.trust == Trust::Trusted;
    let mut found: Vec<_> = named.into_iter().filter(ours).collect();
    // The default of the ring first (row E18).
    found.sort_by_key(|entry| ring.default.as_ref() != Some(&entry.label));
    if found.is_empty() {
        return Err(SettingsError::NoIdentity(pick.to_string()));
    }
    found.into_iter().map(|entry| ready(doors, &ring, entry, pick, hosts)).collect()
}

fn ready(
    doors: &Doors,
    ring: &Ring,
    entry: &Entry,
    pick: &Pick,
    hosts: &[String],
) -> Result<Shown, SettingsError> {
    let place = format!("{}/{}", ring.name, entry.label);
    let rings = |error: ravelin_rings::Error| SettingsError::Ring(place.clone(), error.to_string());
    let kind = entry.certificate().public_key().map_err(rings)?.kind();
    let mut chain = ring.chain(entry);
    let issuers = chain.iter().filter_map(|one| one.parts().issuer().to_der().ok()).collect();
    // Whoever believes an authority that signed itself has it.
    chain.retain(|one| !one.is_self_issued() || one == entry.certificate());
    let key = RingKey {
        door: Arc::clone(&doors.signer),
        caller: doors.caller.clone(),
        ring: pick.ring.clone(),
        label: entry.label.clone(),
        kind,
    };
    let cert = chain.iter().map(|one| CertificateDer::from(one.der().to_vec())).collect();
    let certified = Arc::new(CertifiedKey { cert, key: Arc::new(key), ocsp: None });
    Ok(Shown { place, hosts: hosts.to_vec(), issuers, certified })
}

/// Whether a host name fits what an operator wrote: itself, or `*.` for its leftmost label.
fn fits(host: &str, pattern: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(domain) => host
            .split_once('.')
            .is_some_and(|(label, rest)| !label.is_empty() && rest.eq_ignore_ascii_case(domain)),
        None => host.eq_ignore_ascii_case(pattern),
    }
}

impl Shown {
    fn signs(&self, schemes: &[SignatureScheme]) -> bool {
        self.certified.key.choose_scheme(schemes).is_some()
    }

    /// Those for the name itself come before those for any.
    fn speaks_for(&self, host: Option<&str>) -> bool {
        host.is_some_and(|host| self.hosts.iter().any(|pattern| fits(host, pattern)))
    }
}

fn show(shown: &Shown) -> Arc<CertifiedKey> {
    scope::notes(|notes| notes.shown = Some(shown.place.clone()));
    Arc::clone(&shown.certified)
}

impl ResolvesServerCert for Identities {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let words = in_words(&hello);
        let host = hello.server_name();
        scope::notes(|notes| notes.hello = Some(words));
        let named = self.shown.iter().filter(|one| one.speaks_for(host));
        let any = self.shown.iter().filter(|one| one.hosts.is_empty());
        let rest = self.shown.iter().filter(|_| !self.strict || host.is_none());
        let candidates: Vec<_> = named.chain(any).chain(rest).collect();
        // rustls leaves only schemes that fit a common suite. None are left where there is no such suite: it goes on to say so.
        let schemes = hello.signature_schemes();
        if let Some(found) = candidates.iter().find(|one| schemes.is_empty() || one.signs(schemes)) {
            return Some(show(found));
        }
        let why = match (candidates.is_empty(), host) {
            (true, Some(host)) => format!("no certificate of ours is for {host}"),
            _ => "no certificate of ours has a key that signs as the client can verify".to_owned(),
        };
        scope::notes(|notes| notes.refused = Some(Refused::NoIdentity(why)));
        None
    }
}

impl ResolvesClientCert for Identities {
    /// The first that leads to an authority which the server named; one that names none takes any.
    fn resolve(&self, authorities: &[&[u8]], schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let leads = |one: &&Shown| {
            authorities.is_empty()
                || one.issuers.iter().any(|issuer| authorities.contains(&issuer.as_slice()))
        };
        self.shown.iter().filter(leads).find(|one| one.signs(schemes)).map(show)
    }

    fn has_certs(&self) -> bool {
        !self.is_empty()
    }
}

/// As the IANA registry writes it; rustls has the version in the name.
fn suite_name(suite: &CipherSuite) -> String {
    format!("{suite:?}").replace("TLS13_", "TLS_")
}

fn in_words(hello: &ClientHello<'_>) -> Hello {
    let groups = hello.named_groups().unwrap_or_default();
    let alpn =
        hello.alpn().map(|names| names.map(|name| String::from_utf8_lossy(name).into_owned()).collect());
    Hello {
        name: hello.server_name().map(str::to_owned),
        suites: hello.cipher_suites().iter().map(suite_name).collect(),
        groups: groups.iter().map(|one| format!("{one:?}")).collect(),
        schemes: hello.signature_schemes().iter().map(|one| format!("{one:?}")).collect(),
        alpn: alpn.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::fits;

    #[test]
    fn a_star_stands_for_one_label() {
        assert!(fits("A.example", "a.example") && fits("a.b.example", "*.B.example"));
        for (host, pattern) in [("b.example", "*.b.example"), ("x.a.b.example", "*.b.example"), (".b", "*.b")]
        {
            assert!(!fits(host, pattern), "{host} {pattern}");
        }
    }
}
