//! Faults put in on purpose: a simulation that does not see them proves nothing.

use ravelin_splice::{Clear, Endpoint, Event, Finish, Memory, Passed, Refused, Relay, Way};

use super::host::{Habits, State};
use super::stories::{quiet, world};
use super::world::SLOTS;

/// What a relay does wrong with one octet of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    Skips,
    Repeats,
    Alters,
    Refuses,
}

/// Passes octets on as they are, but for one.
#[derive(Debug, Default)]
pub(crate) struct Wire {
    /// The fault, and how many octets pass before it.
    pub(crate) fault: Option<(Fault, usize)>,
    /// Connections that stand, and whose client may wait for the word.
    pub(crate) opened: Vec<u32>,
}

impl Relay for Wire {
    fn open(&mut self, flow: u32, _: [Endpoint; 2]) {
        self.opened.push(flow);
    }

    fn pass(&mut self, way: Way, input: &[u8], output: &mut [u8]) -> Result<Passed, Refused> {
        let mut passed = Clear.pass(way, input, output)?;
        let Some((fault, before)) = self.fault else { return Ok(passed) };
        if before >= passed.given {
            self.fault = Some((fault, before - passed.given));
            return Ok(passed);
        }
        self.fault = None;
        match fault {
            Fault::Skips => {
                output.copy_within(before + 1..passed.given, before);
                passed.given -= 1;
            }
            Fault::Repeats => {
                output.copy_within(before..passed.given - 1, before + 1);
                passed.taken -= 1;
            }
            Fault::Alters => output[before] ^= 1,
            Fault::Refuses => return Err(Refused),
        }
        Ok(passed)
    }

    fn owes(&self, _: Way) -> bool {
        false
    }

    fn has_ended(&self, _: Way) -> bool {
        false
    }

    fn finish(&mut self, _: Way, _: &mut [u8]) -> Result<Finish, Refused> {
        Ok(Finish::Done)
    }

    fn close(&mut self, _: u32) {}
}

#[test]
fn a_single_wrong_octet_is_seen() {
    for fault in [Fault::Skips, Fault::Repeats, Fault::Alters] {
        for before in [0, 1_000, 4_000] {
            let client = Habits { send: 5_000, ..quiet() };
            let mut world = world(client, Habits { closes_first: false, ..quiet() });
            world.splice.relay().fault = Some((fault, before));
            world.run(20_000_000);
            let host = &world.hosts[1];
            assert!(host.wrong_octets, "{fault:?} after {before}: {} octets", host.received);
        }
    }
}

#[test]
fn a_lost_frame_is_seen() {
    let mut world = world(quiet(), quiet());
    world.run(200_000_000);
    world.assert_nothing_leaks();
    let frame = world.memory.take();
    assert!(frame.is_some() && world.memory.free() == SLOTS - 1);
    let seen = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.assert_nothing_leaks()));
    assert!(seen.is_err());
}

/// A relay that refuses ends both legs, as a bad record will.
#[test]
fn a_refusal_of_the_relay_resets_both_ends() {
    let client = Habits { send: 5_000, ..quiet() };
    let mut world = world(client, Habits { closes_first: false, ..quiet() });
    world.splice.relay().fault = Some((Fault::Refuses, 3_000));
    world.run(200_000_000);
    assert_eq!(world.states(), [State::Reset; 2]);
    assert_eq!(world.splice.counters().of(Event::ResetByRelay), 1);
    world.assert_nothing_leaks();
}
