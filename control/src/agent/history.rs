//! The policy applied last, kept as the operator's own files so that a restart brings back what was applied, not what
//! has been edited since.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use ravelin_contract::snapshot::Snapshot;

use crate::attls::Served;
use crate::policy::explain::Explainer;
use crate::policy::files::{Files, Paths};
use crate::policy::origin::Origins;
use crate::policy::peers::Ike;

/// The keys within a kept policy.
const KEYS: &str = "keys.toml";
/// Its rules for TLS.
const ATTLS: &str = "attls.toml";
/// A name that no kept file has.
const EXPECT: &str = "expect.toml";
/// The policy in force.
const APPLIED: &str = "applied";
/// The next one, until it is in force.
const STAGED: &str = "staged";
/// The one before, for the moment in which the next takes its place.
const PREVIOUS: &str = "previous";

/// What is applied.
#[derive(Debug)]
pub struct Applied {
    /// As it was installed.
    pub snapshot: Snapshot,
    /// What IKE negotiates by under it.
    pub ike: Ike,
    /// How TLS is spoken under it.
    pub attls: Served,
    origins: Origins,
    /// Made when somebody asks first.
    explainer: OnceLock<Arc<Explainer>>,
}

impl Applied {
    /// A policy that is about to be in force.
    pub fn new(snapshot: Snapshot, ike: Ike, attls: Served, origins: Origins) -> Self {
        Self { snapshot, ike, attls, origins, explainer: OnceLock::new() }
    }

    /// What answers for it.
    pub fn explainer(&self) -> Arc<Explainer> {
        let make = || Arc::new(Explainer::new(&self.snapshot, self.origins.clone(), "policy"));
        Arc::clone(self.explainer.get_or_init(make))
    }
}

/// Directories under the state directory: `applied`, and `staged` while an apply runs.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
}

impl History {
    /// Under `state`; nothing is made yet.
    pub fn new(state: &Path) -> Self {
        Self { directory: state.join("policy") }
    }

    /// Where policies are kept.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The files applied last, if any.
    pub fn applied(&self) -> Option<Paths> {
        self.existing(APPLIED)
    }

    /// The files of an apply that a crash interrupted, if any.
    pub fn staged(&self) -> Option<Paths> {
        self.existing(STAGED)
    }

    /// Keeps the texts that are about to be installed, readable by us alone: those, not what the files hold by now.
    pub fn stage(&self, files: &Files) -> io::Result<()> {
        self.discard()?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory)?;
        let staged = self.directory.join(STAGED);
        fs::DirBuilder::new().mode(0o700).create(&staged)?;
        if let Some(keys) = &files.keys {
            write(&staged.join(KEYS), keys.text())?;
        }
        if let Some(attls) = &files.attls {
            write(&staged.join(ATTLS), attls.text())?;
        }
        for (number, file) in files.policy.iter().enumerate() {
            write(&staged.join(format!("policy-{number:06}.toml")), file.text())?;
        }
        fs::File::open(&staged)?.sync_all()?;
        fs::File::open(&self.directory)?.sync_all()
    }

    /// Makes what is staged the applied policy. After a crash at any step [`Self::mend`] finds one of the two whole.
    pub fn promote(&self) -> io::Result<()> {
        self.remove(PREVIOUS)?;
        match fs::rename(self.directory.join(APPLIED), self.directory.join(PREVIOUS)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::rename(self.directory.join(STAGED), self.directory.join(APPLIED))?;
        fs::File::open(&self.directory)?.sync_all()?;
        // It holds keys that are no longer in use.
        self.remove(PREVIOUS)
    }

    /// Ends a promotion that a crash interrupted: only one that had begun moves `applied` away.
    pub fn mend(&self) -> io::Result<()> {
        if self.applied().is_some() || self.existing(PREVIOUS).is_none() {
            return Ok(());
        }
        let rest = if self.staged().is_some() { STAGED } else { PREVIOUS };
        fs::rename(self.directory.join(rest), self.directory.join(APPLIED))?;
        fs::File::open(&self.directory)?.sync_all()
    }

    /// Drops what is staged.
    pub fn discard(&self) -> io::Result<()> {
        self.remove(STAGED)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        match fs::remove_dir_all(self.directory.join(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn existing(&self, name: &str) -> Option<Paths> {
        let directory = self.directory.join(name);
        let entries = fs::read_dir(&directory).ok()?.flatten().map(|entry| entry.path());
        let (keys, attls) = (directory.join(KEYS), directory.join(ATTLS));
        let mut policy: Vec<PathBuf> = entries.filter(|path| *path != keys && *path != attls).collect();
        policy.sort();
        // What was expected of it held when it was applied.
        let expect = directory.join(EXPECT);
        (!policy.is_empty()).then_some(Paths { policy, keys, attls, expect })
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}
