//! A ring in one PKCS#12 file. Each change writes a new file, so that the old one stands until the index names the new.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::free_label;
use super::index::{Index, StoreKind};
use super::vault::{Key, Unlock, Vault};
use crate::certificate::Certificate;
use crate::format::{self, Contents, Item, Sorted};
use crate::key::PrivateKey;
use crate::name::Label;
use crate::passphrase::{Passphrase, Source, refuse_loose_mode};
use crate::{Error, Result};

struct Held {
    label: Label,
    chain: Vec<Certificate>,
    key: Option<Arc<PrivateKey>>,
}

pub(crate) struct Pkcs12 {
    folder: PathBuf,
    files: Arc<dyn Files>,
    unlock: Unlock,
    held: Vec<Held>,
    stash: Option<Passphrase>,
    changed: bool,
}

impl Pkcs12 {
    /// Opens `file` in `folder`; no file is a ring that was just made.
    pub(crate) fn open(
        folder: &Path,
        file: Option<&str>,
        unlock: Unlock,
        files: Arc<dyn Files>,
    ) -> Result<Self> {
        let mut vault =
            Self { folder: folder.to_owned(), files, unlock, held: Vec::new(), stash: None, changed: false };
        if let Some(file) = file {
            let path = folder.join(file);
            refuse_loose_mode(&path)?;
            let octets = std::fs::read(&path).map_err(Error::io("read", &path))?;
            let mut ask = |_: &str| vault.unlock.passphrase().cloned();
            let found = format::read_pkcs12(&path.display().to_string(), &octets, &mut ask)?;
            vault.take(Contents { certificates: found.0, keys: found.1, ..Contents::default() }.sort())?;
        }
        Ok(vault)
    }

    fn take(&mut self, sorted: Sorted) -> Result<()> {
        for identity in sorted.identities {
            self.push(identity.name, identity.chain, Some(identity.key))?;
        }
        for key in sorted.lone_keys {
            self.push(key.name, Vec::new(), Some(key.item))?;
        }
        for certificate in sorted.lone_certificates {
            self.push(certificate.name, vec![certificate.item], None)?;
        }
        Ok(())
    }

    fn push(&mut self, name: Option<String>, chain: Vec<Certificate>, key: Option<PrivateKey>) -> Result<()> {
        let label = name.and_then(|name| Label::new(name).ok()).unwrap_or(Label::new("unnamed")?);
        let label = free_label(&label, |label| self.held.iter().any(|held| held.label == *label))?;
        self.held.push(Held { label, chain, key: key.map(Arc::new) });
        Ok(())
    }

    fn find(&self, label: &Label) -> Option<&Held> {
        self.held.iter().find(|held| held.label == *label)
    }

    /// What is under this label, to be changed; an empty place if nothing is.
    fn place(&mut self, label: &Label) -> &mut Held {
        self.changed = true;
        let at = self.held.iter().position(|held| held.label == *label).unwrap_or_else(|| {
            self.held.push(Held { label: label.clone(), chain: Vec::new(), key: None });
            self.held.len() - 1
        });
        &mut self.held[at]
    }

    fn write(&self, file: &str, octets: &[u8]) -> Result<()> {
        let path = self.folder.join(file);
        self.files.write(&path, octets).map_err(Error::io("write", &path))?;
        self.files.sync(&path).map_err(Error::io("sync", &path))
    }
}

impl Vault for Pkcs12 {
    fn labels(&self) -> Vec<Label> {
        let with_chain = self.held.iter().filter(|held| !held.chain.is_empty());
        with_chain.map(|held| held.label.clone()).collect()
    }

    fn chain(&self, label: &Label) -> Option<Vec<Certificate>> {
        self.find(label).map(|held| held.chain.clone()).filter(|chain| !chain.is_empty())
    }

    fn has_key(&self, label: &Label) -> bool {
        self.find(label).is_some_and(|held| held.key.is_some())
    }

    fn key(&self, label: &Label) -> Result<Key> {
        let key = self.find(label).and_then(|held| held.key.clone());
        let missing = || Error::Unfit(format!("{}: no key under {label}", self.folder.display()));
        key.map(Key::Held).ok_or_else(missing)
    }

    fn put_chain(&mut self, label: &Label, chain: &[Certificate]) -> Result<()> {
        self.place(label).chain = chain.to_vec();
        Ok(())
    }

    fn put_key(&mut self, label: &Label, key: PrivateKey) -> Result<()> {
        self.place(label).key = Some(Arc::new(key));
        Ok(())
    }

    fn rename(&mut self, from: &Label, to: &Label) -> Result<()> {
        self.place(from).label = to.clone();
        Ok(())
    }

    fn remove(&mut self, label: &Label) -> Result<()> {
        self.held.retain(|held| held.label != *label);
        self.changed = true;
        Ok(())
    }

    fn relock(&mut self, source: &Source) -> Result<()> {
        let passphrase = self.unlock.ask_new(source)?;
        self.stash = matches!(source, Source::Stash { .. }).then(|| passphrase.clone());
        self.unlock = self.unlock.renewed(source, passphrase);
        self.changed = true;
        Ok(())
    }

    fn store(&mut self, index: &mut Index) -> Result<()> {
        if let (Some(stash), Some(Source::Stash { file })) = (self.stash.take(), &index.passphrase) {
            self.write(file, stash.text().as_bytes())?;
        }
        if !self.changed {
            return Ok(());
        }
        let items: Vec<Item<'_>> = self
            .held
            .iter()
            .map(|held| Item { name: held.label.as_str(), chain: &held.chain, key: held.key.as_deref() })
            .collect();
        let octets = format::write_pkcs12(&items, self.unlock.first_passphrase()?)?;
        let file = format!("ring-{}.p12", index.generation);
        self.write(&file, &octets)?;
        index.store = StoreKind::Pkcs12 { file: Some(file) };
        Ok(())
    }
}
