//! Rings on the disk: a folder of rings, opened as snapshots, changed whole or not at all.

mod directory;
mod draft;
mod files;
mod index;
mod pkcs12;
mod recent;
mod system;
mod token;
mod vault;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub use draft::{Draft, NewEntry};
pub use files::{Disk, Files};
pub use index::StoreKind;
pub use recent::Recent;
pub(crate) use vault::Key;

use crate::access::{Access, Owner};
use crate::name::{Label, Place, RingName};
use crate::passphrase::{Passphrase, Prompt, Source};
use crate::ring::{Entry, Pending, Ring, Trust, Usage};
use crate::{Error, Result};
use directory::Directory;
use index::Index;
use pkcs12::Pkcs12;
pub use system::BUNDLE;
use system::System;
use token::{Link, Token};
use vault::{Unlock, Vault};

/// A folder of rings, one folder each.
#[derive(Clone)]
pub struct Rings {
    root: PathBuf,
    files: Arc<dyn Files>,
    prompt: Option<Prompt>,
}

impl std::fmt::Debug for Rings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rings({})", self.root.display())
    }
}

/// What a new ring is to be.
#[derive(Debug, Clone)]
pub struct NewRing {
    /// Whose it is.
    pub owner: Owner,
    /// Who else may use its keys.
    pub access: Access,
    /// Where its contents lie.
    pub store: StoreKind,
    /// Where its passphrase comes from.
    pub passphrase: Source,
}

/// A ring on the disk, locked.
struct Locked {
    folder: PathBuf,
    index: Index,
    /// Held until dropped.
    _lock: File,
}

impl Rings {
    /// The rings in the folder `root`.
    pub fn at(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), files: Arc::new(Disk), prompt: None }
    }

    /// With somebody to ask for passphrases.
    pub fn with_prompt(self, prompt: Prompt) -> Self {
        Self { prompt: Some(prompt), ..self }
    }

    /// With other steps to the disk.
    pub fn with_files(self, files: Arc<dyn Files>) -> Self {
        Self { files, ..self }
    }

    /// The folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Names of all rings, in order. No folder is no ring.
    pub fn list(&self) -> Result<Vec<RingName>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(Error::io("list", &self.root))?,
        };
        let mut names: Vec<RingName> = entries
            .flatten()
            .filter(|entry| Index::path(&entry.path()).exists())
            .filter_map(|entry| RingName::new(entry.file_name().into_string().ok()?).ok())
            .collect();
        names.sort();
        Ok(names)
    }

    /// The ring as it is now. No key is opened for it.
    pub fn open(&self, name: &RingName) -> Result<Ring> {
        let locked = self.lock(name, false)?;
        let vault = self.vault(&locked.folder, &locked.index)?;
        self.assemble(name, &locked.index, vault.as_ref())
    }

    /// Makes a ring without certificates.
    pub fn create(&self, name: &RingName, new: NewRing) -> Result<Ring> {
        let folder = self.folder(name);
        if folder.exists() {
            return Err(Error::RingExists(name.clone()));
        }
        if let (StoreKind::Token { token, .. }, Source::Stash { .. }) = (&new.store, &new.passphrase) {
            let problem = "its PIN is not ours to choose; give it in a file, as a credential or by prompt";
            return Err(Error::Token { token: token.clone(), problem: problem.to_owned() });
        }
        self.ensure_folder(&self.root)?;
        let draft = self.root.join(format!(".new-{name}"));
        if draft.exists() {
            self.files.remove_folder(&draft).map_err(Error::io("remove", &draft))?;
        }
        self.files.create_folder(&draft).map_err(Error::io("make", &draft))?;
        if let Source::Stash { file } = &new.passphrase {
            self.write(&draft.join(file), Passphrase::random()?.text().as_bytes())?;
        }
        let index = Index::new(new);
        self.write(&draft.join("lock"), b"")?;
        self.write(&Index::path(&draft), index.text()?.as_bytes())?;
        self.sync(&draft)?;
        self.rename_file(&draft, &folder)?;
        self.sync(&self.root)?;
        // What cannot be opened (no such token, no such bundle) was not made.
        self.open(name).inspect_err(|_| drop(self.files.remove_folder(&folder)))
    }

    /// Deletes a ring with all its certificates and keys. What lies elsewhere (token, system) stays there.
    pub fn delete(&self, name: &RingName) -> Result<()> {
        let locked = self.lock(name, true)?;
        for line in &locked.index.entry {
            self.refuse_if_connected(&Place { ring: name.clone(), label: line.label.clone() })?;
        }
        let gone = self.root.join(format!(".deleted-{name}"));
        if gone.exists() {
            self.files.remove_folder(&gone).map_err(Error::io("remove", &gone))?;
        }
        self.rename_file(&locked.folder, &gone)?;
        self.sync(&self.root)?;
        self.files.remove_folder(&gone).map_err(Error::io("remove", &gone))
    }

    /// Changes a ring: `edit` works on a draft, which then takes the ring's place at once. An error of `edit`, or a
    /// power cut at any moment, leaves the ring as it was. Others wait meanwhile.
    pub fn change<T>(&self, name: &RingName, edit: impl FnOnce(&mut Draft<'_>) -> Result<T>) -> Result<T> {
        let locked = self.lock(name, true)?;
        let vault = self.vault(&locked.folder, &locked.index)?;
        let ring = self.assemble(name, &locked.index, vault.as_ref())?;
        let mut draft = Draft::new(self, ring, locked.index, vault);
        let value = edit(&mut draft)?;
        let (index, mut vault) = draft.finish()?;
        self.commit(&locked.folder, &index)?;
        vault.settle()?;
        Ok(value)
    }

    /// Locks the keys of a ring by another passphrase (row E22); a token gets another PIN.
    pub fn set_passphrase(&self, name: &RingName, source: &Source) -> Result<()> {
        match self.change(name, |draft| draft.set_passphrase(source.clone())) {
            // The PIN was changed by another tool, or by a change that was cut short: the new one opens the token.
            Err(Error::WrongPin { .. }) => {
                let mut locked = self.lock(name, true)?;
                locked.index.passphrase = Some(source.clone());
                locked.index.passphrase_until = None;
                locked.index.generation += 1;
                self.vault(&locked.folder, &locked.index)?;
                self.commit(&locked.folder, &locked.index)
            }
            other => other,
        }
    }

    /// Gives a certificate or pending key another label, unless another ring looks for the old one.
    pub fn rename(&self, place: &Place, to: &Label) -> Result<()> {
        self.refuse_if_connected(place)?;
        self.change(&place.ring, |draft| draft.rename(&place.label, to))
    }

    /// Rings in which the certificate at `place` is connected.
    pub fn connections(&self, place: &Place) -> Result<Vec<RingName>> {
        let mut found = Vec::new();
        for name in self.list()? {
            let index = Index::read(&self.folder(&name), &name)?;
            if index.entry.iter().any(|line| line.connected.as_ref() == Some(place)) {
                found.push(name);
            }
        }
        Ok(found)
    }

    /// Fails if the certificate at `place` is connected in some ring.
    pub(crate) fn refuse_if_connected(&self, place: &Place) -> Result<()> {
        let rings: Vec<String> = self.connections(place)?.iter().map(RingName::to_string).collect();
        match rings.is_empty() {
            true => Ok(()),
            false => Err(Error::Unfit(format!(
                "{place} is connected in ring {}; disconnect it there first",
                rings.join(", ")
            ))),
        }
    }

    /// The key at `place` itself; connections are not followed. Only the signer and the export come here.
    pub(crate) fn key(&self, place: &Place) -> Result<Key> {
        let locked = self.lock(&place.ring, false)?;
        self.vault(&locked.folder, &locked.index)?.key(&place.label)
    }

    fn folder(&self, name: &RingName) -> PathBuf {
        self.root.join(name.as_str())
    }

    /// Reads the index under the ring's lock: shared to read, alone to write.
    fn lock(&self, name: &RingName, alone: bool) -> Result<Locked> {
        let folder = self.folder(name);
        let path = folder.join("lock");
        let lock = match File::open(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(Error::NoRing(name.clone()));
            }
            other => other.map_err(Error::io("lock", &path))?,
        };
        if alone { lock.lock() } else { lock.lock_shared() }.map_err(Error::io("lock", &path))?;
        let index = Index::read(&folder, name)?;
        Ok(Locked { folder, index, _lock: lock })
    }

    fn vault(&self, folder: &Path, index: &Index) -> Result<Box<dyn Vault>> {
        let unlock = Unlock::new(folder, index.passphrase.clone(), self.prompt.clone());
        match &index.store {
            StoreKind::Directory => {
                Ok(Box::new(Directory::open(folder, index, unlock, Arc::clone(&self.files))?))
            }
            StoreKind::Pkcs12 { file } => {
                Ok(Box::new(Pkcs12::open(folder, file.as_deref(), unlock, Arc::clone(&self.files))?))
            }
            StoreKind::Token { module, token, patience } => {
                // Chains need no passphrase.
                let none = Unlock::new(folder, None, None);
                let chains = Directory::open(folder, index, none, Arc::clone(&self.files))?;
                let link = Link::new(module, token, unlock.passphrase()?.clone(), *patience);
                Ok(Box::new(Token::open(link, unlock, chains, index)?))
            }
            StoreKind::System { bundle } => Ok(Box::new(System::open(bundle)?)),
        }
    }

    /// Index and contents as one ring.
    fn assemble(&self, name: &RingName, index: &Index, vault: &dyn Vault) -> Result<Ring> {
        let mut entries = Vec::new();
        for line in &index.entry {
            let (chain, has_key) = match &line.connected {
                None => match vault.chain(&line.label) {
                    Some(chain) => (chain, vault.has_key(&line.label)),
                    None => continue,
                },
                Some(place) => match self.origin(place) {
                    Ok(entry) => (entry.chain, entry.has_key && line.usage == Usage::Identity),
                    Err(error) => {
                        ravelin_events::tell!(RING_BROKEN, ring = %name, label = %line.label, %error);
                        continue;
                    }
                },
            };
            entries.push(Entry {
                label: line.label.clone(),
                chain,
                usage: line.usage,
                trust: line.trust,
                has_key,
                connected: line.connected.clone(),
            });
        }
        for label in vault.labels() {
            let known = entries.iter().any(|entry: &Entry| entry.label == label)
                || index.pending.iter().any(|line| line.label == label);
            let Some(chain) = vault.chain(&label).filter(|_| !known) else { continue };
            let has_key = vault.has_key(&label);
            let usage = if has_key { Usage::Identity } else { Usage::TrustAnchor };
            entries.push(Entry { label, chain, usage, trust: Trust::Trusted, has_key, connected: None });
        }
        let pending = index.pending.iter().map(index::PendingLine::read).collect::<Result<Vec<Pending>>>()?;
        let default = index.default.clone().filter(|label| entries.iter().any(|e| e.label == *label));
        Ok(Ring {
            name: name.clone(),
            store: index.store.word(),
            generation: index.generation,
            passphrase_until: index.passphrase_until,
            owner: index.owner,
            access: index.access.clone(),
            entries,
            pending,
            default,
        })
    }

    /// The entry that a connection leads to; never itself connected. No lock is waited for, or two rings connected
    /// both ways could wait for each other; if files go away meanwhile, the ring has changed, and is read again.
    fn origin(&self, place: &Place) -> Result<Entry> {
        let mut patience = 10;
        loop {
            let found = self.origin_now(place);
            match found {
                Err(Error::Io { ref source, .. })
                    if source.kind() == std::io::ErrorKind::NotFound && patience > 0 =>
                {
                    patience -= 1;
                }
                other => return other,
            }
        }
    }

    fn origin_now(&self, place: &Place) -> Result<Entry> {
        let Place { ring, label } = place;
        let folder = self.folder(ring);
        let index = Index::read(&folder, ring)?;
        let missing = || Error::NoLabel { ring: ring.clone(), label: label.clone() };
        let line = index.entry.iter().find(|line| line.label == *label).ok_or_else(missing)?;
        if line.connected.is_some() {
            return Err(Error::Unfit(format!("{place} is itself connected from elsewhere")));
        }
        let vault = self.vault(&folder, &index)?;
        let chain = vault.chain(label).ok_or_else(missing)?;
        let (usage, trust, has_key) = (line.usage, line.trust, vault.has_key(label));
        Ok(Entry { label: label.clone(), chain, usage, trust, has_key, connected: None })
    }

    /// The step that makes a change, and the tidying after it.
    fn commit(&self, folder: &Path, index: &Index) -> Result<()> {
        let path = Index::path(folder);
        let new = folder.join("ring.toml.new");
        self.write(&new, index.text()?.as_bytes())?;
        self.sync(folder)?;
        self.rename_file(&new, &path)?;
        self.sync(folder)?;
        self.tidy(folder, index)
    }

    /// Removes the files of ours that no index names any more, also those of changes that were cut short.
    fn tidy(&self, folder: &Path, index: &Index) -> Result<()> {
        let named = index.files();
        for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))?.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            if index::is_ours(&name) && !named.contains(&name.as_str()) {
                self.files.remove(&entry.path()).map_err(Error::io("remove", &entry.path()))?;
            }
        }
        Ok(())
    }

    /// Makes a folder with those above it, if it is not there, and waits until its name is on the disk.
    pub(crate) fn ensure_folder(&self, folder: &Path) -> Result<()> {
        if folder.exists() {
            return Ok(());
        }
        let above = folder.parent().filter(|above| !above.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.ensure_folder(above)?;
        match std::fs::create_dir(folder) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
                Err(Error::io("make", folder)(error))
            }
            _ => self.sync(above),
        }
    }

    pub(crate) fn write(&self, path: &Path, octets: &[u8]) -> Result<()> {
        self.files.write(path, octets).map_err(Error::io("write", path))?;
        self.sync(path)
    }

    /// Gives a file or folder another name; a file of that name is replaced.
    pub(crate) fn rename_file(&self, from: &Path, to: &Path) -> Result<()> {
        self.files.rename(from, to).map_err(Error::io("replace", to))
    }

    pub(crate) fn sync(&self, path: &Path) -> Result<()> {
        self.files.sync(path).map_err(Error::io("sync", path))
    }
}

impl Source {
    /// A passphrase that this program makes and keeps beside the ring.
    pub fn stash() -> Self {
        Self::Stash { file: "stash-0".to_owned() }
    }
}

/// The label `wanted`, or with a number behind it, such that `taken` does not hold.
pub(crate) fn free_label(wanted: &Label, taken: impl Fn(&Label) -> bool) -> Result<Label> {
    if !taken(wanted) {
        return Ok(wanted.clone());
    }
    let numbered = (2..10_000).filter_map(|n| Label::new(format!("{wanted} {n}")).ok());
    numbered
        .into_iter()
        .find(|label| !taken(label))
        .ok_or_else(|| Error::Unfit("no label is free".to_owned()))
}
