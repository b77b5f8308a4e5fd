//! Suites: one algorithm of each kind, as negotiated for an IKE SA or a child SA.

use super::cipher::{ChildCipher, Cipher, Integrity};
use super::group::Group;
use super::prf::Prf;
use crate::wire::{
    GroupId, IntegrityId, Proposal, ProposalSpi, ProtocolId, SequenceNumbers, Slot, Transform, TransformId,
};

/// The additional key exchanges of RFC 9370, by slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AdditionalGroups([Option<Group>; 7]);

impl AdditionalGroups {
    /// None.
    pub const NONE: Self = Self([None; 7]);

    /// With `group` in `slot` too.
    pub fn with(mut self, slot: Slot, group: Group) -> Self {
        self.0[slot.index()] = Some(group);
        self
    }

    /// In the order in which they are done.
    pub fn iter(&self) -> impl Iterator<Item = (Slot, Group)> + '_ {
        Slot::ALL.into_iter().filter_map(|slot| self.0[slot.index()].map(|group| (slot, group)))
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        *self == Self::NONE
    }
}

/// Why a proposal is no suite.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SuiteError {
    /// Not the protocol that was asked for.
    #[error("the proposal is for {0}")]
    Protocol(ProtocolId),
    /// An algorithm that is weak, unknown or has odd attributes.
    #[error("{0} is not supported")]
    Unsupported(Transform),
    /// Two of one type: an answer chooses one.
    #[error("{0} is a second choice of its type")]
    Ambiguous(Transform),
    /// A type that must be there.
    #[error("no {0} transform")]
    Missing(&'static str),
    /// Integrity beside an AEAD cipher, or none beside another.
    #[error("cipher and integrity do not fit each other")]
    Integrity,
}

/// Algorithms of an IKE SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IkeSuite {
    /// Encryption.
    pub cipher: Cipher,
    /// Integrity, exactly when the cipher is not AEAD.
    pub integrity: Option<Integrity>,
    /// Pseudorandom function.
    pub prf: Prf,
    /// First key exchange.
    pub group: Group,
    /// Additional key exchanges.
    pub additional: AdditionalGroups,
}

/// Algorithms of an ESP SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChildSuite {
    /// Encryption.
    pub cipher: ChildCipher,
    /// Integrity, exactly when the cipher is not AEAD.
    pub integrity: Option<Integrity>,
    /// Key exchange of its own (PFS).
    pub group: Option<Group>,
    /// Additional key exchanges.
    pub additional: AdditionalGroups,
    /// Whether sequence numbers have 64 bits.
    pub extended_sequence: bool,
}

/// One transform of each type, collected from a proposal.
#[derive(Default)]
struct Choice<'a> {
    encryption: Option<&'a Transform>,
    prf: Option<&'a Transform>,
    integrity: Option<&'a Transform>,
    group: Option<&'a Transform>,
    sequence: Option<&'a Transform>,
    additional: [Option<&'a Transform>; 7],
}

impl<'a> Choice<'a> {
    fn of(proposal: &'a Proposal) -> Result<Self, SuiteError> {
        let mut choice = Self::default();
        for transform in &proposal.transforms {
            let place = match transform.id {
                TransformId::Encryption(_) => &mut choice.encryption,
                TransformId::Prf(_) => &mut choice.prf,
                TransformId::Integrity(_) => &mut choice.integrity,
                TransformId::Group(_) => &mut choice.group,
                TransformId::SequenceNumbers(_) => &mut choice.sequence,
                TransformId::AdditionalGroup(slot, _) => &mut choice.additional[slot.index()],
                TransformId::Unknown { .. } => return Err(SuiteError::Unsupported(transform.clone())),
            };
            if place.replace(transform).is_some() {
                return Err(SuiteError::Ambiguous(transform.clone()));
            }
        }
        Ok(choice)
    }

    /// `None` where a transform says NONE or nothing is there (RFC 7296 3.3.3, RFC 9370 2.2.2).
    fn integrity(&self, aead: bool) -> Result<Option<Integrity>, SuiteError> {
        let found = match self.integrity {
            None => None,
            Some(none) if none.id == TransformId::Integrity(IntegrityId::None) => None,
            Some(other) => Some(known(other, Integrity::from_transform)?),
        };
        if found.is_some() == aead { Err(SuiteError::Integrity) } else { Ok(found) }
    }

    fn group(&self) -> Result<Option<Group>, SuiteError> {
        self.group.map_or(Ok(None), optional_group)
    }

    fn additional(&self) -> Result<AdditionalGroups, SuiteError> {
        let mut groups = AdditionalGroups::NONE;
        for slot in Slot::ALL {
            groups.0[slot.index()] = self.additional[slot.index()].map_or(Ok(None), optional_group)?;
        }
        Ok(groups)
    }
}

fn known<T>(transform: &Transform, find: impl Fn(&Transform) -> Option<T>) -> Result<T, SuiteError> {
    find(transform).ok_or_else(|| SuiteError::Unsupported(transform.clone()))
}

fn optional_group(transform: &Transform) -> Result<Option<Group>, SuiteError> {
    match transform.id {
        TransformId::Group(GroupId::None) | TransformId::AdditionalGroup(_, GroupId::None) => Ok(None),
        _ => known(transform, Group::from_transform).map(Some),
    }
}

fn check_protocol(proposal: &Proposal, wanted: ProtocolId) -> Result<(), SuiteError> {
    if proposal.protocol == wanted { Ok(()) } else { Err(SuiteError::Protocol(proposal.protocol)) }
}

impl IkeSuite {
    /// The suite that an answer names: exactly one known transform of each type that is needed.
    pub fn from_proposal(proposal: &Proposal) -> Result<Self, SuiteError> {
        check_protocol(proposal, ProtocolId::Ike)?;
        let choice = Choice::of(proposal)?;
        if let Some(sequence) = choice.sequence {
            return Err(SuiteError::Unsupported(sequence.clone()));
        }
        let cipher = choice.encryption.ok_or(SuiteError::Missing("encryption"))?;
        let cipher = known(cipher, Cipher::from_transform)?;
        Ok(Self {
            cipher,
            integrity: choice.integrity(cipher.is_aead())?,
            prf: known(choice.prf.ok_or(SuiteError::Missing("PRF"))?, Prf::from_transform)?,
            group: choice.group()?.ok_or(SuiteError::Missing("key exchange"))?,
            additional: choice.additional()?,
        })
    }

    /// As a proposal with one choice of each type.
    pub fn to_proposal(&self, number: u8, spi: ProposalSpi) -> Proposal {
        let mut transforms = vec![self.cipher.transform()];
        transforms.extend(self.integrity.map(Integrity::transform));
        transforms.push(self.prf.transform());
        transforms.push(self.group.transform());
        transforms.extend(self.additional.iter().map(|(slot, group)| group.additional_transform(slot)));
        Proposal { number, protocol: ProtocolId::Ike, spi, transforms }
    }
}

impl ChildSuite {
    /// The suite that an answer names.
    pub fn from_proposal(proposal: &Proposal) -> Result<Self, SuiteError> {
        check_protocol(proposal, ProtocolId::Esp)?;
        let choice = Choice::of(proposal)?;
        if let Some(prf) = choice.prf {
            return Err(SuiteError::Unsupported(prf.clone()));
        }
        let cipher = choice.encryption.ok_or(SuiteError::Missing("encryption"))?;
        let cipher = known(cipher, ChildCipher::from_transform)?;
        let sequence = choice.sequence.ok_or(SuiteError::Missing("sequence number"))?;
        Ok(Self {
            cipher,
            integrity: choice.integrity(cipher.is_aead())?,
            group: choice.group()?,
            additional: choice.additional()?,
            extended_sequence: known(sequence, extended_sequence)?,
        })
    }

    /// As a proposal with one choice of each type.
    pub fn to_proposal(&self, number: u8, spi: u32) -> Proposal {
        let mut transforms = vec![self.cipher.transform()];
        transforms.extend(self.integrity.map(Integrity::transform));
        transforms.extend(self.group.map(Group::transform));
        transforms.extend(self.additional.iter().map(|(slot, group)| group.additional_transform(slot)));
        let sequence =
            if self.extended_sequence { SequenceNumbers::Extended } else { SequenceNumbers::Short };
        transforms.push(Transform::new(TransformId::SequenceNumbers(sequence)));
        Proposal { number, protocol: ProtocolId::Esp, spi: ProposalSpi::Child(spi), transforms }
    }
}

fn extended_sequence(transform: &Transform) -> Option<bool> {
    match transform.id {
        TransformId::SequenceNumbers(SequenceNumbers::Short) => Some(false),
        TransformId::SequenceNumbers(SequenceNumbers::Extended) => Some(true),
        _ => None,
    }
}

impl std::fmt::Display for IkeSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_proposal(1, ProposalSpi::None).fmt_algorithms(f)
    }
}

impl std::fmt::Display for ChildSuite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_proposal(1, 0).fmt_algorithms(f)
    }
}
