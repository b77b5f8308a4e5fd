//! Passphrases and where they come from: a file, a credential of the service manager, or a question to the operator.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{Error, Result};

/// A passphrase. It is wiped when dropped, and prints as nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase {
    text: Zeroizing<String>,
    /// Of 256 random bits: guessing is hopeless however fast it is.
    strong: bool,
}

impl std::fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Passphrase(..)")
    }
}

impl Passphrase {
    /// Takes `text` as it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self { text: Zeroizing::new(text.into()), strong: false }
    }

    /// A random one of 256 bits in hexadecimal digits.
    pub fn random() -> Result<Self> {
        let mut octets = Zeroizing::new([0; 32]);
        aws_lc_rs::rand::fill(octets.as_mut())
            .map_err(|_| Error::Crypto("the system gives no random numbers"))?;
        Ok(Self { text: Zeroizing::new(crate::certificate::hex(octets.as_ref())), strong: true })
    }

    /// The first line of a file that nobody else may read.
    pub fn read(path: &Path) -> Result<Self> {
        refuse_loose_mode(path)?;
        let text = std::fs::read_to_string(path).map(Zeroizing::new).map_err(Error::io("read", path))?;
        let line = text.lines().next().unwrap_or_default();
        if line.is_empty() {
            return Err(Error::Passphrase(format!("{}: the first line holds no passphrase", path.display())));
        }
        Ok(Self::new(line))
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Rounds of key derivation: `most`, or few where stretching adds nothing.
    pub(crate) fn rounds(&self, most: u32) -> u32 {
        if self.strong { 2048 } else { most }
    }
}

/// Refuses a file that group or others may use in any way.
pub(crate) fn refuse_loose_mode(path: &Path) -> Result<()> {
    let mode = std::fs::metadata(path).map_err(Error::io("look at", path))?.mode() & 0o7777;
    match mode & 0o077 {
        0 => Ok(()),
        _ => Err(Error::LooseMode { path: path.to_owned(), mode }),
    }
}

/// Where the passphrase of a ring comes from. Part of the ring's index; no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "source", rename_all = "lowercase")]
pub enum Source {
    /// A random one in a file of the ring, mode 0600: the ring opens unattended (row E23).
    Stash {
        /// Name in the ring's folder.
        file: String,
    },
    /// The first line of a file.
    File {
        /// Absolute path.
        path: PathBuf,
    },
    /// A credential of the service manager (`LoadCredential=`), by its name.
    Credential {
        /// File in `$CREDENTIALS_DIRECTORY`.
        name: String,
    },
    /// The operator is asked each time.
    Prompt,
}

/// Asks the operator: what for, and whether it is a new passphrase, to be typed twice.
pub type Prompt = Arc<dyn Fn(&str, bool) -> std::io::Result<Passphrase> + Send + Sync>;

impl Source {
    /// Gets the passphrase of the ring in `folder`.
    pub(crate) fn passphrase(&self, folder: &Path, new: bool, prompt: Option<&Prompt>) -> Result<Passphrase> {
        let ring = folder.file_name().unwrap_or_default().to_string_lossy();
        match self {
            Self::Stash { file } => {
                let read = Passphrase::read(&folder.join(file))?;
                Ok(Passphrase { strong: true, ..read })
            }
            Self::File { path } => Passphrase::read(path),
            Self::Credential { name } => credential(&ring, name),
            Self::Prompt => {
                let ask = prompt.ok_or_else(|| {
                    Error::Passphrase(format!(
                        "ring {ring} asks for its passphrase, and nobody is here to answer; for unattended use give \
                         it a file or a credential with `ravelin ring passwd {ring}`"
                    ))
                })?;
                ask(&format!("passphrase of ring {ring}"), new)
                    .map_err(|error| Error::Passphrase(format!("no passphrase for ring {ring}: {error}")))
            }
        }
    }
}

fn credential(ring: &str, name: &str) -> Result<Passphrase> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY").ok_or_else(|| {
        Error::Passphrase(format!(
            "ring {ring} wants the credential {name}, but $CREDENTIALS_DIRECTORY is not set; add \
             LoadCredential={name}:PATH to the unit"
        ))
    })?;
    if name.contains('/') || name.starts_with('.') {
        return Err(Error::Passphrase(format!("{name:?} is no name of a credential")));
    }
    Passphrase::read(&PathBuf::from(folder).join(name))
}
