//! `ravelin cert check`: whether a certificate would be believed, and if not, why, and what to do.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use ravelin_rings::certificate::Certificate;
use ravelin_rings::io::Http;
use ravelin_rings::name::RingName;
use ravelin_rings::revocation::{Cache, Mode, RevocationPolicy, verify_online};
use ravelin_rings::store::Rings;
use ravelin_rings::verify::{Anchors, PeerName, Presented, Purpose, Requirements};
use rustls_pki_types::{CertificateDer, UnixTime};
use serde::Serialize;

use super::describe::date;
use super::wish::now;
use super::{Failure, Session, import};
use crate::command::table::print;

/// Days before the end at which a warning begins.
const SOON: u64 = 30;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// The certificate first, and its issuers behind it or in further files.
    #[arg(required_unless_present = "ring")]
    files: Vec<PathBuf>,
    /// Check all certificates of this ring instead.
    #[arg(long, conflicts_with = "files")]
    ring: Option<RingName>,
    /// A ring whose trust anchors are believed; may be given again. With --ring, that ring's are believed too.
    #[arg(long, value_name = "RING")]
    trust: Vec<RingName>,
    /// Whom it must be for: a host, an address, a mailbox, or a name like "CN=..".
    #[arg(long, value_name = "NAME", value_parser = PeerName::parse)]
    host: Option<PeerName>,
    /// What it must be for.
    #[arg(long, value_enum, default_value_t = For::Any)]
    purpose: For,
    /// How revocation is looked at; unless off, the addresses in the certificates are asked.
    #[arg(long, value_enum, default_value_t = Revocation::Soft)]
    revocation: Revocation,
    /// A folder with CRLs.
    #[arg(long, value_name = "DIR")]
    crls: Option<PathBuf>,
    /// Only these hosts may be asked, and with a dot in front their subdomains; may be given again.
    #[arg(long, value_name = "HOST")]
    ask: Vec<String>,
    /// HOST:PORT of a proxy to ask through.
    #[arg(long, value_name = "HOST:PORT")]
    proxy: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum For {
    Any,
    Server,
    Client,
    Ike,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Revocation {
    Off,
    Soft,
    Hard,
}

/// One finding about one certificate.
#[derive(Debug, Serialize)]
struct Finding {
    certificate: String,
    level: &'static str,
    code: &'static str,
    text: String,
}

pub(crate) async fn run(session: &Session, rings: &Rings, arguments: &Arguments) -> Result<(), Failure> {
    let chains = chains(rings, arguments)?;
    let trusted: Vec<RingName> = arguments.ring.iter().chain(&arguments.trust).cloned().collect();
    let anchors = anchors(rings, &trusted)?;
    let cache = Cache::default();
    let mut findings = Vec::new();
    if let Some(folder) = &arguments.crls {
        let refused = |error| Failure::Refused(format!("{}: {error}", folder.display()));
        for problem in cache.read_directory(folder).map_err(refused)? {
            findings.push(Finding {
                certificate: "-".to_owned(),
                level: "warning",
                code: "unreadable-crl",
                text: problem,
            });
        }
    }
    for (name, chain) in &chains {
        findings.push(check(name, chain, &anchors, arguments, &cache).await);
        if arguments.ring.is_none() {
            findings.push(whether_known(rings, name, &chain[0])?);
        }
    }
    let rows = findings.iter().map(|finding| {
        [finding.certificate.clone(), finding.level.to_owned(), finding.code.to_owned(), finding.text.clone()]
    });
    print(session, &findings, ["CERTIFICATE", "LEVEL", "CODE", "FINDING"], rows)?;
    match findings.iter().any(|finding| finding.level == "error") {
        true => Err(Failure::Said),
        false => Ok(()),
    }
}

async fn check(
    name: &str,
    chain: &[Certificate],
    anchors: &Anchors,
    arguments: &Arguments,
    cache: &Cache,
) -> Finding {
    let finding = |level, code, text| Finding { certificate: name.to_owned(), level, code, text };
    let ders: Vec<_> = chain.iter().map(|certificate| CertificateDer::from(certificate.der())).collect();
    let requirements =
        Requirements::new(arguments.purpose.purpose(), arguments.host.clone(), arguments.revocation.policy());
    let hosts = (!arguments.ask.is_empty()).then(|| arguments.ask.clone());
    let fetch = Http { hosts, proxy: arguments.proxy.clone(), ..Http::default() };
    let now = now();
    let time = UnixTime::since_unix_epoch(Duration::from_secs(now));
    let presented = Presented { chain: &ders, stapled: None };
    match verify_online(presented, anchors, &requirements, time, cache, &fetch).await {
        Err(refusal) => finding("error", refusal.code(), refusal.to_string()),
        Ok(verified) if verified.not_after() < now + SOON * 86_400 => {
            let end = date(verified.not_after());
            finding(
                "warning",
                "expires-soon",
                format!("it, or an authority above it, expires at {end} UTC; renew it"),
            )
        }
        Ok(verified) if !verified.wanted.is_empty() => {
            let asked: Vec<&str> = verified.wanted.iter().map(|lookup| lookup.url.as_str()).collect();
            let text = format!("whether it was revoked is not known; no answer from {}", asked.join(", "));
            finding("warning", "revocation-unknown", text)
        }
        Ok(verified) => {
            let path: Vec<String> = verified
                .path()
                .filter_map(|der| Certificate::from_der(&der).ok())
                .map(|certificate| certificate.subject())
                .collect();
            finding("ok", "good", format!("{}; until {} UTC", path.join(" < "), date(verified.not_after())))
        }
    }
}

/// Says which rings have a certificate.
fn whether_known(rings: &Rings, name: &str, certificate: &Certificate) -> Result<Finding, Failure> {
    let opened = rings.list()?.into_iter().filter_map(|ring| rings.open(&ring).ok());
    let found: Vec<String> = opened
        .filter_map(|ring| ring.find(certificate).map(|entry| format!("{}/{}", ring.name, entry.label)))
        .collect();
    let (code, text) = match found.is_empty() {
        true => ("not-known", "it is in no ring".to_owned()),
        false => ("known", format!("it is {}", found.join(", "))),
    };
    Ok(Finding { certificate: name.to_owned(), level: "ok", code, text })
}

type Chain = (String, Vec<Certificate>);

fn chains(rings: &Rings, arguments: &Arguments) -> Result<Vec<Chain>, Failure> {
    if let Some(name) = &arguments.ring {
        let ring = rings.open(name)?;
        // An anchor is believed as it is; whether it is in time is seen with what it issued, and by the expiry watch.
        let identities =
            ring.entries.into_iter().filter(|entry| entry.usage == ravelin_rings::ring::Usage::Identity);
        return Ok(identities.map(|entry| (format!("{name}/{}", entry.label), entry.chain)).collect());
    }
    let mut chain = Vec::new();
    for path in &arguments.files {
        chain.extend(import::read(path, None)?.certificates.into_iter().map(|named| named.item));
    }
    match chain.first() {
        Some(first) => Ok(vec![(first.subject(), chain)]),
        None => Err(Failure::Refused("the files hold no certificate".to_owned())),
    }
}

/// The trust anchors of these rings. What cannot be read as one is left out with a word.
pub(crate) fn anchors(rings: &Rings, names: &[RingName]) -> Result<Anchors, Failure> {
    let mut anchors = Anchors::none();
    for name in names {
        for certificate in rings.open(name)?.trust_anchors() {
            if let Err(refusal) = anchors.add(&CertificateDer::from(certificate.der())) {
                ravelin_events::tell!(ANCHOR_REFUSED, ring = %name, problem = %refusal);
            }
        }
    }
    Ok(anchors)
}

impl For {
    fn purpose(self) -> Purpose {
        match self {
            Self::Any => Purpose::Inspection,
            Self::Server => Purpose::TlsServer,
            Self::Client => Purpose::TlsClient,
            Self::Ike => Purpose::Ike,
        }
    }
}

impl Revocation {
    fn policy(self) -> RevocationPolicy {
        RevocationPolicy::new(match self {
            Self::Off => Mode::Off,
            Self::Soft => Mode::Soft,
            Self::Hard => Mode::Hard,
        })
    }
}
