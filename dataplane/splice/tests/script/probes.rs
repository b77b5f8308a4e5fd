//! RFC 8985 7: tail loss probes, and what their answers say of the path.

use super::recovery::TEN;
use super::{limits, play};

/// Eight of ten are acknowledged, and the tail is probed. The window has grown to eighteen segments.
const PROBED: &str = "
        server > A 1:0 ack 801
        wait 45
        server < A 901:100
        count tail_probe 1";

/// What is asked, how the peer answers the probe, and segments that may be in flight after that.
const TABLE: &[(&str, &str, u32)] = &[
    (
        "7.4.2, case 1: both came, as the peer says, so nothing was lost",
        "
        server > A 1:0 ack 1001
        server > A 1:0 ack 1001 sack 901-1001",
        20,
    ),
    (
        "7.4.2: what acknowledges no more than the probe may be the answer to the original, so nothing is known yet",
        "
        server > A 1:0 ack 1001",
        20,
    ),
    (
        "7.4.2, case 3: more was acknowledged, and the peer does not say that both came, so the probe has repaired a loss",
        "
        server > A 1:0 ack 1001
        client > A 1001:100 ack 1
        server < A 1001:100
        server > A 1:0 ack 1101",
        14,
    ),
    (
        "7.4.2: what a probe shows to be lost is one loss, and the window comes down once",
        "
        wait 20
        server > A 1:0 ack 801 sack 901-1001
        server < A 801:100
        server > A 1:0 ack 1001
        client > A 1001:100 ack 1
        server < A 1001:100
        server > A 1:0 ack 1101",
        12,
    ),
];

#[test]
fn what_a_probe_says_of_the_path() {
    for (what, answer, segments) in TABLE {
        let first = if answer.contains("client") { 1_101 } else { 1_001 };
        let expected: String =
            (0..*segments).map(|n| format!("server < A {}:100\n", first + n * 100)).collect();
        let script = format!(
            "{TEN}{PROBED}{answer}\nclient > A {first}:1400 ack 1\nclient > A {}:1400 ack 1\n{expected}server < nothing",
            first + 1_400
        );
        if let Err(why) = play(&script, limits()) {
            panic!("{what}: {why}");
        }
    }
}
