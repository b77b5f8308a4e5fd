//! A ring as it was when it was opened.

use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::access::{Access, Owner};
use crate::certificate::Certificate;
use crate::key::PublicKey;
use crate::name::{Label, Place, RingName};
use crate::{Error, Result};

/// What a certificate is in its ring for (row E37).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// To show to others: ours, with its key.
    Identity,
    /// To believe others by.
    TrustAnchor,
}

/// Whether a certificate may be used at all (rows E30, E35).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// It may be used.
    Trusted,
    /// It is kept, and not used.
    NotTrusted,
}

/// One certificate of a ring.
#[derive(Debug, Clone)]
pub struct Entry {
    /// Unique in the ring.
    pub label: Label,
    /// The certificate itself first, then its issuers as far as known; never empty.
    pub chain: Vec<Certificate>,
    /// What it is for.
    pub usage: Usage,
    /// Whether it may be used.
    pub trust: Trust,
    /// Whether its private key is here.
    pub has_key: bool,
    /// Where it really lies, if it is connected from another ring.
    pub connected: Option<Place>,
}

/// A key that waits for its certificate.
#[derive(Debug, Clone)]
pub struct Pending {
    /// Label that the certificate will have.
    pub label: Label,
    /// Public half of the key.
    pub public: PublicKey,
    /// DER of the PKCS#10 request, once it is made.
    pub request: Option<Vec<u8>>,
}

/// Longest chain that [`Ring::chain`] puts together.
const CHAIN: usize = 8;

/// A ring as it was when it was opened.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Its name.
    pub name: RingName,
    /// Kind of store in a word: directory, pkcs12, token, system.
    pub store: &'static str,
    /// Goes up by one with each change.
    pub generation: u64,
    /// Until when its passphrase is good, in seconds since 1970; then its keys are not used before it has another.
    pub passphrase_until: Option<u64>,
    /// Whose it is.
    pub owner: Owner,
    /// Who else may use its keys.
    pub access: Access,
    /// Certificates by label.
    pub entries: Vec<Entry>,
    /// Keys without certificate.
    pub pending: Vec<Pending>,
    /// Label of the default certificate.
    pub default: Option<Label>,
}

impl Entry {
    /// The certificate itself.
    pub fn certificate(&self) -> &Certificate {
        &self.chain[0]
    }
}

impl Ring {
    /// The entry of this label.
    pub fn entry(&self, label: &Label) -> Result<&Entry> {
        let missing = || Error::NoLabel { ring: self.name.clone(), label: label.clone() };
        self.entries.iter().find(|entry| entry.label == *label).ok_or_else(missing)
    }

    /// The entry of this label, or the default when none is given (row E18).
    pub fn choose(&self, label: Option<&Label>) -> Result<&Entry> {
        let label = label.or(self.default.as_ref()).ok_or_else(|| Error::NoDefault(self.name.clone()))?;
        self.entry(label)
    }

    /// The entry with this certificate.
    pub fn find(&self, certificate: &Certificate) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.certificate().der() == certificate.der())
    }

    /// The chain of an entry, with issuers that lie elsewhere in the ring.
    pub fn chain(&self, entry: &Entry) -> Vec<Certificate> {
        let mut chain = entry.chain.clone();
        while let Some(last) = chain.last()
            && !last.is_self_issued()
            && chain.len() < CHAIN
        {
            let issuer = |one: &&Certificate| one.parts().subject() == last.parts().issuer();
            let Some(next) = self.entries.iter().map(Entry::certificate).find(issuer).cloned() else { break };
            chain.push(next);
        }
        chain
    }

    /// What others are believed by: certificates with this usage that may be used.
    pub fn trust_anchors(&self) -> impl Iterator<Item = &Certificate> {
        let usable = |entry: &&Entry| entry.usage == Usage::TrustAnchor && entry.trust == Trust::Trusted;
        self.entries.iter().filter(usable).map(Entry::certificate)
    }

    /// Refuses when the passphrase has ended (row E22).
    pub(crate) fn check_passphrase(&self) -> Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(u64::MAX, |since| since.as_secs());
        match self.passphrase_until {
            Some(until) if until < now => Err(Error::PassphraseEnded(self.name.clone())),
            _ => Ok(()),
        }
    }

    /// The pending key that belongs to `public`.
    pub fn pending_for(&self, public: &PublicKey) -> Option<&Pending> {
        self.pending.iter().find(|pending| pending.public == *public)
    }
}
