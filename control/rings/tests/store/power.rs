//! The power is cut before, at and after every step of every change: what is then on the disk is a ring, the old one
//! or the new one, and its keys sign.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ravelin_rings::access::Caller;
use ravelin_rings::key::KeyKind;
use ravelin_rings::passphrase::Source;
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{Disk, Files, NewRing, Rings, StoreKind};

use crate::tools::{label, name, new_ring, with_ring};

/// What the disk forgets when the power goes before it was told to sync.
enum Undo {
    /// Half of a file is lost.
    Halve(PathBuf),
    /// A file was never there.
    Unwrite(PathBuf),
    /// A name was never changed, and what it replaced is still there.
    Unrename(PathBuf, PathBuf, Option<Vec<u8>>),
    /// A file was never removed.
    Unremove(PathBuf, Vec<u8>),
}

/// The disk of a machine whose power goes at step `cut`. A forgetful one loses all that was not synced.
struct Cut {
    cut: usize,
    forgetful: bool,
    state: Mutex<(usize, Vec<Undo>)>,
}

impl Cut {
    fn new(cut: usize, forgetful: bool) -> Arc<Self> {
        Arc::new(Self { cut, forgetful, state: Mutex::new((0, Vec::new())) })
    }

    fn was_cut(&self) -> bool {
        self.state.lock().expect("a lock").0 > self.cut
    }

    /// Counts a step; after the cut nothing happens any more.
    fn step(
        &self,
        undo: Vec<Undo>,
        at_cut: impl FnOnce(),
        work: impl FnOnce() -> io::Result<()>,
    ) -> io::Result<()> {
        let mut state = self.state.lock().expect("a lock");
        let (count, undone) = &mut *state;
        *count += 1;
        if *count <= self.cut {
            work()?;
            undone.extend(undo);
            return Ok(());
        }
        if *count == self.cut + 1 {
            at_cut();
            if self.forgetful {
                std::mem::take(undone).into_iter().rev().for_each(Undo::apply);
            }
        }
        Err(io::Error::other("the power is gone"))
    }
}

impl Undo {
    fn apply(self) {
        // What a later undo has already taken away is gone.
        let _ = match self {
            Self::Halve(path) => std::fs::read(&path).and_then(|o| std::fs::write(&path, &o[..o.len() / 2])),
            Self::Unwrite(path) => std::fs::remove_file(path),
            Self::Unrename(from, to, old) => std::fs::rename(&to, from).and_then(|()| match old {
                Some(old) => std::fs::write(to, old),
                None => Ok(()),
            }),
            Self::Unremove(path, old) => std::fs::write(path, old),
        };
    }

    /// Whether syncing `path` makes this last.
    fn is_kept_by(&self, path: &Path) -> bool {
        match self {
            Self::Halve(file) => file == path,
            Self::Unwrite(file) | Self::Unremove(file, _) | Self::Unrename(_, file, _) => {
                file.parent() == Some(path)
            }
        }
    }
}

impl Files for Cut {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.step(vec![], || (), || Disk.create_folder(path))
    }

    fn write(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        let undo = vec![Undo::Unwrite(path.to_owned()), Undo::Halve(path.to_owned())];
        let half = || drop(std::fs::write(path, &octets[..octets.len() / 2]));
        self.step(undo, half, || Disk.write(path, octets))
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        self.step(vec![], || (), || Disk.sync(path))?;
        self.state.lock().expect("a lock").1.retain(|undo| !undo.is_kept_by(path));
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let old = std::fs::read(to).ok();
        let undo = vec![Undo::Unrename(from.to_owned(), to.to_owned(), old)];
        self.step(undo, || (), || Disk.rename(from, to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let undo = std::fs::read(path).ok().map(|old| Undo::Unremove(path.to_owned(), old));
        self.step(undo.into_iter().collect(), || (), || Disk.remove(path))
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.step(vec![], || (), || Disk.remove_folder(path))
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").flatten() {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Labels of pending keys, all of which must sign.
fn keys(rings: &Rings) -> Vec<String> {
    let ring = Rings::at(rings.root()).open(&name("web")).expect("a readable ring");
    let signer = Signer::new(Rings::at(rings.root()));
    let sign = |at| signer.sign(&Caller::operator(), &name("web"), Some(at), Scheme::Ed25519, b"text");
    ring.pending.iter().for_each(|pending| drop(sign(&pending.label).expect("a signature")));
    ring.pending.iter().map(|pending| pending.label.to_string()).collect()
}

/// Cuts the power at every step of `change` to a ring with one key `old`; how many steps there were.
fn cut_everywhere(
    store: StoreKind,
    change: impl Fn(&Rings) -> ravelin_rings::Result<()>,
    after: &[&str],
) -> usize {
    let (base, rings) = with_ring(NewRing { store, ..new_ring() });
    rings.change(&name("web"), |ring| ring.generate(&label("old"), KeyKind::Ed25519)).expect("a key");
    for cut in 0.. {
        let mut ended = false;
        for forgetful in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            copy(base.path(), folder.path());
            let rings = Rings::at(folder.path().join("rings"));
            let disk = Cut::new(cut, forgetful);
            let result = change(&rings.clone().with_files(disk.clone()));
            let found = keys(&rings);
            let whole = found == ["old"] || found == after;
            assert!(whole, "cut at step {cut}, forgetful {forgetful}: {found:?}");
            if !disk.was_cut() {
                result.expect("changed");
                assert_eq!(found, after);
                ended = true;
            }
            // Life goes on.
            rings
                .change(&name("web"), |ring| ring.generate(&label("later"), KeyKind::Ed25519))
                .expect("a key");
            assert!(keys(&rings).contains(&"later".to_owned()));
            let stray = std::fs::read_dir(rings.root().join("web")).expect("a folder").count();
            assert!(stray <= 6, "{stray} files: what was cut short is not tidied away");
        }
        if ended {
            return cut;
        }
    }
    unreachable!("there is an end")
}

#[test]
fn a_new_key() {
    let change = |rings: &Rings| {
        rings.change(&name("web"), |ring| ring.generate(&label("new"), KeyKind::Ed25519)).map(drop)
    };
    assert!(cut_everywhere(StoreKind::Directory, change, &["old", "new"]) >= 7);
}

#[test]
fn a_deleted_key() {
    let change = |rings: &Rings| rings.change(&name("web"), |ring| ring.remove(&label("old")));
    assert!(cut_everywhere(StoreKind::Directory, change, &[]) >= 5);
}

#[test]
fn another_passphrase() {
    let change = |rings: &Rings| {
        rings.change(&name("web"), |ring| {
            ring.set_passphrase(Source::stash())?;
            ring.rename(&label("old"), &label("renamed"))
        })
    };
    assert!(cut_everywhere(StoreKind::Directory, change, &["renamed"]) >= 9);
}

#[test]
fn a_new_key_and_passphrase_in_a_pkcs12_ring() {
    let change = |rings: &Rings| {
        rings.change(&name("web"), |ring| {
            ring.set_passphrase(Source::stash())?;
            ring.generate(&label("new"), KeyKind::Ed25519).map(drop)
        })
    };
    assert!(cut_everywhere(StoreKind::Pkcs12 { file: None }, change, &["old", "new"]) >= 9);
}

#[test]
fn a_new_ring_and_a_deleted_ring_are_there_or_not() {
    for delete in [false, true] {
        for cut in 0.. {
            let folder = tempfile::tempdir().expect("a folder");
            let rings = Rings::at(folder.path().join("rings"));
            if delete {
                rings.create(&name("web"), new_ring()).expect("a ring");
            }
            let disk = Cut::new(cut, true);
            let cutting = rings.clone().with_files(disk.clone());
            let result = match delete {
                true => cutting.delete(&name("web")),
                false => cutting.create(&name("web"), new_ring()).map(drop),
            };
            let listed = rings.list().expect("a list");
            assert!(listed.len() <= 1);
            listed.iter().for_each(|ring| drop(rings.open(ring).expect("a readable ring")));
            // Nothing in the way of doing it again.
            if listed.is_empty() {
                rings.create(&name("web"), new_ring()).expect("a ring");
            }
            rings.delete(&name("web")).expect("deleted");
            if !disk.was_cut() {
                result.expect("done");
                break;
            }
        }
    }
}

#[test]
fn changes_from_many_sides_at_once_are_all_kept() {
    let (_folder, rings) = with_ring(new_ring());
    std::thread::scope(|scope| {
        for side in 0..4 {
            let rings = rings.clone();
            scope.spawn(move || {
                for number in 0..3 {
                    let wanted = label(&format!("{side}-{number}"));
                    rings
                        .change(&name("web"), |ring| ring.generate(&wanted, KeyKind::Ed25519))
                        .expect("a key");
                    rings.open(&name("web")).expect("a readable ring");
                }
            });
        }
    });
    assert_eq!(keys(&rings).len(), 12);
    assert_eq!(rings.open(&name("web")).expect("the ring").generation, 12);
}
