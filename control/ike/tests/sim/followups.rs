//! Rekeys with additional key exchanges (RFC 9370 2.2.4): IKE_FOLLOWUP_KE, with everything that may come between.

use std::time::Duration;

use ravelin_ike::crypto::Group;
use ravelin_ike::policy::IkeOffer;
use ravelin_ike::{Code, Command};

use crate::policies::{esp, first_child, gcm_x25519, name, peer, sites};
use crate::transitions::label;
use crate::world::{A, B, Doom, World};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Two on top of the first for IKE, one of 1,024 for its child; of 200 octets each message is many fragments.
fn up(seed: u64, fragment_above: u16) -> World {
    let additional = [vec![Some(Group::MlKem768)], vec![Some(Group::MlKem1024)]];
    let (east, west) = sites(|peer| {
        peer.offers = vec![gcm_x25519(&additional)];
        peer.fragment_above = fragment_above;
        let child = esp(&[Some(Group::Curve25519)]).with_additional(&[vec![Some(Group::MlKem1024)]]);
        first_child(peer).offers = vec![child.expect("a sound offer")];
    });
    let mut world = World::new(seed, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND);
    world
}

/// IKE_FOLLOWUP_KE requests that went out, repetitions and fragments apart.
fn followups(world: &World) -> usize {
    let labels = world.network.recorded().into_iter().map(|datagram| label(&datagram.bytes));
    let mut requests: Vec<_> = labels.filter(|label| label.starts_with("IKE_FOLLOWUP_KE request")).collect();
    requests.dedup();
    requests.len()
}

#[test]
fn every_key_exchange_is_made_again_with_each_rekey() {
    for (seed, fragment_above) in [(500, 9000), (501, 1280), (502, 200)] {
        for who in [A, B] {
            let mut world = up(seed, fragment_above);
            assert!(world.only(A).suite.contains("ML_KEM_1024"), "{}", world.only(A).suite);
            let (ike, inbound) = (world.ike(who), world.only(who).children[0].inbound);
            world.network.record();
            world.command(who, Command::RekeyChild { inbound });
            world.run(SECOND * 3);
            assert_eq!(followups(&world), 1, "one for the child");
            assert_ne!(world.only(who).children[0].inbound, inbound, "{}", world.log());
            world.network.record();
            world.command(who, Command::Rekey { ike });
            world.run(SECOND * 3);
            assert_eq!(followups(&world), 2, "two for IKE");
            assert_ne!(world.ike(who), ike, "{}", world.log());
            for told in [Code::ChildUp, Code::ChildRekeyed, Code::IkeRekeyed] {
                assert!(world.saw(A, told) && world.saw(B, told), "{told:?}: {}", world.log());
            }
            assert!(world.only(B).suite.contains("ML_KEM_1024"), "{}", world.only(B).suite);
            assert_eq!(world.packets.0, world.packets.1, "no packet is lost");
            world.assert_agreed();
            assert!(!world.torn, "nobody had to give anybody up");
        }
    }
}

/// Where one side does without, as any rekey may: the old SK_d holds the secrets already.
#[test]
fn a_peer_that_leaves_them_out_of_rekeys_is_answered() {
    let (mut east, west) = sites(|peer| peer.offers = vec![gcm_x25519(&[vec![Some(Group::MlKem768), None]])]);
    let plain: Vec<IkeOffer> = vec![gcm_x25519(&[])];
    peer(&mut east).offers = plain;
    let mut world = World::new(503, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND);
    world.network.record();
    for who in [A, B] {
        let ike = world.ike(who);
        world.command(who, Command::Rekey { ike });
        world.run(SECOND * 3);
        assert_ne!(world.ike(who), ike, "{}", world.log());
    }
    assert_eq!(followups(&world), 0);
    world.assert_agreed();
}

/// Both begin at once: neither is answered while its own is on the way, and one comes first in the end.
#[test]
fn rekeys_that_collide_end_in_agreement() {
    for seed in 510..518 {
        for wait in [0, 5, 12, 25, 35] {
            let mut world = up(seed, 1280);
            let [first, second] = [A, B].map(|at| world.only(at).children[0].inbound);
            let [one, two] = [A, B].map(|at| world.ike(at));
            match seed % 2 {
                0 => world.command(A, Command::RekeyChild { inbound: first }),
                _ => world.command(A, Command::Rekey { ike: one }),
            }
            world.run(MILLI * wait);
            match seed % 4 {
                0 | 3 => world.command(B, Command::RekeyChild { inbound: second }),
                _ => world.command(B, Command::Rekey { ike: two }),
            }
            world.run(SECOND * 60);
            assert_eq!(world.only(A).children.len(), 1, "{seed} {wait}: {}", world.log());
            assert_eq!(world.packets.0, world.packets.1, "{seed} {wait}: no packet is lost");
            world.assert_agreed();
            assert!(!world.torn, "{seed} {wait}: nobody had to give anybody up");
        }
    }
}

/// Either process may end at any moment between the first request and the last answer: what it had in its hands is begun again.
#[test]
fn a_process_may_end_between_two_of_them() {
    for dies in [A, B] {
        for rekeys_ike in [false, true] {
            for moment in (0..80u32).step_by(5) {
                for doom in [None, Some(Doom::BeforeRecord), Some(Doom::AfterRecord)] {
                    let mut world = up(520, 1280);
                    let (ike, inbound) = (world.ike(A), world.only(A).children[0].inbound);
                    world.command(
                        A,
                        if rekeys_ike { Command::Rekey { ike } } else { Command::RekeyChild { inbound } },
                    );
                    world.run(MILLI * moment);
                    match doom {
                        Some(_) => world.hosts[dies].doom = doom,
                        None => world.resume(dies),
                    }
                    world.run(SECOND * 300);
                    world.command(A, Command::Up { peer: name("other-site") });
                    world.run(SECOND * 400);
                    world.assert_agreed();
                    let note = format!("host {dies}, {moment} ms, {doom:?}");
                    assert_eq!(world.only(B).children.len(), 1, "{note}: {}", world.log());
                }
            }
        }
    }
}

/// The initiator falls silent in the middle: what the responder holds for it ends, and nothing leaks.
#[test]
fn what_is_not_gone_on_with_is_forgotten() {
    let mut world = up(530, 1280);
    let inbound = world.only(A).children[0].inbound;
    world.command(A, Command::RekeyChild { inbound });
    world.run(MILLI * 15);
    let spis = world.hosts[B].endpoint.spis();
    assert_eq!(spis, 2, "the old child's and the new one's");
    // The answer is lost, and the path for longer than the responder holds it; what is asked then is not known any more.
    world.network.forget();
    world.network.cut = true;
    world.run(SECOND * 62);
    assert_eq!(world.hosts[B].endpoint.spis(), 1, "{}", world.log());
    world.network.cut = false;
    world.run(SECOND * 120);
    world.assert_agreed();
}
