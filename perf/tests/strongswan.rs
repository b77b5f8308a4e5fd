//! IKEv2 with a foreign peer: strongSwan is the gateway of site b.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{
    Capture, Fetch, FileServer, NOT_IPSEC, Ping, PingReport, StrongSwan, TwoSites, marked_file, wait_until,
};

const PATIENCE: Duration = Duration::from_secs(60);
const HTTP: u16 = 8080;
/// Of the example in `configs/site-to-site-ike`.
const SECRET: &str = "4m0OZ2cHqlw3cTnXSB9cEXAMPLEEXAMPLEEXAMPLE0Q=";

struct Stand {
    a: Gateway,
    b: StrongSwan,
    sites: TwoSites,
}

/// Gateway a begins when a packet needs it to; strongSwan when it is told to.
fn start(label: &str, secret: &str) -> Stand {
    let sites = TwoSites::build(label).unwrap();
    let b = StrongSwan::start(&sites.lab, &sites.b.gateway, &configuration(secret)).unwrap();
    let example = "site-to-site-ike/gw-a";
    let mut a = Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", example, "").unwrap();
    a.start().unwrap();
    a.apply_policy().unwrap();
    Stand { a, b, sites }
}

fn configuration(secret: &str) -> String {
    format!(
        "connections {{ a {{\n  version = 2\n  local_addrs = 198.51.100.1\n  remote_addrs = 192.0.2.1\n\
         \x20 proposals = aes256gcm16-prfsha384-x25519\n\
         \x20 local {{ auth = psk\n    id = gw-b.example }}\n  remote {{ auth = psk\n    id = gw-a.example }}\n\
         \x20 children {{ a {{ local_ts = 10.2.0.0/24\n      remote_ts = 10.1.0.0/24\n\
         \x20     esp_proposals = aes256gcm16-x25519 }} }} }} }}\n\
         secrets {{ ike-a {{ id-a = gw-a.example\n    id-b = gw-b.example\n    secret = \"{secret}\" }} }}\n"
    )
}

impl Stand {
    fn watch(&self) -> [Capture; 2] {
        ["to-a", "to-b"].map(|interface| {
            let wan = &self.sites.wan;
            Capture::start_received(&self.sites.lab, wan, interface, interface, NOT_IPSEC).unwrap()
        })
    }

    fn is_open(&self) -> bool {
        self.sites.a.site.run(&format!("ping -n -q -c 1 -W 1 {}", self.sites.b.site_v4)).is_ok()
    }

    fn open(&self) {
        wait_until("a ping between the sites to be answered", PATIENCE, || self.is_open())
            .unwrap_or_else(|error| panic!("{error}\n{}", self.b.log()));
    }

    fn start_ping(&self, count: u32) -> Ping {
        let interval = Duration::from_millis(5);
        Ping::start(&self.sites.lab, &self.sites.a.site, self.sites.b.site_v4, count, interval).unwrap()
    }

    fn standing(&self) -> Vec<serde_json::Value> {
        self.a.ask("ike list").unwrap().as_array().unwrap().clone()
    }

    fn spis(&self) -> Vec<String> {
        let children = |ike: &serde_json::Value| ike["children"].as_array().unwrap().clone();
        let all = self.standing().iter().flat_map(children).collect::<Vec<_>>();
        // What is replaced still receives for a while.
        let standing = all.iter().filter(|child| child["state"] == "standing");
        standing.map(|child| child["inbound_spi"].as_str().unwrap().to_owned()).collect()
    }
}

fn ensure_nothing_else(captures: [Capture; 2]) {
    for capture in captures {
        let seen = capture.stop().unwrap();
        assert_eq!(seen.packets.frames().count(), 0, "{}", seen.file.display());
    }
}

fn ensure_perfect(report: &PingReport) {
    assert!(report.is_perfect(), "{report:?}");
}

#[test]
fn we_begin_and_traffic_passes_while_either_side_renews_keys() {
    let stand = start("swan", SECRET);
    let captures = stand.watch();
    stand.open();
    assert_eq!(stand.standing()[0]["identity"], "gw-b.example");

    let directory = stand.sites.lab.make_directory("served").unwrap();
    let sum = marked_file(&directory.join("file"), 5_000_000).unwrap();
    let _server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
    let (url, to) = (format!("http://{}:{HTTP}/file", stand.sites.b.site_v4), stand.sites.lab.file("got"));
    assert_eq!(Fetch::new(&stand.sites.a.site, &url, &to).run(PATIENCE).unwrap().sha256, sum);

    let ping = stand.start_ping(1_000);
    let old = stand.spis();
    stand.a.ravelin("ike rekey gw-b").unwrap();
    let renewed = |old: &[String]| stand.spis().len() == 1 && stand.spis() != old;
    wait_until("keys that we renew", PATIENCE, || renewed(&old)).unwrap();
    let old = stand.spis();
    stand.b.swanctl(&["--rekey", "--child", "a"]).unwrap();
    wait_until("keys that strongSwan renews", PATIENCE, || renewed(&old)).unwrap();
    stand.b.swanctl(&["--rekey", "--ike", "a"]).unwrap();
    ensure_perfect(&ping.report().unwrap());
    ensure_nothing_else(captures);
}

#[test]
fn strongswan_begins_and_ends_and_nothing_leaves_in_clear() {
    let stand = start("swanbegins", SECRET);
    let captures = stand.watch();
    stand.b.swanctl(&["--initiate", "--child", "a"]).unwrap();
    assert_eq!(stand.standing()[0]["role"], "responder");
    ensure_perfect(&stand.start_ping(200).report().unwrap());
    stand.b.swanctl(&["--terminate", "--ike", "a"]).unwrap();
    wait_until("the tunnel to be gone", PATIENCE, || stand.standing().is_empty()).unwrap();
    // A packet brings it up again.
    stand.open();
    ensure_nothing_else(captures);
}

#[test]
fn a_wrong_secret_is_refused_with_the_reason_and_nothing_passes() {
    let stand = start("swanwrong", "not the secret that gateway a has");
    let captures = stand.watch();
    assert!(!stand.is_open());
    let told = || {
        let log = std::fs::read_to_string(stand.a.file("ravelin-control.log")).unwrap_or_default();
        log.contains("ike.authentication_failed")
    };
    wait_until("the reason in our log", PATIENCE, || told() || stand.is_open()).unwrap();
    assert!(stand.b.log().contains("AUTH_FAILED"), "{}", stand.b.log());
    assert!(stand.b.swanctl(&["--initiate", "--child", "a", "--timeout", "20"]).is_err());
    assert!(stand.standing().is_empty() && !stand.is_open());
    ensure_nothing_else(captures);
}
