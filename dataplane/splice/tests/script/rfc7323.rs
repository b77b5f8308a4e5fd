//! RFC 7323: window scale, time stamps, PAWS.

use super::{Requirement, check, limits};

pub(super) const TABLE: &[Requirement] = &[
    (
        "7323-2.2",
        "scale is used only if both sent it; windows of SYNs are never scaled",
        "
        client > S 0:0 win 100 mss 1460 scale 7
        server < S 0:0 scale 7
        server > SA 0:0 ack 1 win 100 mss 1460
        client < SA 0:0 ack 1 scale 7
        client > A 1:0 ack 1 win 1
        server < A 1:0 ack 1
        client > A 1:500 ack 1 win 1
        server < A 1:100 ack 1
        server > A 1:0 ack 101 win 500
        server < A 101:400 ack 1
        server > A 1:200 ack 501 win 500
        client < A 1:128 ack 501",
    ),
    (
        "7323-2.3",
        "a shift above 14 counts as 14",
        "
        client > S 0:0 win 65535 mss 1460 scale 20
        server < S 0:0
        server > SA 0:0 ack 1 win 65535 mss 1460 scale 7
        client < SA 0:0 ack 1
        client > A 1:0 ack 1 win 1
        server < A 1:0 ack 1
        server > A 1:1000 ack 1
        client < A 1:1000",
    ),
    (
        "7323-3.2-all",
        "once agreed, every segment carries stamps, and one without is dropped",
        "
        open
        client > A 1:10 ack 1
        server < nothing
        client < nothing
        count stale_timestamp 1
        client > A 1:10 ack 1 ts 101 0
        server < A 1:10 ack 1 ts 0 200",
    ),
    (
        "7323-3.2-rst",
        "a reset without stamps is obeyed",
        "
        open
        client > R 1:0
        server < RA 1:0 ack 1
        count reset_by_peer 1",
    ),
    (
        "7323-4.3",
        "the echo is of the segment that filled the gap, not of one beyond it",
        "
        open
        client > A 11:10 ack 1 ts 150 0
        client < A 1:0 ack 1 ts 0 100
        client > A 1:10 ack 1 ts 140 0
        client < A 1:0 ack 21 ts 0 140",
    ),
    (
        "7323-4.3-old",
        "a stamp of old data is not echoed",
        "
        open
        client > A 1:10 ack 1 ts 150 0
        server < A 1:10
        wait 50
        client < A 1:0 ack 11 ts 0 150
        client > A 1:10 ack 1 ts 160 0
        client < A 1:0 ack 11 ts 0 150",
    ),
    (
        "7323-5.3-R1",
        "an older stamp is dropped and acknowledged",
        "
        open
        client > A 1:10 ack 1 ts 150 0
        server < A 1:10
        client > A 11:10 ack 1 ts 149 0
        client < A 1:0 ack 11
        server < nothing
        count stale_timestamp 1",
    ),
    (
        "7323-5.5-hours",
        "after twelve hours without a word octets go both ways at once",
        "
        open
        wait 43200000
        client > A 1:10 ack 1 ts 43200100 0
        server > A 1:10 ack 1 ts 43200200 0
        server < A 1:10 ts 0 200
        client < A 1:10 ack 11 ts 0 43200100
        wait 50
        server < A 11:0 ack 11 ts 0 43200200
        count keepalive 0",
    ),
    (
        "7323-5.5",
        "after 24 days a stamp is no longer old",
        "
        open
        client > A 1:10 ack 1 ts 150 0
        server < A 1:10
        server > A 1:0 ack 11 ts 201 0
        wait 2160000000
        client < A 1:0 ack 11
        client > A 11:10 ack 1 ts 20 0
        server < A 11:10",
    ),
];

#[test]
fn windows_and_stamps() {
    check(TABLE, &limits());
}
