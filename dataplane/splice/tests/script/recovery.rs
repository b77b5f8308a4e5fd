//! RFC 2018, 2883, 5681, 6582, 8985: what is reported, what is lost, what is sent again.

use super::{Requirement, check, limits};

/// Ten segments of 100 octets from the client have gone out to a server with SACK, 20 ms away, 5 ms ago.
pub(super) const TEN: &str = "
        client > S 0:0 win 65535 mss 100 sackok
        server < S 0:0 sackok
        wait 20
        server > SA 0:0 ack 1 win 65535 mss 100 sackok
        client < SA 0:0 ack 1
        wait 20
        client > A 1:0 ack 1
        server < A 1:0 ack 1
        client > A 1:1000 ack 1
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
        wait 5";

pub(super) const RECEIVER: &[Requirement] = &[
    (
        "2018-3",
        "the first block is of the segment that just came, then the latest before",
        "
        open mss 100 sackok
        client > A 101:100 ack 1
        client < A 1:0 ack 1 sack 101-201
        client > A 301:100 ack 1
        client < A 1:0 ack 1 sack 301-401 sack 101-201
        client > A 501:100 ack 1
        client < A 1:0 ack 1 sack 501-601 sack 301-401 sack 101-201
        client > A 201:100 ack 1
        client < A 1:0 ack 1 sack 101-401 sack 501-601
        client > A 1:100 ack 1
        client < A 1:0 ack 401 sack 501-601",
    ),
    (
        "2018-2",
        "without the option, no blocks",
        "
        open mss 100
        client > A 101:100 ack 1
        client < A 1:0 ack 1
        server < nothing",
    ),
    (
        "2883-4.1",
        "what came twice is told first, once",
        "
        open mss 100 sackok
        client > A 1:100 ack 1
        server < A 1:100
        client > A 1:100 ack 1
        client < A 1:0 ack 101 sack 1-101
        client > A 201:100 ack 1
        client < A 1:0 ack 101 sack 201-301",
    ),
    (
        "2883-4.2",
        "also beside a gap",
        "
        open mss 100 sackok
        client > A 101:100 ack 1
        client < A 1:0 ack 1 sack 101-201
        client > A 101:100 ack 1
        client < A 1:0 ack 1 sack 101-201 sack 101-201",
    ),
    (
        "5681-4.2",
        "beyond a gap and into it: acknowledged at once",
        "
        open mss 100
        client > A 101:100 ack 1
        client < A 1:0 ack 1
        client > A 1:50 ack 1
        client < A 1:0 ack 51
        client > A 51:50 ack 1
        client < A 1:0 ack 201",
    ),
    (
        "bound",
        "out of order beyond the bound is dropped and counted",
        "
        open mss 100
        client > A 101:10 ack 1
        client > A 121:10 ack 1
        client > A 141:10 ack 1
        client > A 161:10 ack 1
        client > A 181:10 ack 1
        client > A 201:10 ack 1
        client > A 221:10 ack 1
        client > A 241:10 ack 1
        client > A 261:10 ack 1
        count out_of_order_full 1",
    ),
];

pub(super) const SENDER: &[Requirement] = &[
    (
        "8985-6.2",
        "three reported later: the gap is lost and sent at once",
        "
        server > A 1:0 ack 1 sack 101-401
        server < A 1:100
        server < nothing",
    ),
    (
        "8985-6.2-timer",
        "one reported later: the gap is lost after a quarter of the round trip",
        "
        server > A 1:0 ack 1 sack 101-201
        server < nothing
        wait 3
        server < A 1:100",
    ),
    (
        "2018-5",
        "what was reported is not sent again",
        "
        server > A 1:0 ack 1 sack 101-201 sack 301-1001
        server < A 1:100
        wait 2
        server > A 1:0 ack 201 sack 301-1001
        server < A 201:100
        server < nothing",
    ),
    (
        "9937-6.2",
        "one retransmission at once, the rest as the window allows",
        "
        server > A 1:0 ack 1 sack 501-1001
        server < A 1:100
        server > A 1:0 ack 101 sack 501-1001
        server < A 101:100
        server < A 201:100",
    ),
    (
        "8985-7.3",
        "the tail is probed before the timeout",
        "
        server > A 1:0 ack 901
        count tail_probe 0
        wait 205
        server < A 901:100
        count tail_probe 1
        count retransmission_timeout 0",
    ),
    (
        "6298-5",
        "after the timeout, one segment; the others follow the answer",
        "
        wait 40
        server < A 901:100
        wait 205
        server < A 1:100
        server < nothing
        count retransmission_timeout 1
        server > A 1:0 ack 101
        server < A 101:100
        server < A 201:100",
    ),
    (
        "2018-8",
        "a timeout forgets what was reported if the peer takes it back",
        "
        server > A 1:0 ack 1 sack 101-1001
        server < A 1:100
        server > A 1:0 ack 101
        wait 230
        server < A 101:100",
    ),
    (
        "5927-7.4",
        "no path is believed to be so narrow that segments become many",
        "
        mtu server 88 1
        server < nothing
        count retransmitted 0",
    ),
];

/// Without SACK.
pub(super) const PLAIN: &[Requirement] = &[
    (
        "5681-3.2",
        "three duplicates: sent again at once",
        "
        open mss 100
        client > A 1:500 ack 1
        server < A 1:100
        server < A 101:100
        server < A 201:100
        server < A 301:100
        server < A 401:100
        server > A 1:0 ack 1
        server > A 1:0 ack 1
        server < nothing
        server > A 1:0 ack 1
        server < A 1:100
        server < nothing",
    ),
    (
        "6582-3.2",
        "a partial acknowledgment: the next gap at once",
        "
        open mss 100
        client > A 1:500 ack 1
        server < A 1:100
        server < A 101:100
        server < A 201:100
        server < A 301:100
        server < A 401:100
        server > A 1:0 ack 1
        server > A 1:0 ack 1
        server > A 1:0 ack 1
        server < A 1:100
        server > A 1:0 ack 201
        server < A 201:100",
    ),
    (
        "1191",
        "a narrower path: larger segments are sent again in pieces",
        "
        open mss 1400
        client > A 1:1400 ack 1
        server < A 1:1400
        mtu server 1040 1
        server < A 1:1000
        server < A 1001:400",
    ),
    (
        "1191-6.3",
        "ten minutes later the path may be wider",
        "
        open mss 1400
        client > A 1:1400 ack 1
        server < A 1:1400
        mtu server 1040 1
        server < A 1:1000
        server < A 1001:400
        server > A 1:0 ack 1401
        wait 500000
        client > A 1401:1400 ack 1
        server < A 1401:1000
        server < A 2401:400
        server > A 1:0 ack 2801
        wait 110000
        client > A 2801:1400 ack 1
        server < A 2801:1400",
    ),
    (
        "4821-7.7",
        "large segments that vanish in silence get smaller",
        "
        open mss 1400
        client > A 1:1400 ack 1
        server < A 1:1400
        wait 1000
        server < A 1:1400
        server < A 1:1400
        wait 1000
        server < A 1:1208
        server > A 1:0 ack 1209
        server < A 1209:192
        count black_hole 1",
    ),
    (
        "4821-small",
        "small ones that vanish do not",
        "
        open mss 1400
        client > A 1:500 ack 1
        server < A 1:500
        wait 20000
        count black_hole 0",
    ),
    (
        "5927-7.2",
        "news about a segment that is not in flight is not believed",
        "
        open mss 1400
        client > A 1:1400 ack 1
        server < A 1:1400
        mtu server 1040 5000
        server < nothing",
    ),
];

#[test]
fn what_the_receiver_reports() {
    check(RECEIVER, &limits());
}

#[test]
fn what_the_sender_makes_of_it() {
    let scripts: Vec<String> = SENDER.iter().map(|(_, _, script)| format!("{TEN}{script}")).collect();
    for ((name, what, _), script) in SENDER.iter().zip(&scripts) {
        if let Err(why) = super::play(script, limits()) {
            panic!("{name} ({what}): {why}");
        }
    }
}

#[test]
fn what_the_sender_does_without_reports() {
    check(PLAIN, &limits());
}
