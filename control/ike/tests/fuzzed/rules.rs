//! What the endpoint under test wants of its peer, by how both prove themselves.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_contract::secret::Secret;
use ravelin_ike::crypto::{ChildCipher, Cipher, Group, KeySize, Prf, SignatureScheme};
use ravelin_ike::policy::{
    Child, Demand, Eap, EapMethod, Encapsulation, EspOffer, Identity, IdentityPattern, IkeOffer, Lease,
    Lifetime, LogIn, Narrowing, Peer, PerResource, Policy, Proof, Revocation, Start, Traffic, Trust,
};

use super::mallory::{PASSWORD, SHARED_KEY};

/// How both sides prove themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Proofs {
    /// Both by the shared key.
    Shared,
    /// The peer by the shared key, we by a signature.
    WeSign,
    /// We by the shared key, the peer by a signature.
    TheySign,
    /// Whoever began by EAP with a password, the other by the shared key.
    Password,
    /// Whoever began by EAP with a certificate, the other by the shared key.
    Certificate,
}

impl Proofs {
    pub(crate) const ALL: [Self; 5] =
        [Self::Shared, Self::WeSign, Self::TheySign, Self::Password, Self::Certificate];

    /// Whether whoever began leaves its proof to EAP.
    pub(crate) fn by_eap(self) -> bool {
        matches!(self, Self::Password | Self::Certificate)
    }
}

/// Whose certificates are believed.
pub(crate) fn trust() -> Trust {
    let schemes = vec![SignatureScheme::Ed25519];
    Trust { authorities: vec!["ca".into()], revocation: Revocation::Off, schemes }
}

fn key() -> Secret {
    Secret::new(SHARED_KEY.to_vec())
}

/// How we prove ourselves.
fn proof(proofs: Proofs, theirs_begins: bool) -> Proof {
    let log_in = |by| Proof::Eap { user: "mallory".into(), by };
    match proofs {
        Proofs::WeSign => Proof::Key { key: "gate".into(), schemes: vec![SignatureScheme::Ed25519] },
        Proofs::Password if !theirs_begins => log_in(LogIn::Password(Secret::new(PASSWORD.into()))),
        Proofs::Certificate if !theirs_begins => {
            log_in(LogIn::Certificate { key: "gate".into(), trust: trust() })
        }
        _ => Proof::SharedKey(key()),
    }
}

/// How the peer must.
fn demand(proofs: Proofs, theirs_begins: bool) -> Demand {
    let eap = |method| Demand::Eap(Eap { methods: vec![method], alone: false });
    match proofs {
        Proofs::TheySign => Demand::Certificate(trust()),
        Proofs::Password if theirs_begins => eap(EapMethod::MsChapV2),
        Proofs::Certificate if theirs_begins => eap(EapMethod::Tls(trust())),
        _ => Demand::SharedKey(key()),
    }
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).expect("a name")
}

fn net(octet: u8) -> Traffic {
    Traffic::of(AddressRange::prefix([10, octet, 0, 0].into(), 16).expect("a prefix"))
}

/// Whoever begins may ask for an address, and only who comes to us gets one of ours.
pub(crate) fn policy(ours: SocketAddr, theirs: SocketAddr, theirs_begins: bool, proofs: Proofs) -> Policy {
    let esp = |groups: &[Option<Group>]| {
        EspOffer::new(&[ChildCipher::AesGcm16(KeySize::Bits128)], &[], groups, &[true, false]).expect("sound")
    };
    let more =
        esp(&[Some(Group::Curve25519)]).with_additional(&[vec![Some(Group::MlKem768)]]).expect("sound");
    let ike = IkeOffer::new(
        &[Cipher::AesGcm16(KeySize::Bits128)],
        &[],
        &[Prf::HmacSha256],
        &[Group::Curve25519],
        &[vec![Some(Group::MlKem768), None]],
    );
    let child = Child {
        name: name("net"),
        local: vec![net(1)],
        remote: vec![net(2)],
        offers: vec![esp(&[Some(Group::Curve25519), None]), more],
        encapsulation: Encapsulation::Either,
        lifetime: Lifetime { soft: Some(Duration::from_secs(40)), ..Lifetime::default() },
        start: Start::OnCommand,
        narrowing: Narrowing::Rule,
        per_resource: PerResource { count: 2, required: false },
    };
    let range = AddressRange::prefix([10, 2, 0, 0].into(), 29).expect("a prefix");
    let lease = Lease {
        pool: name("pool"),
        addresses: vec![range],
        dns: vec![[10, 1, 0, 53].into()],
        domains: vec!["corp.example".into()],
        subnets: Vec::new(),
    };
    let peer = Peer {
        name: name("mallory"),
        local_addresses: Vec::new(),
        remote_addresses: Vec::new(),
        initiate: Some((ours, theirs)),
        local_identity: Identity::Fqdn("gate.example".into()),
        proof: proof(proofs, theirs_begins),
        remote_identity: IdentityPattern::Exactly(Identity::Fqdn("mallory.example".into())),
        demand: demand(proofs, theirs_begins),
        ppk: None,
        offers: vec![ike.expect("sound")],
        lifetime: Lifetime { soft: Some(Duration::from_secs(90)), ..Lifetime::default() },
        reauthenticate: None,
        liveness: Some(Duration::from_secs(20)),
        allow_nat: true,
        force_udp: false,
        mobike: true,
        fragment_above: 400,
        request_address: !theirs_begins,
        lease: theirs_begins.then_some(lease),
        redirect_to: None,
        unique: true,
        children: vec![Arc::new(child)],
    };
    Policy { peers: vec![Arc::new(peer)], ..Policy::default() }
}
