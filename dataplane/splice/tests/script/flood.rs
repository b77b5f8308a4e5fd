//! A flood of SYNs: cookies, and what becomes of clients that bring them back (RFC 4987 3.6).

use ravelin_splice::Limits;

use super::{Requirement, check, limits};

const TABLE: &[Requirement] = &[
    (
        "unanswered",
        "above the bound a SYN is answered by us, and the server hears nothing of it",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1 mss 1460
        server < nothing
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        count cookie_sent 2
        count opening 0",
    ),
    (
        "brought-back",
        "who brings it back is there: now the server is asked, and octets pass",
        "
        client > S 0:0 win 65535 mss 1000
        client < SA cookie:0 ack 1 mss 1460
        client > A 1:0 ack cookie
        server < S 0:0 mss 1460
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        client > A 1:50 ack cookie
        server < A 1:50 ack 1
        server > A 1:1400 ack 51
        client < A cookie+1:536 ack 51
        client < A cookie+537:536 ack 51
        client < A cookie+1073:328 ack 51
        count cookie_taken 1
        count established 1",
    ),
    (
        "options",
        "scale and SACK come back in the time stamp",
        "
        client > S 0:0 win 65535 mss 1460 scale 5 sackok ts 100 0
        client < SA cookie:0 ack 1 mss 1460 scale 7 sackok ts 0 100
        client > A 1:0 ack cookie ts 101 echo
        server < S 0:0 mss 1460 scale 7 sackok
        server > SA 0:0 ack 1 win 65535 mss 1460 scale 7 sackok ts 7 0
        server < A 1:0 ack 1
        client > A 101:100 ack cookie ts 102 0
        client < A cookie+1:0 ack 1 sack 101-201",
    ),
    (
        "no-stamps",
        "without time stamps neither is offered",
        "
        client > S 0:0 win 65535 mss 1460 scale 5 sackok
        client < SA cookie:0 ack 1 mss 1460
        client > A 1:0 ack cookie
        server < S 0:0 mss 1460
        server > SA 0:0 ack 1 win 65535 mss 1460 scale 7 sackok
        server < A 1:0 ack 1
        client > A 101:100 ack cookie
        client < A cookie+1:0 ack 1",
    ),
    (
        "data",
        "data that bring it back wait for the server, and are sent again",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        client > A 1:50 ack cookie
        server < S 0:0
        client > A 1:50 ack cookie
        server < nothing
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        client > A 1:50 ack cookie
        server < A 1:50 ack 1",
    ),
    (
        "late",
        "a later segment that comes first is not answered, for the first one comes again",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        client > A 51:50 ack cookie
        client < nothing
        server < nothing
        client > A 1:50 ack cookie
        server < S 0:0",
    ),
    (
        "refused",
        "a server that refuses: the client is reset, by the number that it knows",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        client > A 1:0 ack cookie
        server < S 0:0
        server > RA 0:0 ack 1
        client < RA cookie+1:0 ack 1
        count opening_reset 1",
    ),
    (
        "silent",
        "a silent server is asked six times, then the client is reset",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        client > A 1:0 ack cookie
        server < S 0:0
        wait 1020
        server < S 0:0
        wait 62000
        server < S 0:0
        server < S 0:0
        server < S 0:0
        server < S 0:0
        server < nothing
        client < RA cookie+1:0 ack 1
        count opening_expired 1",
    ),
    (
        "forged",
        "a number that we did not give is no cookie",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        client > A 1:0 ack cookie+2
        client > A 1:0 ack cookie+16777216
        server < nothing
        count cookie_taken 0",
    ),
    (
        "old",
        "nor is one after two minutes",
        "
        client > S 0:0 win 65535 mss 1460
        client < SA cookie:0 ack 1
        wait 139000
        client > A 1:0 ack cookie
        server < nothing
        client < R cookie+1:0",
    ),
];

#[test]
fn a_flood_leaves_room_for_who_is_there() {
    check(TABLE, &Limits { cookies_above: 0, ..limits() });
}

/// Up to the bound nothing changes.
#[test]
fn cookies_begin_at_the_bound() {
    let script = "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        client < nothing
        count opening 1";
    check(&[("below", "a SYN is carried across", script)], &Limits { cookies_above: 1, ..limits() });
}
