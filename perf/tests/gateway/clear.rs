//! Filters without IPsec: what is permitted passes in clear, what is denied does not, and the sender hears of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::pcap::Kind;
use ravelin_perf::lab::{Capture, Fetch, FileServer, MARK, MOMENT, Ping, TwoSites, marked_file, run};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const PORT: u16 = 8080;

/// Site a stands behind a gateway of ours; the kernel of the other gateway forwards.
fn start(label: &str) -> (Gateway, TwoSites) {
    let sites = TwoSites::build(label).unwrap();
    sites.b.gateway.forward(true).unwrap();
    let mut gateway = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "filters-only", "").unwrap();
    gateway.start().unwrap();
    gateway.apply_policy().unwrap();
    (gateway, sites)
}

#[test]
fn what_is_permitted_passes_in_clear() {
    const OCTETS: u64 = 20_000_000;
    let (gateway, sites) = start("permit");
    let sum = marked_file(&sites.lab.file("file"), OCTETS).unwrap();
    let _server = FileServer::start(&sites.lab, &sites.b.site, sites.lab.directory(), PORT).unwrap();
    let capture = Capture::start(&sites.lab, &sites.wan, &sites.a.wan_interface(), "wan").unwrap();
    for to in [sites.b.site_v4, sites.b.site_v6] {
        let ping = Ping::start(&sites.lab, &sites.a.site, to, 500, MILLISECOND).unwrap();
        let report = ping.report().unwrap();
        assert!(report.is_perfect(), "{report:?}");
    }
    for host in [sites.b.site_v4.to_string(), format!("[{}]", sites.b.site_v6)] {
        let url = format!("http://{host}:{PORT}/file");
        let got = Fetch::new(&sites.a.site, &url, &sites.lab.file("got")).run(60 * SECOND).unwrap();
        assert_eq!((got.octets, &got.sha256), (OCTETS, &sum));
    }
    let wan = capture.stop().unwrap().packets;
    assert_eq!(wan.count(Kind::Esp), 0);
    assert!(wan.count_containing(MARK) > 2 * 13_000, "it did not pass in clear");
    assert!(gateway.ended("forwarded").unwrap() > 2 * 14_000);
}

#[test]
fn what_is_denied_is_dropped_and_said_aloud() {
    let (gateway, sites) = start("deny");
    let _server = FileServer::start(&sites.lab, &sites.a.site, sites.lab.directory(), PORT).unwrap();
    let lan = Capture::start_received(&sites.lab, &sites.a.site, "lan", "lan", &format!("tcp port {PORT}"))
        .unwrap();
    let before = gateway.ended("denied").unwrap();
    for host in [sites.a.site_v4.to_string(), format!("[{}]", sites.a.site_v6)] {
        // TCP is permitted from the lan, not to it.
        let mut curl = sites.b.site.command("curl");
        curl.args(["--silent", "--noproxy", "*", "--max-time", "10", &format!("http://{host}:{PORT}/")]);
        let said = run(&mut curl, MOMENT).unwrap();
        assert_eq!(said.status.code(), Some(7), "curl did not hear at once that it may not connect");
    }
    assert!(gateway.ended("denied").unwrap() >= before + 2);
    assert_eq!(lan.stop().unwrap().packets.frames().count(), 0, "a denied packet reached the site");
}
