//! Where the contents of a ring lie: certificates and keys by label, whatever the kind of store.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use super::index::Index;
use super::token::TokenKey;
use crate::certificate::Certificate;
use crate::key::{KeyKind, PrivateKey, PublicKey};
use crate::name::Label;
use crate::passphrase::{Passphrase, Prompt, Source};
use crate::scheme::Scheme;
use crate::{Error, Result};

/// A private key that can sign, wherever it is.
#[derive(Debug, Clone)]
pub(crate) enum Key {
    /// In memory of this process.
    Held(Arc<PrivateKey>),
    /// On a token.
    Token(TokenKey),
}

impl Key {
    /// Whether it signs without asking anybody.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self, Self::Held(_))
    }

    /// Signs. Who asks was checked before, by the signer.
    pub(crate) fn sign(&self, scheme: Scheme, message: &[u8]) -> Result<Vec<u8>> {
        match self {
            Self::Held(key) => key.sign(scheme, message),
            Self::Token(key) => key.sign(scheme, message),
        }
    }
}

/// Contents of one ring. Changes take effect with [`Vault::store`] and the index that it fills in, except for what
/// a token does at once.
pub(crate) trait Vault {
    /// Labels of certificates that may be there without the index knowing of them.
    fn labels(&self) -> Vec<Label> {
        Vec::new()
    }
    /// The chain under this label.
    fn chain(&self, label: &Label) -> Option<Vec<Certificate>>;
    /// Whether a key is there.
    fn has_key(&self, label: &Label) -> bool;
    /// The key.
    fn key(&self, label: &Label) -> Result<Key>;
    /// Sets the chain.
    fn put_chain(&mut self, label: &Label, chain: &[Certificate]) -> Result<()>;
    /// Takes a key in.
    fn put_key(&mut self, label: &Label, key: PrivateKey) -> Result<()>;
    /// Makes a key.
    fn generate(&mut self, label: &Label, kind: KeyKind) -> Result<PublicKey> {
        let key = PrivateKey::generate(kind)?;
        let public = key.public().clone();
        self.put_key(label, key)?;
        Ok(public)
    }
    /// Moves all that is under `from`.
    fn rename(&mut self, from: &Label, to: &Label) -> Result<()>;
    /// Removes all that is under this label.
    fn remove(&mut self, label: &Label) -> Result<()>;
    /// From the next [`Vault::store`] on, keys are locked by the passphrase of `source`.
    fn relock(&mut self, source: &Source) -> Result<()>;
    /// Writes what is new, and its places into `index`. Nothing that an earlier index names is touched.
    fn store(&mut self, index: &mut Index) -> Result<()>;
    /// Removes outside of the ring's folder what the new index, now in place, does not need.
    fn settle(&mut self) -> Result<()> {
        Ok(())
    }
}

/// The passphrase of a ring, got when first needed.
pub(crate) struct Unlock {
    folder: PathBuf,
    source: Option<Source>,
    prompt: Option<Prompt>,
    passphrase: OnceLock<Passphrase>,
}

impl Unlock {
    pub(crate) fn new(folder: &Path, source: Option<Source>, prompt: Option<Prompt>) -> Self {
        Self { folder: folder.to_owned(), source, prompt, passphrase: OnceLock::new() }
    }

    /// The passphrase.
    pub(crate) fn passphrase(&self) -> Result<&Passphrase> {
        self.get(false)
    }

    /// The passphrase of a ring that holds nothing yet to tell a right one from a wrong one: an operator types it twice.
    pub(crate) fn first_passphrase(&self) -> Result<&Passphrase> {
        self.get(true)
    }

    fn get(&self, new: bool) -> Result<&Passphrase> {
        if let Some(known) = self.passphrase.get() {
            return Ok(known);
        }
        let missing = || Error::Passphrase(format!("{}: the ring has no passphrase", self.folder.display()));
        let source = self.source.as_ref().ok_or_else(missing)?;
        let got = source.passphrase(&self.folder, new, self.prompt.as_ref())?;
        Ok(self.passphrase.get_or_init(|| got))
    }

    /// The same ring with another passphrase.
    pub(crate) fn renewed(&self, source: &Source, passphrase: Passphrase) -> Self {
        let known = OnceLock::new();
        // The lock is new, so nobody was first.
        let _ = known.set(passphrase);
        Self {
            folder: self.folder.clone(),
            source: Some(source.clone()),
            prompt: self.prompt.clone(),
            passphrase: known,
        }
    }

    /// The passphrase that `source` gives for the first time. One for a stash is made here, and still to be written.
    pub(crate) fn ask_new(&self, source: &Source) -> Result<Passphrase> {
        match source {
            Source::Stash { .. } => Passphrase::random(),
            other => other.passphrase(&self.folder, true, self.prompt.as_ref()),
        }
    }
}
