//! Scripts of packets: one for each requirement, by the number that its RFC gives it.

mod farewell;
mod flood;
mod language;
mod lifecycle;
mod on_word;
mod probes;
mod recovery;
mod requirements;
mod rfc5961;
mod rfc7323;
mod rfc9293;
#[path = "../support/mod.rs"]
#[expect(dead_code, reason = "scripts throw no dice")]
mod support;

use language::play;
use ravelin_splice::Limits;

/// A requirement: its name, what it asks, and a script that shows it.
type Requirement = (&'static str, &'static str, &'static str);

fn limits() -> Limits {
    Limits { reserve: 16, out_of_order: 8, keepalive_ms: 0, resets_per_second: 10, ..Limits::default() }
}

fn check(table: &[Requirement], limits: &Limits) {
    let failed: Vec<String> = table
        .iter()
        .filter_map(|(name, what, script)| {
            play(script, limits.clone()).err().map(|why| format!("{name} ({what}): {why}"))
        })
        .collect();
    assert!(failed.is_empty(), "{} of {}:\n{}", failed.len(), table.len(), failed.join("\n"));
}

/// A script that says what is not so is found out, by each kind of line.
#[test]
fn wrong_scripts_fail() {
    for wrong in [
        "open plain\nclient > A 1:10 ack 1\nserver < A 1:9 ack 1",
        "open plain\nclient > A 1:10 ack 1\nserver < A 2:10 ack 1",
        "open plain\nclient > A 1:10 ack 1\nserver < nothing",
        "open\nserver < A 1:0",
        "open\ncount established 2",
        "open plain\nclient > A 1:10 ack 1\nserver < A 1:10 ack 2",
        "open\nserver < what 1:0",
        "open mss 1000\nclient > A 1:10 ack 1 win 1 sack 1\nserver < A 1:10",
    ] {
        assert!(play(wrong, limits()).is_err(), "{wrong}");
    }
}
