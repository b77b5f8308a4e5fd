//! A ring under change: the rules of what may be in a ring together.

use super::index::{EntryLine, Index, PendingLine};
use super::vault::Vault;
use super::{Rings, free_label};
use crate::access::{Access, Owner};
use crate::certificate::Certificate;
use crate::key::{KeyKind, PrivateKey, PublicKey};
use crate::name::{Label, Place};
use crate::passphrase::Source;
use crate::ring::{Entry, Pending, Ring, Trust, Usage};
use crate::{Error, Result};

/// A ring under change. Dropping it changes nothing.
pub struct Draft<'a> {
    rings: &'a Rings,
    ring: Ring,
    index: Index,
    vault: Box<dyn Vault>,
}

/// A certificate to be added.
#[derive(Debug)]
pub struct NewEntry {
    /// Unique in the ring.
    pub label: Label,
    /// The certificate itself first.
    pub chain: Vec<Certificate>,
    /// What it is for.
    pub usage: Usage,
    /// Whether it may be used.
    pub trust: Trust,
    /// Its private key.
    pub key: Option<PrivateKey>,
}

impl<'a> Draft<'a> {
    pub(crate) fn new(rings: &'a Rings, ring: Ring, index: Index, vault: Box<dyn Vault>) -> Self {
        Self { rings, ring, index, vault }
    }

    /// The ring as changed so far.
    pub fn ring(&self) -> &Ring {
        &self.ring
    }

    /// Adds a certificate, with its key or without.
    pub fn add(&mut self, new: NewEntry) -> Result<()> {
        self.refuse_taken(&new.label)?;
        let first =
            new.chain.first().ok_or_else(|| Error::Unfit("an entry needs a certificate".to_owned()))?;
        if let Some(key) = &new.key {
            refuse_strange(&new.label, first, key.public())?;
        }
        self.vault.put_chain(&new.label, &new.chain)?;
        let has_key = new.key.is_some();
        if let Some(key) = new.key {
            self.vault.put_key(&new.label, key)?;
        }
        let NewEntry { label, chain, usage, trust, .. } = new;
        self.ring.entries.push(Entry { label, chain, usage, trust, has_key, connected: None });
        Ok(())
    }

    /// Makes a key that waits for its certificate under `label`.
    pub fn generate(&mut self, label: &Label, kind: KeyKind) -> Result<PublicKey> {
        self.refuse_taken(label)?;
        let public = self.vault.generate(label, kind)?;
        self.push_pending(label, public.clone());
        Ok(public)
    }

    /// Takes in a key that waits for its certificate under `label`.
    pub fn add_key(&mut self, label: &Label, key: PrivateKey) -> Result<()> {
        self.refuse_taken(label)?;
        let public = key.public().clone();
        self.vault.put_key(label, key)?;
        self.push_pending(label, public);
        Ok(())
    }

    fn push_pending(&mut self, label: &Label, public: PublicKey) {
        self.ring.pending.push(Pending { label: label.clone(), public, request: None });
    }

    /// Notes the PKCS#10 request (DER) made for a pending key.
    pub fn set_request(&mut self, label: &Label, request: Vec<u8>) -> Result<()> {
        self.pending_mut(label)?.request = Some(request);
        Ok(())
    }

    /// Brings the certificate of a pending key: the one whose public key is in the first certificate (row E25).
    pub fn receive(&mut self, chain: Vec<Certificate>, trust: Trust) -> Result<Label> {
        let first =
            chain.first().ok_or_else(|| Error::Unfit("there is no certificate to receive".to_owned()))?;
        let public = first.public_key()?;
        let at = self.ring.pending.iter().position(|pending| pending.public == public).ok_or_else(|| {
            Error::Unfit(format!(
                "no request of ring {} has the key of {}; see `ravelin cert list {}`",
                self.ring.name,
                first.subject(),
                self.ring.name
            ))
        })?;
        let label = self.ring.pending.remove(at).label;
        self.vault.put_chain(&label, &chain)?;
        let entry = Entry {
            label: label.clone(),
            chain,
            usage: Usage::Identity,
            trust,
            has_key: true,
            connected: None,
        };
        self.ring.entries.push(entry);
        Ok(label)
    }

    /// Puts another chain in place of an entry's, for the same key if it has one (rows E31, E39).
    pub fn replace_chain(&mut self, label: &Label, chain: Vec<Certificate>) -> Result<()> {
        let entry = self.own_mut(label)?;
        let first = chain.first().ok_or_else(|| Error::Unfit("an entry needs a certificate".to_owned()))?;
        if entry.has_key {
            refuse_strange(label, first, &entry.certificate().public_key()?)?;
        }
        entry.chain.clone_from(&chain);
        self.vault.put_chain(label, &chain)
    }

    /// Removes a certificate with its key, or a pending key, or a connection.
    pub fn remove(&mut self, label: &Label) -> Result<()> {
        let place = Place { ring: self.ring.name.clone(), label: label.clone() };
        if self.ring.pending.iter().any(|pending| pending.label == *label) {
            self.ring.pending.retain(|pending| pending.label != *label);
            return self.vault.remove(label);
        }
        let connected = self.ring.entry(label)?.connected.is_some();
        if !connected {
            self.rings.refuse_if_connected(&place)?;
            self.vault.remove(label)?;
        }
        self.ring.entries.retain(|entry| entry.label != *label);
        self.ring.default = self.ring.default.take().filter(|default| default != label);
        Ok(())
    }

    /// Gives a certificate or pending key another label. Connections in other rings go on looking for the old one:
    /// that is how a successor takes its place in all of them.
    pub fn rename(&mut self, from: &Label, to: &Label) -> Result<()> {
        self.refuse_taken(to)?;
        let pending = self.ring.pending.iter_mut().find(|pending| pending.label == *from);
        let stored = match pending {
            Some(pending) => {
                pending.label = to.clone();
                true
            }
            None => {
                let entry = self.entry_mut(from)?;
                entry.label = to.clone();
                entry.connected.is_none()
            }
        };
        if self.ring.default.as_ref() == Some(from) {
            self.ring.default = Some(to.clone());
        }
        if stored { self.vault.rename(from, to) } else { Ok(()) }
    }

    /// Sets whether a certificate may be used.
    pub fn set_trust(&mut self, label: &Label, trust: Trust) -> Result<()> {
        self.entry_mut(label)?.trust = trust;
        Ok(())
    }

    /// Sets what a certificate is for.
    pub fn set_usage(&mut self, label: &Label, usage: Usage) -> Result<()> {
        self.entry_mut(label)?.usage = usage;
        Ok(())
    }

    /// Chooses the default certificate, or none.
    pub fn set_default(&mut self, label: Option<&Label>) -> Result<()> {
        if let Some(label) = label {
            self.ring.entry(label)?;
        }
        self.ring.default = label.cloned();
        Ok(())
    }

    /// Shows a certificate of another ring here (row E37). Its key stays there, and is used only by whom both rings'
    /// lists let in: connecting never widens who may use a key.
    pub fn connect(&mut self, label: &Label, origin: &Place, usage: Usage) -> Result<()> {
        self.refuse_taken(label)?;
        if origin.ring == self.ring.name {
            return Err(Error::Unfit(format!("{origin} is in this ring already")));
        }
        let entry = self.rings.origin(origin)?;
        let has_key = entry.has_key && usage == Usage::Identity;
        let (label, connected) = (label.clone(), Some(origin.clone()));
        self.ring.entries.push(Entry { label, usage, has_key, connected, ..entry });
        Ok(())
    }

    /// Takes a connected certificate out again.
    pub fn disconnect(&mut self, label: &Label) -> Result<()> {
        match self.ring.entry(label)?.connected {
            Some(_) => self.remove(label),
            None => {
                let ring = &self.ring.name;
                Err(Error::Unfit(format!("{ring}/{label} is not connected, it lies here; delete it instead")))
            }
        }
    }

    /// Sets whose the ring is.
    pub fn set_owner(&mut self, owner: Owner) {
        self.ring.owner = owner;
    }

    /// Who else may use its keys.
    pub fn access_mut(&mut self) -> &mut Access {
        &mut self.ring.access
    }

    /// Locks all keys by another passphrase (row E22).
    pub fn set_passphrase(&mut self, source: Source) -> Result<()> {
        let source = match source {
            Source::Stash { .. } => Source::Stash { file: format!("stash-{}", self.index.generation + 1) },
            other => other,
        };
        self.vault.relock(&source)?;
        self.index.passphrase = Some(source);
        self.index.passphrase_until = None;
        Ok(())
    }

    /// Sets until when the passphrase is good, in seconds since 1970. A new passphrase has no end.
    pub fn set_passphrase_end(&mut self, until: Option<u64>) {
        self.index.passphrase_until = until;
    }

    /// A label that is free here: `wanted`, or with a number behind it.
    pub fn free_label(&self, wanted: &Label) -> Result<Label> {
        free_label(wanted, |label| self.refuse_taken(label).is_err())
    }

    /// The new index, once the contents are written, and where they lie.
    pub(crate) fn finish(mut self) -> Result<(Index, Box<dyn Vault>)> {
        let line = |entry: &Entry| EntryLine {
            label: entry.label.clone(),
            usage: entry.usage,
            trust: entry.trust,
            chain: None,
            key: None,
            connected: entry.connected.clone(),
        };
        self.index.generation += 1;
        self.index.owner = self.ring.owner;
        self.index.access = self.ring.access;
        self.index.default = self.ring.default;
        self.index.entry = self.ring.entries.iter().map(line).collect();
        self.index.pending = self.ring.pending.iter().map(PendingLine::write).collect::<Result<_>>()?;
        self.vault.store(&mut self.index)?;
        Ok((self.index, self.vault))
    }

    fn refuse_taken(&self, label: &Label) -> Result<()> {
        let taken = self.ring.entries.iter().any(|entry| entry.label == *label)
            || self.ring.pending.iter().any(|pending| pending.label == *label);
        match taken {
            true => Err(Error::LabelTaken { ring: self.ring.name.clone(), label: label.clone() }),
            false => Ok(()),
        }
    }

    fn entry_mut(&mut self, label: &Label) -> Result<&mut Entry> {
        let missing = || Error::NoLabel { ring: self.ring.name.clone(), label: label.clone() };
        self.ring.entries.iter_mut().find(|entry| entry.label == *label).ok_or_else(missing)
    }

    fn own_mut(&mut self, label: &Label) -> Result<&mut Entry> {
        let name = self.ring.name.clone();
        let entry = self.entry_mut(label)?;
        match &entry.connected {
            None => Ok(entry),
            Some(place) => {
                Err(Error::Unfit(format!("{name}/{label} is connected from {place}; change it there")))
            }
        }
    }

    fn pending_mut(&mut self, label: &Label) -> Result<&mut Pending> {
        let missing = || Error::NoLabel { ring: self.ring.name.clone(), label: label.clone() };
        self.ring.pending.iter_mut().find(|pending| pending.label == *label).ok_or_else(missing)
    }
}

/// Refuses a certificate of another key.
fn refuse_strange(label: &Label, certificate: &Certificate, key: &PublicKey) -> Result<()> {
    match certificate.public_key()? == *key {
        true => Ok(()),
        false => Err(Error::Unfit(format!("the certificate for {label} does not belong to its key"))),
    }
}
