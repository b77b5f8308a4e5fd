//! Sequence numbers of keys that outlive the process, reserved on disk before any is used.
//!
//! One small file per key holds one number. Outbound it is a limit: numbers below it may have been used, numbers from it
//! on never were. A start begins at the limit, so a crash costs the unused rest of a reservation and never repeats a
//! number. Inbound it is the highest number known to be accepted: after a start, numbers up to it are refused.
//! **The gap:** what was accepted after the last note of an inbound number could be accepted once more after a crash. An
//! orderly stop notes it at the end and leaves no gap.
//!
//! A file is replaced whole: written under another name, made durable, renamed, and the directory made durable. Only
//! then the number counts. A file that does not read as it was written is an error, never a fresh start. Who deletes the
//! directory and keeps the key gives the key away; the documents must say so.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::fingerprint::Fingerprint;

/// Numbers reserved at once, unless told otherwise: at 20 million packets a second 200 ms, and with 32-bit numbers room
/// for a thousand crashes.
pub const STEP: u64 = 1 << 22;
/// First word of every file; the number after it names the format.
const MAGIC: &str = "ravelin-numbers-1";

/// Why a number could not be read or noted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The disk said no.
    #[error("{path}: {source}")]
    Disk {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// The file was not written by us, or was damaged.
    #[error("{0}: damaged; give the SA a new key, then remove the file")]
    Damaged(PathBuf),
}

/// The four steps of which a power cut may let any prefix survive.
pub trait Disk {
    /// The octets of a file, or `None` when there is none.
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>>;
    /// Creates or empties a file and writes it. Nothing is durable yet.
    fn write(&self, name: &str, octets: &[u8]) -> io::Result<()>;
    /// Makes the octets of a file durable.
    fn sync(&self, name: &str) -> io::Result<()>;
    /// Gives a file the name of another, which goes away. Not durable yet.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Makes renames durable.
    fn sync_directory(&self) -> io::Result<()>;
    /// Where it is, for errors.
    fn path(&self, name: &str) -> PathBuf;
}

/// A directory of a real file system.
#[derive(Debug)]
pub struct Directory(PathBuf);

impl Directory {
    /// Uses `path`, which is created with mode 0700 if its parent exists.
    ///
    /// # Errors
    /// It is no directory and cannot be made one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt;
        let made = fs::DirBuilder::new().mode(0o700).create(path);
        match made.or_else(|refused| if path.is_dir() { Ok(()) } else { Err(refused) }) {
            Ok(()) => Ok(Self(path.into())),
            Err(source) => Err(Error::Disk { path: path.into(), source }),
        }
    }
}

impl Disk for Directory {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        match fs::read(self.path(name)) {
            Err(missing) if missing.kind() == io::ErrorKind::NotFound => Ok(None),
            other => other.map(Some),
        }
    }

    fn write(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        File::create(self.path(name))?.write_all(octets)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        File::open(self.path(name))?.sync_all()
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path(from), self.path(to))
    }

    fn sync_directory(&self) -> io::Result<()> {
        File::open(&self.0)?.sync_all()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

/// The numbers on one disk. One thread uses it.
#[derive(Debug)]
pub struct Store<D = Directory> {
    disk: D,
}

impl Store {
    /// A store in `directory`; see [`Directory::open`].
    ///
    /// # Errors
    /// As [`Directory::open`].
    pub fn open(directory: &Path) -> Result<Self, Error> {
        Ok(Self::on(Directory::open(directory)?))
    }
}

impl<D: Disk> Store<D> {
    /// A store on any disk.
    pub fn on(disk: D) -> Self {
        Self { disk }
    }

    /// The number noted last, or `None` when this key was never seen.
    ///
    /// # Errors
    /// The file cannot be read or is damaged.
    pub fn noted(&self, key: &Fingerprint) -> Result<Option<u64>, Error> {
        let name = key.to_string();
        let octets = self.at(&name, self.disk.read(&name))?;
        octets.map(|octets| parse(&octets).ok_or_else(|| Error::Damaged(self.disk.path(&name)))).transpose()
    }

    /// Notes a number. When it returns, the number survives a power cut; when it fails, the old or the new one does.
    ///
    /// # Errors
    /// Any step failed.
    pub fn note(&self, key: &Fingerprint, number: u64) -> Result<(), Error> {
        let name = key.to_string();
        let draft = format!("{name}.new");
        self.at(&draft, self.disk.write(&draft, render(number).as_bytes()))?;
        self.at(&draft, self.disk.sync(&draft))?;
        self.at(&name, self.disk.rename(&draft, &name))?;
        self.at(&name, self.disk.sync_directory())
    }

    fn at<T>(&self, name: &str, result: io::Result<T>) -> Result<T, Error> {
        result.map_err(|source| Error::Disk { path: self.disk.path(name), source })
    }
}

/// The number twice, so that damage shows.
fn render(number: u64) -> String {
    format!("{MAGIC} {number} {:016x}\n", !number)
}

fn parse(octets: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(octets).ok()?;
    let number = text.split(' ').nth(1)?.parse().ok()?;
    (render(number) == text).then_some(number)
}

#[cfg(test)]
mod tests;
