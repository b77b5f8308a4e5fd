//! A disk whose power is cut at a given step, and which may forget what it was not told to keep.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ravelin_rings::store::{Disk, Files, Rings};

/// What the disk forgets when the power goes before it was told to sync.
enum Undo {
    /// Half of a file is lost.
    Halve(PathBuf),
    /// A file was never there.
    Unwrite(PathBuf),
    /// A folder was never there.
    Unmake(PathBuf),
    /// A name was never changed, and what it replaced is still there.
    Unrename(PathBuf, PathBuf, Option<Vec<u8>>),
    /// A file was never removed.
    Unremove(PathBuf, Vec<u8>),
}

/// The disk of a machine whose power goes at step `cut`. A forgetful one loses all that was not synced.
pub(crate) struct Cut {
    cut: usize,
    forgetful: bool,
    state: Mutex<(usize, Vec<Undo>)>,
}

impl Cut {
    pub(crate) fn new(cut: usize, forgetful: bool) -> Arc<Self> {
        Arc::new(Self { cut, forgetful, state: Mutex::new((0, Vec::new())) })
    }

    pub(crate) fn was_cut(&self) -> bool {
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
            Self::Unmake(path) => std::fs::remove_dir_all(path),
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
            Self::Unwrite(file)
            | Self::Unmake(file)
            | Self::Unremove(file, _)
            | Self::Unrename(_, file, _) => file.parent() == Some(path),
        }
    }
}

impl Files for Cut {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        self.step(vec![Undo::Unmake(path.to_owned())], || (), || Disk.create_folder(path))
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

/// Tries a change on copies of `base` with the power going at every step, on a disk that keeps what it has and on one that
/// forgets what was not synced, until the power does not go any more; how many steps there were. `attempt` gets the rings
/// as they are found, the same with the power that goes, and words for where.
pub(crate) fn every_cut(base: &Path, attempt: impl Fn(&Rings, &Rings, &Cut, &str)) -> usize {
    for cut in 0.. {
        let mut ended = false;
        for forgetful in [false, true] {
            let folder = tempfile::tempdir().expect("a folder");
            copy(base, folder.path());
            let rings = Rings::at(folder.path().join("rings"));
            let disk = Cut::new(cut, forgetful);
            let cutting = rings.clone().with_files(disk.clone());
            attempt(&rings, &cutting, &disk, &format!("cut at step {cut}, forgetful {forgetful}"));
            ended |= !disk.was_cut();
        }
        if ended {
            return cut;
        }
    }
    unreachable!("there is an end")
}

/// Copies a folder with all in it.
pub(crate) fn copy(from: &Path, to: &Path) {
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
