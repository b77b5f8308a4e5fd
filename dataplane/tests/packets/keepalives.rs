//! NAT keepalives of many idle SAs: each in time, whatever a breath has room for.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use crate::support::plan::{Plan, gcm, outbound};
use crate::support::{Rig, Setup, WAN};
use ravelin_contract::sa::{Carrier, Sa, Spi};

#[test]
fn every_idle_sa_has_its_turn_although_a_breath_has_room_for_few() {
    const SAS: usize = 300;
    let kind = crate::support::esp_support::Kind { udp: true, ..gcm() };
    let carrier = Carrier::Udp { local_port: 4500, remote_port: 4500, keepalive: 20 };
    let more = (1..SAS as u32)
        .map(|number| Sa { spi: Spi::new(0x20000 + number).unwrap(), ..outbound(1, 2, &kind) });
    let plan = Plan::of(1).tunnel(2, &kind).sas(more).each_sa(|sa| sa.carrier = carrier);
    let mut rig = Rig::with(Setup { frames: 2048, ..Setup::of(1) }, plan.done());
    rig.breathe();
    rig.sent(WAN);

    rig.hand.advance(25_000);
    assert_eq!(sent_in_three_seconds(&mut rig), SAS, "each once");
    assert_eq!(sent_in_three_seconds(&mut rig), 0, "not yet due again");
    rig.assert_no_frame_lost();
}

/// A round takes a second, and where in it a worker stands depends on the breaths before. Frames come back to the pool
/// as they are taken from the cable.
fn sent_in_three_seconds(rig: &mut Rig) -> usize {
    let sent = |_| {
        rig.hand.advance(100);
        rig.breathe();
        rig.sent(WAN).len()
    };
    (0..30).map(sent).sum()
}
