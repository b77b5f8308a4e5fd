//! Every policy that was applied, kept as the operator's own files, so that a restart brings back what was applied, not what
//! has been edited since, and so that an older one can come back (decision 0029).
//!
//! ```text
//! policy/head.json           which one is applied, and until when it must be confirmed
//! policy/kept/000017/        record.json and the files, octet for octet
//! policy/kept/000018/        one more than the head says: staged, not known to be in force
//! policy/writing, policy/gone   what a crash may leave half made or half removed
//! ```

mod disk;
mod record;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use ravelin_config::diagnostic::{Collector, Diagnostic, Findings};
use ravelin_config::source::Source;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::asked::Asked;
use super::unconfirmed::Unconfirmed;
use crate::policy::files::Files;
pub use record::{Head, KeptFile, Part, Record};

/// The file that says which policy is applied.
const HEAD: &str = "head.json";
/// Policies, whole.
const KEPT: &str = "kept";
/// One that is being written.
const WRITING: &str = "writing";
/// One that is being removed.
const GONE: &str = "gone";
/// Of a policy, who and why.
const RECORD: &str = "record.json";

/// A policy of the past or the present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What was written down.
    pub record: Record,
    /// Whether it follows from the record before it; true for the oldest that is kept.
    pub follows: bool,
}

/// The folder `policy` in the state directory.
#[derive(Debug)]
pub struct History {
    directory: PathBuf,
    /// How many policies are kept, at least one.
    keep: usize,
}

impl History {
    /// Under `state`; nothing is made yet.
    pub fn new(state: &Path, keep: usize) -> Self {
        Self { directory: state.join("policy"), keep: keep.max(1) }
    }

    /// Where policies are kept.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Which policy is applied; `None` before the first.
    pub fn head(&self) -> io::Result<Option<Head>> {
        match fs::read(self.directory.join(HEAD)) {
            Ok(octets) => parse(&self.directory.join(HEAD), &octets).map(Some),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The policy that is applied, if any.
    pub fn applied(&self) -> io::Result<Option<Record>> {
        self.head()?.map(|head| self.record(head.applied)).transpose()
    }

    /// What an apply that was interrupted has left whole.
    pub fn staged(&self) -> io::Result<Option<Record>> {
        let next = self.head()?.map_or(0, |head| head.applied) + 1;
        self.folder(next).exists().then(|| self.record(next)).transpose()
    }

    /// What was written down of a policy.
    pub fn record(&self, number: u64) -> io::Result<Record> {
        let path = self.folder(number).join(RECORD);
        parse(&path, &fs::read(&path)?)
    }

    /// Keeps the texts that are about to be installed: those, not what the files hold by now. Nothing refers to it yet.
    pub fn stage(&self, files: &Files, asked: &Asked, fingerprint: &str) -> io::Result<Record> {
        self.discard()?;
        disk::make_folder(&self.directory.join(KEPT))?;
        disk::sync(&self.directory)?;
        let before = self.head()?.map(|head| head.applied);
        let chained = before.map(|number| Ok::<_, io::Error>((number, self.hash_of(number)?))).transpose()?;
        let mut record = Record::new(chained, asked, fingerprint);
        record.unconfirmed = asked.confirm.map(|limit| Unconfirmed::within(limit, before)).transpose()?;

        let writing = self.directory.join(WRITING);
        disk::make_folder(&writing)?;
        for (part, file, source) in parts(files) {
            disk::write_new(&writing.join(&file), source.text().as_bytes())?;
            let (name, sha256) = (source.name().to_owned(), record::hash(source.text().as_bytes()));
            record.files.push(KeptFile { part, name, file, sha256 });
        }
        disk::write_new(&writing.join(RECORD), &text(&record)?)?;
        disk::sync(&writing)?;
        disk::rename(&writing, &self.folder(record.number))?;
        Ok(record)
    }

    /// Makes what is staged the applied policy, in one step on the disk.
    pub fn promote(&self, head: &Head) -> io::Result<()> {
        disk::replace(&self.directory.join(HEAD), &text(head)?)
    }

    /// Drops what is staged, and what a crash left behind.
    pub fn discard(&self) -> io::Result<()> {
        disk::remove_folder(&self.directory.join(WRITING))?;
        disk::remove_folder(&self.directory.join(GONE))?;
        let next = self.head()?.map_or(0, |head| head.applied) + 1;
        self.remove(next)
    }

    /// Removes what is older than is kept. They hold keys that are no longer in use.
    pub fn prune(&self) -> io::Result<()> {
        let Some(head) = self.head()? else { return Ok(()) };
        let back_to = head.unconfirmed.and_then(|unconfirmed| unconfirmed.back_to);
        let oldest = head.applied.saturating_sub(self.keep as u64 - 1).min(back_to.unwrap_or(u64::MAX));
        self.numbers()?
            .into_iter()
            .filter(|number| *number < oldest)
            .try_for_each(|number| self.remove(number))
    }

    /// All that are kept and can be read, the newest first. What is staged is none of them.
    pub fn list(&self) -> io::Result<Vec<Entry>> {
        let applied = self.head()?.map_or(0, |head| head.applied);
        let mut entries = Vec::new();
        let mut before = None;
        for number in self.numbers()?.into_iter().filter(|number| *number <= applied) {
            let Ok(record) = self.record(number) else {
                // The others are there all the same; what follows shows that something is wrong.
                before = Some(String::new());
                continue;
            };
            let follows = before.is_none_or(|before| before == record.previous);
            entries.push(Entry { record, follows });
            before = Some(self.hash_of(number)?);
        }
        entries.reverse();
        Ok(entries)
    }

    /// The texts of a policy under the names that its files had. What was changed since it was applied is an error.
    pub fn texts(&self, record: &Record) -> Result<Files, Findings> {
        let notes = Collector::default();
        let mut files = Files { policy: Vec::new(), keys: None, attls: None, expect: None };
        for kept in &record.files {
            match self.text_of(record.number, kept) {
                Ok(source) => match kept.part {
                    Part::Policy => files.policy.push(source),
                    Part::Keys => files.keys = Some(source),
                    Part::Attls => files.attls = Some(source),
                    Part::Expect => files.expect = Some(source),
                },
                Err(found) => notes.add(found),
            }
        }
        notes.conclude(Some(files)).map(|(files, _)| files)
    }

    fn text_of(&self, number: u64, kept: &KeptFile) -> Result<Source, Diagnostic> {
        let path = self.folder(number).join(&kept.file);
        let source = Source::read_secret(&path)?;
        if record::hash(source.text().as_bytes()) != kept.sha256 {
            let remedy = "take another policy of `ravelin policy history`";
            return Err(Diagnostic::error(source.whole(), "the kept file is not what was applied", remedy));
        }
        let named = if kept.part == Part::Keys { Source::from_secret } else { Source::from_text };
        Ok(named(kept.name.as_str(), source.text()))
    }

    /// Numbers of the folders, ascending.
    fn numbers(&self) -> io::Result<Vec<u64>> {
        let entries = match fs::read_dir(self.directory.join(KEPT)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let number = |entry: io::Result<fs::DirEntry>| entry.ok()?.file_name().to_str()?.parse().ok();
        let mut numbers: Vec<u64> = entries.filter_map(number).collect();
        numbers.sort_unstable();
        Ok(numbers)
    }

    /// Out of sight first, so that no half of it is ever taken for a policy.
    fn remove(&self, number: u64) -> io::Result<()> {
        let gone = self.directory.join(GONE);
        match fs::rename(self.folder(number), &gone) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
            Ok(()) => {
                disk::sync(&self.directory.join(KEPT))?;
                disk::remove_folder(&gone)
            }
        }
    }

    fn hash_of(&self, number: u64) -> io::Result<String> {
        match fs::read(self.folder(number).join(RECORD)) {
            // Somebody has taken it away: what follows shows that.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
            octets => Ok(record::hash(&octets?)),
        }
    }

    fn folder(&self, number: u64) -> PathBuf {
        self.directory.join(KEPT).join(format!("{number:06}"))
    }
}

/// Every file of a policy with its name here.
fn parts(files: &Files) -> impl Iterator<Item = (Part, String, &Source)> {
    let single = |part, name: &str, source| Some((part, name.to_owned(), source?));
    let policy = files.policy.iter().enumerate();
    let policy = policy.map(|(at, source)| (Part::Policy, format!("policy-{at:06}.toml"), source));
    let others = [
        single(Part::Keys, "keys.toml", files.keys.as_ref()),
        single(Part::Attls, "attls.toml", files.attls.as_ref()),
        single(Part::Expect, "expect.toml", files.expect.as_ref()),
    ];
    policy.chain(others.into_iter().flatten())
}

fn text<T: Serialize>(value: &T) -> io::Result<Vec<u8>> {
    Ok(serde_json::to_vec_pretty(value)?)
}

fn parse<T: DeserializeOwned>(path: &Path, octets: &[u8]) -> io::Result<T> {
    let told = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()));
    serde_json::from_slice(octets).map_err(told)
}
