//! The policy applied last, kept as the operator's own files so that a restart brings back what was applied, not what
//! has been edited since.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ravelin_contract::snapshot::Snapshot;

use super::Paths;

/// The keys within a kept policy.
const KEYS: &str = "keys.toml";

/// What is applied.
#[derive(Debug)]
pub struct Applied {
    /// As it was installed.
    pub snapshot: Snapshot,
}

/// Two directories under the state directory: `applied`, and `staged` while an apply runs.
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
        self.existing("applied")
    }

    /// The files of an apply that a crash interrupted, if any.
    pub fn staged(&self) -> Option<Paths> {
        self.existing("staged")
    }

    /// Copies `files`, readable by us alone.
    pub fn stage(&self, files: &Paths) -> io::Result<()> {
        self.discard();
        let staged = self.directory.join("staged");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&staged)?;
        if files.keys.exists() {
            copy(&files.keys, &staged.join(KEYS))?;
        }
        for (number, file) in files.policy.iter().enumerate() {
            copy(file, &staged.join(format!("policy-{number:03}.toml")))?;
        }
        fs::File::open(&staged)?.sync_all()
    }

    /// Makes what is staged the applied policy. After a crash in the middle, `staged` is still whole.
    pub fn promote(&self) -> io::Result<()> {
        let (applied, old) = (self.directory.join("applied"), self.directory.join("previous"));
        let _ = fs::remove_dir_all(&old);
        if applied.exists() {
            fs::rename(&applied, &old)?;
        }
        fs::rename(self.directory.join("staged"), &applied)?;
        fs::File::open(&self.directory)?.sync_all()
    }

    /// Drops what is staged.
    pub fn discard(&self) {
        let _ = fs::remove_dir_all(self.directory.join("staged"));
    }

    fn existing(&self, name: &str) -> Option<Paths> {
        let directory = self.directory.join(name);
        let entries = fs::read_dir(&directory).ok()?.flatten().map(|entry| entry.path());
        let keys = directory.join(KEYS);
        let mut policy: Vec<PathBuf> = entries.filter(|path| *path != keys).collect();
        policy.sort();
        (!policy.is_empty()).then_some(Paths { policy, keys })
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let text = zeroize::Zeroizing::new(fs::read(from)?);
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(to)?;
    file.write_all(&text)?;
    file.sync_all()
}
