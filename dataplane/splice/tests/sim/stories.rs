//! Single stories, without bad luck.

use ravelin_splice::{Event, Limits};

use super::host::{Habits, State};
use super::world::{Link, World};

pub(crate) fn quiet() -> Habits {
    Habits {
        mss: 1_460,
        scale: Some(7),
        sack: true,
        stamps: true,
        buffer: 256 << 10,
        delay: 0,
        send: 0,
        closes_first: true,
        stall: (0, 0),
        resets_at: None,
    }
}

pub(crate) fn good() -> Link {
    Link { delay: 5_000, ..Link::default() }
}

pub(crate) fn world(client: Habits, server: Habits) -> World {
    World::new(1, Limits::default(), [good(), good()], [client, server])
}

/// The whole way: handshake, data in both directions, both ends close, TIME-WAIT, nothing left.
#[test]
fn octets_pass_and_both_ends_close() {
    let client = Habits { send: 100_000, ..quiet() };
    let server = Habits { send: 300_000, closes_first: false, ..quiet() };
    let mut world = world(client, server);
    world.run(20_000_000);
    for (host, send) in world.hosts.iter().zip([300_000, 100_000]) {
        assert!(host.is_done(), "{host:?}");
        assert_eq!((host.received, host.wrong_octets), (send, false));
    }
    assert_eq!(world.splice.counters().of(Event::Closed), 1);
    assert_eq!(world.splice.counters().of(Event::Retransmitted), 0);
    assert_eq!(world.splice.counts(), (1, 0), "TIME-WAIT");
    world.run(90_000_000);
    world.assert_nothing_leaks();
}

/// A server that refuses is seen as such, by its own reset.
#[test]
fn a_refusal_passes() {
    let mut world = world(quiet(), quiet());
    world.hosts[1].state = State::Reset;
    world.run(1_000_000);
    assert_eq!(world.hosts[0].state, State::Reset);
    assert_eq!(world.splice.counters().of(Event::OpeningReset), 1);
    world.assert_nothing_leaks();
}

/// Silence is silence: the client asks as often as it wants, we never do.
#[test]
fn a_silent_server_is_asked_by_the_client_alone() {
    let mut world = world(quiet(), quiet());
    world.links[1].lost = 10_000;
    world.run(300_000_000);
    assert_eq!(world.hosts[0].state, State::SynSent);
    assert_eq!(world.splice.counters().of(Event::Established), 0);
}

/// A window closed for minutes: probes go on, nothing is lost, nobody gives up.
#[test]
fn a_closed_window_is_probed_until_it_opens() {
    let client = Habits { send: 1_000_000, ..quiet() };
    let server = Habits { buffer: 20_000, stall: (1, 900_000_000), closes_first: false, ..quiet() };
    let mut world =
        World::new(1, Limits { budget: 64 << 10, ..Limits::default() }, [good(), good()], [client, server]);
    world.run(800_000_000);
    assert!(world.splice.counters().of(Event::WindowProbe) > 3);
    assert!(world.splice.frames_kept() < 100, "{}", world.splice.frames_kept());
    world.run(2_000_000_000);
    assert_eq!(world.hosts[1].received, 1_000_000);
    world.assert_nothing_leaks();
}

/// A link that has become narrow: nobody says so, or a router does.
#[test]
fn a_narrow_path_gets_smaller_segments() {
    for (mute, mtu) in [(false, 1_300), (false, 600), (true, 1_300), (true, 600)] {
        let client = Habits { send: 3_000_000, ..quiet() };
        let mut world = world(client, Habits { closes_first: false, ..quiet() });
        world.mute = mute;
        world.narrow_at(100_000, mtu);
        world.run(60_000_000);
        assert_eq!(
            (world.hosts[1].received, world.hosts[1].wrong_octets),
            (3_000_000, false),
            "{mute} {mtu}"
        );
        let counters = world.splice.counters();
        let expected = if !mute {
            [1, 0]
        } else if mtu < 1_280 {
            [0, 2]
        } else {
            [0, 1]
        };
        let found = [Event::PathNarrowed, Event::BlackHole].map(|event| counters.of(event));
        assert_eq!(found, expected, "{mute} {mtu}");
    }
}

/// Hours of nothing: keepalives on both legs, and a dead peer is noticed and told to the other.
#[test]
fn an_idle_connection_stays_until_a_peer_is_gone() {
    let client = Habits { send: 10, closes_first: false, ..quiet() };
    let server = Habits { send: 10, closes_first: false, ..quiet() };
    let limits = Limits { keepalive_ms: 30_000, ..Limits::default() };
    let mut world = World::new(1, limits, [good(), good()], [client, server]);
    world.run(5 * 3_600_000_000);
    assert_eq!(world.splice.counts(), (1, 0));
    assert_eq!(world.states(), [State::Established; 2]);
    world.links[1].lost = 10_000;
    world.run(6 * 3_600_000_000);
    assert_eq!(world.splice.counters().of(Event::TimedOut), 1);
    assert_eq!(world.hosts[0].state, State::Reset, "the living end is told");
    world.assert_nothing_leaks();
}
