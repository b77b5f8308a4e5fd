//! `ring.toml`: what a ring is and which files belong to it. Its replacement is the moment at which a change is made.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::access::{Access, Owner};
use crate::format::pem;
use crate::key::PublicKey;
use crate::name::{Label, Place, RingName};
use crate::passphrase::Source;
use crate::ring::{Pending, Trust, Usage};
use crate::{Error, Result};

/// The file, as it is written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Index {
    /// Form of this file.
    pub(crate) version: u32,
    /// Goes up by one with each change.
    pub(crate) generation: u64,
    pub(crate) owner: Owner,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) default: Option<Label>,
    pub(crate) store: StoreKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase: Option<Source>,
    /// Until when the passphrase is good, in seconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) passphrase_until: Option<u64>,
    #[serde(default)]
    pub(crate) access: Access,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) entry: Vec<EntryLine>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) pending: Vec<PendingLine>,
}

/// Where certificates and keys of a ring lie.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum StoreKind {
    /// As PEM files in the ring's own folder.
    Directory,
    /// In one PKCS#12 file in the ring's own folder.
    Pkcs12 {
        /// Its name, once there is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        file: Option<String>,
    },
    /// On a PKCS#11 token.
    Token {
        /// The module, a shared library.
        module: PathBuf,
        /// Label of the token.
        token: String,
        /// Seconds that it may take for a call; 30 when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        patience: Option<u32>,
    },
    /// In the trust bundle of the system; read-only.
    System {
        /// A PEM file.
        bundle: PathBuf,
    },
}

impl StoreKind {
    /// In a word.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Directory => "directory",
            Self::Pkcs12 { .. } => "pkcs12",
            Self::Token { .. } => "token",
            Self::System { .. } => "system",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EntryLine {
    pub(crate) label: Label,
    pub(crate) usage: Usage,
    pub(crate) trust: Trust,
    /// File of the chain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) chain: Option<String>,
    /// File of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Where it lies instead.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connected: Option<Place>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PendingLine {
    pub(crate) label: Label,
    /// Public key, PEM.
    pub(crate) public: String,
    /// File of the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// The request, PEM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<String>,
}

/// Whether a file of this name was written by a change, so that it goes when no index names it.
pub(crate) fn is_ours(name: &str) -> bool {
    let numbered = |start: &str, end: &str| {
        let middle = name.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        middle.is_some_and(|middle| middle.starts_with(|c: char| c.is_ascii_digit()))
    };
    name == "ring.toml.new"
        || numbered("c", ".pem")
        || numbered("k", ".pem")
        || numbered("stash-", "")
        || numbered("ring-", ".p12")
}

/// The form that this program writes.
pub(crate) const VERSION: u32 = 1;

impl PendingLine {
    /// The line of a pending key; its file is filled in when it is stored.
    pub(crate) fn write(pending: &Pending) -> Result<Self> {
        let request = pending.request.as_ref().map(|der| pem::encode(REQUEST, der)).transpose()?;
        let public = pem::encode(PUBLIC, pending.public.spki())?;
        Ok(Self { label: pending.label.clone(), public, key: None, request })
    }

    /// What the line says.
    pub(crate) fn read(&self) -> Result<Pending> {
        let what = format!("pending {}", self.label);
        let public = PublicKey::from_spki(&pem::decode_one(&what, PUBLIC, &self.public)?)?;
        let request = self.request.as_ref().map(|text| pem::decode_one(&what, REQUEST, text)).transpose()?;
        Ok(Pending { label: self.label.clone(), public, request })
    }
}

const PUBLIC: &str = "PUBLIC KEY";
const REQUEST: &str = "CERTIFICATE REQUEST";

impl Index {
    /// Of a new ring.
    pub(crate) fn new(new: super::NewRing) -> Self {
        let locked = !matches!(new.store, StoreKind::System { .. });
        Self {
            version: VERSION,
            generation: 0,
            owner: new.owner,
            default: None,
            store: new.store,
            passphrase: locked.then_some(new.passphrase),
            passphrase_until: None,
            access: new.access,
            entry: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Names of the files of the ring's folder that this index speaks of.
    pub(crate) fn files(&self) -> Vec<&str> {
        let stash = match &self.passphrase {
            Some(Source::Stash { file }) => Some(file.as_str()),
            _ => None,
        };
        let entries = self.entry.iter().flat_map(|line| [line.chain.as_deref(), line.key.as_deref()]);
        let pending = self.pending.iter().map(|line| line.key.as_deref());
        let whole = match &self.store {
            StoreKind::Pkcs12 { file } => file.as_deref(),
            _ => None,
        };
        entries.chain(pending).chain([stash, whole]).flatten().collect()
    }

    /// Where the index of the ring in `folder` is.
    pub(crate) fn path(folder: &Path) -> PathBuf {
        folder.join("ring.toml")
    }

    /// Reads the index of ring `name`.
    pub(crate) fn read(folder: &Path, name: &RingName) -> Result<Self> {
        let path = Self::path(folder);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoRing(name.clone()));
            }
            other => other.map_err(Error::io("read", &path))?,
        };
        let index: Self =
            toml::from_str(&text).map_err(|e| Error::format(path.display().to_string(), e.to_string()))?;
        match index.version {
            VERSION => Ok(index),
            other => Err(Error::format(
                path.display().to_string(),
                format!("version {other} is of a newer program; this one reads {VERSION}"),
            )),
        }
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> Result<String> {
        toml::to_string(self).map_err(|_| Error::Crypto("the index cannot be written as TOML"))
    }
}
