//! Policies for two sites.

use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_contract::secret::Secret;
use ravelin_ike::crypto::{ChildCipher, Cipher, Group, KeySize, Prf};
use ravelin_ike::policy::{
    Child, Demand, Encapsulation, EspOffer, Identity, IdentityPattern, IkeOffer, Lifetime, Narrowing, Peer,
    PerResource, Policy, Proof, Start, Traffic,
};

use crate::world::end;

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

pub(crate) fn net(text: &str) -> Traffic {
    let (address, length) = text.split_once('/').expect("a prefix");
    let length = length.parse().expect("a length");
    Traffic::of(AddressRange::prefix(address.parse().expect("an address"), length).expect("a prefix"))
}

pub(crate) fn gcm_x25519(additional: &[Vec<Option<Group>>]) -> IkeOffer {
    let groups = [Group::Curve25519, Group::Ecp256];
    IkeOffer::new(&[Cipher::AesGcm16(KeySize::Bits128)], &[], &[Prf::HmacSha256], &groups, additional)
        .expect("a sound offer")
}

pub(crate) fn esp(groups: &[Option<Group>]) -> EspOffer {
    EspOffer::new(&[ChildCipher::AesGcm16(KeySize::Bits128)], &[], groups, &[true, false])
        .expect("a sound offer")
}

pub(crate) fn child(local: &str, remote: &str) -> Child {
    Child {
        name: name("net"),
        local: vec![net(local)],
        remote: vec![net(remote)],
        offers: vec![esp(&[])],
        encapsulation: Encapsulation::Tunnel,
        lifetime: Lifetime::default(),
        start: Start::OnCommand,
        narrowing: Narrowing::Rule,
        per_resource: PerResource::default(),
    }
}

pub(crate) fn fqdn(text: &str) -> Identity {
    Identity::Fqdn(text.into())
}

pub(crate) fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

/// One side of two: `me` and `you` are identity, address and network.
pub(crate) fn site(me: (&str, &str, &str), you: (&str, &str, &str)) -> Peer {
    Peer {
        name: name("other-site"),
        local_addresses: Vec::new(),
        remote_addresses: Vec::new(),
        initiate: Some((end(me.1, 500), end(you.1, 500))),
        local_identity: fqdn(me.0),
        proof: Proof::SharedKey(secret("correct horse battery staple")),
        remote_identity: IdentityPattern::Exactly(fqdn(you.0)),
        demand: Demand::SharedKey(secret("correct horse battery staple")),
        ppk: None,
        offers: vec![gcm_x25519(&[])],
        lifetime: Lifetime::default(),
        reauthenticate: None,
        liveness: Some(Duration::from_secs(30)),
        allow_nat: true,
        force_udp: false,
        mobike: false,
        fragment_above: 1280,
        request_address: false,
        lease: None,
        redirect_to: None,
        unique: true,
        children: vec![Arc::new(child(me.2, you.2))],
    }
}

const EAST: (&str, &str, &str) = ("east.example", "192.0.2.1", "10.1.0.0/16");
const WEST: (&str, &str, &str) = ("west.example", "198.51.100.1", "10.2.0.0/16");

/// East and west, with the same change to both.
pub(crate) fn sites(change: impl Fn(&mut Peer)) -> (Policy, Policy) {
    let (mut east, mut west) = (site(EAST, WEST), site(WEST, EAST));
    change(&mut east);
    change(&mut west);
    (policy(east), policy(west))
}

pub(crate) fn policy(peer: Peer) -> Policy {
    Policy { peers: vec![Arc::new(peer)], ..Policy::default() }
}

/// The only peer of a policy, to be changed.
pub(crate) fn peer(policy: &mut Policy) -> &mut Peer {
    Arc::make_mut(&mut policy.peers[0])
}

/// The first child of a peer, to be changed.
pub(crate) fn first_child(peer: &mut Peer) -> &mut Child {
    Arc::make_mut(&mut peer.children[0])
}
