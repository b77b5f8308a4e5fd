//! Where link and maps are kept beyond the life of a process: files of a BPF file system.
//!
//! ```text
//! PIN_DIR/INTERFACE/link-native     the attachment; removing it detaches the program
//! PIN_DIR/INTERFACE/maps-1/NAME     the maps
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::fs::{StatFs, statfs};
use rustix::mount::{MountFlags, mount};
use rustix::process::geteuid;

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
        DirBuilder::new().recursive(true).mode(0o700).create(pins.maps())?;
        pins.maps().ancestors().try_for_each(check_owner)?;
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

/// Refuses a folder in which others could remove the link, and with it the program. Sticky folders are as good: there
/// everyone removes only what is theirs.
fn check_owner(folder: &Path) -> io::Result<()> {
    let about = fs::metadata(folder)?;
    let ours = about.uid() == 0 || about.uid() == geteuid().as_raw();
    let shared = about.mode() & 0o022 != 0 && about.mode() & 0o1000 == 0;
    if ours && !shared {
        return Ok(());
    }
    Err(io::Error::other(format!("others may write to {}", folder.display())))
}

/// Whether the nearest existing folder of `path` is on a BPF file system.
fn is_bpf(path: &Path) -> io::Result<bool> {
    let existing = path.ancestors().find(|folder| folder.exists()).unwrap_or(Path::new("/"));
    let StatFs { f_type, .. } = statfs(existing)?;
    Ok(f_type as u32 == BPF_FILE_SYSTEM)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn folders_that_others_write_to_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let with_mode = |mode| {
            fs::set_permissions(folder.path(), fs::Permissions::from_mode(mode)).unwrap();
            check_owner(folder.path())
        };
        assert!(with_mode(0o700).is_ok() && with_mode(0o755).is_ok() && with_mode(0o1777).is_ok());
        assert!(with_mode(0o777).is_err() && with_mode(0o770).is_err());
    }

    #[test]
    fn only_a_bpf_file_system_will_do() {
        let error = Pins::prepare(Path::new("/tmp/ravelin"), "eth0").unwrap_err();
        assert!(error.to_string().contains("BPF file system"), "{error}");
    }
}
