//! `ravelin cert`: certificates in rings.

mod acme;
mod check;
pub(crate) mod describe;
mod export;
pub(crate) mod import;
pub(crate) mod make;
mod map;
pub(crate) mod wish;

use clap::Subcommand;
use ravelin_rings::name::{Label, Place, RingName};
use ravelin_rings::ring::{Entry, Ring, Trust, Usage};
use ravelin_rings::store::Rings;
use serde_json::json;

use super::keyring::{AtRings, audited, audited_later, done};
use super::table::print;
use super::{Failure, Session};
pub(crate) use describe::{trust_text, usage_text, value};

/// What the command is told.
pub(crate) type Arguments = AtRings<Verb>;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say whether certificates would be believed, and if not, why.
    Check(check::Arguments),
    /// Get a certificate from an ACME server, and have it renewed by itself.
    Acme(acme::Arguments),
    #[command(flatten)]
    Local(Local),
}

/// What needs no network.
#[derive(Debug, Subcommand)]
pub(crate) enum Local {
    /// Make a key and a certificate that it signs for itself.
    SelfSigned(make::SelfSigned),
    /// Make a key and the request for its certificate.
    Request(make::Request),
    /// Take in the certificate that an authority made for a request.
    Receive(make::Receive),
    /// Renew a certificate for the same key.
    Renew(make::Renew),
    /// Make a successor with a new key.
    Rekey(make::Rekey),
    /// Let a successor take a certificate's place: publish, switch, retire.
    Rollover(make::Rollover),
    /// Rules by which certificates stand for identities.
    #[command(subcommand)]
    Map(map::Verb),
    /// Take in certificates and keys from a file of any usual form.
    Import(import::Arguments),
    /// Write a certificate to a file; its key only when told so.
    Export(export::Arguments),
    /// All that is known of a certificate.
    Show {
        /// The certificate, as RING/LABEL.
        place: Place,
    },
    /// Certificates of a ring, or of all.
    List {
        /// The ring.
        ring: Option<RingName>,
    },
    /// Give a certificate another label.
    Rename {
        /// The certificate, as RING/LABEL.
        place: Place,
        /// Its new label.
        label: Label,
    },
    /// Delete a certificate, or a request that waits for one.
    Delete {
        /// The certificate, as RING/LABEL.
        place: Place,
        /// Also when its private key is here, which is lost then.
        #[arg(long)]
        with_key: bool,
    },
    /// Say whether a certificate may be used.
    Trust {
        /// The certificate, as RING/LABEL.
        place: Place,
        /// `trusted` or `not-trusted`.
        #[arg(value_parser = trust)]
        trust: Trust,
    },
    /// Choose the certificate that is used when no label is given.
    Default {
        /// The ring.
        ring: RingName,
        /// The label; none is chosen when left out.
        label: Option<Label>,
    },
    /// Tell what is in a file before it is imported.
    Inspect(import::Inspect),
}

fn trust(text: &str) -> Result<Trust, String> {
    match text {
        "trusted" => Ok(Trust::Trusted),
        "not-trusted" => Ok(Trust::NotTrusted),
        other => Err(format!("{other} is no trust status; use trusted or not-trusted")),
    }
}

pub(crate) async fn run(session: &Session, arguments: Arguments) -> Result<(), Failure> {
    let rings = arguments.place.rings(session)?;
    match arguments.verb {
        Verb::Check(arguments) => check::run(session, &rings, &arguments).await,
        Verb::Acme(arguments) => audited_later(&rings, acme::run(session, &rings, arguments)).await,
        Verb::Local(verb) => audited(&rings, || work(session, &rings, verb)),
    }
}

fn work(session: &Session, rings: &Rings, verb: Local) -> Result<(), Failure> {
    match verb {
        Local::SelfSigned(arguments) => make::self_signed(session, rings, &arguments),
        Local::Request(arguments) => make::request(session, rings, &arguments),
        Local::Receive(arguments) => make::receive(session, rings, &arguments),
        Local::Renew(arguments) => make::renew(session, rings, &arguments),
        Local::Rekey(arguments) => make::rekey(session, rings, &arguments),
        Local::Rollover(arguments) => make::rollover(session, rings, &arguments),
        Local::Map(verb) => map::run(session, rings, verb),
        Local::Import(arguments) => import::run(session, rings, &arguments),
        Local::Inspect(arguments) => import::inspect(session, &arguments),
        Local::Export(arguments) => export::run(session, rings, &arguments),
        Local::Show { place } => {
            let ring = rings.open(&place.ring)?;
            let entry = ring.entry(&place.label)?;
            print(session, &value(entry), ["FIELD", "VALUE"], describe::rows(entry))
        }
        Local::List { ring } => list(session, rings, ring),
        Local::Rename { place, label } => {
            rings.rename(&place, &label)?;
            let value = json!({ "ring": place.ring, "label": label });
            done(session, &value, &format!("{place} is now {}/{label}", place.ring))
        }
        Local::Delete { place, with_key } => delete(session, rings, &place, with_key),
        Local::Trust { place, trust } => {
            rings.change(&place.ring, |draft| draft.set_trust(&place.label, trust))?;
            let value = json!({ "ring": place.ring, "label": place.label, "trust": trust });
            done(session, &value, &format!("{place} is {}", trust_text(trust)))
        }
        Local::Default { ring, label } => {
            rings.change(&ring, |draft| draft.set_default(label.as_ref()))?;
            let text = match &label {
                Some(label) => format!("{label} is the default of ring {ring}"),
                None => format!("ring {ring} has no default"),
            };
            done(session, &json!({ "ring": ring, "default": label }), &text)
        }
    }
}

fn list(session: &Session, rings: &Rings, only: Option<RingName>) -> Result<(), Failure> {
    let names = match only {
        Some(name) => vec![name],
        None => rings.list()?,
    };
    let rings: Vec<Ring> = names.iter().map(|name| rings.open(name)).collect::<Result<_, _>>()?;
    let with_ring = |ring: &Ring, entry: &Entry| {
        let mut value = value(entry);
        value["ring"] = json!(ring.name);
        value["default"] = json!(ring.default.as_ref() == Some(&entry.label));
        value
    };
    let values: Vec<_> =
        rings.iter().flat_map(|ring| ring.entries.iter().map(|entry| with_ring(ring, entry))).collect();
    let rows = rings.iter().flat_map(|ring| {
        ring.entries.iter().map(|entry| {
            let is_default = ring.default.as_ref() == Some(&entry.label);
            [
                format!("{}/{}{}", ring.name, entry.label, if is_default { " *" } else { "" }),
                usage_text(entry.usage).to_owned(),
                trust_text(entry.trust).to_owned(),
                if entry.has_key { "yes" } else { "no" }.to_owned(),
                describe::kind(entry.certificate()),
                describe::date(entry.certificate().validity().1),
                entry.certificate().subject(),
            ]
        })
    });
    let heading = ["CERTIFICATE (* DEFAULT)", "USAGE", "TRUST", "KEY", "KIND", "NOT AFTER", "SUBJECT"];
    print(session, &values, heading, rows)
}

fn delete(session: &Session, rings: &Rings, place: &Place, with_key: bool) -> Result<(), Failure> {
    let ring = rings.open(&place.ring)?;
    let pending = ring.pending.iter().any(|pending| pending.label == place.label);
    let own_key = |entry: &Entry| entry.has_key && entry.connected.is_none();
    if !with_key && (pending || own_key(ring.entry(&place.label)?)) {
        return Err(Failure::Refused(format!(
            "{place} has its private key here; export it if it is still needed, then say --with-key"
        )));
    }
    rings.change(&place.ring, |draft| draft.remove(&place.label))?;
    done(session, &json!({ "ring": place.ring, "label": place.label }), &format!("{place} is deleted"))
}

/// What a new certificate without other word is for: with a key to be shown, else to believe others by.
pub(crate) fn default_usage(has_key: bool) -> Usage {
    if has_key { Usage::Identity } else { Usage::TrustAnchor }
}
