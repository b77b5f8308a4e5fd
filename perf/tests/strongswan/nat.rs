//! NATs between strongSwan and us: on either side, with ports that change, and with a static mapping.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway_and_swan::GatewayAndSwan;
use ravelin_perf::lab::{Behind, Capture, Connection, Nat, TwoSites, Watch, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// A keepalive: UDP with one octet (RFC 3948 2.3).
const KEEPALIVE: &str = "udp dst port 4500 and udp[4:2] = 9";
/// Ports of a NAT are these and those of IKE, added. The second are of a NAT that was started again.
const PORTS: [u16; 2] = [20_000, 30_000];

/// A policy for a peer that is seen at an address which is not its own, with liveness asked for after `liveness` seconds.
fn policy(liveness: u32, remote: &str, start: &str) -> String {
    let text = GatewayAndSwan::policy(&format!("liveness = {liveness}"), "").unwrap();
    let (before, after) = (r#"remote = "198.51.100.1""#, format!("remote = \"{remote}\""));
    let text =
        text.replace(before, &after).replace(r#"start = "on-demand""#, &format!("start = \"{start}\""));
    format!("[ike]\nkeepalive = 1\n\n{text}")
}

fn anywhere(more: &str) -> Connection {
    Connection { remote: "%any".to_owned(), more: more.to_owned(), ..Connection::default() }
}

/// strongSwan beyond, with what it knows of MOBIKE: in both ways it must learn of our new ports from us.
fn we_are_hidden(label: &str, mobike: &str) {
    let stand = GatewayAndSwan::start(label, &anywhere(mobike)).unwrap();
    let nat = Nat::hide(&stand.sites, &stand.sites.a, Behind::Masquerade, PORTS[0]).unwrap();
    stand.a.apply_text(&policy(2, "198.51.100.1", "on-demand")).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.open().unwrap();
    ensure_seen_at(&stand, &nat, PORTS[0]);
    stand.ensure_carries(50).unwrap();

    let (lab, wan) = (&stand.sites.lab, &stand.sites.wan);
    let keepalives = Capture::start_sent(lab, wan, "to-b", "keepalives", KEEPALIVE).unwrap();
    let written = || std::fs::metadata(keepalives.file()).unwrap().len();
    let none = written();
    wait_until("a keepalive", PATIENCE, || written() > none).unwrap();

    nat.rebind(PORTS[1]).unwrap();
    stand.open().unwrap();
    ensure_seen_at(&stand, &nat, PORTS[1]);
    stand.ensure_carries(50).unwrap();
    watch.ensure_nothing_else().unwrap();
}

fn ensure_seen_at(stand: &GatewayAndSwan, nat: &Nat<'_>, ports: u16) {
    let place = format!("@ {}[{}]", nat.outside(), ports + 4500);
    let seen = || stand.b.sas().unwrap().contains(&place);
    wait_until(&place, PATIENCE, seen)
        .unwrap_or_else(|error| panic!("{error}\n{}\n{}", stand.b.sas().unwrap(), stand.told()));
}

#[test]
fn we_are_behind_a_masquerade_that_forgets_us() {
    we_are_hidden("swannat", "mobike = no");
}

#[test]
fn we_are_behind_a_masquerade_that_forgets_us_under_mobike() {
    we_are_hidden("swannatmob", "mobike = yes");
}

/// A rebinding before the first liveness round, under MOBIKE: the first authentic packet from the new port is enough.
#[test]
fn strongswan_is_behind_a_masquerade_that_forgets_it_at_once() {
    let stand = start_called("swannatted");
    let nat = Nat::hide(&stand.sites, &stand.sites.b, Behind::Masquerade, PORTS[0]).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.called().unwrap();
    let seen =
        |ports: u16| stand.a.ike_sas().unwrap()[0]["remote"] == format!("{}:{}", nat.outside(), ports + 4500);
    assert!(seen(PORTS[0]), "{:?}", stand.a.ike_sas().unwrap());
    stand.ensure_carries(50).unwrap();

    nat.rebind(PORTS[1]).unwrap();
    let answered = || {
        let line = format!("ping -n -q -c 1 -W 1 {}", stand.sites.a.site_v4);
        stand.sites.b.site.run(&line).is_ok()
    };
    // The kernel forgets the old ports in its own time, so a first ping may still go by them.
    wait_until("a ping by the new ports", PATIENCE, || answered() && seen(PORTS[1]))
        .unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
    assert_eq!(stand.a.ike_sas().unwrap().len(), 1);
    stand.ensure_carries(50).unwrap();
    watch.ensure_nothing_else().unwrap();
}

/// Only strongSwan begins, wherever it is seen.
fn start_called(label: &str) -> GatewayAndSwan {
    let stand = GatewayAndSwan::start(label, &Connection::default()).unwrap();
    stand.a.apply_text(&policy(60, "any", "remote")).unwrap();
    stand
}

/// Ports 500 and 4500 of the router are ours.
#[test]
fn we_answer_behind_a_static_mapping() {
    let sites = TwoSites::build("swandnat").unwrap();
    let outside = sites.b.router_v4().to_string();
    let connection = Connection { remote: outside, ..Connection::default() };
    let stand = GatewayAndSwan::start_in(sites, &connection, "").unwrap();
    let _nat = Nat::hide(&stand.sites, &stand.sites.a, Behind::StaticMapping, 0).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    stand.called().unwrap();
    assert_eq!(stand.a.ike_sas().unwrap()[0]["role"], "responder");
    stand.ensure_carries(50).unwrap();
    let old = stand.a.spis().unwrap();
    stand.a.ravelin("ike rekey gw-b").unwrap();
    stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
    stand.ensure_carries(50).unwrap();
    watch.ensure_nothing_else().unwrap();
}
