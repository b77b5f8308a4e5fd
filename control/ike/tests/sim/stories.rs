//! Stories of two sites: establish, rekey, collide, fail, recover.

use std::time::Duration;

use ravelin_ike::crypto::Group;
use ravelin_ike::policy::{Demand, Start};
use ravelin_ike::{Code, Command};

use crate::network::{Nat, Weather};
use crate::policies::{esp, first_child, gcm_x25519, name, peer, secret, sites};
use crate::world::{A, B, World};

const SECOND: Duration = Duration::from_secs(1);

/// Two sites, with the same change to both, whose first one has brought the other up.
fn up(seed: u64, change: impl Fn(&mut ravelin_ike::policy::Peer)) -> World {
    let (east, west) = sites(change);
    let mut world = World::new(seed, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND * 2);
    world
}

fn assert_stands(world: &World, children: usize) {
    for at in [A, B] {
        assert_eq!(world.only(at).children.len(), children, "{}", world.log());
    }
    world.assert_agreed();
}

#[test]
fn two_sites_agree_on_a_child_and_packets_flow() {
    let world = up(1, |_| {});
    assert_stands(&world, 1);
    let (sent, opened) = world.packets;
    assert!(opened > 8 && sent - opened < 2, "{:?}", world.packets);
    assert_eq!(world.exchanges, 2);
    for host in &world.hosts {
        let held = host.endpoint.memory();
        assert!(held < 8192, "{held} octets for one IKE SA and its child");
    }
}

#[test]
fn a_wrong_secret_is_refused_and_said_so() {
    let (east, mut west) = sites(|_| {});
    peer(&mut west).demand = Demand::SharedKey(secret("another"));
    let mut world = World::new(2, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND * 60);
    assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty());
    assert!(
        world.saw(A, Code::AuthenticationFailed) && world.saw(B, Code::AuthenticationFailed),
        "{}",
        world.log()
    );
    world.assert_agreed();
    assert!(world.hosts[B].endpoint.is_empty(), "nothing is left behind");
}

#[test]
fn a_responder_that_wants_another_group_gets_it() {
    let (east, mut west) = sites(|_| {});
    peer(&mut west).offers = vec![
        ravelin_ike::policy::IkeOffer::new(
            &[ravelin_ike::crypto::Cipher::AesGcm16(ravelin_ike::crypto::KeySize::Bits128)],
            &[],
            &[ravelin_ike::crypto::Prf::HmacSha256],
            &[Group::Ecp256],
            &[],
        )
        .expect("sound"),
    ];
    let mut world = World::new(3, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND * 2);
    assert_stands(&world, 1);
    assert_eq!(world.exchanges, 3, "INVALID_KE_PAYLOAD comes before the answer");
}

#[test]
fn children_and_ike_sas_are_rekeyed_without_a_lost_packet() {
    let mut world = up(4, |peer| {
        peer.children.iter_mut().for_each(|child| {
            std::sync::Arc::make_mut(child).offers = vec![esp(&[Some(Group::Curve25519)])];
        });
    });
    let before = world.packets;
    world.pace = Duration::from_millis(2);
    for round in 0..4 {
        let inbound = world.only(round % 2).children[0].inbound;
        world.command(round % 2, Command::RekeyChild { inbound });
        world.run(SECOND * 3);
        let ike = world.ike((round + 1) % 2);
        world.command((round + 1) % 2, Command::Rekey { ike });
        world.run(SECOND * 3);
        assert_stands(&world, 1);
    }
    let (sent, opened) = (world.packets.0 - before.0, world.packets.1 - before.1);
    assert_eq!(sent, opened, "{}", world.log());
    assert!(sent > 100);
}

#[test]
fn both_rekey_the_same_child_at_once_and_one_survives() {
    for seed in 0..20 {
        let mut world = up(100 + seed, |_| {});
        for at in [A, B] {
            let inbound = world.only(at).children[0].inbound;
            world.command(at, Command::RekeyChild { inbound });
        }
        world.run(SECOND * 3);
        assert_stands(&world, 1);
    }
}

#[test]
fn both_rekey_the_ike_sa_at_once_and_one_survives() {
    for seed in 0..20 {
        let mut world = up(200 + seed, |_| {});
        for at in [A, B] {
            let ike = world.ike(at);
            world.command(at, Command::Rekey { ike });
        }
        world.run(SECOND * 3);
        assert_stands(&world, 1);
    }
}

#[test]
fn a_deleted_ike_sa_is_gone_on_both_sides() {
    let mut world = up(5, |_| {});
    let ike = world.ike(B);
    world.command(B, Command::Down { ike });
    world.run(SECOND * 2);
    assert!(world.statuses(A).is_empty() && world.statuses(B).is_empty());
    world.assert_agreed();
    world.run(SECOND * 60);
    assert!(world.hosts[A].endpoint.is_empty() && world.hosts[B].endpoint.is_empty());
}

#[test]
fn ml_kem_comes_on_top_and_falls_away_by_policy_only() {
    let kem = vec![Some(Group::MlKem768)];
    let optional = vec![Some(Group::MlKem768), None];
    let world = up(6, |peer| peer.offers = vec![gcm_x25519(std::slice::from_ref(&kem))]);
    assert_stands(&world, 1);
    assert!(world.only(A).suite.contains("ML_KEM_768"), "{}", world.only(A).suite);
    assert_eq!(world.exchanges, 3, "IKE_SA_INIT, IKE_INTERMEDIATE, IKE_AUTH");

    for (offer, stands) in [(optional, true), (kem, false)] {
        let (mut east, west) = sites(|_| {});
        peer(&mut east).offers = vec![gcm_x25519(&[offer])];
        let mut world = World::new(7, east, west);
        world.command(A, Command::Up { peer: name("other-site") });
        world.run(SECOND * 5);
        assert_eq!(world.statuses(A).len(), usize::from(stands), "{}", world.log());
        assert_eq!(world.saw(B, Code::NoProposal), !stands);
    }
}

#[test]
fn a_silent_peer_is_noticed_and_the_site_comes_back() {
    let mut world = up(8, |peer| first_child(peer).start = Start::AtOnce);
    world.network.cut = true;
    world.run(SECOND * 300);
    assert!(world.saw(A, Code::PeerSilent) && world.saw(B, Code::PeerSilent), "{}", world.log());
    assert!(world.hosts[A].children.is_empty(), "its keys are gone");
    world.network.cut = false;
    world.run(SECOND * 120);
    assert!(!world.statuses(A).is_empty(), "{}", world.log());
    world.assert_agreed();
}

#[test]
fn a_restarted_peer_says_so_and_its_old_sa_goes() {
    let mut world = up(9, |_| {});
    world.restart(A);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND * 3);
    assert_stands(&world, 1);
}

/// A NAT before the first site forgets its mappings before anybody has checked on anybody: seen elsewhere to be lost for good
/// under MOBIKE.
#[test]
fn a_nat_that_rebinds_before_the_first_liveness_check_is_survived() {
    for mobike in [false, true] {
        let (mut east, west) = sites(|peer| peer.mobike = mobike);
        first_child(peer(&mut east)).start = Start::AtOnce;
        let mut world = World::new(10, east, west);
        let (private, public) = ("192.0.2.1".parse().expect("ours"), "203.0.113.7".parse().expect("ours"));
        world.network.nat = Some(Nat::new(private, public));
        world.run(SECOND * 3);
        let before = world.only(B).path.remote;
        assert_eq!(before.ip(), public, "the mapping really happened");
        assert!(world.only(A).nat.here && world.only(B).nat.there);
        world.network.nat.as_mut().expect("it is there").rebind();
        let ike = world.ike(A);
        world.command(A, Command::Probe { ike });
        world.run(SECOND * 3);
        let after = world.only(B).path.remote;
        assert_ne!(before.port(), after.port(), "mobike {mobike}\n{}", world.log());
        assert!(world.hosts[B].children.values().all(|child| child.sa.path.remote == after && child.sa.udp));
        assert_stands(&world, 1);
    }
}

#[test]
fn foul_weather_delays_and_does_not_divide() {
    for seed in 0..10 {
        let (mut east, west) = sites(|peer| peer.fragment_above = 220);
        first_child(peer(&mut east)).start = Start::AtOnce;
        let mut world = World::new(300 + seed, east, west);
        world.network.weather = Weather::FOUL;
        world.run(SECOND * 60);
        world.network.weather = Weather::FAIR;
        world.run(SECOND * 300);
        assert_stands(&world, 1);
    }
}

#[test]
fn what_an_operator_ends_or_asks_in_vain_is_told() {
    let mut world = up(60, |peer| first_child(peer).start = Start::OnCommand);
    let (ike, inbound) = (world.ike(A), world.only(A).children[0].inbound);
    world.command(A, Command::DownChild { inbound });
    world.run(SECOND * 2);
    world.command(A, Command::Down { ike });
    world.run(SECOND * 2);
    for told in [Code::ChildDown, Code::IkeDown] {
        assert!(world.saw(A, told) && world.saw(B, told), "{told:?}: {}", world.log());
    }
    world.command(A, Command::Up { peer: name("nobody") });
    assert!(world.saw(A, Code::CommandRefused), "{}", world.log());
}
