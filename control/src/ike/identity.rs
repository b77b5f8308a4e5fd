//! Signatures of ours: which certificate is shown to a peer, and the signature by its key through the door of the rings.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ravelin_ike::Answer;
use ravelin_ike::crypto::nat::authority_hash;
use ravelin_ike::crypto::signature::{PublicKey, SignatureScheme};
use ravelin_ike::policy::Identity;
use ravelin_rings::access::Caller;
use ravelin_rings::certificate::Certificate;
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::ring::{Entry, Ring, Trust, Usage};
use ravelin_rings::scheme::Scheme;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use ravelin_rings::verify::speaks_for;
use rustls_pki_types::CertificateDer;

use super::trust::{name_of, now};
use crate::policy::credential::Pick;

/// Our certificates and their keys. Rings are looked at before each use, so what was renewed serves at once.
#[derive(Debug)]
pub(super) struct Identities {
    signer: Signer,
    /// This process: the lists of the rings say what it may use.
    caller: Caller,
    /// Names of policy whose rings lie in files.
    near: Mutex<BTreeSet<String>>,
    /// The state of its ring in which each key was seen to be that of its certificate.
    seen: Mutex<BTreeMap<(RingName, Label), Arc<Ring>>>,
}

/// A certificate of ours and where its key is.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) chain: Vec<CertificateDer<'static>>,
    ring: RingName,
    label: Label,
    pub(super) kind: KeyKind,
}

/// What a peer gets to see, and by what its key signs.
struct Choice {
    label: Label,
    chain: Vec<Certificate>,
    scheme: SignatureScheme,
    kind: KeyKind,
}

impl Identities {
    pub(super) fn new(rings: Rings) -> Self {
        Self {
            signer: Signer::new(rings),
            caller: Caller::this_process(),
            near: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Whether there is something to show by this name of policy.
    pub(super) fn look(&self, name: &str) -> Result<(), String> {
        let pick = parse(name)?;
        let ring = self.open(&pick);
        let near = ring.as_ref().is_ok_and(|ring| {
            ring.store == "directory" && ring.entries.iter().all(|entry| entry.connected.is_none())
        });
        let mut known = self.near.lock().unwrap_or_else(PoisonError::into_inner);
        if near {
            known.insert(name.to_owned())
        } else {
            known.remove(name)
        };
        drop(known);
        candidates(&*ring?, &pick).map(drop)
    }

    /// Whether nothing slower than a file was between us and this key when it was looked at last.
    pub(super) fn is_near(&self, name: &str) -> bool {
        self.near.lock().unwrap_or_else(PoisonError::into_inner).contains(name)
    }

    /// A signature with the certificates for it. Of several the one is taken that speaks for `identity` and leads to one
    /// of `authorities`.
    pub(super) fn sign(
        &self,
        name: &str,
        identity: &Identity,
        octets: &[u8],
        schemes: &[SignatureScheme],
        authorities: &[[u8; 20]],
    ) -> Result<Answer, String> {
        let pick = parse(name)?;
        let mut tries = 0;
        loop {
            tries += 1;
            let ring = self.open(&pick)?;
            let choice = choose(&ring, &pick, identity, schemes, authorities)?;
            let signature = self.sign_by(&pick, &choice, octets)?;
            match self.fits(&pick, &ring, &choice, octets, &signature)? {
                true => return Ok(answer(choice, signature)),
                // The ring got another key in between.
                false if tries < 2 => {}
                false => return Err(format!("the key of {pick} is not that of its certificate")),
            }
        }
    }

    /// The same where that is soon done and nobody is waited for: out of memory, by a key that takes microseconds. None where it
    /// is not, or where the ring has changed since it was last used; then nothing was signed.
    pub(super) fn sign_at_hand(
        &self,
        name: &str,
        identity: &Identity,
        octets: &[u8],
        schemes: &[SignatureScheme],
        authorities: &[[u8; 20]],
    ) -> Option<Result<Answer, String>> {
        let pick = parse(name).ok()?;
        let ring = self.signer.rings().last(&pick.ring)?;
        let choice = choose(&ring, &pick, identity, schemes, authorities).ok()?;
        let scheme = ring_scheme(choice.scheme, choice.kind)?;
        let quick = matches!(choice.kind, KeyKind::P256 | KeyKind::Ed25519);
        if !quick || !self.was_seen(&pick, &choice, &ring) {
            return None;
        }
        let signed = self.signer.sign_at_hand(&self.caller, &ring, &choice.label, scheme, octets)?;
        Some(signed.map(|signature| answer(choice, signature)).map_err(|error| error.to_string()))
    }

    /// Whether the signature is by the key of the certificate that is shown. It is, where one was in the same state of the ring.
    fn fits(
        &self,
        pick: &Pick,
        ring: &Arc<Ring>,
        choice: &Choice,
        octets: &[u8],
        signature: &[u8],
    ) -> Result<bool, String> {
        if self.was_seen(pick, choice, ring) && self.signer.rings().is_now(ring) {
            return Ok(true);
        }
        let leaf = choice.chain[0].spki().map_err(|error| error.to_string())?;
        let fits =
            PublicKey::from_spki(&leaf).is_some_and(|key| key.verify(choice.scheme, octets, signature));
        // It was the same before and after: the key that signed is of this state.
        if fits && self.signer.rings().is_now(ring) {
            self.seen().insert((pick.ring.clone(), choice.label.clone()), Arc::clone(ring));
        }
        Ok(fits)
    }

    /// Whether in this state of the ring the key was seen to be that of the certificate.
    fn was_seen(&self, pick: &Pick, choice: &Choice, ring: &Arc<Ring>) -> bool {
        let then = self.seen();
        then.get(&(pick.ring.clone(), choice.label.clone())).is_some_and(|then| Arc::ptr_eq(then, ring))
    }

    fn seen(&self) -> MutexGuard<'_, BTreeMap<(RingName, Label), Arc<Ring>>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is shown to clients of EAP-TLS: the certificate that speaks for `identity` before others, and its key.
    pub(super) fn show(&self, name: &str, identity: &Identity) -> Result<Shown, String> {
        let pick = parse(name)?;
        let ring = self.open(&pick)?;
        let choice = choose(&ring, &pick, identity, &SignatureScheme::ALL, &[])?;
        let chain = choice.chain.iter().map(|certificate| CertificateDer::from(certificate.der().to_vec()));
        Ok(Shown { chain: chain.collect(), ring: pick.ring, label: choice.label, kind: choice.kind })
    }

    /// A signature by the key of what was shown.
    pub(super) fn sign_shown(&self, shown: &Shown, scheme: Scheme, octets: &[u8]) -> Result<Vec<u8>, String> {
        let signed = self.signer.sign(&self.caller, &shown.ring, Some(&shown.label), scheme, octets);
        signed.map_err(|error| error.to_string())
    }

    fn open(&self, pick: &Pick) -> Result<Arc<Ring>, String> {
        self.signer.rings().open(&pick.ring).map_err(|error| error.to_string())
    }

    fn sign_by(&self, pick: &Pick, choice: &Choice, octets: &[u8]) -> Result<Vec<u8>, String> {
        let scheme = ring_scheme(choice.scheme, choice.kind).ok_or("no scheme for the key")?;
        let signed = self.signer.sign(&self.caller, &pick.ring, Some(&choice.label), scheme, octets);
        signed.map_err(|error| error.to_string())
    }
}

fn parse(name: &str) -> Result<Pick, String> {
    name.parse().map_err(|error: ravelin_rings::Error| error.to_string())
}

fn answer(choice: Choice, signature: Vec<u8>) -> Answer {
    let ends = choice.chain.iter().map(|certificate| certificate.validity().1).min().unwrap_or(0);
    Answer::Signature {
        scheme: choice.scheme,
        signature,
        chain: choice.chain.iter().map(|certificate| certificate.der().to_vec()).collect(),
        good_for: Some(Duration::from_secs(ends).saturating_sub(now())),
    }
}

/// What may be shown of a ring: with its key, trusted and in time. Never none.
fn candidates<'a>(ring: &'a Ring, pick: &Pick) -> Result<Vec<&'a Entry>, String> {
    let now = now().as_secs();
    let named: Vec<_> = match &pick.label {
        Some(label) => vec![ring.entry(label).map_err(|error| error.to_string())?],
        None => ring.entries.iter().collect(),
    };
    let ours =
        |entry: &&Entry| entry.has_key && entry.usage == Usage::Identity && entry.trust == Trust::Trusted;
    let (ours, strange): (Vec<_>, Vec<_>) = named.into_iter().partition(ours);
    if ours.is_empty() {
        let why = if strange.is_empty() { "is empty" } else { "holds no certificate of ours with its key" };
        return Err(format!("{pick} {why}"));
    }
    let in_time = |entry: &&Entry| {
        let (begins, ends) = entry.certificate().validity();
        (begins..=ends).contains(&now)
    };
    let first = ours[0].label.clone();
    let found: Vec<_> = ours.into_iter().filter(in_time).collect();
    match found.is_empty() {
        true => Err(format!("{}/{first} has ended or has not begun; renew it", ring.name)),
        false => Ok(found),
    }
}

fn choose(
    ring: &Ring,
    pick: &Pick,
    identity: &Identity,
    schemes: &[SignatureScheme],
    authorities: &[[u8; 20]],
) -> Result<Choice, String> {
    let wanted = name_of(identity)?;
    let rate = |entry: &Entry| {
        let speaks = speaks_for(entry.certificate(), &wanted);
        (speaks, leads_to(ring, entry, authorities), ring.default.as_ref() == Some(&entry.label))
    };
    let usable = candidates(ring, pick)?.into_iter().filter_map(|entry| {
        let kind = entry.certificate().public_key().ok()?.kind();
        let scheme = schemes.iter().copied().find(|scheme| ring_scheme(*scheme, kind).is_some())?;
        Some((rate(entry), entry, kind, scheme))
    });
    let Some(((speaks, ..), entry, kind, scheme)) = usable.max_by_key(|(rating, ..)| *rating) else {
        let schemes: Vec<_> = schemes.iter().map(SignatureScheme::to_string).collect();
        return Err(format!("no key of {pick} signs by any of {}", schemes.join(", ")));
    };
    if !speaks {
        let (ring, label) = (&ring.name, &entry.label);
        ravelin_events::tell!(IKE_IDENTITY, certificate = %format_args!("{ring}/{label}"), %identity);
    }
    let mut chain = ring.chain(entry);
    // Whoever believes an authority that signed itself has it.
    chain.retain(|certificate| !certificate.is_self_issued() || certificate == entry.certificate());
    Ok(Choice { label: entry.label.clone(), chain, scheme, kind })
}

/// Whether the peer asks for one of the authorities of an entry; one that asks for none takes all.
fn leads_to(ring: &Ring, entry: &Entry, authorities: &[[u8; 20]]) -> bool {
    let wanted =
        |one: &Certificate| one.spki().is_ok_and(|spki| authorities.contains(&authority_hash(&spki)));
    authorities.is_empty() || ring.chain(entry).iter().skip(1).any(wanted)
}

/// The scheme by which a key of this kind makes such a signature: each curve with its own hash.
fn ring_scheme(scheme: SignatureScheme, kind: KeyKind) -> Option<Scheme> {
    let scheme = match scheme {
        SignatureScheme::RsaPssSha256 => Scheme::RsaPssSha256,
        SignatureScheme::RsaPssSha384 => Scheme::RsaPssSha384,
        SignatureScheme::RsaPssSha512 => Scheme::RsaPssSha512,
        SignatureScheme::RsaPkcs1Sha256 => Scheme::RsaPkcs1Sha256,
        SignatureScheme::RsaPkcs1Sha384 => Scheme::RsaPkcs1Sha384,
        SignatureScheme::RsaPkcs1Sha512 => Scheme::RsaPkcs1Sha512,
        SignatureScheme::EcdsaSha256 => Scheme::EcdsaP256Sha256,
        SignatureScheme::EcdsaSha384 => Scheme::EcdsaP384Sha384,
        SignatureScheme::EcdsaSha512 => Scheme::EcdsaP521Sha512,
        SignatureScheme::Ed25519 => Scheme::Ed25519,
    };
    scheme.fits(kind).then_some(scheme)
}
