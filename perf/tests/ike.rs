//! IKEv2 at work: two gateways that agree on keys, and what of it the wan sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::lab::{Shape, Watch, wait_until};
use ravelin_perf::two_gateways::TwoGateways;

const MILLISECOND: Duration = Duration::from_millis(1);
const PATIENCE: Duration = Duration::from_secs(30);

fn start(label: &str) -> TwoGateways {
    TwoGateways::start_example(label, Shape::default(), "site-to-site-ike").unwrap()
}

#[test]
fn a_packet_brings_up_a_tunnel_and_new_keys_lose_none() {
    let stand = start("ike");
    let watch = Watch::start(&stand.sites).unwrap();
    stand.protect().unwrap();
    assert_eq!(stand.a.spis().unwrap().len(), 1);

    let ping = stand.start_ping(stand.sites.b.site_v4, 3_000, MILLISECOND).unwrap();
    for _ in 0..3 {
        let old = stand.a.spis().unwrap();
        stand.a.ravelin("ike rekey gw-b").unwrap();
        stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
    }
    let report = ping.report().unwrap();
    assert!(report.is_perfect(), "{report:?}");
    assert!(stand.ping(stand.sites.b.site_v6, 100, MILLISECOND).unwrap().is_perfect());
    watch.ensure_nothing_else().unwrap();
}

#[test]
fn after_a_tunnel_is_down_nothing_leaves_in_clear() {
    let stand = start("ikedown");
    let watch = Watch::start(&stand.sites).unwrap();
    stand.protect().unwrap();
    stand.b.ravelin("ike down gw-a").unwrap();
    wait_until("the tunnel to be gone", PATIENCE, || stand.a.spis().unwrap().is_empty()).unwrap();
    // The next packet brings it up again.
    stand.wait_for_traffic().unwrap();
    assert_eq!(stand.a.spis().unwrap().len(), 1);
    watch.ensure_nothing_else().unwrap();
}
