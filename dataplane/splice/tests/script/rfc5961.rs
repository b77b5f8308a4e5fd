//! RFC 5961: blind attacks.

use super::{Requirement, check, limits};

pub(super) const TABLE: &[Requirement] = &[
    (
        "5961-3.2-1",
        "a reset outside of the window is dropped in silence",
        "
        open plain
        client > R 3000000:0
        client < nothing
        server < nothing
        count reset_by_peer 0",
    ),
    (
        "5961-3.2-2",
        "a reset at exactly the expected number resets",
        "
        open plain
        client > R 1:0
        server < RA 1:0 ack 1
        count reset_by_peer 1",
    ),
    (
        "5961-3.2-3",
        "a reset elsewhere in the window is challenged",
        "
        open plain
        client > R 2:0
        client < A 1:0 ack 1
        count challenge 1
        count reset_by_peer 0
        client > R 1:0
        server < RA 1:0 ack 1",
    ),
    (
        "5961-4.2",
        "a SYN is challenged, whatever its number",
        "
        open plain
        client > S 2:0 win 65535 mss 1460
        client < A 1:0 ack 1
        server < nothing
        count challenge 1",
    ),
    (
        "5961-5.2-old",
        "an acknowledgment older than the largest window: its data are dropped",
        "
        open plain
        client > A 1:10 ack -70000
        client < A 1:0 ack 1
        server < nothing
        count bad_acknowledgment 1",
    ),
    (
        "5961-5.2-new",
        "an acknowledgment of what was never sent: its data are dropped",
        "
        open plain
        client > A 1:10 ack 2
        client < A 1:0 ack 1
        server < nothing
        count bad_acknowledgment 1",
    ),
    (
        "5961-7",
        "challenges are few",
        "
        open plain
        client > R 2:0
        client > R 2:0
        client > R 2:0
        client < A 1:0 ack 1
        client < nothing
        count challenge 1
        wait 600
        client > R 2:0
        client < A 1:0 ack 1",
    ),
];

#[test]
fn blind_attacks() {
    check(TABLE, &limits());
}
