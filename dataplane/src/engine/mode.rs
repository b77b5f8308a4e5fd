//! Which filters the operator chose, kept over restarts (rows B22, B23).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// A file that exists while the operator has chosen the default filters.
#[derive(Debug)]
pub struct ModeFile {
    path: PathBuf,
}

impl ModeFile {
    /// `default-filters-forced` in the state directory.
    pub fn new(state: &Path) -> Self {
        Self { path: state.join("default-filters-forced") }
    }

    /// What was chosen last. A file that cannot be looked at counts as chosen: closed when in doubt.
    pub fn is_forced(&self) -> bool {
        self.path.try_exists().unwrap_or(true)
    }

    /// Keeps the choice; on disk when this returns.
    pub fn write(&self, forced: bool) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        if forced {
            fs::write(
                &self.path,
                b"chosen by `ravelin filter default`; `ravelin filter reload` removes it\n",
            )?;
            fs::File::open(&self.path)?.sync_all()?;
        } else {
            match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::File::open(directory)?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_choice_survives() {
        let state = tempfile::tempdir().expect("a directory");
        let file = ModeFile::new(&state.path().join("deeper"));
        assert!(!file.is_forced());
        file.write(true).expect("kept");
        assert!(ModeFile::new(&state.path().join("deeper")).is_forced());
        file.write(false).expect("taken back");
        file.write(false).expect("twice is no fault");
        assert!(!file.is_forced());
    }
}
