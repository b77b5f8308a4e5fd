//! Records of IKE SAs beside the process, so that they go on when it starts again (decision 0015).
//!
//! Each is a file of its own, sealed; the key lies in the runtime directory, which a restart of the machine empties. A record
//! is written before the messages that it speaks of are sent. What cannot be written is taken away: then the IKE SA is made
//! anew rather than taken up where it was before.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ravelin_ike::crypto::SystemRandom;
use ravelin_ike::{IkeId, Keep, Kept, Vault};
use tracing::warn;
use zeroize::Zeroizing;

/// Octets of the longest record that is read.
const LONGEST: u64 = 1 << 20;

/// Where records and their key lie.
#[derive(Debug, Clone)]
pub struct Places {
    /// Directory of the records.
    pub records: PathBuf,
    /// File of their key.
    pub key: PathBuf,
}

/// The records of this run.
#[derive(Debug)]
pub(super) struct Records {
    places: Places,
    /// None before the first policy, and when there is no key: then nothing is kept.
    vault: Option<Vault>,
}

impl Records {
    pub(super) fn new(places: Places) -> Self {
        Self { places, vault: None }
    }

    /// From now on records are of this run of the packet process. Gives those that an earlier run of control left; others
    /// are taken away, and told.
    pub(super) fn begin(&mut self, incarnation: u64) -> Vec<Kept> {
        let vault = match self.open(incarnation) {
            Ok(vault) => vault,
            Err(error) => {
                warn!(code = "RVL-IKE-RECORDS", place = %self.places.records.display(), %error, "IKE SAs will not survive a restart of control");
                return Vec::new();
            }
        };
        let found = self.found().into_iter().filter_map(|(path, ike)| match self.read(&vault, &path, ike) {
            Ok(kept) => Some(kept),
            Err(error) => {
                warn!(code = "RVL-IKE-RECORD-REFUSED", record = %path.display(), %error, "an IKE SA is made anew");
                take_away(&path);
                None
            }
        });
        let found = found.collect();
        self.vault = Some(vault);
        found
    }

    fn open(&self, incarnation: u64) -> io::Result<Vault> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.places.records)?;
        if let Some(parent) = self.places.key.parent() {
            fs::create_dir_all(parent)?;
        }
        let key = match fs::read(&self.places.key).map(Zeroizing::new) {
            Ok(octets) => octets.as_slice().try_into().ok().map(Zeroizing::new),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        // A key that is cut off opens nothing any more.
        let key: Zeroizing<[u8; 32]> = match key {
            Some(key) => key,
            None => {
                let key = Vault::make_key(&mut SystemRandom);
                put(&self.places.key, &*key)?;
                key
            }
        };
        Ok(Vault::new(&key, incarnation))
    }

    /// Files that are named like records; the rest of an interrupted write goes.
    fn found(&self) -> Vec<(PathBuf, IkeId)> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.places.records).into_iter().flatten().flatten() {
            let name = entry.file_name();
            match name
                .to_str()
                .filter(|name| name.len() == 16)
                .and_then(|name| u64::from_str_radix(name, 16).ok())
            {
                Some(number) => found.push((entry.path(), IkeId(number))),
                None => take_away(&entry.path()),
            }
        }
        found
    }

    fn read(&self, vault: &Vault, path: &Path, ike: IkeId) -> Result<Kept, String> {
        let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
        if length > LONGEST {
            return Err(format!("{length} octets are no record"));
        }
        let octets = fs::read(path).map_err(|error| error.to_string())?;
        vault.open(ike, &octets).map_err(str::to_owned)
    }

    /// Keeps and forgets. To be called before anything else that the same input led to is done.
    pub(super) fn keep(&self, list: Vec<Keep>) {
        let Some(vault) = &self.vault else { return };
        for keep in list {
            match keep {
                Keep::Drop(ike) => take_away(&self.place(ike)),
                Keep::Put(kept) => {
                    let path = self.place(kept.ike);
                    let sealed = vault.seal(&kept).ok_or(io::ErrorKind::Other.into());
                    if let Err(error) = sealed.and_then(|octets| put(&path, &octets)) {
                        warn!(code = "RVL-IKE-RECORDS", record = %path.display(), %error, "this IKE SA will not survive a restart of control");
                        take_away(&path);
                    }
                }
            }
        }
    }

    fn place(&self, ike: IkeId) -> PathBuf {
        self.places.records.join(ike.to_string())
    }
}

/// Writes beside and renames: a kill leaves the old or the new, never half. Nothing is flushed to the disk: with the machine the
/// packet process ends too, and its keys with it.
fn put(path: &Path, octets: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    file.write_all(octets)?;
    fs::rename(&beside, path)
}

fn take_away(path: &Path) {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            warn!(code = "RVL-IKE-RECORDS", record = %path.display(), %error, "an old record stays; remove it by hand");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn kept(number: u64) -> Kept {
        Kept { ike: IkeId(number), octets: Zeroizing::new(vec![number as u8; 100]) }
    }

    fn at(directory: &tempfile::TempDir) -> Records {
        let places =
            Places { records: directory.path().join("ike"), key: directory.path().join("run/ike.key") };
        Records::new(places)
    }

    #[test]
    fn another_run_finds_what_was_kept_last_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut first = at(&directory);
        assert!(first.begin(7).is_empty());
        first.keep(vec![Keep::Put(kept(1)), Keep::Put(kept(2)), Keep::Put(kept(3))]);
        first.keep(vec![Keep::Drop(IkeId(2)), Keep::Put(Kept { ike: IkeId(3), ..kept(9) })]);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&first.places.key), 0o600);
        assert_eq!(mode(&first.place(IkeId(1))), 0o600);

        let mut found = at(&directory).begin(7);
        found.sort_by_key(|kept| kept.ike);
        assert_eq!(found, [kept(1), Kept { ike: IkeId(3), ..kept(9) }]);

        // Changed, under another name, half written: each refused and taken away.
        let place = first.place(IkeId(1));
        let octets = fs::read(&place).expect("it is there");
        fs::write(&place, &octets[..50]).expect("written");
        fs::rename(first.place(IkeId(3)), first.place(IkeId(4))).expect("renamed");
        fs::write(first.places.records.join("0000000000000009.new"), b"half").expect("written");
        assert!(at(&directory).begin(7).is_empty());
        assert_eq!(fs::read_dir(&first.places.records).expect("a directory").count(), 0);
    }

    #[test]
    fn records_of_another_packet_process_or_another_key_are_refused() {
        for lose_key in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let mut first = at(&directory);
            first.begin(7);
            first.keep(vec![Keep::Put(kept(1))]);
            if lose_key {
                fs::remove_file(&first.places.key).expect("removed");
            }
            let run = if lose_key { 7 } else { 8 };
            assert!(at(&directory).begin(run).is_empty());
            assert!(at(&directory).begin(7).is_empty(), "and taken away");
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_nothing_old_behind() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut first = at(&directory);
        first.begin(7);
        first.keep(vec![Keep::Put(kept(1))]);
        // In the way of the next write.
        fs::create_dir(first.place(IkeId(1)).with_extension("new")).expect("made");
        first.keep(vec![Keep::Put(Kept { ike: IkeId(1), ..kept(9) })]);
        assert!(at(&directory).begin(7).is_empty());
    }
}
