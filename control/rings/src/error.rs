//! Everything that can go wrong with a ring, each with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

use crate::name::{Label, RingName};

/// Why something with a ring was not done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name or label that cannot be one.
    #[error("{0}")]
    Name(String),
    /// The ring does not exist.
    #[error("there is no ring {0}; see `ravelin ring list`")]
    NoRing(RingName),
    /// A ring of this name exists.
    #[error("a ring {0} exists already")]
    RingExists(RingName),
    /// The label does not exist.
    #[error("ring {ring} has no certificate {label}; see `ravelin cert list {ring}`")]
    NoLabel {
        /// Where it was looked for.
        ring: RingName,
        /// What was looked for.
        label: Label,
    },
    /// No label was given, and the ring has no default.
    #[error("ring {0} has no default certificate; name one, or choose one with `ravelin cert default`")]
    NoDefault(RingName),
    /// The label is taken.
    #[error("ring {ring} has a certificate or request {label} already; delete or rename it first")]
    LabelTaken {
        /// The ring.
        ring: RingName,
        /// The label.
        label: Label,
    },
    /// The certificate has no private key here.
    #[error("{ring}/{label} has no private key in this ring")]
    NoKey {
        /// The ring.
        ring: RingName,
        /// The label.
        label: Label,
    },
    /// The caller is not on the ring's list.
    #[error("{caller} may not use the keys of ring {ring}; `ravelin ring access {ring}` shows who may")]
    NotPermitted {
        /// The ring.
        ring: RingName,
        /// Who asked.
        caller: String,
    },
    /// The scheme does not fit the key.
    #[error("a key {key} cannot sign by {scheme}")]
    Scheme {
        /// Kind of the key.
        key: String,
        /// Name of the scheme.
        scheme: &'static str,
    },
    /// Chain, key, usage or label do not fit each other or the ring.
    #[error("{0}")]
    Unfit(String),
    /// A store that cannot be written.
    #[error("{}: the system's trust bundle is only read here; `update-ca-certificates` changes it", .0.display())]
    ReadOnly(PathBuf),
    /// A file that others may read or write.
    #[error("{}: others may use this file (mode {mode:04o}); do `chmod 600 {}`", path.display(), path.display())]
    LooseMode {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// No passphrase to be had.
    #[error("{0}")]
    Passphrase(String),
    /// The passphrase has come to the end that was set for it.
    #[error("the passphrase of ring {0} has ended; change it with `ravelin ring passwd {0}`")]
    PassphraseEnded(RingName),
    /// The passphrase does not open it.
    #[error("{what}: the passphrase does not open it; give the right one, or restore the file")]
    WrongPassphrase {
        /// What was to be opened.
        what: String,
    },
    /// Octets that are not what they should be.
    #[error("{what}: {problem}")]
    Format {
        /// File or object.
        what: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The PIN of a token.
    #[error("token {token}: the PIN is wrong; each wrong one brings it nearer to locking")]
    WrongPin {
        /// Its label.
        token: String,
    },
    /// The token or its module.
    #[error("token {token}: {problem}")]
    Token {
        /// Its label.
        token: String,
        /// What is wrong, and the remedy.
        problem: String,
    },
    /// The operating system refuses.
    #[error("{}: cannot {doing}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What was tried.
        doing: &'static str,
        /// Why not.
        source: io::Error,
    },
    /// The cryptographic library refuses.
    #[error("{0}")]
    Crypto(&'static str),
}

impl Error {
    /// For `map_err`: what was tried with which file.
    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path, doing, source }
    }

    /// Octets of `what` that are not what they should be.
    pub(crate) fn format(what: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Format { what: what.into(), problem: problem.into() }
    }
}
