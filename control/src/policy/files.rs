//! The files of a policy, as the appliance names them.

use std::path::{Path, PathBuf};

use ravelin_config::appliance::Control;
use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::Source;

use crate::policy::explain::Explainer;
use crate::policy::management::Site;
use crate::policy::{self, Compiled, expect};

/// Where the files of one policy are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `ipsec.toml`, or several files that together are one policy.
    pub policy: Vec<PathBuf>,
    /// `keys.toml`, mode 0600.
    pub keys: PathBuf,
    /// `attls.toml`, the rules for TLS.
    pub attls: PathBuf,
    /// `expect.toml`, what is expected of the policy.
    pub expect: PathBuf,
}

impl Paths {
    /// Those that the appliance file names.
    pub fn of(control: &Control) -> Self {
        let Control { policy, keys, attls, expect, .. } = control.clone();
        Self { policy, keys, attls, expect }
    }
}

/// Texts read at one time.
#[derive(Debug, Clone)]
pub struct Files {
    /// Policy files in order.
    pub policy: Vec<Source>,
    /// Manual keys; `None` when there is no such file.
    pub keys: Option<Source>,
    /// Rules for TLS; `None` when there is no such file.
    pub attls: Option<Source>,
    /// What is expected of it; `None` when there is no such file.
    pub expect: Option<Source>,
}

impl Files {
    /// Whether both hold the same octets, whatever their files are called.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let text = |source: &Option<Source>| source.as_ref().map(|source| source.text().to_owned());
        let others = |files: &Self| [text(&files.keys), text(&files.attls), text(&files.expect)];
        let same = self.policy.iter().map(Source::text).eq(other.policy.iter().map(Source::text));
        same && others(self) == others(other)
    }

    /// Reads all of them; every one that cannot be read is told. A policy without manual keys needs no file of keys, one
    /// without TLS none of rules for it, and nobody must expect anything.
    pub fn read(paths: &Paths) -> Result<Self, Findings> {
        let notes = Collector::default();
        let read = |path: &Path, reader: fn(&Path) -> Result<Source, _>| {
            reader(path).map_err(|found| notes.add(found)).ok()
        };
        let policy: Vec<_> = paths.policy.iter().filter_map(|path| read(path, Source::read)).collect();
        let optional =
            |path: &Path, reader| path.try_exists().unwrap_or(true).then(|| read(path, reader)).flatten();
        let keys = optional(&paths.keys, Source::read_secret);
        let (attls, expect) = (optional(&paths.attls, Source::read), optional(&paths.expect, Source::read));
        notes.conclude(Some(Self { policy, keys, attls, expect })).map(|(files, _)| files)
    }

    /// Compiles them for a gateway; see [`policy::load_with_tls`]. Where something is expected of the policy that does not
    /// hold, that is an error like any other.
    pub fn compile(&self, site: &Site) -> Result<Compiled, Findings> {
        let mut compiled =
            policy::load_with_tls(&self.policy, self.keys.as_ref(), self.attls.as_ref(), site)?;
        let Some(expected) = &self.expect else { return Ok(compiled) };
        let notes = Collector::default();
        let explainer = Explainer::new(&compiled.snapshot, compiled.origins.clone(), "candidate");
        compiled.held = expect::check(expected, &explainer, &notes);
        notes.conclude(Some(compiled)).map(|(compiled, _)| compiled)
    }
}
