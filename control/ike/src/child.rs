//! One child SA: what the packet process gets of it, and what the IKE SA remembers.

use std::sync::Arc;

use ravelin_contract::name::Name;
use ravelin_contract::sa::{Mode, Spi, Transform};
use ravelin_contract::selector::Selector;
use serde::{Deserialize, Serialize};

use crate::crypto::Random;
use crate::input::{IkeId, Path};
use crate::policy::{self, Identity, Traffic};
use crate::random;
use crate::time::Time;

/// Both directions of a child SA, as [`crate::Action::InstallChild`] hands it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildSa {
    /// [`policy::Peer::name`].
    pub peer: Name,
    /// [`policy::Child::name`].
    pub name: Name,
    /// The IKE SA that it belongs to.
    pub ike: IkeId,
    /// Who the peer proved to be, for filters by identity (row B18).
    pub identity: Identity,
    /// SPI of what comes in; chosen by us, unique among ours.
    pub inbound: Spi,
    /// SPI of what goes out.
    pub outbound: Spi,
    /// Algorithm and key of what comes in.
    pub inbound_transform: Transform,
    /// Algorithm and key of what goes out.
    pub outbound_transform: Transform,
    /// Sequence numbers of 64 bits.
    pub extended_sequence: bool,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Both ends.
    pub path: Path,
    /// Whether ESP goes in UDP between the ports of `path` (RFC 3948).
    pub udp: bool,
    /// Traffic on our side.
    pub local: Vec<Traffic>,
    /// Traffic on the peer's side.
    pub remote: Vec<Traffic>,
    /// The address that the peer saw us at and the one that it believes to have, when these differ in transport mode: for
    /// checksums (RFC 7296 2.23.1).
    pub original: Option<(std::net::IpAddr, std::net::IpAddr)>,
    /// Limits by octets and packets, which the packet process counts.
    pub lifetime: policy::Lifetime,
    /// The child that this one takes over from.
    pub replaces: Option<Spi>,
    /// Whether to send under it at once; otherwise [`crate::Action::UseChild`] follows, or the first authentic packet
    /// that comes in under it says the same.
    pub use_at_once: bool,
    /// Our worker core that sends under it (RFC 9611); none: all that have none of their own.
    pub resource: Option<u16>,
}

impl ChildSa {
    /// Selectors of packets that go out.
    pub fn outbound_selectors(&self) -> Vec<Selector> {
        pairs(&self.local, &self.remote)
    }

    /// Selectors of packets that come in.
    pub fn inbound_selectors(&self) -> Vec<Selector> {
        pairs(&self.remote, &self.local)
    }
}

fn pairs(sources: &[Traffic], destinations: &[Traffic]) -> Vec<Selector> {
    let with =
        |source| destinations.iter().filter_map(move |destination| Traffic::selector(source, destination));
    sources.iter().flat_map(with).collect()
}

/// How far the life of a child has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Life {
    /// In use.
    Standing,
    /// We asked for its successor.
    Rekeying,
    /// Its successor stands; it is to be deleted, by us or the peer.
    Replaced,
    /// We asked to delete it.
    Deleting,
}

/// What an IKE SA remembers of a child.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) policy: Arc<policy::Child>,
    pub(crate) inbound: Spi,
    pub(crate) outbound: Spi,
    pub(crate) local: Box<[Traffic]>,
    pub(crate) remote: Box<[Traffic]>,
    pub(crate) mode: Mode,
    pub(crate) life: Life,
    /// When it is renewed, or, once replaced, when we delete it if the peer has not.
    pub(crate) soft: Option<Time>,
    pub(crate) hard: Option<Time>,
    pub(crate) resource: Option<u16>,
    /// The peer has not shown yet that it has it: our answer, which makes it there, may be lost (RFC 7296 2.8).
    pub(crate) waits: bool,
}

impl Child {
    pub(crate) fn new(sa: &ChildSa, policy: Arc<policy::Child>, now: Time, random: &mut dyn Random) -> Self {
        Self {
            soft: policy.lifetime.soft.map(|soft| now + (soft - random::up_to(random, soft / 10))),
            hard: policy.lifetime.hard.map(|hard| now + hard),
            inbound: sa.inbound,
            outbound: sa.outbound,
            local: sa.local.clone().into(),
            remote: sa.remote.clone().into(),
            mode: sa.mode,
            life: Life::Standing,
            resource: sa.resource,
            waits: false,
            policy,
        }
    }

    /// When something is to be done about it.
    pub(crate) fn deadline(&self) -> Option<Time> {
        let soft = if matches!(self.life, Life::Standing | Life::Replaced) { self.soft } else { None };
        [soft, self.hard].into_iter().flatten().min()
    }

    /// Octets held on the heap.
    pub(crate) fn heap(&self) -> usize {
        (self.local.len() + self.remote.len()) * size_of::<Traffic>()
    }
}
