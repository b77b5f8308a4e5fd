//! Where link and maps are kept beyond the life of a process: files of a BPF file system.
//!
//! ```text
//! PIN_DIR/INTERFACE/link-native     the attachment; removing it detaches the program
//! PIN_DIR/INTERFACE/maps-1/NAME     the maps
//! ```

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{StatFs, statfs};
use rustix::mount::{MountFlags, mount};

use super::steering::Mode;

/// `BPF_FS_MAGIC`.
const BPF_FILE_SYSTEM: u32 = 0xcafe_4a11;
/// Raised when a map changes its type, size, key or value: old maps are not taken over then.
const LAYOUT: u32 = 1;

/// The files of one interface.
#[derive(Debug)]
pub(super) struct Pins(PathBuf);

impl Pins {
    /// Makes the directories, and mounts a BPF file system on `root` when `pin_dir` is not on one.
    pub(super) fn prepare(pin_dir: &Path, interface: &str) -> io::Result<Self> {
        mount_if_missing(pin_dir)?;
        // The BPF file system takes no dots in names; interface names take no colons.
        let pins = Self(pin_dir.join(interface.replace('.', ":")));
        fs::create_dir_all(pins.maps())?;
        Ok(pins)
    }

    /// Where the maps are.
    pub(super) fn maps(&self) -> PathBuf {
        self.0.join(format!("maps-{LAYOUT}"))
    }

    /// The link of an attachment in this mode.
    pub(super) fn link(&self, mode: Mode) -> PathBuf {
        self.0.join(match mode {
            Mode::Native => "link-native",
            Mode::Generic => "link-generic",
        })
    }

    /// Removes maps of other layouts. That they stay is harmless, so failing is too.
    pub(super) fn remove_old_maps(&self) {
        let Ok(entries) = fs::read_dir(&self.0) else { return };
        let current = self.maps();
        let old =
            entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir() && *path != current);
        old.for_each(|path| drop(fs::remove_dir_all(path)));
    }

    /// Removes everything.
    pub(super) fn remove(pin_dir: &Path, interface: &str) -> io::Result<()> {
        match fs::remove_dir_all(pin_dir.join(interface.replace('.', ":"))) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }
}

/// Mounts a BPF file system at the usual place when `pin_dir` would be there and nothing is mounted.
fn mount_if_missing(pin_dir: &Path) -> io::Result<()> {
    if is_bpf(pin_dir)? {
        return Ok(());
    }
    let usual = Path::new("/sys/fs/bpf");
    if pin_dir.starts_with(usual) {
        return Ok(mount(
            "bpf",
            usual,
            "bpf",
            MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC,
            None,
        )?);
    }
    Err(io::Error::other(format!("{} is not on a BPF file system", pin_dir.display())))
}

/// Whether the nearest existing folder of `path` is on a BPF file system.
fn is_bpf(path: &Path) -> io::Result<bool> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let StatFs { f_type, .. } = statfs(existing)?;
    Ok(f_type as u32 == BPF_FILE_SYSTEM)
}
