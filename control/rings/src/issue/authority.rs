//! An authority in a ring (row E26): it signs, takes back, and publishes what it took back.

use super::ledger::{self, Issued, Ledger};
use super::{CrlPlan, HeldKey, Plan, issue, issue_crl};
use crate::certificate::Certificate;
use crate::key::PublicKey;
use crate::name::Place;
use crate::signer::Signer;
use crate::store::Rings;
use crate::{Error, Result};

/// An authority whose certificate and key lie in a ring.
#[derive(Debug)]
pub struct Authority<'a> {
    rings: &'a Rings,
    key: HeldKey<'a>,
    public: PublicKey,
    certificate: Certificate,
    chain: Vec<Certificate>,
}

impl<'a> Authority<'a> {
    /// The authority at `place`.
    pub fn open(rings: &'a Rings, signer: &'a Signer, place: &Place) -> Result<Self> {
        let ring = rings.open(&place.ring)?;
        let entry = ring.entry(&place.label)?;
        let key = HeldKey::new(signer, &ring, place)?;
        let (certificate, chain) = (entry.certificate().clone(), entry.chain.clone());
        Ok(Self { rings, key, public: certificate.public_key()?, certificate, chain })
    }

    /// Its certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// Issues a certificate, and notes it. Gives it with its issuers, the root left out where there is more than it.
    pub fn sign(&self, plan: &Plan, key: &PublicKey) -> Result<Vec<Certificate>> {
        let certificate = issue(plan, key, &self.certificate, &self.key)?;
        // Noted before anybody has it: what is not in the ledger cannot be taken back.
        ledger::change(self.rings, &self.public, |ledger| {
            ledger.issued.push(Issued::new(&certificate));
            Ok(())
        })?;
        let mut chain = vec![certificate];
        chain.extend(self.chain.iter().cloned());
        Ok(chain)
    }

    /// Takes a certificate back by its serial number; the next CRL says so.
    pub fn revoke(&self, serial: &str, reason: &str, now: u64) -> Result<Issued> {
        ledger::change(self.rings, &self.public, |ledger| ledger.revoke(serial, reason, now).cloned())
    }

    /// DER of the next CRL, good for so many hours.
    pub fn crl(&self, hours: u32, now: u64) -> Result<Vec<u8>> {
        if hours == 0 {
            return Err(Error::Unfit("a CRL must be good for an hour at least".to_owned()));
        }
        ledger::change(self.rings, &self.public, |ledger| {
            let number = ledger.crl_number + 1;
            let plan = CrlPlan {
                number,
                this_update: now,
                next_update: now.saturating_add(u64::from(hours) * 3600),
                revoked: ledger.revocations(now)?,
            };
            let crl = issue_crl(&plan, &self.certificate, &self.key)?;
            ledger.crl_number = number;
            Ok(crl)
        })
    }

    /// What it remembers.
    pub fn ledger(&self) -> Result<Ledger> {
        ledger::load(self.rings, &self.public)
    }
}
