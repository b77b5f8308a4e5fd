//! What initiators want of a gateway, and what a gateway in memory wants of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use anyhow::{Context, Result};
use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_contract::secret::Secret;
use ravelin_ike::crypto::{ChildCipher, Cipher, Group, KeySize, Prf, SignatureScheme, SystemRandom};
use ravelin_ike::policy::{
    Child, Demand, Encapsulation, EspOffer, Identity, IdentityPattern, IkeOffer, Lifetime, Limits, Narrowing,
    Peer, PerResource, Policy, Proof, Revocation, Start, Traffic, Trust,
};
use ravelin_ike::{Action, Command, Endpoint, Input, Time};

use super::{CERTIFIED, Kind, NETWORK, Target};

/// Prefix length of all initiators' addresses together.
const LENGTH: u8 = 12;

/// What differs from side to side.
struct Side {
    name: String,
    initiate: Option<(SocketAddr, SocketAddr)>,
    us: Identity,
    them: IdentityPattern,
    near: Traffic,
    far: Traffic,
}

fn net(address: Ipv4Addr, length: u8) -> Result<Traffic> {
    Ok(Traffic::of(AddressRange::prefix(address.into(), length).context("a prefix")?))
}

fn fqdn(name: &str) -> Identity {
    Identity::Fqdn(name.to_owned())
}

/// The rule of initiator `number`.
pub(super) fn initiator(target: &Target, number: u32) -> Result<Peer> {
    let us = match target.kind {
        Kind::Certificate => fqdn(CERTIFIED),
        _ => fqdn(&format!("site-{number}.example")),
    };
    let side = Side {
        name: format!("site-{number}"),
        initiate: Some(target.ends(number)?),
        us,
        them: IdentityPattern::Exactly(fqdn(&target.gateway)),
        near: net(Ipv4Addr::from_bits(NETWORK.to_bits() + number), 32)?,
        far: net(target.network, 24)?,
    };
    rule(target, side)
}

/// What a gateway in memory wants: anybody may come, all at once.
pub fn responder(target: &Target) -> Result<Arc<Policy>> {
    let side = Side {
        name: "initiators".to_owned(),
        initiate: None,
        us: fqdn(&target.gateway),
        them: IdentityPattern::Any,
        near: net(target.network, 24)?,
        far: net(NETWORK, LENGTH)?,
    };
    let limits = Limits { rate_per_source: u32::MAX, ..Limits::default() };
    let peers = vec![Arc::new(rule(target, side)?)];
    Ok(Arc::new(Policy { peers, limits, ..Policy::default() }))
}

fn rule(target: &Target, side: Side) -> Result<Peer> {
    let size = KeySize::Bits256;
    let (group, additional) = match target.kind {
        Kind::SharedKey | Kind::Certificate => (Group::Curve25519, vec![]),
        Kind::PostQuantum => (Group::Curve25519, vec![vec![Some(Group::MlKem768)]]),
        Kind::Modp => (Group::Modp2048, vec![]),
    };
    let offer = IkeOffer::new(&[Cipher::AesGcm16(size)], &[], &[Prf::HmacSha256], &[group], &additional)?;
    let (proof, demand) = proofs(target);
    let child = Child {
        name: Name::new("net").context("a name")?,
        local: vec![side.near],
        remote: vec![side.far],
        offers: vec![EspOffer::new(&[ChildCipher::AesGcm16(size)], &[], &[], &[true, false])?],
        encapsulation: Encapsulation::Tunnel,
        lifetime: Lifetime::default(),
        start: if side.initiate.is_some() { Start::OnCommand } else { Start::Remote },
        narrowing: Narrowing::Rule,
        per_resource: PerResource::default(),
    };
    Ok(Peer {
        name: Name::new(side.name).context("a name")?,
        local_addresses: Vec::new(),
        remote_addresses: Vec::new(),
        initiate: side.initiate,
        local_identity: side.us,
        proof,
        remote_identity: side.them,
        demand,
        ppk: None,
        offers: vec![offer],
        lifetime: Lifetime::default(),
        reauthenticate: None,
        liveness: None,
        allow_nat: true,
        force_udp: false,
        mobike: false,
        fragment_above: 1200,
        request_address: false,
        lease: None,
        redirect_to: None,
        unique: false,
        children: vec![Arc::new(child)],
    })
}

fn proofs(target: &Target) -> (Proof, Demand) {
    let secret = || Secret::new(target.secret.as_bytes().to_vec());
    let schemes = || vec![SignatureScheme::EcdsaSha256];
    match target.kind {
        Kind::Certificate => {
            let trust = Trust {
                authorities: vec!["root".to_owned()],
                revocation: Revocation::Soft,
                schemes: schemes(),
            };
            (Proof::Key { key: "own".to_owned(), schemes: schemes() }, Demand::Certificate(trust))
        }
        _ => (Proof::SharedKey(secret()), Demand::SharedKey(secret())),
    }
}

/// The first message that an initiator would send.
pub fn first_message(target: &Target) -> Result<Vec<u8>> {
    let peer = initiator(target, 0)?;
    let up = Command::Up { peer: peer.name.clone() };
    let policy = Arc::new(Policy { peers: vec![Arc::new(peer)], ..Policy::default() });
    let mut endpoint = Endpoint::new(Time::from_micros(0), policy, &mut SystemRandom);
    let actions = endpoint.handle(Time::from_micros(1), Input::Command(up), &mut SystemRandom);
    let sent = |action| match action {
        Action::Send { bytes, .. } => Some(bytes),
        _ => None,
    };
    actions.into_iter().find_map(sent).context("nothing was sent")
}
