//! Clients that are answered on word only: the server's leg stands first (row A5).

use super::{Requirement, check, limits};

const TABLE: &[Requirement] = &[
    (
        "waits",
        "the client hears nothing until the word, whatever the server says; then it stands and has all of it",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        server > A 1:20 ack 1
        wait 50
        server < A 1:0 ack 21
        client > S 0:0 win 65535 mss 1460
        client < nothing
        server < nothing
        answer
        client < SA 0:0 ack 1
        client < nothing
        client > A 1:30 ack 1
        client < A 1:20 ack 31
        server < A 1:30 ack 21
        count established 1",
    ),
    (
        "options",
        "the answer agrees on options as a mirrored one does",
        "
        client > S 0:0 win 65535 mss 1460 scale 7 sackok ts 100 0 onword
        server < S 0:0 scale 7 sackok
        server > SA 0:0 ack 1 win 65535 mss 1000 scale 7 ts 200 0
        server < A 1:0 ack 1 ts 0 200
        client > S 0:0 win 65535 mss 1460 scale 7 sackok ts 103 0
        answer
        client < SA 0:0 ack 1 mss 1460 scale 7 sackok ts 0 103
        client > A 1:0 ack 1 ts 104 0
        server > A 1:10 ack 1 ts 201 0
        client < A 1:10 ack 1 ts 0 104",
    ),
    (
        "refused",
        "a server that refuses before it stands",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > RA 0:0 ack 1
        client < RA 0:0 ack 1
        count opening_reset 1",
    ),
    (
        "reset",
        "a server that breaks off before the word: the client's SYN is refused",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        server > RA 1:0 ack 1
        client < RA 1:0 ack 1
        answer
        client < nothing
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0",
    ),
    (
        "lost",
        "our answer is sent again, a second later and then ever later, and both ends are told in the end",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        wait 100000
        answer
        client < SA 0:0 ack 1
        wait 990
        client < nothing
        wait 20
        client < SA 0:0 ack 1
        wait 2010
        client < SA 0:0 ack 1
        wait 28100
        client < SA 0:0 ack 1
        client < SA 0:0 ack 1
        client < SA 0:0 ack 1
        server < nothing
        wait 32100
        client < RA 1:0 ack 1
        server < RA 1:0 ack 1
        count timed_out 1",
    ),
    (
        "again",
        "a SYN that comes again after the answer is answered again",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        answer
        client < SA 0:0 ack 1
        client > S 0:0 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > A 1:0 ack 1
        wait 3000
        client < nothing",
    ),
    (
        "anew",
        "a client that begins anew before the word takes the place of its first attempt",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        client > S 500:0 win 65535 mss 1460 onword
        server < RA 1:0 ack 1
        server < S 500:0
        client < nothing
        server > SA 0:0 ack 501 win 65535 mss 1460
        server < A 501:0 ack 1
        answer
        client < SA 0:0 ack 501",
    ),
    (
        "anew-answered",
        "one that begins anew after it resets the old connection by itself (RFC 9293 figure 9)",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        answer
        client < SA 0:0 ack 1
        client > S 500:0 win 65535 mss 1460
        client < SA 0:0 ack 1
        client > R 1:0
        server < RA 1:0 ack 1
        client < nothing",
    ),
    (
        "guessed",
        "nobody can acknowledge what was not said, nor reset without the number",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        client > A 1:10 ack 1
        client < R 1:0
        client > R 2:0
        server < nothing
        count established 1",
    ),
    (
        "given-up",
        "a client that gives up with a reset",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        client > R 1:0
        server < RA 1:0 ack 1
        client < nothing
        count opening_reset 1",
    ),
    (
        "ended",
        "a server that has said all before the word",
        "
        client > S 0:0 win 65535 mss 1460 onword
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460
        server < A 1:0 ack 1
        server > FA 1:10 ack 1
        server < A 1:0 ack 12
        answer
        client < SA 0:0 ack 1
        client > A 1:0 ack 1
        client < FA 1:10 ack 1
        client > FA 1:0 ack 12
        client < A 12:0 ack 2
        server < FA 1:0 ack 12
        server > A 12:0 ack 2
        count closed 1",
    ),
];

#[test]
fn clients_wait_for_the_word() {
    check(TABLE, &limits());
}
