//! Choosing algorithms (RFC 7296 3.3.6): one transform of each type, ours first.

use crate::crypto::{ChildCipher, Cipher, Group};
use crate::policy::offer::is_key_exchange;
use crate::wire::{
    GroupId, IntegrityId, Proposal, ProposalSpi, SecurityAssociation, SequenceNumbers, Transform, TransformId,
};

/// The first of our proposals that the peer offers too, and the answer to send, with `spi` in it.
/// `spi` is our SPI: none in the first exchange of an IKE SA.
pub(crate) fn choose(ours: &[Proposal], theirs: &SecurityAssociation, spi: ProposalSpi) -> Option<Proposal> {
    ours.iter().find_map(|own| {
        theirs.proposals.iter().filter(|peer| peer.protocol == own.protocol).find_map(|peer| {
            let transforms = choose_transforms(&own.transforms, &peer.transforms)?;
            Some(Proposal { number: peer.number, protocol: own.protocol, spi, transforms })
        })
    })
}

/// Whether a transform says that nothing is to be done.
fn is_none(transform: &Transform) -> bool {
    matches!(
        transform.id,
        TransformId::Integrity(IntegrityId::None)
            | TransformId::Group(GroupId::None)
            | TransformId::AdditionalGroup(_, GroupId::None)
            | TransformId::SequenceNumbers(SequenceNumbers::Short)
    )
}

/// Transform types 1 to 12.
const KINDS: std::ops::RangeInclusive<u8> = 1..=12;

fn choose_transforms(ours: &[Transform], theirs: &[Transform]) -> Option<Vec<Transform>> {
    if theirs.iter().any(|transform| !KINDS.contains(&transform.id.kind())) {
        return None;
    }
    let mut chosen = Vec::new();
    for kind in KINDS {
        let of_kind = |list: &[Transform]| -> Vec<Transform> {
            list.iter().filter(|transform| transform.id.kind() == kind).cloned().collect()
        };
        match (of_kind(ours), of_kind(theirs)) {
            (own, peer) if own.is_empty() && peer.is_empty() => {}
            (own, peer) if peer.is_empty() => {
                own.iter().find(|transform| is_none(transform))?;
            }
            (own, peer) if own.is_empty() => chosen.push(peer.into_iter().find(is_none)?),
            (own, peer) => chosen.push(own.into_iter().find(|transform| peer.contains(transform))?),
        }
    }
    Some(chosen)
}

/// Whether an answer is one of the proposals that we sent, with one transform of each type out of it.
pub(crate) fn is_answer_to(answer: &SecurityAssociation, sent: &[Proposal]) -> Option<Proposal> {
    let [chosen] = &answer.proposals[..] else { return None };
    let ours = sent.iter().find(|own| own.number == chosen.number && own.protocol == chosen.protocol)?;
    let again = choose_transforms(&ours.transforms, &chosen.transforms)?;
    let same = again.len() == chosen.transforms.len()
        && again.iter().all(|transform| chosen.transforms.contains(transform));
    same.then(|| chosen.clone())
}

/// Leaves key exchanges out, as IKE_AUTH has none (RFC 7296 1.2).
pub(crate) fn without_groups(offer: &SecurityAssociation) -> SecurityAssociation {
    let mut offer = offer.clone();
    for proposal in &mut offer.proposals {
        proposal.transforms.retain(|transform| !is_key_exchange(transform));
    }
    offer
}

/// Whether no proposal has a cipher and a key exchange that are any good today (RFC 8247).
pub(crate) fn only_weak(offer: &SecurityAssociation) -> bool {
    !offer.proposals.iter().any(|proposal| {
        let transforms = &proposal.transforms;
        let cipher = |transform: &Transform| {
            Cipher::from_transform(transform).is_some() || ChildCipher::from_transform(transform).is_some()
        };
        transforms.iter().any(cipher)
            && transforms.iter().any(|transform| Group::from_transform(transform).is_some())
    })
}

/// Both sides' offers, for people.
pub(crate) fn both(ours: &[Proposal], theirs: &SecurityAssociation) -> String {
    let ours = SecurityAssociation { proposals: ours.to_vec() };
    format!("we offer {ours}; the peer offers {theirs}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crypto::{Integrity, KeySize, Prf};
    use crate::policy::IkeOffer;
    use crate::wire::{EncryptionId, PrfId, ProtocolId};

    fn offer(ciphers: &[Cipher], groups: &[Group], additional: &[Vec<Option<Group>>]) -> Proposal {
        let offer = IkeOffer::new(ciphers, &[], &[Prf::HmacSha256, Prf::HmacSha512], groups, additional);
        offer.expect("sound").proposal(1, ProposalSpi::None, true)
    }

    fn of(proposal: &Proposal) -> SecurityAssociation {
        SecurityAssociation { proposals: vec![proposal.clone()] }
    }

    const GCM128: Cipher = Cipher::AesGcm16(KeySize::Bits128);
    const GCM256: Cipher = Cipher::AesGcm16(KeySize::Bits256);

    #[test]
    fn our_order_decides_and_the_answer_is_accepted() {
        let ours = offer(&[GCM256, GCM128], &[Group::Curve25519], &[]);
        let theirs = offer(&[GCM128, GCM256], &[Group::Ecp256, Group::Curve25519], &[]);
        let chosen = choose(&[ours], &of(&theirs), ProposalSpi::None).expect("they share much");
        assert!(chosen.transforms.contains(&GCM256.transform()));
        assert_eq!(chosen.transforms.len(), 3);
        assert_eq!(is_answer_to(&of(&chosen), std::slice::from_ref(&theirs)), Some(chosen.clone()));
        let mut widened = chosen;
        widened.transforms.push(Group::Ecp256.transform());
        assert_eq!(is_answer_to(&of(&widened), &[theirs]), None, "two of one type are no choice");
    }

    #[test]
    fn additional_exchanges_fall_away_only_where_policy_lets_them() {
        let must = offer(&[GCM128], &[Group::Curve25519], &[vec![Some(Group::MlKem768)]]);
        let may = offer(&[GCM128], &[Group::Curve25519], &[vec![Some(Group::MlKem768), None]]);
        let plain = offer(&[GCM128], &[Group::Curve25519], &[]);
        assert!(choose(std::slice::from_ref(&must), &of(&plain), ProposalSpi::None).is_none());
        assert!(choose(std::slice::from_ref(&plain), &of(&must), ProposalSpi::None).is_none());
        assert!(choose(std::slice::from_ref(&may), &of(&plain), ProposalSpi::None).is_some());
        let both = choose(std::slice::from_ref(&may), &of(&must), ProposalSpi::None).expect("both want it");
        assert!(both.transforms.iter().any(|transform| transform.id.kind() == 6));
    }

    #[test]
    fn unknown_types_and_attributes_are_never_chosen() {
        let ours = offer(&[GCM128], &[Group::Curve25519], &[]);
        let mut odd = ours.clone();
        odd.transforms.push(Transform::new(TransformId::Unknown { kind: 99, id: 1 }));
        assert!(choose(std::slice::from_ref(&ours), &of(&odd), ProposalSpi::None).is_none());
    }

    #[test]
    fn what_is_obsolete_is_named_so() {
        let transforms = vec![
            Transform::new(TransformId::Encryption(EncryptionId::TripleDes)),
            Transform::new(TransformId::Prf(PrfId::HmacMd5)),
            Transform::new(TransformId::Group(GroupId::Modp1024)),
        ];
        let old = Proposal { number: 1, protocol: ProtocolId::Ike, spi: ProposalSpi::None, transforms };
        assert!(only_weak(&of(&old)));
        let cbc = IkeOffer::new(
            &[Cipher::AesCbc(KeySize::Bits256)],
            &[Integrity::HmacSha256],
            &[Prf::HmacSha256],
            &[Group::Modp2048],
            &[],
        );
        assert!(!only_weak(&of(&cbc.expect("sound").proposal(1, ProposalSpi::None, true))));
    }
}
