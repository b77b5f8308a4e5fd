//! From the SAs of a snapshot to those that workers use, with what the generation before remembered.

use std::collections::HashMap;
use std::sync::Arc;

use ravelin_contract::message::Refusal;
use ravelin_contract::sa::{Receiving, Sa, Sending, Side};
use ravelin_contract::snapshot::Inconsistency;
use ravelin_crypto_accel::error::KeyError;

use super::numbers::Numbers;
use super::reservation::{Directory, Disk};
use super::sa::{Identity, InboundSa, OutboundSa, Sent};
use crate::clock::Now;

/// One prepared SA.
#[derive(Debug, Clone)]
pub enum Built {
    /// We open under it.
    Inbound(Arc<InboundSa>),
    /// We seal under it.
    Outbound(Arc<OutboundSa>),
}

/// Prepares generation after generation. One thread owns it, with the [`Numbers`].
#[derive(Debug)]
pub struct Builder<D = Directory> {
    /// Numbers and reservations of the keys in use.
    pub numbers: Numbers<D>,
    /// What was adopted last, in force or not, and what was remembered since.
    known: HashMap<Identity, Built>,
}

impl<D: Disk> Builder<D> {
    /// Nothing is known yet.
    pub fn new(numbers: Numbers<D>) -> Self {
        Self { numbers, known: HashMap::new() }
    }

    /// [`Self::prepare`] and [`Self::adopt`] in one.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn build(
        &mut self,
        sas: &[Sa],
        now: Now,
        random: &mut dyn FnMut() -> [u8; 16],
    ) -> Result<Vec<Built>, Refusal> {
        let built = self.prepare(sas, now, random)?;
        self.adopt(sas, &built);
        Ok(built)
    }

    /// Prepares `sas`, in their order. An SA equal to a known one is that one; where only its settings differ, numbers,
    /// window and counts go on. `random` gives octets that nobody can guess, for CBC. What is known stays as it is.
    ///
    /// # Errors
    /// A key that does not fit, or numbers that cannot be reserved.
    pub fn prepare(
        &mut self,
        sas: &[Sa],
        now: Now,
        random: &mut dyn FnMut() -> [u8; 16],
    ) -> Result<Vec<Built>, Refusal> {
        sas.iter().map(|sa| self.build_one(sa, now, random)).collect()
    }

    /// From now on these, prepared from `sas`, are the ones that are known. Workers use no other any more: how far an
    /// inbound SA that goes has come is noted, since its key may return.
    pub fn adopt(&mut self, sas: &[Sa], built: &[Built]) {
        let known = pairs(sas, built).collect();
        let before = std::mem::replace(&mut self.known, known);
        let goes = |(id, built): (&Identity, &Built)| {
            matches!(built, Built::Inbound(_)) && !self.known.contains_key(id)
        };
        if before.iter().any(goes)
            && let Err(error) = self.numbers.note_accepted()
        {
            ravelin_events::tell!(NUMBERS_NOT_KEPT, %error);
        }
    }

    /// These, prepared from `sas`, were refused after workers may have used them: should they come again, their numbers
    /// go on. What was known before stays as it is.
    pub fn remember(&mut self, sas: &[Sa], built: &[Built]) {
        for (identity, built) in pairs(sas, built) {
            self.known.entry(identity).or_insert(built);
        }
    }

    fn build_one(
        &mut self,
        sa: &Sa,
        now: Now,
        random: &mut dyn FnMut() -> [u8; 16],
    ) -> Result<Built, Refusal> {
        match &sa.side {
            Side::Inbound(receiving) => self.inbound(sa, receiving).map(Built::Inbound),
            Side::Outbound(sending) => self.outbound(sa, sending, now, &random()).map(Built::Outbound),
        }
    }

    fn inbound(&mut self, sa: &Sa, receiving: &Receiving) -> Result<Arc<InboundSa>, Refusal> {
        let received = match self.known.get(&Identity::of(sa)) {
            Some(Built::Inbound(known)) if known.is_made_from(sa) => return Ok(known.clone()),
            Some(Built::Inbound(known)) => known.received().clone(),
            _ => self.numbers.received(sa, receiving),
        };
        InboundSa::new(sa, received).map(Arc::new).map_err(|error| wrong_key(sa, error))
    }

    fn outbound(
        &mut self,
        sa: &Sa,
        sending: &Sending,
        now: Now,
        seed: &[u8; 16],
    ) -> Result<Arc<OutboundSa>, Refusal> {
        let sent = match self.known.get(&Identity::of(sa)) {
            Some(Built::Outbound(known)) if known.is_made_from(sa) => return Ok(known.clone()),
            Some(Built::Outbound(known)) => known.sent().clone(),
            _ => Arc::new(Sent::new(now)),
        };
        let sequence = self.numbers.sequence(sa)?;
        OutboundSa::new(sa, sending, sequence, sent, seed).map(Arc::new).map_err(|error| wrong_key(sa, error))
    }
}

fn pairs(sas: &[Sa], built: &[Built]) -> impl Iterator<Item = (Identity, Built)> {
    sas.iter().map(Identity::of).zip(built.iter().cloned())
}

fn wrong_key(sa: &Sa, _: KeyError) -> Refusal {
    Inconsistency::Key(sa.name.to_string()).into()
}
