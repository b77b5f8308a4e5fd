//! A connection that is over while one end has a last word to hear, such as an alert: FIN behind it, and no reset that
//! overtakes it (RFC 9293 3.6.1 and 3.10.5 allow a reset; a peer's system may throw away with it what its program has not read).

use super::{Requirement, check, limits};

const TABLE: &[Requirement] = &[
    (
        "heard",
        "the end gets FIN, and what it still sends is acknowledged and thrown away until it ends, too; the other end is reset",
        "
        open plain
        part client
        server < RA 1:0 ack 1
        client < FA 1:0 ack 1
        client > A 1:100 ack 1
        client > A 101:100 ack 2
        client < A 2:0 ack 201
        client > FA 201:0 ack 2
        client < A 2:0 ack 202
        server < nothing
        client < nothing
        client > A 202:0 ack 2
        client < R 2:0
        count reset_by_owner 1
        count reset_sent 2",
    ),
    (
        "queued",
        "what is queued for it goes out first, and again if it is lost",
        "
        open mss 1000
        client > A 1:0 ack 1 win 500
        server > A 1:500 ack 1
        client < A 1:500
        server > A 501:200 ack 1
        part client
        server < A 1:0 ack 701
        server < RA 1:0
        client > A 1:0 ack 501 win 500
        client < FA 501:200
        wait 210
        client < FA 501:200
        client > A 1:0 ack 702 win 500
        wait 6000
        client < RA 702:0",
    ),
    (
        "silent",
        "one that does not end its stream is reset after five seconds",
        "
        open plain
        part server
        client < RA 1:0 ack 1
        server < FA 1:0 ack 1
        server > A 1:0 ack 2
        wait 4900
        server > A 1:10 ack 2
        wait 50
        server < A 2:0 ack 11
        wait 100
        server < RA 2:0 ack 11
        count timed_out 0",
    ),
    (
        "resets",
        "one that resets is forgotten, and nobody else is told",
        "
        open plain
        part client
        server < RA 1:0 ack 1
        client < FA 1:0 ack 1
        client > R 1:0
        client > A 1:10 ack 2
        client < R 2:0
        server < nothing
        count reset_by_peer 0",
    ),
    (
        "other",
        "to the other end there is no connection any more",
        "
        open plain
        part client
        server < RA 1:0 ack 1
        server > A 1:10 ack 1
        server < R 1:0
        server > R 1:0
        server < nothing",
    ),
    (
        "anew",
        "who connects may begin anew at once, whichever end hears the last word",
        "
        open plain
        part server
        client < RA 1:0 ack 1
        server < FA 1:0 ack 1
        client > S 5000:0 win 65535 mss 1460
        server < S 5000:0",
    ),
];

#[test]
fn a_last_word_is_not_overtaken() {
    check(TABLE, &limits());
}
