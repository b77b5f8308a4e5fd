//! What lies on top of the two first exchanges: certificates, PPK, addresses, redirects, moves, several cores.

use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use ravelin_contract::selector::FlowKey;
use ravelin_ike::crypto::SignatureScheme;
use ravelin_ike::policy::{
    Demand, Encapsulation, Narrowing, Peer, PerResource, Ppk, Proof, Revocation, Start, Trust,
};
use ravelin_ike::{Answer, Ask, Code, Command, Input, Path};

use crate::network::{Datagram, Nat};
use crate::policies::{first_child, name, peer, secret, sites};
use crate::world::{A, B, World, end};

const SECOND: Duration = Duration::from_secs(1);

fn up_with(world: &mut World) {
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND * 3);
}

fn assert_stands(world: &World, children: usize) {
    for at in [A, B] {
        assert_eq!(world.only(at).children.len(), children, "{}", world.log());
    }
    world.assert_agreed();
}

/// A key, and a world outside that signs with it and knows the other's.
fn signer(
    own: Arc<Ed25519KeyPair>,
    other: Arc<Ed25519KeyPair>,
    trusts: bool,
    good_for: Option<Duration>,
) -> crate::world::Oracle {
    Box::new(move |ask| match ask {
        Ask::Sign { octets, schemes, authorities, .. } => {
            assert_eq!(authorities, &[[7; 20]], "the other side asks for its authority");
            assert_eq!(schemes, &[SignatureScheme::Ed25519]);
            Answer::Signature {
                scheme: SignatureScheme::Ed25519,
                signature: own.sign(octets).as_ref().to_vec(),
                chain: vec![vec![0x30, 0x80, 1, 2, 3]],
                good_for: None,
            }
        }
        Ask::Verify { chain, .. } if trusts => {
            assert_eq!(chain.len(), 1);
            let der = other.public_key().as_der().expect("a public key");
            Answer::Trusted { public_key: der.as_ref().to_vec(), good_for }
        }
        Ask::Verify { .. } => Answer::Refused("the certificate has expired".into()),
        Ask::Password { .. } | Ask::Tls { .. } | Ask::TlsLogIn { .. } => {
            Answer::Refused("nobody logs in".into())
        }
    })
}

fn certified(trusts: bool, forged: bool, good_for: Option<Duration>) -> World {
    let schemes = vec![SignatureScheme::Ed25519];
    let (mut east, mut west) = sites(|peer| {
        peer.proof = Proof::Key { key: "own".into(), schemes: schemes.clone() };
        let (authorities, schemes) = (vec!["ca".into()], schemes.clone());
        peer.demand = Demand::Certificate(Trust { authorities, revocation: Revocation::Soft, schemes });
    });
    for policy in [&mut east, &mut west] {
        policy.authorities.insert("ca".into(), vec![[7; 20]]);
    }
    let mut world = World::new(40, east, west);
    let key = || Arc::new(Ed25519KeyPair::generate().expect("a key"));
    let (first, second, stranger) = (key(), key(), key());
    let signs = if forged { stranger } else { Arc::clone(&first) };
    world.hosts[A].oracle = Some(signer(signs, Arc::clone(&second), true, good_for));
    world.hosts[B].oracle = Some(signer(second, first, trusts, good_for));
    up_with(&mut world);
    world.run(SECOND * 60);
    world
}

#[test]
fn certificates_prove_and_what_is_not_trusted_is_refused() {
    assert_stands(&certified(true, false, None), 1);
    for (trusts, forged) in [(false, false), (true, true)] {
        let world = certified(trusts, forged, None);
        assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty());
        assert!(world.saw(A, Code::AuthenticationFailed) && world.saw(B, Code::AuthenticationFailed));
        world.assert_agreed();
    }
}

#[test]
fn everything_is_proved_again_before_a_certificate_ends_and_nothing_outlives_it() {
    let mut world = certified(true, false, Some(SECOND * 3600));
    let ike = world.ike(A);
    world.command(A, Command::Rekey { ike });
    world.run(SECOND);
    // New keys prove nobody.
    let first = world.ike(A);
    world.run(SECOND * 3100);
    assert_eq!(world.ike(A), first, "{}", world.log());
    world.run(SECOND * 350);
    assert_ne!(world.ike(A), first, "{}", world.log());
    assert_stands(&world, 1);

    // Too little is left to prove anything again.
    let world = certified(true, false, Some(SECOND * 50));
    assert!(world.saw(A, Code::IkeUp) && world.saw(B, Code::IkeUp));
    assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty(), "{}", world.log());
    world.assert_agreed();
}

#[test]
fn a_post_quantum_pre_shared_key_is_used_left_out_or_insisted_on() {
    let ppk = |key: &str, required| Ppk { id: b"ppk-1".to_vec(), key: secret(key), required };
    for (east_ppk, west_ppk, stands) in [
        (Some(ppk("k", true)), Some(ppk("k", true)), true),
        (Some(ppk("k", false)), None, true),
        (None, Some(ppk("k", false)), true),
        (Some(ppk("k", true)), None, false),
        (None, Some(ppk("k", true)), false),
        (Some(ppk("k", true)), Some(ppk("other", true)), false),
    ] {
        let (mut east, mut west) = sites(|_| {});
        peer(&mut east).ppk.clone_from(&east_ppk);
        peer(&mut west).ppk.clone_from(&west_ppk);
        let mut world = World::new(41, east, west);
        up_with(&mut world);
        world.run(SECOND * 60);
        assert_eq!(
            world.statuses(A).len(),
            usize::from(stands),
            "{east_ppk:?} {west_ppk:?}\n{}",
            world.log()
        );
        world.assert_agreed();
    }
}

#[test]
fn a_gateway_sends_new_peers_elsewhere() {
    let (east, mut west) = sites(|_| {});
    peer(&mut west).redirect_to = Some("203.0.113.99".parse().expect("an address"));
    let mut world = World::new(43, east, west);
    up_with(&mut world);
    assert!(world.saw(A, Code::Redirected) && world.saw(B, Code::Redirected), "{}", world.log());
    assert!(world.hosts[B].endpoint.is_empty(), "it cost the gateway nothing");
}

/// RFC 5685 5: also a peer that stands already. Here both gateways are the same one.
#[test]
fn a_gateway_sends_a_peer_that_stands_elsewhere() {
    let (east, west) = sites(|_| {});
    let mut world = World::new(54, east, west);
    up_with(&mut world);
    let (old, gateway) = (world.ike(A), world.hosts[B].address);
    let ike = world.ike(B);
    world.command(B, Command::Redirect { ike, gateway });
    world.run(SECOND * 5);
    assert!(world.saw(A, Code::Redirected) && world.saw(B, Code::Redirected), "{}", world.log());
    assert_ne!(world.ike(A), old, "it began anew there");
    assert_stands(&world, 1);
    // Only who began may be sent away.
    let ike = world.ike(A);
    let gateway = world.hosts[A].address;
    world.command(A, Command::Redirect { ike, gateway });
    world.run(SECOND * 5);
    assert_eq!(world.ike(A), ike);
}

/// RFC 6023: an IKE SA that has no child yet gets one later.
#[test]
fn an_ike_sa_stands_without_a_child() {
    let (mut east, west) = sites(|_| {});
    first_child(peer(&mut east)).start = Start::Remote;
    let mut world = World::new(55, east, west);
    up_with(&mut world);
    assert_stands(&world, 0);
    world.command(B, Command::Up { peer: name("other-site") });
    world.run(SECOND * 3);
    assert_stands(&world, 1);
    assert_eq!(world.exchanges, 3, "IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA");
}

#[test]
fn one_child_for_each_core_where_the_peer_can() {
    let cores = |peer: &mut Peer, count, required| {
        first_child(peer).per_resource = PerResource { count, required };
    };
    for (east_cores, west_cores, bound) in [(4, 4, 4), (4, 2, 2), (4, 0, 0), (0, 4, 0)] {
        let (mut east, mut west) = sites(|_| {});
        cores(peer(&mut east), east_cores, bound > 0);
        cores(peer(&mut west), west_cores, bound > 0);
        let mut world = World::new(44, east, west);
        up_with(&mut world);
        assert_stands(&world, 1 + usize::from(bound));
        for (at, count) in [(A, east_cores), (B, west_cores)] {
            let children = world.only(at).children;
            let mut resources: Vec<_> = children.iter().map(|child| child.resource).collect();
            resources.sort_unstable();
            assert_eq!(resources, std::iter::once(None).chain((0..bound).map(Some)).collect::<Vec<_>>());
            let fits = |spi: u32, core: u16| spi % u32::from(count) == u32::from(core);
            assert!(children.iter().all(|one| one.resource.is_none_or(|core| fits(one.inbound.get(), core))));
        }
        assert_eq!(world.saw(A, Code::PerCoreRefused), east_cores > 0 && bound == 0, "{}", world.log());
        // Each is renewed by itself and keeps its core, and all of them by a new proof.
        for child in world.only(A).children {
            world.command(B, Command::RekeyChild { inbound: child.outbound });
        }
        world.run(SECOND * 3);
        assert_stands(&world, 1 + usize::from(bound));
        let ike = world.ike(A);
        world.command(A, Command::Reauthenticate { ike });
        world.run(SECOND * 5);
        assert_stands(&world, 1 + usize::from(bound));
    }
}

#[test]
fn a_peer_without_a_child_for_each_core_is_refused_where_policy_wants_them() {
    for at in [A, B] {
        let (mut east, mut west) = sites(|_| {});
        let one = peer(if at == A { &mut east } else { &mut west });
        first_child(one).per_resource = PerResource { count: 2, required: true };
        let mut world = World::new(53, east, west);
        up_with(&mut world);
        world.run(SECOND * 60);
        assert!(world.hosts[A].children.is_empty() && world.hosts[B].children.is_empty());
        let told = world.hosts[at].events.iter().find(|event| event.code == Code::ChildFailed);
        assert!(told.is_some_and(|event| event.text.contains("RFC 9611")), "{}", world.log());
    }
}

#[test]
fn mobike_moves_the_tunnel_and_loses_nothing_but_what_was_under_way() {
    let (east, west) = sites(|peer| peer.mobike = true);
    let mut world = World::new(45, east, west);
    up_with(&mut world);
    assert_eq!(world.only(A).path.remote.port(), 4500, "MOBIKE floats");
    let (old, new) = ("192.0.2.1".parse().expect("ours"), "192.0.2.77".parse().expect("ours"));
    world.hosts[A].address = new;
    let elsewhere = Command::AddressChanged { old, new, remote: "203.0.113.1".parse().expect("another") };
    world.command(A, elsewhere);
    assert_eq!(world.only(A).path.local.ip(), old, "that is the way to somebody else");
    let remote = world.hosts[B].address;
    world.command(A, Command::AddressChanged { old, new, remote });
    world.run(SECOND * 3);
    assert_stands(&world, 1);
    assert_eq!(world.only(B).path.remote, end("192.0.2.77", 4500));
    assert!(world.saw(A, Code::Moved) || world.saw(B, Code::Moved), "{}", world.log());
    assert!(world.hosts[B].children.values().all(|child| child.sa.path.remote.ip() == new));
}

#[test]
fn reauthentication_makes_before_it_breaks() {
    for (at, seed) in [(A, 46), (B, 56)] {
        let (east, west) = sites(|_| {});
        let mut world = World::new(seed, east, west);
        up_with(&mut world);
        let (sent, opened) = world.packets;
        let old = world.ike(at);
        world.pace = Duration::from_millis(1);
        world.command(at, Command::Reauthenticate { ike: old });
        world.run(SECOND);
        // Where nothing goes the other way, the new child sends as soon as the old one is gone.
        assert!(world.hosts.iter().all(|host| host.children.values().all(|child| child.sends)));
        world.run(SECOND * 2);
        assert_stands(&world, 1);
        assert_ne!(world.ike(at), old);
        assert!(world.packets.0 - sent > 5_000, "packets went all the time");
        assert_eq!(world.packets.0 - sent, world.packets.1 - opened, "no packet was lost");
    }
}

#[test]
fn a_packet_brings_up_its_own_child_only() {
    let (mut east, west) = sites(|_| {});
    let child = first_child(peer(&mut east));
    child.start = Start::OnDemand;
    child.narrowing = Narrowing::Packet;
    let mut world = World::new(47, east, west);
    let flow = FlowKey {
        source: [10, 1, 0, 5].into(),
        destination: [10, 2, 0, 6].into(),
        protocol: 6,
        upper: Some((40_000, 443)),
    };
    for _ in 0..3 {
        world.command(A, Command::Acquire { peer: name("other-site"), child: name("net"), flow });
    }
    world.run(SECOND * 3);
    assert_stands(&world, 1);
    let remote = world.only(A).children[0].remote.clone();
    assert_eq!(remote[0].to_string(), "10.2.0.6[6/443]");
}

#[test]
fn transport_mode_goes_through_a_nat_by_the_addresses_that_each_side_knows() {
    let (mut east, mut west) = sites(|peer| {
        let child = first_child(peer);
        child.encapsulation = Encapsulation::Transport;
        child.local = Vec::new();
        child.remote = Vec::new();
    });
    for policy in [&mut east, &mut west] {
        first_child(peer(policy)).start = Start::OnCommand;
    }
    let mut world = World::new(48, east, west);
    world.network.nat =
        Some(Nat::new("192.0.2.1".parse().expect("ours"), "203.0.113.7".parse().expect("ours")));
    up_with(&mut world);
    assert_stands(&world, 1);
    assert_eq!(world.only(B).children[0].remote[0].to_string(), "203.0.113.7");
    assert_eq!(world.only(A).children[0].local[0].to_string(), "192.0.2.1");
    assert_eq!(world.only(A).children[0].mode, ravelin_contract::sa::Mode::Transport);
}

/// Spoofed first messages cost no memory beyond a few, and an honest peer still gets through.
#[test]
fn a_flood_of_strangers_must_return_cookies_and_an_honest_peer_gets_in() {
    let (east, west) = sites(|_| {});
    let mut world = World::new(49, east, west);
    // What an honest first message looks like.
    let (flooder, _) = sites(|_| {});
    let mut source = World::new(50, flooder, sites(|_| {}).1);
    source.command(A, Command::Up { peer: name("other-site") });
    let first: Datagram = source.network.last_sent().expect("a first message");
    let limits = ravelin_ike::policy::Limits::default();
    for number in 0..25_000u32 {
        let mut bytes = first.bytes.clone();
        bytes[4..8].copy_from_slice(&number.to_be_bytes());
        let remote = std::net::SocketAddr::from((std::net::Ipv4Addr::from_bits(0xc633_0000 + number), 500));
        let path = Path { local: first.destination, remote };
        world.input(B, Input::Datagram { path, bytes });
    }
    assert!(world.hosts[B].endpoint.half_open() <= limits.cookies_from);
    assert!(world.saw(B, Code::UnderLoad));
    let counters = world.hosts[B].endpoint.counters();
    assert_eq!(counters.cookies, limits.cookies_per_second.into(), "answers to false addresses are bounded");
    assert_eq!(counters.limited + counters.cookies + limits.cookies_from as u64, 25_000);
    up_with(&mut world);
    assert_eq!(world.statuses(A).len(), 1, "{}", world.log());
    world.run(SECOND * 60);
    assert_stands(&world, 1);
    assert_eq!(world.hosts[B].endpoint.half_open(), 0, "strangers that do not go on are forgotten");
}

#[test]
fn ikev1_is_recognised_explained_and_not_answered() {
    let (east, west) = sites(|_| {});
    let mut world = World::new(51, east, west);
    let mut bytes = vec![0u8; 28];
    bytes[7] = 1;
    bytes[17] = 0x10;
    bytes[18] = 2;
    bytes[27] = 28;
    let path = Path { local: end("198.51.100.1", 500), remote: end("192.0.2.9", 500) };
    world.input(B, Input::Datagram { path, bytes });
    assert!(world.saw(B, Code::IkeV1) && world.log().contains("Main Mode"), "{}", world.log());
    assert!(world.network.next().is_none() && world.hosts[B].endpoint.is_empty());
}

/// Seen elsewhere: an X25519 share of zeros was answered like any other, and a header that says too much was ignored.
#[test]
fn a_share_of_zeros_and_a_length_that_lies_are_refused_and_counted() {
    let (east, west) = sites(|_| {});
    let mut world = World::new(52, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    let first = world.network.last_sent().expect("a first message");
    let path = Path { local: first.destination, remote: first.source };

    let mut lying = first.bytes.clone();
    lying[26] += 1;
    world.input(B, Input::Datagram { path, bytes: lying });
    assert_eq!(world.hosts[B].endpoint.counters().malformed, 1);
    assert!(world.hosts[B].endpoint.is_empty());

    // The KE payload: its group is 31, then two octets of nothing, then the share.
    let at = first.bytes.windows(4).rposition(|octets| octets == [0, 31, 0, 0]).expect("a KE payload") + 4;
    let mut zeros = first.bytes.clone();
    zeros[at..at + 32].fill(0);
    world.input(B, Input::Datagram { path, bytes: zeros.clone() });
    assert!(world.saw(B, Code::Malformed) && world.log().contains("share"), "{}", world.log());
    assert!(world.hosts[B].endpoint.is_empty(), "nothing is kept for it");
    assert_eq!(world.hosts[B].endpoint.counters().refused, 1);

    // Five hundred of them are counted, and do not fill the log.
    for number in 0..500u32 {
        zeros[4..8].copy_from_slice(&number.to_be_bytes());
        world.input(B, Input::Datagram { path, bytes: zeros.clone() });
    }
    assert_eq!(world.hosts[B].endpoint.counters().refused, 501);
    let told = world.hosts[B].events.iter().filter(|event| event.code == Code::Malformed).count();
    assert!((2..50).contains(&told), "{told} are told");
}
