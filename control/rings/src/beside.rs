//! Small files beside the rings (mapping rules, standing orders, ledgers, accounts): read whole, changed by one at a
//! time, and replaced so that a power cut leaves the old one or the new one.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::store::Rings;
use crate::{Error, Result};

/// Reads the TOML of the file `what`; errors say line and column.
pub(crate) fn parse<T: DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    toml::from_str(text).map_err(|e| Error::format(what, e.to_string()))
}

/// What `read` makes of the text of a file; nothing's worth when there is no file.
pub(crate) fn load<T: Default>(path: &Path, read: impl FnOnce(&str, &str) -> Result<T>) -> Result<T> {
    match std::fs::read_to_string(path) {
        Ok(text) => read(&path.display().to_string(), &text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(T::default()),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Does `work` on what is in a file, which others wait for meanwhile. An error of `work` leaves the file as it was.
pub(crate) fn change<T: Default + Serialize, V>(
    rings: &Rings,
    path: &Path,
    read: impl FnOnce(&str, &str) -> Result<T>,
    work: impl FnOnce(&mut T) -> Result<V>,
) -> Result<V> {
    let folder = path.parent().unwrap_or(Path::new("."));
    rings.ensure_folder(folder)?;
    let lock = folder.join(".lock");
    let file = File::create(&lock).map_err(Error::io("open", &lock))?;
    file.lock().map_err(Error::io("lock", &lock))?;
    let mut content = load(path, read)?;
    let value = work(&mut content)?;
    let text =
        toml::to_string(&content).map_err(|e| Error::format(path.display().to_string(), e.to_string()))?;
    replace(rings, path, text.as_bytes())?;
    Ok(value)
}

/// Puts `octets` in the place of the file at `path`, mode 0600.
pub(crate) fn replace(rings: &Rings, path: &Path, octets: &[u8]) -> Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    rings.ensure_folder(folder)?;
    let new = path.with_extension("new");
    rings.write(&new, octets)?;
    rings.rename_file(&new, path)?;
    rings.sync(folder)
}
