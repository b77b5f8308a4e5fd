//! Records of IKE SAs beside the process, so that they go on when it starts again (decision 0015).
//!
//! All lie in one file, a [`book`], each sealed; the key lies in the runtime directory, which a restart of the machine empties. A
//! record is written before the messages that it speaks of are sent. What cannot be written is taken away: then the IKE SA is made
//! anew rather than taken up where it was before. Nothing is flushed to the disk: with the machine the packet process ends too, and its
//! keys with it.

mod book;

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use ravelin_events::tell;
use ravelin_ike::crypto::SystemRandom;
use ravelin_ike::{IkeId, Keep, Kept, Vault};
use zeroize::Zeroizing;

use book::Book;

/// The book's name in the directory of the records.
const BOOK: &str = "records";

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
    open: Option<(Vault, Book)>,
}

impl Records {
    pub(super) fn new(places: Places) -> Self {
        Self { places, open: None }
    }

    /// From now on records are of this run of the packet process. Gives those that an earlier run of control left; others
    /// are taken away, and told.
    pub(super) fn begin(&mut self, incarnation: u64) -> Vec<Kept> {
        self.open = None;
        let opened = self.open(incarnation).and_then(|(vault, book)| {
            let records = book.records()?;
            Ok((vault, book, records))
        });
        let (vault, mut book, records) = match opened {
            Ok(opened) => opened,
            Err(error) => {
                let problem = "IKE SAs will not survive a restart of control";
                tell!(IKE_RECORDS, place = %self.places.records.display(), problem, %error);
                return Vec::new();
            }
        };
        let found = records.into_iter().filter_map(|(ike, octets)| match vault.open(ike, &octets) {
            Ok(kept) => Some(kept),
            Err(error) => {
                tell!(IKE_RECORD_REFUSED, record = %ike, %error);
                complain(ike, book.forget(ike));
                None
            }
        });
        let found = found.collect();
        self.open = Some((vault, book));
        found
    }

    fn open(&self, incarnation: u64) -> io::Result<(Vault, Book)> {
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
        self.tidy();
        Ok((Vault::new(&key, incarnation), Book::open(&self.places.records.join(BOOK))?))
    }

    /// Nothing else lies there: earlier versions had a file for each record.
    fn tidy(&self) {
        for entry in fs::read_dir(&self.places.records).into_iter().flatten().flatten() {
            if entry.file_name() != BOOK
                && let Err(error) = fs::remove_file(entry.path())
            {
                tell!(IKE_RECORDS, place = %entry.path().display(), problem = "what is no record stays", %error);
            }
        }
    }

    /// Keeps and forgets. To be called before anything else that the same input led to is done.
    pub(super) fn keep(&mut self, keep: Keep) {
        let Some((vault, book)) = &mut self.open else { return };
        match keep {
            Keep::Drop(ike) => complain(ike, book.forget(ike)),
            Keep::Put(kept) => {
                let sealed = vault.seal(&kept).ok_or(io::ErrorKind::Other.into());
                if let Err(error) = sealed.and_then(|octets| book.put(kept.ike, &octets)) {
                    let problem = "this IKE SA will not survive a restart of control";
                    tell!(IKE_RECORDS, record = %kept.ike, problem, %error);
                    complain(kept.ike, book.forget(kept.ike));
                }
            }
        }
    }
}

/// A file that appears whole or not at all.
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

fn complain(ike: IkeId, forgotten: io::Result<()>) {
    if let Err(error) = forgotten {
        let problem = "an old record stays; remove the file of the records by hand";
        tell!(IKE_RECORDS, record = %ike, problem, %error);
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

    fn found(directory: &tempfile::TempDir) -> Vec<Kept> {
        let mut found = at(directory).begin(7);
        found.sort_by_key(|kept| kept.ike);
        found
    }

    #[test]
    fn another_run_finds_what_was_kept_last_and_nothing_else() {
        let directory = tempfile::tempdir().expect("a directory");
        let mut first = at(&directory);
        assert!(first.begin(7).is_empty());
        let last = Kept { ike: IkeId(3), ..kept(9) };
        let keeps = [Keep::Put(kept(1)), Keep::Put(kept(2)), Keep::Put(kept(3)), Keep::Drop(IkeId(2))];
        keeps.into_iter().chain([Keep::Put(last.clone())]).for_each(|keep| first.keep(keep));
        let book = first.places.records.join(BOOK);
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!((mode(&first.places.key), mode(&book)), (0o600, 0o600));

        fs::write(first.places.records.join("0000000000000009"), b"of an earlier version").expect("written");
        assert_eq!(found(&directory), [kept(1), last.clone()]);
        assert_eq!(fs::read_dir(&first.places.records).expect("a directory").count(), 1);

        // Every octet of a record matters, and whose it is said to be; what is refused is taken away, the other stays.
        let whole = fs::read(&book).expect("it is there");
        for at in [16, 23, 24, 100, 159] {
            let mut octets = whole.clone();
            octets[at] ^= 1;
            fs::write(&book, octets).expect("written");
            assert_eq!(found(&directory), std::slice::from_ref(&last), "octet {at}");
            assert_eq!(found(&directory), std::slice::from_ref(&last));
        }
    }

    #[test]
    fn records_of_another_packet_process_or_another_key_are_refused() {
        for lose_key in [false, true] {
            let directory = tempfile::tempdir().expect("a directory");
            let mut first = at(&directory);
            first.begin(7);
            first.keep(Keep::Put(kept(1)));
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
        first.keep(Keep::Put(kept(1)));
        let octets = Zeroizing::new(vec![9; book::LONGEST]);
        first.keep(Keep::Put(Kept { ike: IkeId(1), octets }));
        assert!(at(&directory).begin(7).is_empty());
    }
}
