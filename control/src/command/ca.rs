//! `ravelin ca`: authorities of our own: make one, sign requests, take certificates back, publish CRLs.

use std::path::PathBuf;

use clap::Subcommand;
use ravelin_rings::format::write_block;
use ravelin_rings::issue::{Authority, Desk, HeldKey, IssuingKey, Profile, read_request};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::Place;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use serde_json::json;

use super::cert::describe::{certificate_value, date};
use super::cert::wish::{Limits, Names, Terms, deliver, now, profile};
use super::cert::{import, make};
use super::keyring::{AtRings, audited, done};
use super::table::print;
use super::{Failure, Session};

/// What the command is told.
pub(crate) type Arguments = AtRings<Verb>;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Make an authority: a key, and a certificate that it signs for itself or that a higher authority signs.
    Init(Init),
    /// Sign a request.
    Sign(Sign),
    /// Take a certificate back; the next CRL says so.
    Revoke(Revoke),
    /// Issue the next CRL.
    Crl(Crl),
    /// All that an authority issued.
    List {
        /// The authority, as RING/LABEL.
        ca: Place,
    },
}

#[derive(Debug, clap::Args)]
pub(crate) struct Init {
    /// Where it goes, as RING/LABEL.
    place: Place,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    limits: Limits,
    /// For how many days it is good.
    #[arg(long, default_value_t = 3650)]
    days: u32,
    /// Kind of the new key: rsa-2048, rsa-3072, rsa-4096, p256, p384, p521 or ed25519.
    #[arg(long, default_value = "p384")]
    key: KeyKind,
    /// The higher authority, as RING/LABEL; none when left out.
    #[arg(long, value_name = "RING/LABEL")]
    parent: Option<Place>,
    /// Where the higher authority's CRL is to be had; may be given again.
    #[arg(long, value_name = "URL")]
    crl_url: Vec<String>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Sign {
    /// The authority, as RING/LABEL.
    ca: Place,
    /// The request (PKCS#10, PEM or DER).
    request: PathBuf,
    /// What the certificate is for: server, client, ike, ocsp or ca.
    #[arg(long, default_value = "server", value_parser = profile)]
    profile: Profile,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    terms: Terms,
    /// New file for the certificate and its issuers; standard output when left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Revoke {
    /// The authority, as RING/LABEL.
    ca: Place,
    /// Serial number in hexadecimal digits.
    #[arg(required_unless_present = "certificate")]
    serial: Option<String>,
    /// A file with the certificate instead.
    #[arg(long, value_name = "FILE", conflicts_with = "serial")]
    certificate: Option<PathBuf>,
    /// unspecified, keyCompromise, cACompromise, affiliationChanged, superseded, cessationOfOperation or
    /// privilegeWithdrawn.
    #[arg(long, default_value = "unspecified")]
    reason: String,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Crl {
    /// The authority, as RING/LABEL.
    ca: Place,
    /// For how many hours it is good.
    #[arg(long, default_value_t = 48)]
    hours: u32,
    /// New file for it, as PEM; standard output when left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub(crate) fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let rings = arguments.place.rings(session)?;
    let signer = Signer::new(rings.clone());
    audited(&rings, || match arguments.verb {
        Verb::Init(arguments) => init(session, &rings, &signer, &arguments),
        Verb::Sign(arguments) => sign(session, &rings, &signer, &arguments),
        Verb::Revoke(arguments) => revoke(session, &rings, &signer, &arguments),
        Verb::Crl(arguments) => crl(session, &rings, &signer, &arguments),
        Verb::List { ca } => list(session, &Authority::open(&rings, &signer, &ca)?),
    })
}

fn init(session: &Session, rings: &Rings, signer: &Signer, arguments: &Init) -> Result<(), Failure> {
    let terms = Terms { days: arguments.days, crl_url: arguments.crl_url.clone(), ocsp_url: Vec::new() };
    let mut plan = terms.plan(&arguments.names, Profile::Ca(None))?;
    arguments.limits.apply(&mut plan);
    let desk = Desk::new(rings, signer, now());
    let made = match &arguments.parent {
        None => desk.self_sign(&arguments.place, arguments.key, &plan)?,
        Some(parent) => {
            let parent = Authority::open(rings, signer, parent)?;
            let certify = |key: &HeldKey<'_>| parent.sign(&plan, key.public());
            desk.with_new_key(&arguments.place, arguments.key, certify, plan.profile)?
        }
    };
    make::tell(session, &arguments.place, &made, "made")
}

fn sign(session: &Session, rings: &Rings, signer: &Signer, arguments: &Sign) -> Result<(), Failure> {
    let found = import::read(&arguments.request, None)?;
    let nothing = || Failure::Refused(format!("{}: holds no request", arguments.request.display()));
    let request = read_request(found.requests.first().ok_or_else(nothing)?)?;
    // What the operator says goes before what the request says.
    let names = Names {
        subject: arguments.names.subject.clone().or(Some(request.subject)),
        san: if arguments.names.san.is_empty() { request.names } else { arguments.names.san.clone() },
    };
    let plan = arguments.terms.plan(&names, arguments.profile)?;
    let chain = Authority::open(rings, signer, &arguments.ca)?.sign(&plan, &request.key)?;
    let text = make::chain_text(&chain)?;
    let what = format!("the certificate of {}", chain[0].subject());
    deliver(session, arguments.out.as_ref(), &text, certificate_value(&chain[0]), &what)
}

fn revoke(session: &Session, rings: &Rings, signer: &Signer, arguments: &Revoke) -> Result<(), Failure> {
    let serial = match (&arguments.serial, &arguments.certificate) {
        (Some(serial), _) => serial.clone(),
        (None, Some(path)) => {
            let nothing = || Failure::Refused(format!("{}: holds no certificate", path.display()));
            import::read(path, None)?.certificates.first().ok_or_else(nothing)?.item.serial()
        }
        (None, None) => return Err(Failure::Refused("say which certificate".to_owned())),
    };
    let revoked = Authority::open(rings, signer, &arguments.ca)?.revoke(&serial, &arguments.reason, now())?;
    let text = format!(
        "{} ({}) is revoked; publish the next CRL: `ravelin ca crl {}`",
        revoked.subject, revoked.serial, arguments.ca
    );
    done(session, &json!(revoked), &text)
}

fn crl(session: &Session, rings: &Rings, signer: &Signer, arguments: &Crl) -> Result<(), Failure> {
    let authority = Authority::open(rings, signer, &arguments.ca)?;
    let crl = authority.crl(arguments.hours, now())?;
    let number = authority.ledger()?.crl_number;
    let text = write_block("X509 CRL", &crl)?;
    deliver(session, arguments.out.as_ref(), &text, json!({ "number": number }), &format!("CRL {number}"))
}

fn list(session: &Session, authority: &Authority<'_>) -> Result<(), Failure> {
    let ledger = authority.ledger()?;
    let rows = ledger.issued.iter().map(|issued| {
        let state = match (issued.revoked_at, &issued.reason) {
            (Some(at), reason) => {
                format!("revoked {} ({})", date(at), reason.as_deref().unwrap_or("unspecified"))
            }
            (None, _) if issued.not_after < now() => "expired".to_owned(),
            (None, _) => "good".to_owned(),
        };
        [issued.serial.clone(), date(issued.not_after), state, issued.subject.clone()]
    });
    print(session, &ledger.issued, ["SERIAL", "NOT AFTER", "STATE", "SUBJECT"], rows)
}
