//! What the API answers of the policies that were applied.

use serde::{Deserialize, Serialize};

use crate::agent::asked::Cause;
use crate::agent::history::{Part, Record};
use crate::policy::files::Files;

/// One policy that was applied.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Past {
    /// Counts up from 1.
    pub number: u64,
    /// Seconds since 1970, by this host's clock of then.
    pub time: u64,
    /// How it came: `apply`, `start`, `reload`, `watch`, `rollback` or `not_confirmed`, the last two with `to`.
    #[serde(flatten)]
    pub cause: Cause,
    /// Who asked; `None` when control did by itself.
    pub uid: Option<u32>,
    /// The name of that user.
    pub user: Option<String>,
    /// Why.
    pub why: Option<String>,
    /// Fingerprint of the policy.
    pub fingerprint: String,
    /// Whether it is the one that is applied.
    pub applied: bool,
    /// Whether its record follows from the one before.
    pub follows: bool,
}

impl Past {
    /// In the operator's words.
    pub fn new(record: Record, applied: bool, follows: bool) -> Self {
        let Record { number, time, cause, uid, user, why, fingerprint, .. } = record;
        Self { number, time, cause, uid, user, why, fingerprint, applied, follows }
    }
}

/// Which policy, if one is named.
#[derive(Debug, Default, Clone, Copy, Serialize, Deserialize)]
pub struct Numbered {
    /// Its number.
    pub number: u64,
}

/// A policy with what it said.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Kept {
    /// The record.
    #[serde(flatten)]
    pub past: Past,
    /// Its files.
    pub files: Vec<KeptText>,
}

/// A file of a policy that was applied.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptText {
    /// The path that it was read from.
    pub name: String,
    /// `policy`, `attls`, `expect` or `keys`.
    pub part: Part,
    /// What it held. Never of keys, and only for who may name files.
    pub text: Option<String>,
}

/// The files in order; texts where they may be shown.
pub fn texts(files: &Files, shown: bool) -> Vec<KeptText> {
    let policy = files.policy.iter().map(|source| (Part::Policy, source));
    let of = |part, source: &Option<_>| source.clone().map(|source| (part, source));
    let others =
        [of(Part::Attls, &files.attls), of(Part::Expect, &files.expect), of(Part::Keys, &files.keys)];
    let all = policy.map(|(part, source)| (part, source.clone())).chain(others.into_iter().flatten());
    all.map(|(part, source)| {
        let text = (shown && !source.is_secret() && part != Part::Keys).then(|| source.text().to_owned());
        KeptText { name: source.name().to_owned(), part, text }
    })
    .collect()
}

/// Which policy is applied, and what is about it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Standing {
    /// The policy that is applied.
    pub applied: Option<Past>,
    /// Whether the configured files say something else, octet for octet: then `ravelin policy apply` would change something.
    pub files_differ: bool,
    /// That it must be confirmed.
    pub waiting: Option<Waiting>,
}

/// A policy that must be confirmed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Waiting {
    /// Seconds that are left.
    pub seconds_left: u64,
    /// The number of the policy that comes back then; the default filters when there is none.
    pub back_to: Option<u64>,
}

/// What an operator wants of a policy beside its files.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Wish {
    /// Why; one line.
    pub why: Option<String>,
    /// Seconds within which it must be confirmed.
    pub confirm: Option<u64>,
    /// Whether this brings the files in force again, and tells what changed.
    pub reload: bool,
}

/// A policy of the past in force again.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(default)]
pub struct Rollback {
    /// Which; the one before when left out.
    pub number: Option<u64>,
    /// The rest.
    #[serde(flatten)]
    pub wish: Wish,
}

/// The policy that was confirmed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct Confirmed {
    /// Its number.
    pub number: u64,
}
