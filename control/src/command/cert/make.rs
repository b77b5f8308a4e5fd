//! `ravelin cert self-signed`, `request`, `receive`, `renew`, `rekey` and `rollover`.

use std::path::PathBuf;

use ravelin_rings::certificate::Certificate;
use ravelin_rings::format::{write_block, write_pem};
use ravelin_rings::issue::{Authority, Desk, Profile, Received};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Label, Place, RingName};
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use serde_json::json;

use super::check::anchors;
use super::describe::{certificate_value, date};
use super::wish::{Names, Terms, deliver, now, profile};
use super::{Failure, Session, import};
use crate::command::keyring::done;

#[derive(Debug, clap::Args)]
pub(crate) struct SelfSigned {
    /// Where it goes, as RING/LABEL.
    place: Place,
    #[command(flatten)]
    names: Names,
    #[command(flatten)]
    terms: Terms,
    /// Kind of the new key: rsa-2048, rsa-3072, rsa-4096, p256, p384, p521 or ed25519.
    #[arg(long, default_value = "p256")]
    key: KeyKind,
    /// What it is for: server, client, ike or ocsp.
    #[arg(long, default_value = "server", value_parser = profile)]
    profile: Profile,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Request {
    /// Where the key waits for its certificate, as RING/LABEL.
    place: Place,
    #[command(flatten)]
    names: Names,
    /// A challenge password for the authority. It stands in the request for all to read.
    #[arg(long, value_name = "TEXT")]
    challenge: Option<String>,
    /// Kind of the new key: rsa-2048, rsa-3072, rsa-4096, p256, p384, p521 or ed25519.
    #[arg(long, default_value = "p256")]
    key: KeyKind,
    /// New file for the request; standard output when left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Receive {
    /// The ring whose key waits.
    ring: RingName,
    /// What the authority sent: the certificate, and its issuers in the same file or in others.
    #[arg(required = true)]
    files: Vec<PathBuf>,
    /// A ring whose trust anchors may end the chain, beside those of the ring itself; may be given again.
    #[arg(long, value_name = "RING")]
    trust: Vec<RingName>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Renew {
    /// The certificate, as RING/LABEL.
    place: Place,
    #[command(flatten)]
    from: From,
}

/// Who certifies it anew. What signed itself does so again.
#[derive(Debug, clap::Args)]
struct From {
    /// An authority of ours that certifies it at once, as RING/LABEL; what signed itself needs none.
    #[arg(long, value_name = "RING/LABEL", conflicts_with = "out")]
    ca: Option<Place>,
    /// For how many days, where it is certified at once.
    #[arg(long, default_value_t = 397)]
    days: u32,
    /// New file for the request to another authority; standard output when left out.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rekey {
    /// The certificate, as RING/LABEL.
    place: Place,
    /// Label of its successor in the same ring.
    successor: Label,
    /// Kind of the new key; as before when left out.
    #[arg(long)]
    key: Option<KeyKind>,
    #[command(flatten)]
    from: From,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Rollover {
    /// What to do next.
    #[arg(value_enum)]
    stage: Stage,
    /// The certificate in use, as RING/LABEL; for `retire` the one not in use any more.
    place: Place,
    /// Label of its successor in the same ring; not for `retire`.
    successor: Option<Label>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Stage {
    /// Where the old one is connected as a trust anchor, connect its successor too; both are believed.
    Publish,
    /// Give the successor the old one's label, and with it its place in all rings; the old one is kept.
    Switch,
    /// The old one may not be used any more.
    Retire,
}

pub(crate) fn self_signed(session: &Session, rings: &Rings, arguments: &SelfSigned) -> Result<(), Failure> {
    let signer = Signer::new(rings.clone());
    let plan = arguments.terms.plan(&arguments.names, arguments.profile)?;
    if matches!(plan.profile, Profile::Ca(_)) {
        return Err(Failure::Refused("authorities are made by `ravelin ca init`".to_owned()));
    }
    let made = Desk::new(rings, &signer, now()).self_sign(&arguments.place, arguments.key, &plan)?;
    tell(session, &arguments.place, &made, "made")
}

pub(crate) fn request(session: &Session, rings: &Rings, arguments: &Request) -> Result<(), Failure> {
    let signer = Signer::new(rings.clone());
    let terms = Terms { days: 1, crl_url: Vec::new(), ocsp_url: Vec::new() };
    let plan = terms.plan(&arguments.names, Profile::Server)?;
    let desk = Desk::new(rings, &signer, now());
    let request = desk.request(&arguments.place, arguments.key, &plan, arguments.challenge.as_deref())?;
    hand_out(session, arguments.out.as_ref(), &arguments.place, &request)
}

pub(crate) fn receive(session: &Session, rings: &Rings, arguments: &Receive) -> Result<(), Failure> {
    let signer = Signer::new(rings.clone());
    let mut found = Vec::new();
    for path in &arguments.files {
        found.extend(import::read(path, None)?.certificates.into_iter().map(|named| named.item));
    }
    let ring = rings.open(&arguments.ring)?;
    let ours = |certificate: &Certificate| {
        let key = certificate.public_key().ok();
        key.is_some_and(|key| {
            ring.pending_for(&key).is_some()
                || ring.entries.iter().any(|entry| {
                    entry.has_key && entry.certificate().public_key().is_ok_and(|known| known == key)
                })
        })
    };
    let first = found.iter().position(ours).ok_or_else(|| {
        Failure::Refused(format!("none of the files has a certificate for a key of ring {}", arguments.ring))
    })?;
    let leaf = found.remove(first);
    let chain = ravelin_rings::format::chain_of(leaf.clone(), &found.iter().collect::<Vec<_>>());
    let trusted = [std::slice::from_ref(&arguments.ring), &arguments.trust].concat();
    let anchors = anchors(rings, &trusted)?;
    let received = Desk::new(rings, &signer, now()).receive(&arguments.ring, chain, &anchors)?;
    let (label, word) = match received {
        Received::New(label) => (label, "received"),
        Received::Renewed(label) => (label, "renewed"),
    };
    tell(session, &Place { ring: arguments.ring.clone(), label }, &leaf, word)
}

pub(crate) fn renew(session: &Session, rings: &Rings, arguments: &Renew) -> Result<(), Failure> {
    let signer = Signer::new(rings.clone());
    let desk = Desk::new(rings, &signer, now());
    let Place { ring, label } = &arguments.place;
    let entry = rings.open(ring)?.entry(label)?.clone();
    if let Some(ca) = &arguments.from.ca {
        let plan = desk.plan_like(&arguments.place, arguments.from.days)?;
        let key = entry.certificate().public_key()?;
        let chain = Authority::open(rings, &signer, ca)?.sign(&plan, &key)?;
        let renewed = chain[0].clone();
        rings.change(ring, |draft| draft.replace_chain(label, chain))?;
        return tell(session, &arguments.place, &renewed, "renewed");
    }
    if entry.certificate().is_self_issued() {
        let renewed = desk.renew_self_signed(&arguments.place, arguments.from.days)?;
        return tell(session, &arguments.place, &renewed, "renewed");
    }
    hand_out(session, arguments.from.out.as_ref(), &arguments.place, &desk.renewal_request(&arguments.place)?)
}

pub(crate) fn rekey(session: &Session, rings: &Rings, arguments: &Rekey) -> Result<(), Failure> {
    let signer = Signer::new(rings.clone());
    let desk = Desk::new(rings, &signer, now());
    let successor = Place { ring: arguments.place.ring.clone(), label: arguments.successor.clone() };
    let old = rings.open(&successor.ring)?.entry(&arguments.place.label)?.certificate().clone();
    let kind = arguments.key.map_or_else(|| old.public_key().map(|key| key.kind()), Ok)?;
    let plan = desk.plan_like(&arguments.place, arguments.from.days)?;
    let made = match &arguments.from.ca {
        Some(ca) => {
            let authority = Authority::open(rings, &signer, ca)?;
            let certify = |key: &ravelin_rings::issue::HeldKey<'_>| {
                authority.sign(&plan, ravelin_rings::issue::IssuingKey::public(key))
            };
            desk.with_new_key(&successor, kind, certify, plan.profile)?
        }
        None if old.is_self_issued() => desk.self_sign(&successor, kind, &plan)?,
        None => {
            let request = desk.rekey_request(&arguments.place, &arguments.successor, Some(kind))?;
            return hand_out(session, arguments.from.out.as_ref(), &successor, &request);
        }
    };
    tell(session, &successor, &made, "made")
}

pub(crate) fn rollover(session: &Session, rings: &Rings, arguments: &Rollover) -> Result<(), Failure> {
    let signer = Signer::new(rings.clone());
    let desk = Desk::new(rings, &signer, now());
    let place = &arguments.place;
    let successor = || {
        let missing = || Failure::Refused("name the successor's label, too".to_owned());
        arguments.successor.as_ref().ok_or_else(missing)
    };
    let (value, text) = match arguments.stage {
        Stage::Publish => {
            let new = Place { ring: place.ring.clone(), label: successor()?.clone() };
            let rings = desk.publish(place, &new)?;
            let names: Vec<String> = rings.iter().map(ToString::to_string).collect();
            let text = match names.is_empty() {
                true => format!("no ring believes {place} without believing {new}"),
                false => format!("{new} is believed in {}", names.join(", ")),
            };
            (json!({ "stage": "publish", "rings": names }), text)
        }
        Stage::Switch => {
            let retired = desk.switch(&place.ring, &place.label, successor()?)?;
            let old = Place { ring: place.ring.clone(), label: retired };
            let text = format!("{place} is the new one; the old one is kept as \"{old}\"");
            (json!({ "stage": "switch", "certificate": place.to_string(), "old": old.to_string() }), text)
        }
        Stage::Retire => {
            desk.retire(place)?;
            (
                json!({ "stage": "retire", "certificate": place.to_string() }),
                format!("{place} is not used any more"),
            )
        }
    };
    done(session, &value, &text)
}

fn hand_out(session: &Session, out: Option<&PathBuf>, place: &Place, request: &[u8]) -> Result<(), Failure> {
    let text = write_block("CERTIFICATE REQUEST", request)?;
    deliver(
        session,
        out,
        &text,
        json!({ "ring": place.ring, "label": place.label }),
        &format!("the request of {place}"),
    )
}

/// Says what certificate there is now.
pub(crate) fn tell(session: &Session, place: &Place, made: &Certificate, word: &str) -> Result<(), Failure> {
    let mut value = certificate_value(made);
    value["ring"] = json!(place.ring);
    value["label"] = json!(place.label);
    let until = date(made.validity().1);
    done(session, &value, &format!("{place} is {word}: {}, until {until} UTC", made.subject()))
}

/// A chain as PEM.
pub(crate) fn chain_text(chain: &[Certificate]) -> Result<String, Failure> {
    Ok(write_pem(chain)?)
}
