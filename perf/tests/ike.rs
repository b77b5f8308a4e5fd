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

/// The IKE SAs that gateway a has.
fn ike_sas(stand: &TwoGateways) -> Vec<String> {
    let listed = stand.a.ask("ike list").unwrap();
    listed.as_array().unwrap().iter().map(|ike| ike["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn an_ike_sa_outlives_the_control_process() {
    let mut stand = start("ikekept");
    let watch = Watch::start(&stand.sites).unwrap();
    stand.protect().unwrap();
    let ping = stand.start_ping(stand.sites.b.site_v4, 6_000, MILLISECOND).unwrap();
    for round in 0..2 {
        let (ike, spis) = (ike_sas(&stand), stand.a.spis().unwrap());
        assert_eq!(ike.len(), 1);
        stand.a.kill_control().unwrap();
        if round == 1 {
            stand.b.kill_control().unwrap();
            stand.b.start_control().unwrap();
        }
        stand.a.start_control().unwrap();
        wait_until("the IKE SA to go on", PATIENCE, || ike_sas(&stand) == ike).unwrap();
        assert_eq!(stand.a.spis().unwrap(), spis, "the same child");
        // Either side negotiates under the IKE SA that goes on.
        for (gateway, peer) in [(&stand.a, "gw-b"), (&stand.b, "gw-a")] {
            let old = gateway.spis().unwrap();
            gateway.ravelin(&format!("ike rekey {peer}")).unwrap();
            gateway.wait_for_other_keys(&old, PATIENCE * 2).unwrap();
        }
    }
    let report = ping.report().unwrap();
    assert!(report.is_perfect(), "{report:?}");

    // A record that was changed, and one that is no record, are refused; the tunnel is made anew.
    let ike = ike_sas(&stand);
    stand.a.kill_control().unwrap();
    let record = stand.a.file("state").join("control/ike").join(&ike[0]);
    let mut octets = std::fs::read(&record).unwrap();
    let middle = octets.len() / 2;
    octets[middle] ^= 1;
    std::fs::write(&record, octets).unwrap();
    std::fs::write(record.with_file_name("0123456789abcdef"), b"no record").unwrap();
    stand.a.start_control().unwrap();
    let anew = || {
        let now = ike_sas(&stand);
        now.len() == 1 && now != ike && stand.a.spis().unwrap().len() == 1
    };
    wait_until("the tunnel to be made anew", PATIENCE * 2, anew).unwrap();
    assert!(!record.exists(), "what is refused is taken away");
    stand.wait_for_traffic().unwrap();
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
