//! Seeds: hosts with any habits, links with any vices, ends at any moment.

use ravelin_splice::{Event, Limits};

use super::host::{Habits, State};
use super::support::Dice;
use super::world::{Link, World};

/// Seeds of an ordinary run; `RAVELIN_SPLICE_SEEDS` asks for more, `RAVELIN_SPLICE_SEED` for a single one.
const SEEDS: u64 = 3_000;

fn habits(dice: &mut Dice, resets: bool) -> Habits {
    let stalls = dice.in_ten_thousand(2_000);
    let begin = dice.below(3_000_000);
    let buffer: u32 = dice.one_of(&[3_000, 10_000, 65_535, 200_000]);
    Habits {
        mss: dice.one_of(&[536, 1_000, 1_220, 1_460]),
        // A unit of the window must be less than the buffer.
        scale: dice.either().then(|| dice.below(u64::from(buffer.ilog2() - 2)) as u8),
        sack: dice.in_ten_thousand(8_000),
        stamps: dice.in_ten_thousand(7_000),
        buffer,
        delay: dice.one_of(&[0, 40_000, 200_000]),
        send: dice.one_of(&[0, 1, 500, 5_000, 30_000, 90_000]),
        closes_first: true,
        stall: if stalls { (begin, begin + dice.below(20_000_000)) } else { (0, 0) },
        resets_at: resets.then(|| dice.below(4_000_000)),
    }
}

fn link(dice: &mut Dice) -> Link {
    let delay = dice.one_of(&[50, 2_000, 20_000, 100_000]);
    Link {
        delay,
        jitter: dice.one_of(&[0, 0, delay / 10, delay * 2]),
        lost: dice.one_of(&[0, 0, 10, 100, 500]),
        twice: dice.one_of(&[0, 0, 100, 1_000]),
        rate: 0,
    }
}

fn life(seed: u64) -> World {
    let mut dice = Dice(seed ^ 0x5eed);
    let resets = dice.in_ten_thousand(2_000);
    let who = dice.either();
    let mut client = habits(&mut dice, resets && who);
    let mut server = habits(&mut dice, resets && !who);
    // Somebody closes first, or both do.
    match dice.below(3) {
        0 => client.closes_first = false,
        1 => server.closes_first = false,
        _ => {}
    }
    let links = [link(&mut dice), link(&mut dice)];
    let limits = Limits {
        budget: dice.one_of(&[8_000, 40_000, 1 << 20]),
        out_of_order: dice.one_of(&[2, 16, 256]),
        reserve: 64,
        keepalive_ms: 45_000,
        keepalive_interval_ms: 10_000,
        secret: [dice.word(), dice.word()],
        scale: dice.one_of(&[0, 2, 7]),
        cookies_above: if seed % 5 == 4 { 0 } else { 100 },
        ..Limits::default()
    };
    let narrows =
        dice.in_ten_thousand(1_500).then(|| (dice.below(3_000_000), dice.one_of(&[1_400, 1_280, 600])));
    let mut world = World::new(seed, limits, links, [client, server]);
    world.word = dice.in_ten_thousand(3_000).then(|| dice.one_of(&[0, 20_000, 500_000, 5_000_000]));
    if let Some((at, mtu)) = narrows {
        world.narrow_at(at, mtu);
        world.mute = dice.in_ten_thousand(3_000);
    }
    world
}

fn live(seed: u64) -> World {
    let mut world = life(seed);
    let sends = [0, 1].map(|index| u64::from(world.hosts[index].habits.send));
    let resets = world.hosts.iter().any(|host| host.habits.resets_at.is_some());
    world.run(4 * 3_600_000_000);
    for (index, host) in world.hosts.iter().enumerate() {
        assert!(!host.wrong_octets, "seed {seed}: wrong octets at {index}");
        assert!(host.received <= sends[1 - index], "seed {seed}: more than was sent");
    }
    let done = world.hosts.iter().all(|host| host.is_done());
    let reset = world.states().contains(&State::Reset);
    if !resets {
        let log = format!("{:?} {:?}", world.states(), world.splice.counters().all().collect::<Vec<_>>());
        assert!(done, "seed {seed}: not all arrived: {log}");
    } else if !done && reset {
        let over = world.hosts.iter().all(|host| {
            host.is_over() || matches!(host.state, State::Listen | State::SynReceived | State::SynSent)
        });
        assert!(over, "seed {seed}: one end does not know: {:?}", world.states());
    } else {
        assert!(done, "seed {seed}: neither done nor reset: {:?}", world.states());
    }
    world.assert_nothing_leaks();
    world
}

#[test]
fn every_octet_arrives_once_or_both_ends_are_reset() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    if let Some(seed) = number("RAVELIN_SPLICE_SEED") {
        live(seed);
        return;
    }
    let (mut retransmitted, mut resets, mut probes, mut timeouts) = (0, 0, 0, 0);
    for seed in 0..number("RAVELIN_SPLICE_SEEDS").unwrap_or(SEEDS) {
        // The seed is known even if the life ends in a panic deep within.
        let world = std::panic::catch_unwind(|| live(seed)).unwrap_or_else(|_| panic!("seed {seed} failed"));
        let count = |event| world.splice.counters().of(event);
        retransmitted += count(Event::Retransmitted);
        resets += count(Event::ResetByPeer);
        probes += count(Event::WindowProbe);
        timeouts += count(Event::RetransmissionTimeout);
    }
    println!("{retransmitted} retransmissions, {timeouts} timeouts, {resets} resets, {probes} window probes");
    assert!(retransmitted > 0 && resets > 0 && probes > 0 && timeouts > 0, "the links were too good");
}
