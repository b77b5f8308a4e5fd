//! The one door to private keys: it looks who asks, writes it down, and signs. No key comes out of it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::access::{Caller, Grant};
use crate::name::{Label, Place, RingName};
use crate::ring::{Ring, Trust, Usage};
use crate::scheme::Scheme;
use crate::store::{Key, Recent, Rings};
use crate::{Error, Result};

/// The door. Every decision is one event of target `ravelin::audit`: code `RVL-KEY-USED` or `RVL-KEY-REFUSED`.
#[derive(Debug)]
pub struct Signer {
    rings: Rings,
    recent: Recent,
    /// Keys as opened at a generation of their ring; a key of an older generation is dropped, and so wiped.
    open: Mutex<BTreeMap<Place, (u64, Key)>>,
}

impl Signer {
    /// A door to the keys of these rings.
    pub fn new(rings: Rings) -> Self {
        Self { recent: Recent::new(rings.clone()), rings, open: Mutex::new(BTreeMap::new()) }
    }

    /// Signs `message` with the key at `label` of `ring`, or its default, if `caller` may use it. The lists hold as
    /// they are at each call: who was taken off is refused at once. Keys that wait for a certificate can sign too.
    pub fn sign(
        &self,
        caller: &Caller,
        ring: &RingName,
        label: Option<&Label>,
        scheme: Scheme,
        message: &[u8],
    ) -> Result<Vec<u8>> {
        let signed = self.try_sign(caller, ring, label, scheme, message);
        tell(caller, ring, label, scheme, signed)
    }

    /// Rings as this door sees them.
    pub fn rings(&self) -> &Recent {
        &self.recent
    }

    /// The same where nothing has to be read for it, asked of a token or waited for: with a key that was used before in this
    /// state of its ring, which `ring` must be. None where that is not so, and then nothing was signed.
    pub fn sign_at_hand(
        &self,
        caller: &Caller,
        ring: &Arc<Ring>,
        label: &Label,
        scheme: Scheme,
        message: &[u8],
    ) -> Option<Result<Vec<u8>>> {
        let place = Place { ring: ring.name.clone(), label: label.clone() };
        let key = self.known(&place, ring.generation).filter(Key::is_held)?;
        // Looked at after the key was taken: what was opened before is of this state.
        if !self.recent.is_now(ring) {
            return None;
        }
        let permitted = permit(ring, caller, Some(label));
        if permitted.as_ref().is_ok_and(|(_, allowed)| *allowed != place) {
            return None;
        }
        let signed = permitted.and_then(|(grant, _)| Ok((grant, key.sign(scheme, message)?)));
        Some(tell(caller, &ring.name, Some(label), scheme, signed))
    }

    fn try_sign(
        &self,
        caller: &Caller,
        name: &RingName,
        label: Option<&Label>,
        scheme: Scheme,
        message: &[u8],
    ) -> Result<(Grant, Vec<u8>)> {
        let ring = self.recent.open(name)?;
        let (grant, place) = permit(&ring, caller, label)?;
        let generation = match place.ring == *name {
            true => ring.generation,
            // Connecting never widens who may use a key: its own ring has a say too.
            false => {
                let origin = self.recent.open(&place.ring)?;
                admit(&origin, caller)?;
                origin.check_passphrase()?;
                usable(&origin, &place.label)?;
                origin.generation
            }
        };
        let key = self.key(&place, generation)?;
        Ok((grant, key.sign(scheme, message)?))
    }

    /// The key, opened once for each generation of its ring.
    fn key(&self, place: &Place, generation: u64) -> Result<Key> {
        if let Some(key) = self.known(place, generation) {
            return Ok(key);
        }
        let key = self.rings.key(place)?;
        self.open().insert(place.clone(), (generation, key.clone()));
        Ok(key)
    }

    /// The key, if it was opened at this generation.
    fn known(&self, place: &Place, generation: u64) -> Option<Key> {
        self.open().get(place).filter(|(known, _)| *known == generation).map(|(_, key)| key.clone())
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<Place, (u64, Key)>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes down what was decided.
fn tell(
    caller: &Caller,
    ring: &RingName,
    label: Option<&Label>,
    scheme: Scheme,
    signed: Result<(Grant, Vec<u8>)>,
) -> Result<Vec<u8>> {
    let named = label.map_or("(default)", Label::as_str);
    match signed {
        Ok((grant, signature)) => {
            let grant = grant.name();
            ravelin_events::tell!(target: ravelin_events::AUDIT, KEY_USED, %ring, label = named, scheme = scheme.name(), %caller, grant);
            Ok(signature)
        }
        Err(error) => {
            ravelin_events::tell!(target: ravelin_events::AUDIT, KEY_REFUSED, %ring, label = named, scheme = scheme.name(), %caller, reason = %error);
            Err(error)
        }
    }
}

/// By what `caller` may use a key of this ring, and where that key lies.
fn permit(ring: &Ring, caller: &Caller, label: Option<&Label>) -> Result<(Grant, Place)> {
    let grant = admit(ring, caller)?;
    ring.check_passphrase()?;
    Ok((grant, place(ring, label, caller)?))
}

fn admit(ring: &Ring, caller: &Caller) -> Result<Grant> {
    let refused = || Error::NotPermitted { ring: ring.name.clone(), caller: caller.to_string() };
    ring.access.grant(ring.owner, caller).ok_or_else(refused)
}

/// Where the key lies that is meant. Pending keys are for the operator alone: nobody else has a certificate to show.
fn place(ring: &Ring, label: Option<&Label>, caller: &Caller) -> Result<Place> {
    if let Some(label) = label
        && caller.is_operator()
        && ring.pending.iter().any(|pending| pending.label == *label)
    {
        return Ok(Place { ring: ring.name.clone(), label: label.clone() });
    }
    let label = &ring.choose(label)?.label;
    let entry = if caller.is_operator() { ring.entry(label)? } else { usable(ring, label)? };
    if !entry.has_key {
        return Err(Error::NoKey { ring: ring.name.clone(), label: label.clone() });
    }
    let here = || Place { ring: ring.name.clone(), label: label.clone() };
    Ok(entry.connected.clone().unwrap_or_else(here))
}

/// The entry, if it may be used to sign.
fn usable<'a>(ring: &'a Ring, label: &Label) -> Result<&'a crate::ring::Entry> {
    let entry = ring.entry(label)?;
    match (entry.usage, entry.trust) {
        (Usage::Identity, Trust::Trusted) => Ok(entry),
        (_, Trust::NotTrusted) => {
            Err(Error::Unfit(format!("{}/{label} is marked as not trusted", ring.name)))
        }
        (Usage::TrustAnchor, _) => {
            Err(Error::Unfit(format!("{}/{label} is a trust anchor, no identity", ring.name)))
        }
    }
}
