//! RFC 9293 by the numbers of its appendix B. What is asked of an application's interface has no script here.

use ravelin_splice::Limits;

use super::{Requirement, check, limits};

pub(super) const TABLE: &[Requirement] = &[
    (
        "MUST-1",
        "a window of more than 32,767 is no negative one",
        "
        open plain
        server > A 1:0 ack 1 win 40000
        client > A 1:500 ack 1
        server < A 1:500",
    ),
    (
        "MUST-2, MUST-3",
        "checksums are made and judged (the player judges ours)",
        "
        open plain
        client > A 1:10 ack 1 badsum
        server < nothing
        count bad_checksum 1",
    ),
    (
        "MUST-4, MUST-5, MUST-6",
        "an option may be in any segment; unknown ones are ignored",
        "
        open
        client > A 1:10 ack 1 ts 101 0 raw fe040000
        server < nothing
        client > A 1:10 ack 1 ts 102 0
        server < A 1:10",
    ),
    (
        "MUST-7",
        "an option of impossible length breaks nothing",
        "
        open plain
        client > A 1:10 ack 1 ts 1 0 raw fe000000
        server < A 1:10",
    ),
    (
        "MUST-10",
        "SYNs that cross",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > S 0:0 win 65535 mss 1460
        client < S 0:0
        client > SA 0:0 ack 1 win 65535 mss 1460
        server < SA 0:0 ack 1
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < A 1:0 ack 1
        client > A 1:10 ack 1
        server < A 1:10 ack 1
        count established 1",
    ),
    (
        "MUST-13",
        "TIME-WAIT lasts and then is over",
        "
        open plain
        client > FA 1:0 ack 1
        client < A 1:0 ack 2
        server < FA 1:0 ack 1
        server > FA 1:0 ack 2
        server < A 2:0 ack 2
        client < FA 1:0 ack 2
        client > A 2:0 ack 2
        wait 50000
        server > FA 1:0 ack 2
        server < A 2:0 ack 2
        wait 50000
        server > FA 1:0 ack 2
        server < A 2:0 ack 2
        wait 61000
        server > FA 1:0 ack 2
        server < R 2:0",
    ),
    (
        "MUST-14, MUST-16",
        "an MSS is received and obeyed",
        "
        open mss 600
        client > A 1:1000 ack 1
        server < A 1:600 ack 1
        server < A 601:400 ack 1",
    ),
    (
        "MUST-15",
        "who sends no MSS gets 536",
        "
        open plain
        client > A 1:1000 ack 1
        server < A 1:536 ack 1
        server < A 537:464 ack 1",
    ),
    (
        "MUST-17",
        "small segments go at once (no Nagle)",
        "
        open plain
        client > A 1:1 ack 1
        server < A 1:1
        client > A 2:1 ack 1
        client < A 1:0 ack 3
        server < A 2:1",
    ),
    (
        "MUST-18",
        "timeouts double, and an ambiguous answer is no measurement",
        "
        open plain
        client > A 1:10 ack 1
        server < A 1:10
        wait 210
        server < A 1:10
        wait 390
        server < nothing
        wait 30
        server < A 1:10
        count retransmission_timeout 2",
    ),
    (
        "MUST-19",
        "slow start: ten segments, then two for each that arrives",
        "
        open mss 100
        client > A 1:1400 ack 1
        server < A 1:100
        server < A 101:100
        server < A 201:100
        server < A 301:100
        server < A 401:100
        server < A 501:100
        server < A 601:100
        server < A 701:100
        server < A 801:100
        server < A 901:100
        server < nothing
        server > A 1:0 ack 101
        server < A 1001:100
        server < A 1101:100
        server < nothing",
    ),
    (
        "MUST-20",
        "a peer that never answers is given up, and the other is told",
        "
        open plain
        client > A 1:10 ack 1
        wait 4000000
        count timed_out 1
        client < A 1:0 ack 11
        client < RA 1:0 ack 11",
    ),
    (
        "MUST-34",
        "a window that shrinks: nothing new goes beyond it, the connection lives",
        "
        open mss 1000
        client > A 1:1000 ack 1
        server < A 1:1000
        server > A 1:0 ack 1 win 500
        client > A 1001:500 ack 1
        client < A 1:0
        server < nothing
        server > A 1:0 ack 1001 win 2000
        server < A 1001:500",
    ),
    (
        "MUST-35, MUST-36, MUST-37",
        "a closed window is probed, for as long as answers come",
        "
        open plain
        server > A 1:0 ack 1 win 0
        client > A 1:100 ack 1
        server < nothing
        wait 210
        server < A 0:0
        server > A 1:0 ack 1 win 0
        wait 410
        server < A 0:0
        server > A 1:0 ack 1 win 0
        wait 900
        server < A 0:0
        server > A 1:0 ack 1 win 1000
        server < A 1:100
        count timed_out 0",
    ),
    (
        "MUST-38",
        "no silly segments: what does not fit waits while something is in flight",
        "
        open mss 1000
        server > A 1:0 ack 1 win 1100
        client > A 1:1000 ack 1
        server < A 1:1000
        client > A 1001:1000 ack 1
        server < nothing
        server > A 1:0 ack 1001 win 1100
        server < A 1001:1000",
    ),
    (
        "MUST-40, SHLD-18",
        "an acknowledgment waits less than half a second; every second segment gets one",
        "
        open mss 1000
        client > A 1:1000 ack 1
        client < nothing
        wait 45
        client < A 1:0 ack 1001
        client > A 1001:1000 ack 1
        client < nothing
        client > A 2001:1000 ack 1
        client < A 1:0 ack 3001",
    ),
    (
        "MUST-57, MUST-63",
        "a SYN from an address that is no host's is dropped in silence",
        "
        client > S 0:0 win 65535 mss 1460 from 224.0.0.1
        client > S 0:0 win 65535 mss 1460 from 255.255.255.255
        server < nothing
        client < nothing
        count malformed 2
        count opening 0",
    ),
    (
        "MUST-60, MUST-61",
        "nothing waits for PSH, and the last of what is queued has it",
        "
        open mss 1000
        client > A 1:1400 ack 1
        server < A 1:1000
        server < PA 1001:400",
    ),
    (
        "MUST-58",
        "acknowledgments are piled up: one for all that came in order",
        "
        open plain
        client > A 101:100 ack 1
        client < A 1:0 ack 1
        client > A 201:100 ack 1
        client < A 1:0 ack 1
        client > A 1:100 ack 1
        client < A 1:0 ack 301
        server < A 1:300",
    ),
    (
        "MUST-59, 3.10.7.4",
        "what is not acceptable is acknowledged and dropped, a reset only dropped",
        "
        open plain
        client > A -10:5 ack 1
        client < A 1:0 ack 1
        server < nothing
        client > R -10:0
        client < nothing",
    ),
    (
        "3.10.7.1",
        "for no connection: a reset in answer, none to a reset",
        "
        client > A 10:0 ack 5
        client < R 5:0
        client > F 10:0
        # The number is 0, which is so far from the first of the server.
        client < RA -305419896:0 ack 11
        client > R 10:0
        client < nothing
        count no_flow 3",
    ),
    (
        "3.8.6-trim",
        "data partly old and partly beyond the window are cut on both sides",
        "
        open plain
        client > A 1:100 ack 1
        server < A 1:100
        client > A 51:100 ack 1
        server < A 101:50",
    ),
    (
        "urgent",
        "urgent data pass inline",
        "
        open plain
        client > UA 1:10 ack 1
        server < A 1:10",
    ),
];

#[test]
fn appendix_b() {
    check(TABLE, &limits());
}

/// Where an end takes no more than 2,000 octets that the other did not get.
pub(super) const FULL: &[Requirement] = &[
    (
        "MUST-39",
        "no silly windows: one that was closed opens by a segment or not at all",
        "
        open mss 1000
        server > A 1:0 ack 1 win 1000
        client > A 1:1000 ack 1
        server < A 1:1000
        client > A 1001:1000 ack 1
        client < A 1:0 ack 2001 win 0
        server > A 1:0 ack 501 win 500
        client < nothing
        server > A 1:0 ack 1001 win 0
        client < A 1:0 ack 2001 win 1000",
    ),
    (
        "MUST-66",
        "a reset counts although the window is closed",
        "
        open mss 1000
        server > A 1:0 ack 1 win 0
        client > A 1:1000 ack 1
        client > A 1001:1000 ack 1
        client < A 1:0 ack 2001 win 0
        client > R 2001:0
        server < RA 1:0
        count reset_by_peer 1",
    ),
];

#[test]
fn where_there_is_little_room() {
    check(FULL, &Limits { budget: 2_000, ..limits() });
}

/// MUST-26 and 3.8.4: one keepalive without answer proves nothing, many do.
#[test]
fn keepalives() {
    let limits =
        Limits { keepalive_ms: 60_000, keepalive_interval_ms: 10_000, keepalive_probes: 3, ..limits() };
    check(KEEPALIVES, &limits);
}

pub(super) const KEEPALIVES: &[Requirement] = &[
    (
        "MUST-29",
        "one unanswered keepalive is not the end",
        "
            open plain
            wait 60100
            client < A 0:0 ack 1
            server < A 0:0 ack 1
            server > A 1:0 ack 1
            wait 10100
            client < A 0:0 ack 1
            client > A 1:0 ack 1
            count timed_out 0",
    ),
    (
        "3.8.4",
        "all of them are",
        "
            open plain
            wait 60100
            wait 10100
            wait 10100
            wait 10100
            count timed_out 1",
    ),
    (
        "MUST-26, MUST-27",
        "none is sent before the time that was set, counted from what came last",
        "
            open plain
            wait 59900
            client > A 1:10 ack 1
            server < A 1:10
            server > A 1:0 ack 11
            wait 50
            client < A 1:0 ack 11
            wait 59800
            count keepalive 0
            wait 300
            count keepalive 2",
    ),
];
