//! What the simulation must never let pass, planted: each of its checks is seen to fail.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::sa::Spi;
use ravelin_ike::policy::Limits;
use ravelin_ike::{Action, ChildSa, Command, Endpoint, Input, Path};

use crate::network::Datagram;
use crate::policies::{first_child, name, peer, sites};
use crate::world::{A, B, World};

const MILLI: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

/// Two sites with one child, which agree.
fn up() -> World {
    let (east, west) = sites(|_| {});
    let mut world = World::new(90, east, west);
    world.command(A, Command::Up { peer: name("other-site") });
    world.run(SECOND);
    world.assert_agreed();
    world
}

/// The simulation must stop with these words once `plant` has been at work.
fn caught(words: &str, mut world: World, plant: impl FnOnce(&mut World)) {
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        plant(&mut world);
        world.run(SECOND);
        world.assert_agreed();
    }));
    let cause = outcome.expect_err(&format!("{words:?} went unseen"));
    let said = cause.downcast_ref::<String>().map(String::as_str);
    let said = said.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(said.contains(words), "{words:?} was to be said, and not {said}");
}

fn child_of(world: &World, at: usize) -> ChildSa {
    world.hosts[at].children.values().next().expect("a child").sa.clone()
}

fn other_spi(spi: Spi) -> Spi {
    Spi::new(spi.get() ^ 0x4000_0000).expect("not reserved")
}

#[test]
fn an_spi_twice_in_use_is_seen() {
    caught("twice in use", up(), |world| {
        let again = child_of(world, A);
        world.perform(A, vec![Action::InstallChild(Box::new(again))]);
    });
}

#[test]
fn a_packet_under_a_key_that_the_peer_has_dropped_is_seen() {
    caught("which the peer has dropped", up(), |world| {
        let inbound = child_of(world, B).inbound;
        world.perform(B, vec![Action::RemoveChild { inbound }]);
    });
}

#[test]
fn a_successor_that_the_peer_does_not_have_yet_is_seen() {
    caught("before the peer has it", up(), |world| {
        let mut child = child_of(world, A);
        child.replaces = Some(child.inbound);
        (child.inbound, child.outbound) = (other_spi(child.inbound), other_spi(child.outbound));
        world.perform(A, vec![Action::InstallChild(Box::new(child))]);
    });
}

#[test]
fn other_keys_under_the_same_spi_are_seen() {
    caught("both sides hold other keys", up(), |world| {
        let child = world.hosts[B].children.values_mut().next().expect("a child");
        child.sa.inbound_transform = child.sa.outbound_transform.clone();
    });
}

#[test]
fn an_iv_under_two_messages_is_seen() {
    caught("was used for two messages", up(), |world| {
        let ike = world.ike(A);
        world.command(A, Command::Probe { ike });
        let Datagram { source, destination, mut bytes } = world.network.last_sent().expect("a message");
        *bytes.last_mut().expect("octets") ^= 1;
        world.perform(A, vec![Action::Send { local: source, remote: destination, bytes }]);
    });
}

#[test]
fn what_is_not_there_cannot_be_removed_unseen() {
    caught("which was not there", up(), |world| {
        let inbound = other_spi(child_of(world, A).inbound);
        world.perform(A, vec![Action::RemoveChild { inbound }]);
    });
}

#[test]
fn sides_that_know_other_ike_sas_are_seen() {
    caught("the sides know other IKE SAs", up(), |world| {
        world.torn = true;
        let policy = Arc::clone(&world.hosts[B].policy);
        world.hosts[B].endpoint = Endpoint::new(world.now, policy, &mut world.dice);
    });
}

#[test]
fn sides_that_know_other_children_are_seen() {
    let mut world = up();
    let inbound = child_of(&world, A).inbound;
    world.command(A, Command::DownChild { inbound });
    world.run(SECOND);
    caught("the sides know other children", world, |world| {
        world.torn = true;
        world.command(A, Command::Up { peer: name("other-site") });
        world.run(MILLI * 9);
        // The peer makes the child, and the answer is lost.
        world.network.cut = true;
    });
}

#[test]
fn a_child_in_one_process_only_is_seen() {
    caught("IKE and packet process differ", up(), |world| {
        world.torn = true;
        let mut child = child_of(world, A);
        child.inbound = other_spi(child.inbound);
        world.perform(A, vec![Action::InstallChild(Box::new(child))]);
    });
}

#[test]
fn an_spi_that_nobody_gives_back_is_seen() {
    let mut world = up();
    let inbound = child_of(&world, A).inbound;
    world.command(A, Command::DownChild { inbound });
    world.run(SECOND);
    caught("SPIs leak", world, |world| {
        // Taken for a child that is not answered for.
        world.network.cut = true;
        world.command(A, Command::Up { peer: name("other-site") });
    });
}

/// A flood of first messages from false addresses, at a gateway with these limits.
fn flooded(limits: Limits) -> World {
    let (east, mut west) = sites(|_| {});
    west.limits = limits;
    let mut source = World::new(91, east, sites(|_| {}).1);
    source.command(A, Command::Up { peer: name("other-site") });
    let first = source.network.last_sent().expect("a first message");
    let mut world = World::new(92, sites(|_| {}).0, west);
    for number in 0..1_000u32 {
        let mut bytes = first.bytes.clone();
        bytes[4..8].copy_from_slice(&number.to_be_bytes());
        let remote = std::net::SocketAddr::from((std::net::Ipv4Addr::from_bits(0xc633_0000 + number), 500));
        world.input(B, Input::Datagram { path: Path { local: first.destination, remote }, bytes });
        world.network.forget();
    }
    world
}

/// The limits of half-open IKE SAs are what bounds the memory: without them the bound is seen to be passed.
#[test]
fn memory_without_a_bound_is_seen() {
    flooded(Limits::default()).assert_bounded();
    let boundless = Limits { cookies_from: usize::MAX, half_open: usize::MAX, ..Limits::default() };
    let world = flooded(boundless);
    assert_eq!(world.hosts[B].endpoint.half_open(), 1_000);
    caught("octets for what two sites need", world, |world| world.assert_bounded());
}

/// Negotiations that begin and never end: the same bound from the other side.
#[test]
fn negotiations_without_an_end_are_seen() {
    let (mut east, west) = sites(|peer| peer.unique = false);
    let one = Arc::clone(&east.peers[0]);
    for number in 0..300 {
        let mut peer = (*one).clone();
        peer.name = name(&format!("site-{number}"));
        east.peers.push(Arc::new(peer));
    }
    first_child(peer(&mut east));
    caught("octets for what two sites need", World::new(93, east, west), |world| {
        world.network.cut = true;
        for number in 0..300 {
            world.command(A, Command::Up { peer: name(&format!("site-{number}")) });
        }
        world.assert_bounded();
    });
}
