//! Every state with every message, as one table: what a message that comes too early, in time, or too late does.

use std::fmt::Write;
use std::time::Duration;

use ravelin_ike::{Command, Input, Path, Time};

use crate::network::Datagram;
use crate::policies::{name, peer, sites};
use crate::road_warriors;
use crate::world::{A, B, World};

const MILLI: Duration = Duration::from_millis(1);

/// A world at its beginning.
type Birth = fn() -> World;

fn two_sites() -> World {
    let (east, west) = sites(|peer| peer.liveness = None);
    World::new(77, east, west)
}

/// A road warrior that logs in by EAP.
fn road_warrior() -> World {
    let (mut east, mut west) = road_warriors::policies(road_warriors::PASSWORD);
    peer(&mut east).liveness = None;
    peer(&mut west).liveness = None;
    let mut world = World::new(78, east, west);
    road_warriors::knows_carol(&mut world);
    world
}

/// One life, always the same: up, a rekeyed child, a rekeyed IKE SA, down. Stops after `span`.
fn live(birth: Birth, span: Duration) -> World {
    let mut world = birth();
    world.network.record();
    let end = Time::default() + span;
    let to = |world: &mut World, milliseconds: u32| {
        let target = Time::default() + MILLI * milliseconds;
        let reached = world.now.since(Time::default()) < span && milliseconds > 0;
        world.run(target.min(end).since(world.now));
        reached && target <= end
    };
    world.command(A, Command::Up { peer: name("other-site") });
    if to(&mut world, 1000) {
        let inbound = world.only(A).children[0].inbound;
        world.command(A, Command::RekeyChild { inbound });
    }
    if to(&mut world, 2000) {
        let ike = world.ike(B);
        world.command(B, Command::Probe { ike });
    }
    if to(&mut world, 3000) {
        let ike = world.ike(A);
        world.command(A, Command::Down { ike });
    }
    to(&mut world, 4000);
    world
}

pub(crate) fn label(bytes: &[u8]) -> String {
    let exchange = match bytes[18] {
        34 => "IKE_SA_INIT",
        35 => "IKE_AUTH",
        36 => "CREATE_CHILD_SA",
        43 => "IKE_INTERMEDIATE",
        44 => "IKE_FOLLOWUP_KE",
        _ => "INFORMATIONAL",
    };
    let kind = if bytes[19] & 0x20 == 0 { "request" } else { "response" };
    let id = bytes[23];
    format!("{exchange} {kind} {id}")
}

/// What one message does to one host at one moment.
fn effect(birth: Birth, at: usize, moment: u32, message: &Datagram) -> (String, String) {
    let mut world = live(birth, MILLI * moment);
    let state = |world: &World| {
        let states = world.hosts[at].endpoint.states();
        states.first().map_or("none", |(_, state)| state).to_owned()
    };
    let known = world.network.recorded().iter().any(|sent| sent.bytes == message.bytes);
    let before = state(&world);
    let (sent, children) = (world.network.sent(), world.hosts[at].children.len());
    let path = Path { local: message.destination, remote: message.source };
    world.input(at, Input::Datagram { path, bytes: message.bytes.clone() });
    let after = state(&world);
    let mut effect = match world.network.sent() - sent {
        0 => "ignored".to_owned(),
        count => format!("{count} sent"),
    };
    if after != before {
        write!(effect, ", becomes {after}").expect("a string");
    }
    match world.hosts[at].children.len().cmp(&children) {
        std::cmp::Ordering::Greater => effect.push_str(", child up"),
        std::cmp::Ordering::Less => effect.push_str(", child down"),
        std::cmp::Ordering::Equal => {}
    }
    // A message out of its time may make one side believe what the other does not know yet.
    world.torn = true;
    // Whatever it did, nothing breaks later.
    world.run(Duration::from_secs(400));
    // What no peer could have sent yet leaves two truths; what it did send, however late or often, does not.
    if known {
        world.assert_agreed();
    }
    (before, effect)
}

fn table(birth: Birth, moments: [[u32; 6]; 2]) -> String {
    let recorded = live(birth, MILLI * 4000).network.recorded();
    let mut table = String::new();
    for (at, who, moments) in [(A, "initiator", moments[A]), (B, "responder", moments[B])] {
        for moment in moments {
            for message in recorded
                .iter()
                .filter(|message| message.destination.ip() == live(birth, Duration::ZERO).hosts[at].address)
            {
                let (state, effect) = effect(birth, at, moment, message);
                writeln!(table, "{who} {moment:>4} ms, {state}: {} -> {effect}", label(&message.bytes))
                    .expect("a string");
            }
        }
    }
    table
}

fn assert_table(found: &str, expected: &str) {
    let differ = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(found == expected, "first difference: {differ:?}\n{found}");
}

#[test]
fn every_state_with_every_message() {
    let found = table(two_sites, [[5, 15, 25, 500, 3005, 3500], [5, 15, 500, 1500, 3005, 3500]]);
    assert_table(&found, include_str!("transitions.txt"));
}

#[test]
fn every_step_of_a_log_in_with_every_message() {
    let found = table(road_warrior, [[25, 45, 65, 85, 105, 500], [15, 35, 55, 75, 95, 500]]);
    assert_table(&found, include_str!("transitions_eap.txt"));
}
