//! Policy agent: from the operator's files to the policy in force, and back to it after a restart of either process.

pub mod history;
pub mod install;
pub mod reconcile;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use ravelin_config::diagnostic::Findings;
use ravelin_contract::message::{Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::snapshot::Snapshot;
use tokio::sync::Mutex;

use crate::io::dataplane::{Dataplane, LinkError};
use crate::policy::Compiled;
use crate::policy::files::Files;
use history::{Applied, History};

/// Where the files of one policy are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `ipsec.toml`, or several files that together are one policy.
    pub policy: Vec<PathBuf>,
    /// `keys.toml`, mode 0600.
    pub keys: PathBuf,
}

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
        source: std::io::Error,
    },
}

/// What an apply did.
#[derive(Debug, Clone)]
pub struct Done {
    /// Generation of the packet process.
    pub generation: u64,
    /// Microseconds until every worker had it.
    pub took_us: u64,
    /// Fingerprint of the policy.
    pub fingerprint: String,
    /// Findings that did not stop it.
    pub warnings: Findings,
}

/// The one that applies policies. Applies never overlap.
#[derive(Debug)]
pub struct Agent {
    /// The packet process.
    pub dataplane: Dataplane,
    /// Where the operator's files are unless a request names others.
    pub files: Paths,
    zones: Vec<Name>,
    history: History,
    applied: Mutex<Option<Applied>>,
    installs: AtomicU64,
    failures: AtomicU64,
}

impl Agent {
    /// An agent that holds what was applied before its start, if anything.
    pub fn new(dataplane: Dataplane, files: Paths, zones: Vec<Name>, state: &Path) -> Self {
        Self {
            dataplane,
            files,
            zones,
            history: History::new(state),
            applied: Mutex::new(None),
            installs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        }
    }

    /// Reads and compiles files without applying anything.
    pub fn compile(&self, files: &Paths) -> Result<Compiled, Findings> {
        Files::read(&files.policy, &files.keys)?.compile(&self.zones)
    }

    /// Fingerprint of the policy applied last.
    pub async fn fingerprint(&self) -> Option<String> {
        self.applied.lock().await.as_ref().map(|applied| applied.snapshot.fingerprint.clone())
    }

    /// The snapshot applied last.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        self.applied.lock().await.as_ref().map(|applied| applied.snapshot.clone())
    }

    /// Policies installed and refused since start.
    pub fn counts(&self) -> (u64, u64) {
        (self.installs.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    /// Compiles, keeps and installs: all or nothing (row C11).
    pub async fn apply(&self, files: &Paths) -> Result<Done, ApplyError> {
        let result = self.try_apply(files).await;
        let counter = if result.is_ok() { &self.installs } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    async fn try_apply(&self, files: &Paths) -> Result<Done, ApplyError> {
        let compiled = self.compile(files).map_err(ApplyError::Files)?;
        let mut applied = self.applied.lock().await;
        let store = |source| ApplyError::Store { path: self.history.directory().to_owned(), source };
        // Kept before it is installed, promoted after: a crash between the two is mended by `recover`.
        self.history.stage(files).map_err(store)?;
        let (generation, took_us) = match self.install(&compiled.snapshot).await {
            Ok(in_force) => in_force,
            Err(error) => {
                self.history.discard();
                return Err(error.into());
            }
        };
        self.history.promote().map_err(store)?;
        let fingerprint = compiled.snapshot.fingerprint.clone();
        *applied = Some(Applied { snapshot: compiled.snapshot });
        Ok(Done { generation, took_us, fingerprint, warnings: compiled.warnings })
    }

    async fn install(&self, snapshot: &Snapshot) -> Result<(u64, u64), LinkError> {
        match self.dataplane.ask_all(install::messages(snapshot)).await? {
            Reply::InForce { generation, took_us } => Ok((generation, took_us)),
            _ => Err(LinkError::Unexpected("Commit")),
        }
    }

    /// Default filters on every worker (row B22).
    pub async fn use_default_filters(&self) -> Result<(u64, u64), LinkError> {
        self.switch(Request::UseDefaultFilters).await
    }

    /// Back to the policy held.
    pub async fn use_policy(&self) -> Result<(u64, u64), LinkError> {
        self.switch(Request::UsePolicy).await
    }

    async fn switch(&self, request: Request) -> Result<(u64, u64), LinkError> {
        match self.dataplane.ask(request).await? {
            Reply::InForce { generation, took_us } => Ok((generation, took_us)),
            _ => Err(LinkError::Unexpected("a switch of filters")),
        }
    }
}
