//! Where bugs of a TCP live: the beginning and the end.

use super::{Requirement, check, limits};

const TABLE: &[Requirement] = &[
    (
        "ack-data",
        "data on the acknowledgment that ends the handshake",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > A 1:100 ack 1
        server < A 1:100 ack 1",
    ),
    (
        "ack-lost",
        "the acknowledgment is lost and data come in its place",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < SA 0:0 ack 1
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > A 1:50 ack 1
        server < A 1:50 ack 1",
    ),
    (
        "ack-fin",
        "FIN and data on the acknowledgment that ends the handshake",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > FA 1:100 ack 1
        client < A 1:0 ack 102
        server < FA 1:100 ack 1",
    ),
    (
        "syn-again",
        "a SYN that comes twice is carried twice",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        count opening 1",
    ),
    (
        "syn-new",
        "a client that begins anew takes the place of its first attempt",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        client > S 500:0 win 65535 mss 1460
        server < S 500:0
        server > SA 0:0 ack 501 win 65535 mss 1460
        client < SA 0:0 ack 501",
    ),
    (
        "syn-data",
        "data on a SYN are left to be sent again",
        "
        client > S 0:20 win 65535 mss 1460
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > A 1:20 ack 1
        server < A 1:20 ack 1",
    ),
    (
        "options",
        "options that the client did not offer are not offered",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0 mss 1460
        server > SA 0:0 ack 1 win 65535 mss 1460 sackok scale 7 ts 1 0
        client < SA 0:0 ack 1
        client > A 1:0 ack 1
        server < A 1:0 ack 1
        server > A 1:30 ack 1
        client < A 1:30 ack 1",
    ),
    (
        "refused",
        "a refusal passes as it is, and a later attempt begins anew",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > RA 0:0 ack 1
        client < RA 0:0 ack 1
        count opening_reset 1
        client > S 0:0 win 65535 mss 1460
        server < S 0:0",
    ),
    (
        "refused-blind",
        "a refusal that acknowledges something else is not believed",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > RA 0:0 ack 2
        client < nothing
        server > R 0:0
        client < nothing",
    ),
    (
        "give-up",
        "a client that gives up after the answer resets the server",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > R 1:0
        server < R 1:0
        count opening_reset 1",
    ),
    (
        "wrong-answer",
        "an answer to what was never asked is reset (RFC 9293 figure 9)",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > SA 0:0 ack 77 win 65535 mss 1460
        server < R 77:0
        client < nothing",
    ),
    (
        "old-connection",
        "a server that still has an old connection is reset, then asked again (RFC 9293 figure 9)",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        server > A 300:0 ack 900
        server < R 900:0
        client > S 0:0 win 65535 mss 1460
        server < S 0:0",
    ),
    (
        "forgotten",
        "a half-open connection is forgotten in silence",
        "
        client > S 0:0 win 65535 mss 1460
        server < S 0:0
        wait 80000
        count opening_expired 1
        client < nothing
        server < nothing",
    ),
    (
        "half-close",
        "one direction ends, the other goes on",
        "
        open
        client > FA 1:0 ack 1 ts 101 0
        client < A 1:0 ack 2
        server < FA 1:0 ack 1
        server > A 1:700 ack 2 ts 201 0
        client < A 1:700 ack 2
        client > A 2:0 ack 701 ts 102 0
        server > FA 701:0 ack 2 ts 202 0
        server < A 2:0 ack 702
        client < FA 701:0 ack 2
        client > A 2:0 ack 702 ts 103 0
        count closed 1",
    ),
    (
        "fin-lost",
        "FIN is sent again after a timeout, with its data",
        "
        open plain
        client > FA 1:100 ack 1
        client < A 1:0 ack 102
        server < FA 1:100 ack 1
        wait 210
        server < FA 1:100 ack 1
        server > A 1:0 ack 102
        count retransmission_timeout 1",
    ),
    (
        "fin-part",
        "data acknowledged without their FIN: FIN alone is sent again",
        "
        open plain
        client > FA 1:100 ack 1
        client < A 1:0 ack 102
        server < FA 1:100 ack 1
        server > A 1:0 ack 101
        wait 210
        server < FA 101:0 ack 1",
    ),
    (
        "fin-twice",
        "FIN that comes again is acknowledged again, also in TIME-WAIT",
        "
        open plain
        client > FA 1:0 ack 1
        client < A 1:0 ack 2
        server < FA 1:0 ack 1
        client > FA 1:0 ack 1
        client < A 1:0 ack 2
        server > FA 1:0 ack 2
        server < A 2:0 ack 2
        client < FA 1:0 ack 2
        client > A 2:0 ack 2
        server > FA 1:0 ack 2
        server < A 2:0 ack 2
        count closed 1",
    ),
    (
        "fin-crossed",
        "both ends close at once",
        "
        open plain
        client > FA 1:0 ack 1
        client < A 1:0 ack 2
        server < FA 1:0 ack 1
        server > FA 1:0 ack 1
        server < A 2:0 ack 2
        client < FA 1:0 ack 2
        client > A 2:0 ack 2
        server > A 2:0 ack 2
        count closed 1",
    ),
    (
        "fin-early",
        "FIN before the data that it follows waits for them",
        "
        open plain
        client > FA 101:0 ack 1
        client < A 1:0 ack 1
        client > A 1:100 ack 1
        client < A 1:0 ack 102
        server < FA 1:100 ack 1",
    ),
    (
        "after-fin",
        "data after FIN are nobody's",
        "
        open plain
        client > FA 1:10 ack 1
        client < A 1:0 ack 12
        server < FA 1:10 ack 1
        client > A 12:50 ack 1
        client < A 1:0 ack 12
        server < nothing",
    ),
    (
        "time-wait-new",
        "a later SYN begins anew out of TIME-WAIT (RFC 6191)",
        "
        open plain
        client > FA 1:0 ack 1
        client < A 1:0 ack 2
        server < FA 1:0 ack 1
        server > FA 1:0 ack 2
        server < A 2:0 ack 2
        client < FA 1:0 ack 2
        client > A 2:0 ack 2
        client > S 5000:0 win 65535 mss 1460
        server < S 5000:0
        server < nothing",
    ),
    (
        "reset-carried",
        "a reset passes to the other leg with the number that is expected there",
        "
        open plain
        client > A 1:100 ack 1
        server < A 1:100 ack 1
        client > R 101:0
        server < RA 101:0 ack 1
        client < nothing
        count reset_by_peer 1
        server > A 1:10 ack 101
        server < R 101:0",
    ),
    (
        "syn-after",
        "a SYN after establishment is challenged, not obeyed",
        "
        open plain
        client > S 70000:0 win 65535 mss 1460
        client < A 1:0 ack 1
        server < nothing",
    ),
    (
        "held-frame",
        "what a ring still holds is not sent again until it comes back",
        "
        open plain
        hold
        client > A 1:100 ack 1
        server < A 1:100 ack 1
        wait 1100
        server < nothing
        free
        server < A 1:100 ack 1",
    ),
    (
        "no-frame",
        "nobody says when packet memory has frames again, so it is asked",
        "
        open plain
        starve
        client > A 1:100 ack 1
        server < nothing
        wait 100
        server < nothing
        client < nothing
        feed
        wait 20
        server < A 1:100 ack 1
        client < A 1:0 ack 101",
    ),
];

#[test]
fn beginnings_and_ends() {
    check(TABLE, &limits());
}
