//! Killing either process of a gateway in the middle of a transfer: what goes on, and what never leaves.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::thread;
use std::time::Duration;

use ravelin_perf::lab::{Download, Fetch, FileServer, MARK, marked_file};
use ravelin_perf::two_gateways::{HTTP, TwoGateways};

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const OCTETS: u64 = 100_000_000;
/// Octets a second: the transfer takes 5 seconds undisturbed.
const RATE: u32 = 20_000_000;

struct Transfer {
    stand: TwoGateways,
    sum: String,
    url: String,
    _server: FileServer,
}

impl Transfer {
    fn prepare(label: &str) -> Self {
        let stand = TwoGateways::start(label).unwrap();
        stand.protect().unwrap();
        let directory = stand.sites.lab.make_directory("served").unwrap();
        let sum = marked_file(&directory.join("file"), OCTETS).unwrap();
        let server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
        Self { url: stand.url("file"), sum, stand, _server: server }
    }

    /// Runs `disturb` while the file is being fetched; returns what arrived.
    fn fetch_while(&mut self, disturb: impl FnOnce(&mut TwoGateways)) -> Download {
        let (site, to, url) =
            (self.stand.sites.a.site.clone(), self.stand.sites.lab.file("got"), self.url.clone());
        let fetching =
            thread::spawn(move || Fetch::new(&site, &url, &to).at_rate(RATE).run(120 * SECOND).unwrap());
        thread::sleep(SECOND);
        disturb(&mut self.stand);
        assert!(!fetching.is_finished(), "the transfer was over before the disturbance was");
        fetching.join().unwrap()
    }
}

#[test]
fn killing_control_loses_no_packet() {
    let mut transfer = Transfer::prepare("control");
    let stand = &transfer.stand;
    let dropped = (stand.a.dropped().unwrap(), stand.b.dropped().unwrap());
    let generation = stand.a.ask("status").unwrap()["generation"].clone();
    let ping = stand.start_ping(stand.sites.b.site_v4, 4_000, MILLISECOND).unwrap();

    let got = transfer.fetch_while(|stand| {
        stand.a.kill_control().unwrap();
        stand.b.kill_control().unwrap();
        thread::sleep(SECOND);
        stand.a.start_control().unwrap();
        stand.b.start_control().unwrap();
        thread::sleep(SECOND);
    });
    assert_eq!((got.octets, got.sha256), (OCTETS, transfer.sum));

    let report = ping.report().unwrap();
    assert!(report.is_perfect(), "{report:?}");
    let stand = &transfer.stand;
    assert_eq!((stand.a.dropped().unwrap(), stand.b.dropped().unwrap()), dropped);
    // The policy was there, so it was not sent again.
    assert_eq!(stand.a.ask("status").unwrap()["generation"], generation);
    let log = stand.a.control_log();
    for code in ["RVL-CONTROL-READY", "RVL-METRICS", "RVL-POLICY-HELD"] {
        assert!(log.contains(code), "{code}: {log}");
    }
}

#[test]
fn killing_the_dataplane_stops_traffic_never_bares_it_and_the_transfer_goes_on() {
    let mut transfer = Transfer::prepare("dataplane");
    let capture = transfer.stand.capture_wan("wan").unwrap();

    let got = transfer.fetch_while(|stand| {
        stand.a.kill_dataplane().unwrap();
        let answered = stand.ping_in_vain(stand.sites.b.site_v4, 50).unwrap();
        assert_eq!(answered, 0, "pings were answered without a packet process");
        // What the gateway itself says from an address of its site has no way out in clear either.
        let (from, to) = (stand.sites.a.lan_v4, stand.sites.b.site_v4);
        let own = format!("ping -n -q -c 5 -i 0.1 -W 1 -I {from} -p {} {to}", hexadecimal(MARK));
        assert!(stand.a.namespace().run(&own).is_err());
        // The host itself is still there: ARP anew, and ping of its own addresses from both sides.
        for (from, own) in
            [(&stand.sites.a.site, stand.sites.a.lan_v4), (&stand.sites.wan, stand.sites.a.gateway_v4)]
        {
            from.run("ip neighbour flush all").unwrap();
            from.run(&format!("ping -n -q -c 3 -i 0.1 -W 1 {own}")).unwrap();
        }
        stand.a.start_dataplane().unwrap();
        // Nobody tells control to install the policy again.
        stand.wait_for_traffic().unwrap();
    });
    assert_eq!((got.octets, got.sha256), (OCTETS, transfer.sum));
    capture.stop().unwrap().ensure_sealed().unwrap();
    let log = transfer.stand.a.control_log();
    for code in ["RVL-DATAPLANE-LOST", "RVL-POLICY-AGAIN"] {
        assert!(log.contains(code), "{code}: {log}");
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn after_a_clean_stop_traffic_stays_stopped() {
    let mut transfer = Transfer::prepare("stop");
    let stand = &mut transfer.stand;
    let capture = stand.capture_wan("wan").unwrap();
    stand.a.dataplane().unwrap().terminate(10 * SECOND).unwrap();
    let log = stand.a.dataplane_log();
    for code in ["RVL-XDP-ATTACHED", "RVL-DATAPLANE-READY", "RVL-DATAPLANE-STOPPED"] {
        assert!(log.contains(code), "{code}: {log}");
    }
    assert_eq!(stand.ping_in_vain(stand.sites.b.site_v4, 50).unwrap(), 0);
    capture.stop().unwrap().ensure_sealed().unwrap();
}
