//! What proves us to a peer and the peer to us: shared keys and certificates of key rings (rows B29, B37, B38; RFC 7427).

use std::str::FromStr;

use ravelin_config::document::Table;
use ravelin_config::source::Place;
use ravelin_config::value::Value;
use ravelin_contract::name::Name;
use ravelin_events::catalogue::{FILE_MISPLACED, FILE_MISSING};
use ravelin_ike::crypto::SignatureScheme;
use ravelin_ike::policy::{Revocation, Trust};
use ravelin_rings::name::{Label, RingName};

use crate::policy::log_in::{self, OurLogIn};
use crate::policy::road::{self, LogIn};

/// Certificates of a ring: `gw` for what fits of it, `gw/main` for one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pick {
    /// The ring.
    pub ring: RingName,
    /// The one certificate, if it is one.
    pub label: Option<Label>,
}

impl FromStr for Pick {
    type Err = ravelin_rings::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ring, label) = match text.split_once('/') {
            Some((ring, label)) => (ring, Some(Label::new(label)?)),
            None => (text, None),
        };
        Ok(Self { ring: RingName::new(ring)?, label })
    }
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.ring)?;
        self.label.as_ref().map_or(Ok(()), |label| write!(f, "/{label}"))
    }
}

/// A ring that a policy names.
#[derive(Debug, Clone)]
pub struct Named {
    /// What of it.
    pub pick: Pick,
    /// What for.
    pub need: Need,
    /// Where.
    pub place: Place,
}

/// What a ring is named for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// To prove who we are.
    Identity,
    /// To believe others.
    Anchor,
}

/// An entry of the file of keys, and where it was named.
pub type SharedKey = (Name, Place);

/// How we prove ourselves.
#[derive(Debug, Clone)]
pub enum Ours {
    /// By a shared key.
    Shared(SharedKey),
    /// By a certificate, signing by one of these.
    Certificate(Pick, Vec<SignatureScheme>),
    /// By EAP, as a client.
    LogIn(OurLogIn),
}

/// How the peer must.
#[derive(Debug, Clone)]
pub enum Theirs {
    /// By a shared key.
    Shared(SharedKey),
    /// By a certificate.
    Certificate(Trust),
    /// By EAP: the peer is many clients.
    Eap(LogIn),
}

/// Both.
#[derive(Debug, Clone)]
pub struct Proofs {
    /// How we prove ourselves.
    pub ours: Ours,
    /// How the peer must.
    pub theirs: Theirs,
    /// Rings that they need.
    pub rings: Vec<Named>,
}

/// Signatures by their words. PKCS#1 v1.5 is believed only where policy names it.
const SIGNATURES: &[(&str, SignatureScheme)] = &[
    ("ed25519", SignatureScheme::Ed25519),
    ("ecdsa-sha2-256", SignatureScheme::EcdsaSha256),
    ("ecdsa-sha2-384", SignatureScheme::EcdsaSha384),
    ("ecdsa-sha2-512", SignatureScheme::EcdsaSha512),
    ("rsa-pss-sha2-256", SignatureScheme::RsaPssSha256),
    ("rsa-pss-sha2-384", SignatureScheme::RsaPssSha384),
    ("rsa-pss-sha2-512", SignatureScheme::RsaPssSha512),
    ("rsa-pkcs1-sha2-256", SignatureScheme::RsaPkcs1Sha256),
    ("rsa-pkcs1-sha2-384", SignatureScheme::RsaPkcs1Sha384),
    ("rsa-pkcs1-sha2-512", SignatureScheme::RsaPkcs1Sha512),
];
/// As many of [`SIGNATURES`] are believed where nothing is written.
const USUAL: usize = 7;

/// Reads what a peer says of proofs. `certificate` and `trust` are for one direction each, `shared_key` for what is left.
pub fn read(table: &Table<'_>) -> Option<Proofs> {
    let shared = table.optional("shared_key", |value| Some((value.name()?, value.place())));
    let certificate = table.optional("certificate", |value| pick(value, "gw", "gw/main"));
    let trust = table.optional("trust", |value| {
        let picks: Vec<_> =
            value.one_or_more().iter().map(|value| pick(value, "roots", "roots/our ca")).collect();
        let picks = picks.into_iter().collect::<Option<Vec<_>>>();
        picks.filter(|picks| !picks.is_empty())
    });
    let revocation = table.optional("revocation", |value| {
        value.choice(&[("off", Revocation::Off), ("soft", Revocation::Soft), ("hard", Revocation::Hard)])
    });
    let schemes = table.optional("signatures", |value| {
        let words: Vec<_> = value.one_or_more().iter().map(|word| word.choice(SIGNATURES)).collect();
        words.into_iter().collect::<Option<Vec<_>>>().filter(|list| !list.is_empty())
    });
    let (said, user) = (road::said(table), log_in::user(table));
    let (shared, certificate, trust, said, user) = (shared?, certificate?, trust?, said?, user?);
    let rings = named(table, certificate.as_ref(), trust.as_deref());
    check_strays(table, certificate.is_some(), trust.is_some() || said.is_some());
    let usual = || SIGNATURES.iter().take(USUAL).map(|(_, scheme)| *scheme).collect();
    let (revocation, schemes) = (revocation?.unwrap_or_default(), schemes?.unwrap_or_else(usual));
    let trust = trust.map(|picks| {
        let authorities = picks.iter().map(Pick::to_string).collect();
        Trust { authorities, revocation, schemes: schemes.clone() }
    });
    let ours = match (user, certificate, &shared) {
        (Some(user), certificate, _) => Some(Ours::LogIn(user.with(table, certificate, trust.as_ref())?)),
        (None, Some(pick), _) => Some(Ours::Certificate(pick, schemes)),
        (None, None, Some(shared)) => Some(Ours::Shared(shared.clone())),
        (None, None, None) => None,
    };
    let theirs = match (said, trust, shared) {
        (Some(said), trust, _) => Some(Theirs::Eap(said.with(table, trust, &ours)?)),
        (None, Some(trust), _) => Some(Theirs::Certificate(trust)),
        (None, None, Some(shared)) => Some(Theirs::Shared(shared)),
        (None, None, None) => None,
    };
    match (ours, theirs) {
        (Some(ours), Some(theirs)) => Some(Proofs { ours, theirs, rings }),
        (ours, theirs) => {
            missing(table, ours.is_some(), theirs.is_some());
            None
        }
    }
}

fn named(table: &Table<'_>, certificate: Option<&Pick>, trust: Option<&[Pick]>) -> Vec<Named> {
    let own = table.get("certificate").zip(certificate);
    let own = own.map(|(value, pick)| (value, pick, Need::Identity));
    let values = table.get("trust").map(|value| value.one_or_more()).unwrap_or_default();
    let anchors = values.into_iter().zip(trust.unwrap_or_default());
    let all = own.into_iter().chain(anchors.map(|(value, pick)| (value, pick, Need::Anchor)));
    all.map(|(value, pick, need)| Named { pick: pick.clone(), need, place: value.place() }).collect()
}

/// A ring or one certificate of it. `ring` and `whole` are examples.
pub(super) fn pick(value: &Value<'_>, ring: &str, whole: &str) -> Option<Pick> {
    let text = value.text()?;
    let pick = text.parse().ok();
    if pick.is_none() {
        let message = format!("`{}` names no certificate of a key ring", value.key());
        value.error(message, format!("write \"{ring}\", a ring, or \"{whole}\", a ring and a label"));
    }
    pick
}

/// Tells of keys that mean nothing beside the others.
fn check_strays(table: &Table<'_>, certificate: bool, trust: bool) {
    let stray = |key, stray, message, remedy| {
        if let Some(value) = table.get(key).filter(|_| stray) {
            value.error(FILE_MISPLACED.of(message), remedy);
        }
    };
    let neither = "`shared_key` proves neither side beside `certificate` and `trust`";
    stray("shared_key", certificate && trust, neither, "remove the line, or one of the two");
    let alone = "`revocation` of a peer that shows no certificate";
    stray("revocation", table.get("trust").is_none(), alone, "remove the line, or add trust = [\"RING\"]");
    let unsigned = "`signatures` of a peer where nobody signs";
    stray("signatures", !certificate && !trust, unsigned, "remove the line, or add certificate and trust");
}

fn missing(table: &Table<'_>, ours: bool, theirs: bool) {
    let (message, remedy) = match (ours, theirs) {
        (true, _) => ("nothing says how the peer proves itself", "add trust = [\"RING\"], or shared_key"),
        (false, true) => ("nothing says how we prove ourselves", "add certificate = \"RING\", or shared_key"),
        (false, false) => (
            "nothing says how the two sides prove themselves",
            "add shared_key = \"site-b\", an entry of keys.toml, or certificate = \"RING\" and trust = [\"RING\"]",
        ),
    };
    table.error(FILE_MISSING.of(message), remedy);
}
