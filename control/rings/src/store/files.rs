//! The steps by which rings are written, one system call each, so that a test can cut the power between any two.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Steps that change the disk.
pub trait Files: Send + Sync {
    /// Makes a folder, mode 0700.
    fn create_folder(&self, path: &Path) -> io::Result<()>;
    /// Writes a new file of mode 0600; an older one of the same name is replaced.
    fn write(&self, path: &Path, octets: &[u8]) -> io::Result<()>;
    /// Waits until the file, or the folder's list of names, is on the disk.
    fn sync(&self, path: &Path) -> io::Result<()>;
    /// Gives a file or folder another name; a file of that name is replaced.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes a folder and all in it.
    fn remove_folder(&self, path: &Path) -> io::Result<()>;
}

/// The real steps.
#[derive(Debug, Clone, Copy)]
pub struct Disk;

impl Files for Disk {
    fn create_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::DirBuilder::new().mode(0o700).create(path)
    }

    fn write(&self, path: &Path, octets: &[u8]) -> io::Result<()> {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(octets)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_dir_all(path)
    }
}
