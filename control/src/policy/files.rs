//! The files of a policy, as the appliance names them.

use std::path::{Path, PathBuf};

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::Source;

use crate::policy::management::Site;
use crate::policy::{self, Compiled};

/// Texts read at one time.
#[derive(Debug, Clone)]
pub struct Files {
    /// Policy files in order.
    pub policy: Vec<Source>,
    /// Manual keys; `None` when there is no such file.
    pub keys: Option<Source>,
    /// Rules for TLS; `None` when there is no such file.
    pub attls: Option<Source>,
}

impl Files {
    /// Reads all of them; every one that cannot be read is told. A policy without manual keys needs no file of keys, and
    /// one without TLS none of rules for it.
    pub fn read(policy: &[PathBuf], keys: &Path, attls: &Path) -> Result<Self, Findings> {
        let notes = Collector::default();
        let read = |path: &Path, reader: fn(&Path) -> Result<Source, _>| {
            reader(path).map_err(|found| notes.add(found)).ok()
        };
        let policy: Vec<_> = policy.iter().filter_map(|path| read(path, Source::read)).collect();
        let optional =
            |path: &Path, reader| path.try_exists().unwrap_or(true).then(|| read(path, reader)).flatten();
        let (keys, attls) = (optional(keys, Source::read_secret), optional(attls, Source::read));
        notes.conclude(Some(Self { policy, keys, attls })).map(|(files, _)| files)
    }

    /// Compiles them for a gateway; see [`policy::load_with_tls`].
    pub fn compile(&self, site: &Site) -> Result<Compiled, Findings> {
        policy::load_with_tls(&self.policy, self.keys.as_ref(), self.attls.as_ref(), site)
    }
}
