//! What the operator wants of IKE, as plain values: peers, identities, offers, lifetimes, traffic.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::name::Name;

mod dn;
pub mod identity;
pub mod offer;
pub mod peer;
pub mod traffic;

pub use identity::{Identity, IdentityPattern};
pub use offer::{EspOffer, IkeOffer, OfferError};
pub use peer::{
    Child, Demand, Eap, EapMethod, Encapsulation, Lease, Lifetime, LogIn, Narrowing, Peer, PerResource, Ppk,
    Proof, Revocation, Start, Trust,
};
pub use traffic::Traffic;

pub use crate::part::load::Limits;
pub use crate::window::Retransmission;

/// Everything.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Peers in the operator's order.
    pub peers: Vec<Arc<Peer>>,
    /// SHA-1 of the public keys behind each name of [`Trust::authorities`], for certificate requests (RFC 7296 3.7). They
    /// are no part of a peer: when they change, IKE SAs go on.
    pub authorities: BTreeMap<String, Vec<[u8; 20]>>,
    /// What strangers may cost.
    pub limits: Limits,
    /// How long we wait for answers.
    pub retransmission: Retransmission,
}

impl Policy {
    /// The peer of this name.
    pub fn peer(&self, name: &Name) -> Option<&Arc<Peer>> {
        self.peers.iter().find(|peer| peer.name == *name)
    }

    /// Rules by addresses alone (row B28), the most specific first, among equals in the operator's order.
    pub(crate) fn by_address(&self, local: IpAddr, remote: IpAddr) -> Vec<Arc<Peer>> {
        let mut found: Vec<_> = self.peers.iter().filter(|peer| peer.fits(local, remote)).cloned().collect();
        found.sort_by_key(|peer| std::cmp::Reverse(peer.address_specificity(remote)));
        found
    }

    /// Every rule that fits addresses and identity, the most specific first. `wanted` is whom the peer wants to reach.
    pub(crate) fn by_identity(
        &self,
        (local, remote): (IpAddr, IpAddr),
        identity: &Identity,
        wanted: Option<&Identity>,
    ) -> Vec<Arc<Peer>> {
        let fits = |peer: &&Arc<Peer>| {
            peer.fits(local, remote)
                && peer.remote_identity.matches(identity)
                && wanted.is_none_or(|wanted| {
                    IdentityPattern::Exactly(wanted.clone()).matches(&peer.local_identity)
                })
        };
        let mut found: Vec<_> = self.peers.iter().filter(fits).cloned().collect();
        found.sort_by_key(|peer| {
            std::cmp::Reverse((peer.remote_identity.specificity(), peer.address_specificity(remote)))
        });
        found
    }
}
