//! A foreign peer that falls silent, moves, or proves itself again: nothing leaves in clear, and traffic comes back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway_and_swan::GatewayAndSwan;
use ravelin_perf::lab::{Connection, MOMENT, Namespace, Watch, check, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// Nothing is forwarded while it stands.
const CUT: &str =
    "table inet cut {\n chain forward {\n type filter hook forward priority 0; policy drop;\n }\n}";

fn nft(namespace: &Namespace, script: &str) {
    check(namespace.command("nft").arg(script), MOMENT).unwrap();
}

#[test]
fn a_silent_peer_ends_cleanly_and_comes_back() {
    let stand = GatewayAndSwan::start("swansilent", &Connection::default()).unwrap();
    let policy = GatewayAndSwan::policy("liveness = 1", "").unwrap();
    stand.a.apply_text(&format!("[ike]\nwait = 1\nlongest_wait = 1\nretries = 2\n\n{policy}")).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.open().unwrap();
    let begin = stand.a.control_log().len();
    nft(&stand.sites.wan, CUT);
    stand.wait_for_event(begin, "ike.peer_silent", &["no answer after 2 repetitions"]).unwrap();
    stand.wait_for_end().unwrap();
    // What finds no SA now is dropped, not sent in clear.
    assert!(!stand.sites.is_open());
    nft(&stand.sites.wan, "delete table inet cut");
    stand.open().unwrap();
    stand.ensure_carries(50).unwrap();
    watch.ensure_nothing_else().unwrap();
}

/// The gateway has this address in place of that one. Routes that lead by the wan's router stay or come back.
fn renumber(gateway: &Namespace, old: &str, new: &str) {
    gateway.set(&[("net/ipv4/conf/all/promote_secondaries", "1")]).unwrap();
    let router = format!("{}.2", new.rsplit_once('.').unwrap().0);
    gateway.run(&format!("ip address add {new}/24 dev wan0")).unwrap();
    gateway.run(&format!("ip address del {old}/24 dev wan0")).unwrap();
    gateway.run(&format!("ip route replace default via {router}")).unwrap();
}

/// We begin, and our own address goes: to another, and back.
fn we_move(stand: &GatewayAndSwan) {
    stand.open().unwrap();
    stand.ensure_carries(50).unwrap();
    let before = stand.a.ike_sas().unwrap()[0]["id"].clone();
    for (old, new) in [("192.0.2.1", "192.0.2.3"), ("192.0.2.3", "192.0.2.1")] {
        let ping = stand.sites.start_ping(stand.sites.b.site_v4, 600, Duration::from_millis(5)).unwrap();
        renumber(&stand.sites.a.gateway, old, new);
        let seen = || stand.b.sas().unwrap().contains(&format!("@ {new}[4500]"));
        wait_until("strongSwan to know the new address", PATIENCE, seen)
            .unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
        let report = ping.report().unwrap();
        println!("from {old} to {new}: {} of {} pings answered", report.received, report.sent);
        stand.ensure_carries(50).unwrap();
        let after = stand.a.ike_sas().unwrap();
        assert_eq!((after.len(), &after[0]["id"]), (1, &before), "the same IKE SA");
        assert_eq!(after[0]["local"], format!("{new}:4500"));
    }
    stand.end().unwrap();
}

#[test]
fn either_side_moves_under_mobike_and_traffic_goes_on() {
    let connection =
        Connection { local: "%any".to_owned(), more: "mobike = yes".to_owned(), ..Connection::default() };
    let stand = GatewayAndSwan::start("swanmoves", &connection).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    we_move(&stand);
    stand.called().unwrap();
    stand.ensure_carries(50).unwrap();
    let before = stand.a.ike_sas().unwrap()[0]["id"].clone();

    renumber(&stand.sites.b.gateway, "198.51.100.1", "198.51.100.3");
    let seen = || stand.a.ike_sas().unwrap().first().is_some_and(|ike| ike["remote"] == "198.51.100.3:4500");
    wait_until("the new address", PATIENCE, seen).unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
    stand.open().unwrap();
    stand.ensure_carries(50).unwrap();
    let after = stand.a.ike_sas().unwrap();
    assert_eq!((after.len(), &after[0]["id"]), (1, &before));
    watch.ensure_nothing_else().unwrap();
}

/// strongSwan breaks before it makes: packets may be lost, but none goes in clear. We make before we break.
#[test]
fn reauthentication_by_either_side() {
    let stand = GatewayAndSwan::start("swanreauth", &Connection::default()).unwrap();
    stand.a.apply_text(&GatewayAndSwan::policy("reauthenticate = 10", "").unwrap()).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.open().unwrap();
    let ike = || stand.a.ike_sas().unwrap().iter().map(|ike| ike["id"].clone()).collect::<Vec<_>>();
    let old = ike();
    let ping = stand.sites.start_ping(stand.sites.b.site_v4, 2_600, Duration::from_millis(5)).unwrap();
    wait_until("an IKE SA of ours", PATIENCE, || ike().len() == 1 && ike() != old).unwrap();
    // strongSwan sends under a first child at once, before its answer can have reached us (RFC 7296 2.8 lets it wait): what came
    // too early for our new keys is counted, and nothing else may be missing.
    let report = ping.report().unwrap();
    let early = stand.a.ended("no_such_sa").unwrap();
    assert!(u64::from(report.sent - report.received) <= early, "{report:?}, {early} early\n{}", stand.told());

    let old = ike();
    let ping = stand.sites.start_ping(stand.sites.b.site_v4, 400, Duration::from_millis(5)).unwrap();
    stand.b.swanctl(&["--rekey", "--ike", "a", "--reauth"]).unwrap();
    wait_until("an IKE SA of strongSwan's", PATIENCE, || ike().len() == 1 && ike() != old)
        .unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
    stand.open().unwrap();
    drop(ping);
    watch.ensure_nothing_else().unwrap();
}
