//! A ring on a PKCS#11 token: keys are made there and stay there; chains lie in the ring's folder too.

mod link;
mod object;

use std::collections::BTreeMap;
use std::path::Path;

use super::directory::Directory;
use super::index::Index;
use super::vault::{Key, Unlock, Vault};
use crate::certificate::Certificate;
use crate::key::{KeyKind, PrivateKey, PublicKey};
use crate::name::Label;
use crate::passphrase::Source;
use crate::scheme::Scheme;
use crate::{Error, Result};
use link::Link;

/// A private key on a token.
#[derive(Debug, Clone)]
pub(crate) struct TokenKey {
    link: Link,
    id: Vec<u8>,
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
    Certificate(Label, Certificate),
    Rename(Label, Label),
    Remove(Label),
}

pub(crate) struct Token {
    link: Link,
    unlock: Unlock,
    /// Chains in the ring's folder. It never holds a key.
    chains: Directory,
    /// Certificates that only the token has.
    others: BTreeMap<Label, Certificate>,
    /// Ids of private keys.
    keys: BTreeMap<Label, Vec<u8>>,
    steps: Vec<Step>,
}

impl Token {
    pub(crate) fn open(module: &Path, token: &str, unlock: Unlock, chains: Directory) -> Result<Self> {
        let link = Link::new(module, token, unlock.passphrase()?.clone());
        let (certificates, found) = link.with(object::list)?;
        // What another program has named in a way that is no label cannot be spoken of here.
        let keys: BTreeMap<Label, Vec<u8>> = found
            .iter()
            .filter_map(|(name, id)| Some((Label::new(name.as_str()).ok()?, id.clone())))
            .collect();
        let mut vault = Self { link, unlock, chains, others: BTreeMap::new(), keys, steps: Vec::new() };
        for object in certificates {
            let Ok(label) = Label::new(object.label) else { continue };
            let certificate =
                Certificate::from_der(&object.der).map_err(|e| vault.link.error(e.to_string()))?;
            if let Some((_, id)) = found.iter().find(|(_, id)| *id == object.id) {
                vault.keys.insert(label.clone(), id.clone());
            }
            if vault.chains.chain(&label).is_none_or(|chain| chain[0].der() != certificate.der()) {
                vault.others.insert(label, certificate);
            }
        }
        Ok(vault)
    }
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
        self.steps.extend(chain.first().map(|first| Step::Certificate(label.clone(), first.clone())));
        self.chains.put_chain(label, chain)
    }

    fn put_key(&mut self, _: &Label, _: PrivateKey) -> Result<()> {
        Err(self
            .link
            .error("keys are made on it, not brought there; use `ravelin cert request` for a new one"))
    }

    fn generate(&mut self, label: &Label, kind: KeyKind) -> Result<PublicKey> {
        let mut id = vec![0; 16];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| Error::Crypto("the system gives no random numbers"))?;
        let (name, made) = (label.to_string(), id.clone());
        let spki = self.link.with(move |session| object::generate(session, &name, &made, kind))?;
        self.keys.insert(label.clone(), id);
        PublicKey::from_spki(&spki)
    }

    fn rename(&mut self, from: &Label, to: &Label) -> Result<()> {
        for moved in [self.keys.remove(from)].into_iter().flatten() {
            self.keys.insert(to.clone(), moved);
        }
        if let Some(certificate) = self.others.remove(from) {
            self.others.insert(to.clone(), certificate);
        }
        self.steps.push(Step::Rename(from.clone(), to.clone()));
        self.chains.rename(from, to)
    }

    fn remove(&mut self, label: &Label) -> Result<()> {
        self.keys.remove(label);
        self.others.remove(label);
        self.steps.push(Step::Remove(label.clone()));
        self.chains.remove(label)
    }

    /// The PIN itself is changed with the token's own tool; here only where it comes from, once it is seen to work.
    fn relock(&mut self, source: &Source) -> Result<()> {
        if matches!(source, Source::Stash { .. }) {
            return Err(self
                .link
                .error("its PIN is not ours to choose; give --passphrase-file, --credential or --prompt"));
        }
        let pin = self.unlock.ask_new(source)?;
        self.link = self.link.with_pin(pin.clone());
        self.unlock = self.unlock.renewed(source, pin);
        self.link.with(|_| Ok(()))
    }

    fn store(&mut self, index: &mut Index) -> Result<()> {
        for step in std::mem::take(&mut self.steps) {
            match step {
                Step::Certificate(label, certificate) => {
                    let id = self.keys.get(&label).cloned().unwrap_or_default();
                    let name = label.to_string();
                    self.link
                        .with(move |session| object::put_certificate(session, &name, &id, &certificate))?;
                }
                Step::Rename(from, to) => {
                    self.link.with(move |session| object::rename(session, from.as_str(), to.as_str()))?;
                }
                Step::Remove(label) => {
                    self.link.with(move |session| object::remove(session, label.as_str()))?;
                }
            }
        }
        self.chains.store(index)
    }
}
