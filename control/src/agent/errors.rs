//! Why a policy is not in force, or not kept.

use std::io;
use std::path::PathBuf;

use ravelin_config::diagnostic::Findings;

use crate::io::dataplane::LinkError;

/// Why a policy was not applied. What was in force stays in force.
#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    /// The files are wrong.
    #[error("the policy has errors; nothing was changed")]
    Files(Findings),
    /// The packet process did not take it.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// It could not be kept for the next start.
    #[error("cannot keep the policy in {path}: {source}; nothing was changed")]
    Store {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// It is in force, but the next start of this process may bring back the one before.
    #[error("the policy is in force, but cannot be kept in {path} for the next start: {source}")]
    NotKept {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Another one waits for a word.
    #[error(
        "policy {number} waits to be confirmed, {left} s are left; `ravelin policy confirm` or `ravelin policy rollback` first"
    )]
    Waiting {
        /// Its number.
        number: u64,
        /// Seconds.
        left: u64,
    },
    /// Nobody waits for that word.
    #[error("no policy waits to be confirmed; see `ravelin policy status`")]
    NothingToConfirm,
    /// It came too late.
    #[error("the time to confirm policy {0} is over; the policy before it comes back")]
    TooLate(u64),
    /// There is no such policy.
    #[error("policy {0} is not kept; see `ravelin policy history`")]
    NoSuch(u64),
    /// There is none before the one that is applied.
    #[error("no policy is kept from before; see `ravelin policy history`")]
    NoneBefore,
    /// What was kept cannot be read.
    #[error("cannot read the policies kept in {path}: {source}")]
    History {
        /// The directory.
        path: PathBuf,
        /// What is wrong.
        source: io::Error,
    },
    /// The task that applies ended early.
    #[error("the apply ended early; see the log of ravelin-control")]
    Ended,
}
