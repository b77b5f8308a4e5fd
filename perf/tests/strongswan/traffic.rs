//! IKEv2 with a foreign peer: strongSwan is the gateway of site b. Traffic, renewed keys, and ends.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway_and_swan::GatewayAndSwan;
use ravelin_perf::lab::{Connection, Fetch, FileServer, Watch, marked_file, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
const HTTP: u16 = 8080;
/// Octets of the transfer.
const FILE: u64 = 10_000_000;
/// Octets a second, so that it lasts longer than all that goes on meanwhile.
const RATE: u32 = 2_000_000;

#[test]
fn we_begin_and_no_packet_is_lost_while_both_sides_renew_keys_under_a_transfer() {
    let stand = GatewayAndSwan::start("swan", &Connection::default()).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.open().unwrap();
    assert_eq!(stand.a.ike_sas().unwrap()[0]["identity"], "gw-b.example");

    let directory = stand.sites.lab.make_directory("served").unwrap();
    let sum = marked_file(&directory.join("file"), FILE).unwrap();
    let _server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
    let (url, to) = (format!("http://{}:{HTTP}/file", stand.sites.b.site_v4), stand.sites.lab.file("got"));
    let fetch = Fetch::new(&stand.sites.a.site, &url, &to).at_rate(RATE);
    let ping = stand.sites.start_ping(stand.sites.b.site_v4, 2_500, Duration::from_millis(2)).unwrap();
    std::thread::scope(|scope| {
        let transfer = scope.spawn(|| fetch.run(PATIENCE).unwrap());
        for _ in 0..3 {
            renew(&stand);
        }
        assert_eq!(transfer.join().unwrap().sha256, sum);
    });
    let report = ping.report().unwrap();
    assert!(report.is_perfect(), "{report:?}\n{}", stand.told());
    watch.ensure_nothing_else().unwrap();
}

/// We renew all keys, strongSwan those of the child, and then those of the IKE SA.
fn renew(stand: &GatewayAndSwan) {
    let renewed_by = |order: &dyn Fn()| {
        let old = stand.a.spis().unwrap();
        order();
        stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
    };
    renewed_by(&|| drop(stand.a.ravelin("ike rekey gw-b").unwrap()));
    renewed_by(&|| drop(stand.b.swanctl(&["--rekey", "--child", "a"]).unwrap()));
    let before = stand.a.ike_sas().unwrap()[0]["id"].clone();
    stand.b.swanctl(&["--rekey", "--ike", "a"]).unwrap();
    let other = || stand.a.ike_sas().unwrap().iter().all(|ike| ike["id"] != before);
    wait_until("another IKE SA", PATIENCE, other).unwrap();
}

#[test]
fn strongswan_begins_and_ends_and_nothing_leaves_in_clear() {
    let stand = GatewayAndSwan::start("swanbegins", &Connection::default()).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.called().unwrap();
    assert_eq!(stand.a.ike_sas().unwrap()[0]["role"], "responder");
    stand.ensure_carries(100).unwrap();
    stand.end().unwrap();
    // A packet brings it up again.
    stand.open().unwrap();
    watch.ensure_nothing_else().unwrap();
}
