//! What is written down of each policy that was applied: who, when, why, and whether it still waits to be confirmed.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::agent::asked::{Asked, Cause, user_name};
use crate::agent::unconfirmed::Unconfirmed;

/// One policy. Written once, before it is in force, and never changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Counts up from 1.
    pub number: u64,
    /// Seconds since 1970, as the clock of this host said.
    pub time: u64,
    /// How it came.
    #[serde(flatten)]
    pub cause: Cause,
    /// Who asked, as the kernel says; `None` when control did by itself.
    pub uid: Option<u32>,
    /// The name of that user, if it had one then.
    pub user: Option<String>,
    /// Why, in the words of who asked.
    pub why: Option<String>,
    /// See [`ravelin_contract::snapshot::Snapshot::fingerprint`].
    pub fingerprint: String,
    /// That it was to be confirmed.
    pub unconfirmed: Option<Unconfirmed>,
    /// Its files in order.
    pub files: Vec<KeptFile>,
    /// SHA-256 of the record before it, so that none can be changed or taken out unseen; empty for the first.
    pub previous: String,
}

/// A file of a policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptFile {
    /// What it is for.
    pub part: Part,
    /// The path that it was read from.
    pub name: String,
    /// Its name here.
    pub file: String,
    /// SHA-256 of what it holds.
    pub sha256: String,
}

/// What a file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// One of the policy files.
    Policy,
    /// Keys; never shown.
    Keys,
    /// Rules for TLS.
    Attls,
    /// What is expected.
    Expect,
}

impl Record {
    /// One that follows `before`, with the hash of that.
    pub(super) fn new(before: Option<(u64, String)>, asked: &Asked, fingerprint: &str) -> Self {
        let (last, previous) = before.unwrap_or_default();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Self {
            number: last + 1,
            time: since.as_secs(),
            cause: asked.cause,
            uid: asked.uid,
            user: asked.uid.and_then(user_name),
            why: asked.why.clone(),
            fingerprint: fingerprint.to_owned(),
            unconfirmed: None,
            files: Vec::new(),
            previous,
        }
    }
}

/// Which policy is applied. The one file that changes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Its number.
    pub applied: u64,
    /// Until when it must be confirmed, if it must.
    pub unconfirmed: Option<Unconfirmed>,
}

/// SHA-256, in hexadecimal digits.
pub(super) fn hash(octets: &[u8]) -> String {
    Sha256::digest(octets).iter().map(|octet| format!("{octet:02x}")).collect()
}
