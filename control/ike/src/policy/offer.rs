//! What we offer and accept, by algorithm (RFC 8247 and 8221; rows B30 and B32). Weak ones have no name here.

use crate::crypto::{ChildCipher, Cipher, Group, Integrity, Prf};
use crate::wire::{
    GroupId, Proposal, ProposalSpi, ProtocolId, SequenceNumbers, Slot, Transform, TransformId,
};

/// Why an offer cannot stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OfferError {
    /// AEAD with integrity, or encryption without.
    #[error(
        "an offer has either ciphers that authenticate by themselves and no integrity, or others and an integrity"
    )]
    Integrity,
    /// A list that needs an entry is empty.
    #[error("an offer needs at least one {0}")]
    Empty(&'static str),
    /// What comes on top needs something below.
    #[error("additional key exchanges of a child come on top of PFS that is not optional")]
    NoFirst,
    /// More than [`Slot::ALL`].
    #[error("an offer has at most seven additional key exchanges (RFC 9370)")]
    TooManyAdditional,
    /// ML-KEM hides nothing from who can break it, if it should turn out weak: it comes on top of another.
    #[error("{0} comes on top of another key exchange, not first")]
    FirstIsKem(Group),
}

fn check_integrity(aead: impl Iterator<Item = bool>, integrity: &[Integrity]) -> Result<(), OfferError> {
    let aead: Vec<bool> = aead.collect();
    if aead.is_empty() {
        return Err(OfferError::Empty("cipher"));
    }
    let fits =
        if integrity.is_empty() { aead.iter().all(|aead| *aead) } else { aead.iter().all(|aead| !*aead) };
    if fits { Ok(()) } else { Err(OfferError::Integrity) }
}

fn check_first(mut groups: impl Iterator<Item = Group>) -> Result<(), OfferError> {
    groups.find(|group| group.is_kem()).map_or(Ok(()), |group| Err(OfferError::FirstIsKem(group)))
}

/// Algorithms of an IKE SA, the preferred first in each list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeOffer {
    transforms: Vec<Transform>,
}

impl IkeOffer {
    /// Checks the lists. `additional` are key exchanges on top of the first (RFC 9370), each a list of choices; `None` among
    /// them lets the peer do without.
    pub fn new(
        ciphers: &[Cipher],
        integrity: &[Integrity],
        prfs: &[Prf],
        groups: &[Group],
        additional: &[Vec<Option<Group>>],
    ) -> Result<Self, OfferError> {
        check_integrity(ciphers.iter().map(|cipher| cipher.is_aead()), integrity)?;
        check_first(groups.iter().copied())?;
        if groups.is_empty() {
            return Err(OfferError::Empty("key exchange"));
        }
        if prfs.is_empty() {
            return Err(OfferError::Empty("pseudorandom function"));
        }
        let additional = additional_transforms(additional)?;
        let mut transforms: Vec<_> = ciphers.iter().map(|cipher| cipher.transform()).collect();
        transforms.extend(integrity.iter().map(|integrity| integrity.transform()));
        transforms.extend(prfs.iter().map(|prf| prf.transform()));
        transforms.extend(groups.iter().map(|group| group.transform()));
        transforms.extend(additional);
        Ok(Self { transforms })
    }

    /// The offer as it goes out. Rekeys may leave additional key exchanges out: the old SK_d, which holds their secret,
    /// goes into the new keys (RFC 7296 2.18).
    pub(crate) fn proposal(&self, number: u8, spi: ProposalSpi, additional: bool) -> Proposal {
        let keep =
            |transform: &&Transform| additional || !matches!(transform.id, TransformId::AdditionalGroup(..));
        let transforms = self.transforms.iter().filter(keep).cloned().collect();
        Proposal { number, protocol: ProtocolId::Ike, spi, transforms }
    }

    /// The key exchanges, preferred first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> + '_ {
        groups_of(&self.transforms)
    }

    /// All key exchanges, also the additional ones.
    pub(crate) fn all_groups(&self) -> impl Iterator<Item = Group> + '_ {
        self.transforms.iter().filter_map(Group::from_transform)
    }

    /// Whether additional key exchanges are offered.
    pub(crate) fn has_additional(&self) -> bool {
        self.transforms.iter().any(|transform| matches!(transform.id, TransformId::AdditionalGroup(..)))
    }
}

/// Algorithms of a child SA, the preferred first in each list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EspOffer {
    transforms: Vec<Transform>,
}

impl EspOffer {
    /// Checks the lists. An empty `groups` means no PFS; `None` among them makes it optional (row B39). `extended` lists
    /// whether sequence numbers have 64 bits, preferred first.
    pub fn new(
        ciphers: &[ChildCipher],
        integrity: &[Integrity],
        groups: &[Option<Group>],
        extended: &[bool],
    ) -> Result<Self, OfferError> {
        check_integrity(ciphers.iter().map(|cipher| cipher.is_aead()), integrity)?;
        check_first(groups.iter().flatten().copied())?;
        if extended.is_empty() {
            return Err(OfferError::Empty("kind of sequence number"));
        }
        let mut transforms: Vec<_> = ciphers.iter().map(|cipher| cipher.transform()).collect();
        transforms.extend(integrity.iter().map(|integrity| integrity.transform()));
        transforms.extend(groups.iter().map(|group| match group {
            Some(group) => group.transform(),
            None => Transform::new(TransformId::Group(GroupId::None)),
        }));
        transforms.extend(extended.iter().map(|extended| {
            let kind = if *extended { SequenceNumbers::Extended } else { SequenceNumbers::Short };
            Transform::new(TransformId::SequenceNumbers(kind))
        }));
        Ok(Self { transforms })
    }

    /// With key exchanges on top of the first (RFC 9370), as in [`IkeOffer::new`].
    pub fn with_additional(mut self, additional: &[Vec<Option<Group>>]) -> Result<Self, OfferError> {
        let none = TransformId::Group(GroupId::None);
        if !additional.is_empty()
            && (self.first_group().is_none() || self.transforms.iter().any(|one| one.id == none))
        {
            return Err(OfferError::NoFirst);
        }
        self.transforms.extend(additional_transforms(additional)?);
        Ok(self)
    }

    /// The offer as it goes out; in IKE_AUTH without key exchanges (RFC 7296 1.2).
    pub(crate) fn proposal(&self, number: u8, spi: u32, with_groups: bool) -> Proposal {
        let keep = |transform: &&Transform| with_groups || !is_key_exchange(transform);
        let transforms = self.transforms.iter().filter(keep).cloned().collect();
        Proposal { number, protocol: ProtocolId::Esp, spi: ProposalSpi::Child(spi), transforms }
    }

    /// The key exchanges, preferred first.
    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> + '_ {
        groups_of(&self.transforms)
    }

    /// The key exchange to begin with: `None` when PFS is off, or doing without is preferred.
    pub(crate) fn first_group(&self) -> Option<Group> {
        let first = self.transforms.iter().find(|transform| matches!(transform.id, TransformId::Group(_)))?;
        Group::from_transform(first)
    }
}

/// Whether a transform names a key exchange, of whatever place.
pub(crate) fn is_key_exchange(transform: &Transform) -> bool {
    matches!(transform.id, TransformId::Group(_) | TransformId::AdditionalGroup(..))
}

fn additional_transforms(additional: &[Vec<Option<Group>>]) -> Result<Vec<Transform>, OfferError> {
    if additional.len() > Slot::ALL.len() {
        return Err(OfferError::TooManyAdditional);
    }
    let in_slot = |slot: Slot, choice: &Option<Group>| match choice {
        Some(group) => group.additional_transform(slot),
        None => Transform::new(TransformId::AdditionalGroup(slot, GroupId::None)),
    };
    let slots = Slot::ALL.into_iter().zip(additional);
    Ok(slots.flat_map(|(slot, choices)| choices.iter().map(move |choice| in_slot(slot, choice))).collect())
}

fn groups_of(transforms: &[Transform]) -> impl Iterator<Item = Group> + '_ {
    transforms
        .iter()
        .filter(|transform| matches!(transform.id, TransformId::Group(_)))
        .filter_map(Group::from_transform)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::KeySize;

    #[test]
    fn ciphers_and_integrity_must_fit_and_ml_kem_never_stands_alone() {
        let gcm = Cipher::AesGcm16(KeySize::Bits128);
        let cbc = Cipher::AesCbc(KeySize::Bits128);
        let make = |cipher, integrity: &[Integrity], group| {
            IkeOffer::new(&[cipher], integrity, &[Prf::HmacSha256], &[group], &[])
        };
        assert!(make(gcm, &[], Group::Curve25519).is_ok());
        assert!(make(cbc, &[Integrity::HmacSha256], Group::Ecp256).is_ok());
        assert_eq!(make(cbc, &[], Group::Ecp256), Err(OfferError::Integrity));
        assert_eq!(make(gcm, &[Integrity::HmacSha256], Group::Ecp256), Err(OfferError::Integrity));
        assert_eq!(make(gcm, &[], Group::MlKem768), Err(OfferError::FirstIsKem(Group::MlKem768)));
        let null = EspOffer::new(&[ChildCipher::Null], &[], &[], &[true]);
        assert_eq!(null, Err(OfferError::Integrity), "nothing would protect the packets");
    }
}
