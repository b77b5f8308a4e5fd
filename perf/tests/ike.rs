//! IKEv2 at work: two gateways that agree on keys, and what of it the wan sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::lab::{Capture, NOT_IPSEC, Shape, wait_until};
use ravelin_perf::two_gateways::TwoGateways;

const MILLISECOND: Duration = Duration::from_millis(1);

fn start(label: &str) -> TwoGateways {
    TwoGateways::start_example(label, Shape::default(), "site-to-site-ike").unwrap()
}

/// What the wan gets from each gateway that is neither IKE nor ESP.
fn watch(stand: &TwoGateways) -> [Capture; 2] {
    ["to-a", "to-b"].map(|interface| {
        Capture::start_received(&stand.sites.lab, &stand.sites.wan, interface, interface, NOT_IPSEC).unwrap()
    })
}

fn ensure_nothing_else(captures: [Capture; 2]) {
    for capture in captures {
        let seen = capture.stop().unwrap();
        assert_eq!(seen.packets.frames().count(), 0, "{}", seen.file.display());
    }
}

/// Inbound SPIs of the tunnels that stand at gateway a.
fn spis(stand: &TwoGateways) -> Vec<String> {
    let listed = stand.a.ask("ike list").unwrap();
    let children = |ike: &serde_json::Value| ike["children"].as_array().unwrap().clone();
    let all = listed.as_array().unwrap().iter().flat_map(children);
    // What is replaced still receives for a while.
    let standing = all.filter(|child| child["state"] == "standing");
    standing.map(|child| child["inbound_spi"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_packet_brings_up_a_tunnel_and_new_keys_lose_none() {
    let stand = start("ike");
    let captures = watch(&stand);
    stand.protect().unwrap();
    let before = spis(&stand);
    assert_eq!(before.len(), 1);

    let ping = stand.start_ping(stand.sites.b.site_v4, 3_000, MILLISECOND).unwrap();
    for round in 0..3 {
        let old = spis(&stand);
        stand.a.ravelin("ike rekey gw-b").unwrap();
        let renewed = || spis(&stand).len() == 1 && spis(&stand) != old;
        wait_until("new keys to stand alone", Duration::from_secs(30), renewed)
            .unwrap_or_else(|e| panic!("{round}: {e}"));
    }
    let report = ping.report().unwrap();
    assert!(report.is_perfect(), "{report:?}");
    assert!(stand.ping(stand.sites.b.site_v6, 100, MILLISECOND).unwrap().is_perfect());
    ensure_nothing_else(captures);
}

#[test]
fn after_a_tunnel_is_down_nothing_leaves_in_clear() {
    let stand = start("ikedown");
    let captures = watch(&stand);
    stand.protect().unwrap();
    stand.b.ravelin("ike down gw-a").unwrap();
    wait_until("the tunnel to be gone", Duration::from_secs(30), || spis(&stand).is_empty()).unwrap();
    // The next packet brings it up again.
    stand.wait_for_traffic().unwrap();
    assert_eq!(spis(&stand).len(), 1);
    ensure_nothing_else(captures);
}
