//! A ring on a PKCS#11 token: keys that are made or brought there stay there; chains lie in the ring's folder too.

mod link;
mod object;

use std::collections::BTreeMap;

use super::directory::Directory;
use super::index::Index;
use super::vault::{Key, Unlock, Vault};
use crate::Result;
use crate::certificate::Certificate;
use crate::key::{KeyKind, PrivateKey, PublicKey};
use crate::name::Label;
use crate::passphrase::{Passphrase, Source};
use crate::scheme::Scheme;
pub(crate) use link::Link;
use object::{KeyId, Objects};

/// A private key on a token.
#[derive(Debug, Clone)]
pub(crate) struct TokenKey {
    link: Link,
    id: KeyId,
}

impl TokenKey {
    /// Signs on the token.
    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>> {
        let (id, message) = (self.id.clone(), message.to_vec());
        let signed = self.link.with(move |session| object::sign(session, &id, scheme, &message))?;
        signed.ok_or_else(|| self.link.error("the key is no longer there"))
    }
}

/// What is to be done on the token when the change is stored.
enum Step {
    Key(Label, PrivateKey),
    Certificate(Label, Option<KeyId>, Certificate),
    Rename(Objects, Label),
    Remove(Objects),
    Pin(Passphrase),
}

impl Step {
    /// Whether the new index needs what it makes. What the old one needs is touched only when the new one stands.
    fn makes(&self) -> bool {
        matches!(self, Self::Key(..) | Self::Certificate(..) | Self::Pin(_))
    }
}

pub(crate) struct Token {
    link: Link,
    unlock: Unlock,
    /// Chains in the ring's folder. It never holds a key.
    chains: Directory,
    /// Certificates that only the token has.
    others: BTreeMap<Label, Certificate>,
    /// Private keys.
    keys: BTreeMap<Label, KeyId>,
    steps: Vec<Step>,
}

impl Token {
    /// Opens the token. A key belongs to a label by its public half (its id on the token is made of it), or by a
    /// certificate of the token with the same id: labels on the token may be behind after a change that was cut short.
    pub(crate) fn open(link: Link, unlock: Unlock, chains: Directory, index: &Index) -> Result<Self> {
        let (certificates, found) = link.with(object::list)?;
        let mut vault =
            Self { link, unlock, chains, others: BTreeMap::new(), keys: BTreeMap::new(), steps: Vec::new() };
        let own = |public: &PublicKey| Some(key_id(public)).filter(|id| found.contains(id));
        let noted = |der: &[u8]| {
            let same = certificates.iter().filter(|object| object.der == der).map(|object| object.id.clone());
            same.into_iter().find(|id| found.contains(id))
        };
        let mut known = Vec::new();
        for line in &index.entry {
            let Some(first) = vault.chains.chain(&line.label).and_then(|chain| chain.into_iter().next())
            else {
                continue;
            };
            let id = first.public_key().ok().and_then(|public| own(&public)).or_else(|| noted(first.der()));
            vault.keys.extend(id.map(|id| (line.label.clone(), id)));
            known.push(first.der().to_vec());
        }
        for line in &index.pending {
            vault.keys.extend(own(&line.read()?.public).map(|id| (line.label.clone(), id)));
        }
        for object in &certificates {
            // What another program has named in a way that is no label cannot be spoken of here.
            let Ok(label) = Label::new(object.label.as_str()) else { continue };
            if known.contains(&object.der) || vault.keys.contains_key(&label) {
                continue;
            }
            let certificate =
                Certificate::from_der(&object.der).map_err(|e| vault.link.error(e.to_string()))?;
            vault.keys.extend(noted(&object.der).map(|id| (label.clone(), id)));
            vault.others.insert(label, certificate);
        }
        Ok(vault)
    }

    /// All objects under a label. A key that another label has too is not among them.
    fn objects(&self, label: &Label) -> Objects {
        let certificate = self.chain(label).and_then(|chain| chain.into_iter().next());
        let key =
            self.keys.get(label).filter(|id| self.keys.values().filter(|other| other == id).count() == 1);
        Objects { key: key.cloned(), certificate: certificate.map(|certificate| certificate.der().to_vec()) }
    }

    fn apply(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Key(label, key) => {
                let (name, id) = (label.to_string(), key_id(key.public()));
                self.link.with(move |session| object::put_key(session, &name, &id, &key))
            }
            Step::Certificate(label, id, certificate) => {
                let (name, id) = (label.to_string(), id.unwrap_or_default());
                self.link.with(move |session| object::put_certificate(session, &name, &id, &certificate))
            }
            Step::Rename(objects, to) => {
                self.link.with(move |session| object::rename(session, &objects, to.as_str()))
            }
            Step::Remove(objects) => self.link.with(move |session| object::remove(session, &objects)),
            Step::Pin(pin) => {
                self.link.set_pin(&pin)?;
                self.link = self.link.with_pin(pin);
                Ok(())
            }
        }
    }
}

/// A key's id on the token: SHA-256 of its public half.
fn key_id(public: &PublicKey) -> KeyId {
    public.id().to_vec()
}

impl Vault for Token {
    fn labels(&self) -> Vec<Label> {
        self.others.keys().cloned().collect()
    }

    fn chain(&self, label: &Label) -> Option<Vec<Certificate>> {
        let other = self.others.get(label).map(|certificate| vec![certificate.clone()]);
        other.or_else(|| self.chains.chain(label))
    }

    fn has_key(&self, label: &Label) -> bool {
        self.keys.contains_key(label)
    }

    fn key(&self, label: &Label) -> Result<Key> {
        let missing = || self.link.error(format!("no private key under {label}"));
        let id = self.keys.get(label).ok_or_else(missing)?.clone();
        Ok(Key::Token(TokenKey { link: self.link.clone(), id }))
    }

    fn put_chain(&mut self, label: &Label, chain: &[Certificate]) -> Result<()> {
        self.others.remove(label);
        let id = self.keys.get(label).cloned();
        self.steps.extend(chain.first().map(|first| Step::Certificate(label.clone(), id, first.clone())));
        self.chains.put_chain(label, chain)
    }

    /// Brings a key to the token, which will not give it out again.
    fn put_key(&mut self, label: &Label, key: PrivateKey) -> Result<()> {
        self.keys.insert(label.clone(), key_id(key.public()));
        // Before its certificate, which is looked for by the same id.
        self.steps.insert(0, Step::Key(label.clone(), key));
        for step in &mut self.steps {
            if let Step::Certificate(at, id, _) = step
                && at == label
            {
                *id = self.keys.get(label).cloned();
            }
        }
        Ok(())
    }

    fn generate(&mut self, label: &Label, kind: KeyKind) -> Result<PublicKey> {
        let name = label.to_string();
        let made = self.link.with(move |session| object::generate(session, &name, kind))?;
        let public = PublicKey::from_spki(&made.spki)?;
        let id = key_id(&public);
        self.keys.insert(label.clone(), id.clone());
        self.link.with(move |session| object::set_id(session, &made.id, &id))?;
        Ok(public)
    }

    fn rename(&mut self, from: &Label, to: &Label) -> Result<()> {
        self.steps.push(Step::Rename(self.objects(from), to.clone()));
        if let Some(moved) = self.keys.remove(from) {
            self.keys.insert(to.clone(), moved);
        }
        if let Some(certificate) = self.others.remove(from) {
            self.others.insert(to.clone(), certificate);
        }
        self.chains.rename(from, to)
    }

    fn remove(&mut self, label: &Label) -> Result<()> {
        self.steps.push(Step::Remove(self.objects(label)));
        self.keys.remove(label);
        self.others.remove(label);
        self.chains.remove(label)
    }

    fn relock(&mut self, source: &Source) -> Result<()> {
        if matches!(source, Source::Stash { .. }) {
            return Err(self
                .link
                .error("its PIN is not ours to choose; give --passphrase-file, --credential or --prompt"));
        }
        let pin = self.unlock.ask_new(source)?;
        if pin.text() != self.unlock.passphrase()?.text() {
            self.steps.push(Step::Pin(pin));
        }
        Ok(())
    }

    fn store(&mut self, index: &mut Index) -> Result<()> {
        let steps = std::mem::take(&mut self.steps);
        let (now, later) = steps.into_iter().partition(Step::makes);
        self.steps = later;
        Vec::into_iter(now).try_for_each(|step| self.apply(step))?;
        self.chains.store(index)
    }

    fn settle(&mut self) -> Result<()> {
        std::mem::take(&mut self.steps).into_iter().try_for_each(|step| self.apply(step))
    }
}
