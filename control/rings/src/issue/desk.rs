//! What an operator does with certificates of a ring: make, request, receive, renew, rekey, roll over (rows E24 to E26, E31, E39).

use der::Decode;
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, NameConstraints, SubjectAltName};

use super::{Constraints, HeldKey, Plan, Profile, make_request, self_sign};
use crate::certificate::Certificate;
use crate::key::KeyKind;
use crate::name::{Label, Place, RingName};
use crate::ring::{Trust, Usage};
use crate::signer::Signer;
use crate::store::Rings;
use crate::verify::{self, Anchors, Presented, Purpose, Requirements};
use crate::{Error, Result};

/// The rings, the door to their keys, and the time.
#[derive(Debug)]
pub struct Desk<'a> {
    rings: &'a Rings,
    signer: &'a Signer,
    now: u64,
}

/// What came of receiving a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A key that waited has its certificate now.
    New(Label),
    /// A certificate has a successor for the same key.
    Renewed(Label),
}

impl<'a> Desk<'a> {
    /// A desk at the moment `now`, in seconds since 1970.
    pub fn new(rings: &'a Rings, signer: &'a Signer, now: u64) -> Self {
        Self { rings, signer, now }
    }

    /// Makes a key and a certificate that it signs for itself. Authorities become trust anchors of the ring.
    pub fn self_sign(&self, place: &Place, kind: KeyKind, plan: &Plan) -> Result<Certificate> {
        self.with_new_key(place, kind, |key| Ok(vec![self_sign(plan, key)?]), plan.profile)
    }

    /// Makes a key whose certificate `certify` gets from elsewhere, such as an authority in another ring.
    pub fn with_new_key(
        &self,
        place: &Place,
        kind: KeyKind,
        certify: impl FnOnce(&HeldKey<'_>) -> Result<Vec<Certificate>>,
        profile: Profile,
    ) -> Result<Certificate> {
        self.rings.change(&place.ring, |draft| draft.generate(&place.label, kind))?;
        let made = self.key(place).and_then(|key| certify(&key));
        self.or_undo(place, made).and_then(|chain| {
            let certificate = chain.first().cloned();
            self.rings.change(&place.ring, |draft| {
                let label = draft.receive(chain, Trust::Trusted)?;
                match profile {
                    Profile::Ca(_) => draft.set_usage(&label, Usage::TrustAnchor),
                    _ => Ok(()),
                }
            })?;
            certificate.ok_or_else(|| Error::Unfit("no certificate was made".to_owned()))
        })
    }

    /// Makes a key and the request for its certificate (PKCS#10, DER), which waits under the label.
    pub fn request(
        &self,
        place: &Place,
        kind: KeyKind,
        plan: &Plan,
        challenge: Option<&str>,
    ) -> Result<Vec<u8>> {
        self.rings.change(&place.ring, |draft| draft.generate(&place.label, kind))?;
        let made = self.key(place).and_then(|key| make_request(&plan.subject, &plan.names, challenge, &key));
        let request = self.or_undo(place, made)?;
        self.rings.change(&place.ring, |draft| draft.set_request(&place.label, request.clone()))?;
        Ok(request)
    }

    /// A request for the key and the names of a certificate that is there: to renew it.
    pub fn renewal_request(&self, place: &Place) -> Result<Vec<u8>> {
        let plan = self.plan_like(place, 1)?;
        make_request(&plan.subject, &plan.names, None, &self.key(place)?)
    }

    /// A request for a new key and the names of a certificate that is there. It waits under `successor`.
    pub fn rekey_request(&self, place: &Place, successor: &Label, kind: Option<KeyKind>) -> Result<Vec<u8>> {
        let plan = self.plan_like(place, 1)?;
        let kind = match kind {
            Some(kind) => kind,
            None => self.rings.open(&place.ring)?.entry(&place.label)?.certificate().public_key()?.kind(),
        };
        self.request(&Place { ring: place.ring.clone(), label: successor.clone() }, kind, &plan, None)
    }

    /// Renews a certificate that signed itself: same key, same names, new dates.
    pub fn renew_self_signed(&self, place: &Place, days: u32) -> Result<Certificate> {
        let plan = self.plan_like(place, days)?;
        let ring = self.rings.open(&place.ring)?;
        if !ring.entry(&place.label)?.certificate().is_self_issued() {
            return Err(Error::Unfit(format!(
                "{place} has an issuer; ask it with a request, or name it with --ca"
            )));
        }
        let renewed = self_sign(&plan, &self.key(place)?)?;
        self.rings.change(&place.ring, |draft| draft.replace_chain(&place.label, vec![renewed.clone()]))?;
        Ok(renewed)
    }

    /// Takes in the certificate for a key that waits, or a successor for one that is there. Its chain must lead to
    /// `anchors`.
    pub fn receive(&self, ring: &RingName, chain: Vec<Certificate>, anchors: &Anchors) -> Result<Received> {
        self.check_chain(&chain, anchors)?;
        let public =
            chain.first().ok_or_else(|| Error::Unfit("there is no certificate".to_owned()))?.public_key()?;
        let renewed = self.rings.open(ring)?.entries.into_iter().find(|entry| {
            entry.has_key
                && entry.connected.is_none()
                && entry.certificate().public_key().is_ok_and(|key| key == public)
        });
        self.rings.change(ring, |draft| match renewed {
            Some(entry) => {
                draft.replace_chain(&entry.label, chain)?;
                Ok(Received::Renewed(entry.label))
            }
            None => draft.receive(chain, Trust::Trusted).map(Received::New),
        })
    }

    fn check_chain(&self, chain: &[Certificate], anchors: &Anchors) -> Result<()> {
        let ders: Vec<_> = chain
            .iter()
            .map(|certificate| rustls_pki_types::CertificateDer::from(certificate.der()))
            .collect();
        let requirements =
            Requirements::new(Purpose::Inspection, None, crate::revocation::RevocationPolicy::off());
        let now = rustls_pki_types::UnixTime::since_unix_epoch(std::time::Duration::from_secs(self.now));
        let presented = Presented { chain: &ders, stapled: None };
        let cache = crate::revocation::Cache::default();
        match verify::verify(presented, anchors, &requirements, now, &cache) {
            Ok(_) => Ok(()),
            Err(refusal) => Err(Error::Unfit(format!("the certificate is not taken: {refusal}"))),
        }
    }

    /// Lets others believe a successor before it is shown: where `old` is connected as a trust anchor, `new` is too.
    pub fn publish(&self, old: &Place, new: &Place) -> Result<Vec<RingName>> {
        let mut published = Vec::new();
        for name in self.rings.connections(old)? {
            let ring = self.rings.open(&name)?;
            let connected =
                |place: &Place| ring.entries.iter().any(|entry| entry.connected.as_ref() == Some(place));
            let anchor = ring
                .entries
                .iter()
                .any(|entry| entry.connected.as_ref() == Some(old) && entry.usage == Usage::TrustAnchor);
            if anchor && !connected(new) {
                self.rings.change(&name, |draft| {
                    let label = draft.free_label(&new.label)?;
                    draft.connect(&label, new, Usage::TrustAnchor)
                })?;
                published.push(name);
            }
        }
        Ok(published)
    }

    /// The successor takes the label, and with it the place in all rings that look for it and of the default; the old
    /// one goes on under the label that is given back.
    pub fn switch(&self, ring: &RingName, old: &Label, new: &Label) -> Result<Label> {
        self.rings.change(ring, |draft| {
            let (from, to) = (draft.ring().entry(old)?, draft.ring().entry(new)?);
            if from.usage != to.usage || from.has_key != to.has_key {
                return Err(Error::Unfit(format!("{new} is not of the same use as {old}")));
            }
            let was_default = draft.ring().default.as_ref() == Some(old);
            let retired = draft.free_label(&Label::new(format!("{old} (retired)"))?)?;
            draft.rename(old, &retired)?;
            draft.rename(new, old)?;
            if was_default {
                draft.set_default(Some(old))?;
            }
            Ok(retired)
        })
    }

    /// What was switched away from may not be used any more.
    pub fn retire(&self, place: &Place) -> Result<()> {
        self.rings.change(&place.ring, |draft| {
            if draft.ring().default.as_ref() == Some(&place.label) {
                return Err(Error::Unfit(format!(
                    "{place} is the default of its ring; switch to its successor first"
                )));
            }
            draft.set_trust(&place.label, Trust::NotTrusted)
        })
    }

    /// A plan with names, use and limits of a certificate that is there, from now on.
    pub fn plan_like(&self, place: &Place, days: u32) -> Result<Plan> {
        let ring = self.rings.open(&place.ring)?;
        let certificate = ring.entry(&place.label)?.certificate();
        let parts = certificate.parts();
        let names = parts.get_extension::<SubjectAltName>().map_err(|e| unreadable(place, &e))?;
        let names = names.map(|(_, names)| names.0).unwrap_or_default();
        let mut plan = Plan::new(parts.subject().clone(), names, profile_of(certificate), self.now, days);
        let limits = parts.get_extension::<NameConstraints>().map_err(|e| unreadable(place, &e))?;
        if let Some((_, limits)) = limits {
            plan.constraints = Constraints {
                permitted: limits.permitted_subtrees.unwrap_or_default(),
                excluded: limits.excluded_subtrees.unwrap_or_default(),
            };
        }
        Ok(plan)
    }

    fn key(&self, place: &Place) -> Result<HeldKey<'a>> {
        HeldKey::new(self.signer, &self.rings.open(&place.ring)?, place)
    }

    /// Removes the new key again when nothing came of it.
    fn or_undo<T>(&self, place: &Place, made: Result<T>) -> Result<T> {
        if made.is_err() {
            self.rings.change(&place.ring, |draft| draft.remove(&place.label))?;
        }
        made
    }
}

fn unreadable(place: &Place, error: &der::Error) -> Error {
    Error::format(place.to_string(), format!("an extension cannot be read: {error}"))
}

/// What a certificate was made for.
pub fn profile_of(certificate: &Certificate) -> Profile {
    let extension = |oid: &str| {
        let all = certificate.parts().extensions();
        all.and_then(|all| all.iter().find(|extension| extension.extn_id.to_string() == oid))
    };
    let basic =
        extension("2.5.29.19").and_then(|found| BasicConstraints::from_der(found.extn_value.as_bytes()).ok());
    if let Some(basic) = basic
        && basic.ca
    {
        return Profile::Ca(basic.path_len_constraint);
    }
    let purposes =
        extension("2.5.29.37").and_then(|found| ExtendedKeyUsage::from_der(found.extn_value.as_bytes()).ok());
    let has = |oid: &str| {
        purposes.as_ref().is_some_and(|all| all.0.iter().any(|purpose| purpose.to_string() == oid))
    };
    if has("1.3.6.1.5.5.7.3.17") {
        Profile::Ike
    } else if has("1.3.6.1.5.5.7.3.9") {
        Profile::Ocsp
    } else if has("1.3.6.1.5.5.7.3.2") && !has("1.3.6.1.5.5.7.3.1") {
        Profile::Client
    } else {
        Profile::Server
    }
}
