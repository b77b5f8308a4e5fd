//! IKEv2 at work: two gateways that agree on keys, and what of it the wan sees.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{Fetch, FileServer, Shape, Watch, marked_file, wait_until};
use ravelin_perf::two_gateways::{HTTP, TwoGateways};

/// Octets of each transfer.
const OCTETS: u64 = 10_000_000;
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
    // Packets of before may be on the way when both sides have agreed on the end of their SA: it receives for a moment more.
    let inbound = |gateway: &Gateway| of_direction(gateway, "inbound").len();
    assert!(inbound(&stand.a) > 1 && inbound(&stand.b) > 1);
    let report = ping.report().unwrap();
    assert!(report.is_perfect(), "{report:?}");
    wait_until("what was replaced to go", PATIENCE, || inbound(&stand.a) == 1 && inbound(&stand.b) == 1)
        .unwrap();
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
    let records = stand.a.file("state").join("control/ike/records");
    let mut octets = std::fs::read(&records).unwrap();
    // One octet in each 256, which hits every record beyond its head.
    octets.iter_mut().skip(100).step_by(256).for_each(|octet| *octet ^= 1);
    std::fs::write(&records, octets).unwrap();
    let strange = records.with_file_name("0123456789abcdef");
    std::fs::write(&strange, b"no record").unwrap();
    stand.a.start_control().unwrap();
    let anew = || {
        let now = ike_sas(&stand);
        now.len() == 1 && now != ike && stand.a.spis().unwrap().len() == 1
    };
    wait_until("the tunnel to be made anew", PATIENCE * 2, anew).unwrap();
    assert!(!strange.exists(), "what is no record is taken away");
    stand.wait_for_traffic().unwrap();
    watch.ensure_nothing_else().unwrap();
}

/// Writes a gateway's policy anew: `tunnel` is added to the tunnel, and ML-KEM to the key exchange.
fn shape_policy(gateway: &Gateway, tunnel: &str) {
    let place = gateway.file("site-to-site-ike.toml");
    let text = std::fs::read_to_string(&place).unwrap();
    let plain: String =
        text.lines().filter(|line| !line.starts_with("per_core")).map(|l| format!("{l}\n")).collect();
    let groups = "additional_groups = [\"ml-kem-768\"]\nshared_key";
    let kem = if plain.contains("ml-kem") { plain } else { plain.replace("shared_key", groups) };
    std::fs::write(&place, format!("{kem}{tunnel}\n")).unwrap();
}

/// Packets of each SA of a direction that the packet process holds.
fn of_direction(gateway: &Gateway, direction: &str) -> Vec<u64> {
    let listed = gateway.ask("sa list").unwrap();
    let wanted = listed.as_array().unwrap().iter().filter(|sa| sa["direction"] == direction);
    wanted.map(|sa| sa["packets"].as_u64().unwrap()).collect()
}

#[test]
fn each_core_has_its_own_sa_where_both_gateways_can() {
    let shape = Shape { queues: 2, router_queues: 2, ..Shape::default() };
    let mut stand = TwoGateways::start_example("percore", shape, "site-to-site-ike").unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    shape_policy(&stand.a, "per_core = { count = 2, required = true }");
    shape_policy(&stand.b, "per_core = { count = 2, required = true }");
    stand.protect().unwrap();
    wait_until("one SA for each core and one for all", PATIENCE, || stand.a.spis().unwrap().len() == 3)
        .unwrap();
    let listed = stand.a.ask("ike list").unwrap();
    assert!(listed[0]["algorithms"].as_str().unwrap().contains("CURVE_25519/KE1_ML_KEM_768"), "{listed}");

    // Many connections, which the links spread over the queues: every core seals under its own SA.
    let directory = stand.sites.lab.make_directory("served").unwrap();
    let sum = marked_file(&directory.join("file"), OCTETS).unwrap();
    let _server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
    let url = stand.url("file");
    std::thread::scope(|scope| {
        for number in 0..8 {
            let (stand, url, sum) = (&stand, &url, &sum);
            scope.spawn(move || {
                let to = stand.sites.lab.file(&format!("got-{number}"));
                let got = Fetch::new(&stand.sites.a.site, url, &to).run(Duration::from_secs(60)).unwrap();
                assert_eq!((got.octets, &got.sha256), (OCTETS, sum));
            });
        }
    });
    let counts = of_direction(&stand.b, "outbound");
    assert!(counts.iter().filter(|packets| **packets > 1_000).count() == 2, "two of three carry: {counts:?}");

    // A peer that cannot: one SA carries all where policy lets it, and is refused where it does not.
    shape_policy(&stand.b, "");
    shape_policy(&stand.a, "per_core = 2");
    stand.b.apply_policy().unwrap();
    stand.protect().unwrap();
    wait_until("one SA for all", PATIENCE, || stand.a.spis().unwrap().len() == 1).unwrap();
    assert!(stand.ping(stand.sites.b.site_v4, 100, MILLISECOND).unwrap().is_perfect());
    let log = stand.a.control().unwrap().log();
    assert!(log.contains("child.per_core_refused"), "{log}");

    shape_policy(&stand.a, "per_core = { count = 2, required = true }");
    stand.a.apply_policy().unwrap();
    let refused = || {
        stand.is_open();
        let log = std::fs::read_to_string(stand.a.file("ravelin-control.log")).unwrap();
        log.contains("policy wants an SA for each core (RFC 9611)")
    };
    wait_until("the peer to be refused", Duration::from_secs(60), refused).unwrap();
    assert!(stand.a.spis().unwrap().is_empty() && !stand.is_open());
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
