//! The default store: one PEM file for each chain and key in the ring's folder, keys as encrypted PKCS#8.
//!
//! A file is written once, under a name with the generation of its change, and never altered.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::files::Files;
use super::index::Index;
use super::vault::{Key, Unlock, Vault};
use crate::certificate::Certificate;
use crate::format::{pem, pkcs8};
use crate::key::PrivateKey;
use crate::name::Label;
use crate::passphrase::{Passphrase, Source, refuse_loose_mode};
use crate::{Error, Result};

/// Something of the ring: already in a file, or still to be written.
enum At<T> {
    File(String),
    New(T),
}

pub(crate) struct Directory {
    folder: PathBuf,
    files: Arc<dyn Files>,
    unlock: Unlock,
    chains: BTreeMap<Label, (Option<String>, Vec<Certificate>)>,
    keys: BTreeMap<Label, At<Arc<PrivateKey>>>,
    /// A stash to be written.
    stash: Option<Passphrase>,
}

impl Directory {
    pub(crate) fn open(folder: &Path, index: &Index, unlock: Unlock, files: Arc<dyn Files>) -> Result<Self> {
        let mut chains = BTreeMap::new();
        let mut keys = BTreeMap::new();
        for line in &index.entry {
            if let Some(file) = &line.chain {
                let chain = read_chain(&folder.join(file))?;
                chains.insert(line.label.clone(), (Some(file.clone()), chain));
            }
            keys.extend(line.key.iter().map(|file| (line.label.clone(), At::File(file.clone()))));
        }
        for line in &index.pending {
            keys.extend(line.key.iter().map(|file| (line.label.clone(), At::File(file.clone()))));
        }
        Ok(Self { folder: folder.to_owned(), files, unlock, chains, keys, stash: None })
    }

    fn read_key(&self, file: &str) -> Result<PrivateKey> {
        let path = self.folder.join(file);
        let what = path.display().to_string();
        refuse_loose_mode(&path)?;
        let text = std::fs::read_to_string(&path).map_err(Error::io("read", &path))?;
        let der = pem::decode_one(&what, pkcs8::ENCRYPTED, &text)?;
        PrivateKey::from_pkcs8(&pkcs8::decrypt(&what, &der, self.unlock.passphrase()?)?)
    }

    /// The passphrase for new keys: one that opens those which are there, so that no ring has two.
    fn passphrase_for_new(&self) -> Result<&Passphrase> {
        let mut stored = self.keys.values().filter_map(|key| match key {
            At::File(file) => Some(file),
            At::New(_) => None,
        });
        match stored.next() {
            Some(file) => self.read_key(file).and_then(|_| self.unlock.passphrase()),
            None => self.unlock.first_passphrase(),
        }
    }

    fn write(&self, file: &str, text: &str) -> Result<()> {
        let path = self.folder.join(file);
        self.files.write(&path, text.as_bytes()).map_err(Error::io("write", &path))?;
        self.files.sync(&path).map_err(Error::io("sync", &path))
    }
}

fn read_chain(path: &Path) -> Result<Vec<Certificate>> {
    let text = std::fs::read(path).map_err(Error::io("read", path))?;
    let chain = pem::certificates(&path.display().to_string(), &text)?;
    match chain.is_empty() {
        true => Err(Error::format(path.display().to_string(), "holds no certificate; restore the file")),
        false => Ok(chain),
    }
}

impl Vault for Directory {
    fn chain(&self, label: &Label) -> Option<Vec<Certificate>> {
        self.chains.get(label).map(|(_, chain)| chain.clone())
    }

    fn has_key(&self, label: &Label) -> bool {
        self.keys.contains_key(label)
    }

    fn key(&self, label: &Label) -> Result<Key> {
        let missing = || Error::Unfit(format!("{}: no key under {label}", self.folder.display()));
        match self.keys.get(label).ok_or_else(missing)? {
            At::New(key) => Ok(Key::Held(Arc::clone(key))),
            At::File(file) => Ok(Key::Held(Arc::new(self.read_key(file)?))),
        }
    }

    fn put_chain(&mut self, label: &Label, chain: &[Certificate]) -> Result<()> {
        self.chains.insert(label.clone(), (None, chain.to_vec()));
        Ok(())
    }

    fn put_key(&mut self, label: &Label, key: PrivateKey) -> Result<()> {
        self.keys.insert(label.clone(), At::New(Arc::new(key)));
        Ok(())
    }

    fn rename(&mut self, from: &Label, to: &Label) -> Result<()> {
        if let Some(chain) = self.chains.remove(from) {
            self.chains.insert(to.clone(), chain);
        }
        if let Some(key) = self.keys.remove(from) {
            self.keys.insert(to.clone(), key);
        }
        Ok(())
    }

    fn remove(&mut self, label: &Label) -> Result<()> {
        self.chains.remove(label);
        self.keys.remove(label);
        Ok(())
    }

    fn relock(&mut self, source: &Source) -> Result<()> {
        let mut opened = BTreeMap::new();
        for (label, key) in &self.keys {
            let key = match key {
                At::New(key) => Arc::clone(key),
                At::File(file) => Arc::new(self.read_key(file)?),
            };
            opened.insert(label.clone(), At::New(key));
        }
        self.keys = opened;
        let passphrase = self.unlock.ask_new(source)?;
        self.stash = matches!(source, Source::Stash { .. }).then(|| passphrase.clone());
        self.unlock = self.unlock.renewed(source, passphrase);
        Ok(())
    }

    fn store(&mut self, index: &mut Index) -> Result<()> {
        let generation = index.generation;
        let mut numbers = 1..;
        let mut name = |letter: char| {
            let number: u32 = numbers.next().unwrap_or_default();
            format!("{letter}{generation}-{number}.pem")
        };
        if let (Some(stash), Some(Source::Stash { file })) = (self.stash.take(), &index.passphrase) {
            self.write(file, stash.text())?;
        }
        for line in &mut index.entry {
            line.chain = match self.chains.get(&line.label) {
                None => None,
                Some((Some(file), _)) => Some(file.clone()),
                Some((None, chain)) => {
                    let file = name('c');
                    self.write(&file, &pem::chain(chain)?)?;
                    Some(file)
                }
            };
        }
        let mut places = BTreeMap::new();
        for (label, key) in &self.keys {
            let file = match key {
                At::File(file) => file.clone(),
                At::New(key) => {
                    let file = name('k');
                    let der = pkcs8::encrypt(key.pkcs8(), self.passphrase_for_new()?)?;
                    self.write(&file, &pem::encode(pkcs8::ENCRYPTED, &der)?)?;
                    file
                }
            };
            places.insert(label.clone(), file);
        }
        index.entry.iter_mut().for_each(|line| line.key = places.get(&line.label).cloned());
        index.pending.iter_mut().for_each(|line| line.key = places.get(&line.label).cloned());
        Ok(())
    }
}
