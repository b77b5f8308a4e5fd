//! A process that ends without a word and goes on from what it had kept: the peer cannot tell.

use std::time::Duration;

use ravelin_ike::policy::Start;
use ravelin_ike::{Code, Command};

use crate::network::Weather;
use crate::policies::{first_child, name, peer, sites};
use crate::world::{A, B, Doom, World};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

fn up(seed: u64) -> World {
    let (east, west) = sites(|peer| first_child(peer).start = Start::OnCommand);
    let mut world = World::new(seed, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND);
    world
}

fn assert_stands(world: &World, note: &str) {
    assert!(!world.torn, "{note}: nobody had to give anybody up\n{}", world.log());
    for at in [A, B] {
        assert_eq!(world.only(at).children.len(), 1, "{note}: {}", world.log());
    }
    world.assert_agreed();
}

#[test]
fn an_ike_sa_goes_on_and_is_rekeyed_by_either_side() {
    for (dies, rekeys) in [(A, A), (A, B), (B, A), (B, B)] {
        let mut world = up(800);
        let ike = world.ike(A);
        for _ in 0..3 {
            world.resume(dies);
            world.run(SECOND * 2);
            assert_eq!(world.ike(A), ike, "the same IKE SA");
            assert!(world.saw(dies, Code::IkeRestored), "{}", world.log());
            let inbound = world.only(rekeys).children[0].inbound;
            world.command(rekeys, Command::RekeyChild { inbound });
            world.run(SECOND * 2);
            assert_ne!(world.only(rekeys).children[0].inbound, inbound, "new keys");
        }
        let ike = world.ike(rekeys);
        world.command(rekeys, Command::Rekey { ike });
        world.run(SECOND * 2);
        world.resume(dies);
        world.run(SECOND * 2);
        assert_stands(&world, "in the end");
        assert_eq!(world.packets.0, world.packets.1, "no packet is lost");
    }
}

/// Whatever is under way, at whatever moment the process ends, also between what it has written down and what it does: the IKE SA
/// goes on, or is made anew, and no packet goes under a key that the peer has dropped.
#[test]
fn it_may_end_at_any_moment() {
    for dies in [A, B] {
        for what in 0..4u64 {
            for moment in (0..45u32).step_by(3) {
                for doom in [None, Some(Doom::BeforeRecord), Some(Doom::AfterRecord)] {
                    let mut world = up(810 + what);
                    let inbound = world.only(A).children[0].inbound;
                    let ike = world.ike(A);
                    world.hosts[dies].doom = doom.filter(|_| moment == 0);
                    let command = match what {
                        0 => Command::RekeyChild { inbound },
                        1 => Command::Rekey { ike },
                        2 => Command::Probe { ike },
                        _ => Command::DownChild { inbound },
                    };
                    world.command(A, command);
                    world.run(MILLI * moment);
                    match doom {
                        Some(_) if moment > 0 => world.hosts[dies].doom = doom,
                        Some(_) => {}
                        None => world.resume(dies),
                    }
                    // What cannot go on is given up by the peer, and can then be made anew.
                    world.run(SECOND * 300);
                    world.command(A, Command::Up { peer: name("other-site") });
                    world.run(SECOND * 400);
                    let note = format!("host {dies}, task {what}, {moment} ms, {doom:?}");
                    world.assert_agreed();
                    for at in [A, B] {
                        assert_eq!(world.only(at).children.len(), 1, "{note}: {}", world.log());
                    }
                    if what == 2 {
                        assert_stands(&world, &note);
                        assert_eq!(world.ike(A), ike, "{note}: the same IKE SA");
                    }
                }
            }
        }
    }
}

#[test]
fn foul_weather_makes_no_difference() {
    for seed in 0..10 {
        let mut world = up(830 + seed);
        world.network.weather = Weather::FOUL;
        for _ in 0..10 {
            let at = usize::from(world.dice.percent(50));
            world.resume(at);
            let span = world.dice.up_to(SECOND * 5);
            world.run(span);
        }
        world.network.weather = Weather::FAIR;
        world.run(SECOND * 60);
        assert_stands(&world, &format!("seed {seed}"));
    }
}

#[test]
fn a_record_under_another_policy_is_refused_and_told() {
    let mut world = up(840);
    let mut changed = (*world.hosts[A].policy).clone();
    first_child(peer(&mut changed)).lifetime.octets = Some(1 << 40);
    world.hosts[A].policy = std::sync::Arc::new(changed);
    world.resume(A);
    assert!(world.saw(A, Code::IkeNotRestored), "{}", world.log());
    assert!(world.hosts[A].endpoint.is_empty() && world.log().contains("has changed"));
}
