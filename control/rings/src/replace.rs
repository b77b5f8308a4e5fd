//! Replacing a small file so that a power cut leaves the old one or the new one.

use std::path::Path;

use crate::store::{Disk, Files};
use crate::{Error, Result};

/// Puts `octets` in the place of the file at `path`, mode 0600.
pub(crate) fn replace(path: &Path, octets: &[u8]) -> Result<()> {
    let new = path.with_extension("new");
    Disk.write(&new, octets).map_err(Error::io("write", &new))?;
    Disk.sync(&new).map_err(Error::io("sync", &new))?;
    Disk.rename(&new, path).map_err(Error::io("replace", path))?;
    let folder = path.parent().unwrap_or(Path::new("."));
    Disk.sync(folder).map_err(Error::io("sync", folder))
}
