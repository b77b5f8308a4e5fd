//! Two gateways, two sites, a wan in between: what passes, what does not, and what the wan sees of it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use ravelin_perf::lab::pcap::Kind;
use ravelin_perf::lab::{Capture, Fetch, FileServer, marked_file, wait_until};
use ravelin_perf::two_gateways::{HTTP, TwoGateways};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn serve(stand: &TwoGateways, octets: u64) -> (FileServer, String) {
    let directory = stand.sites.lab.make_directory("served").unwrap();
    let sum = marked_file(&directory.join("file"), octets).unwrap();
    let server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
    (server, sum)
}

fn fetch(stand: &TwoGateways, host: &str) -> (u64, String) {
    let (url, to) = (format!("http://{host}:{HTTP}/file"), stand.sites.lab.file("got"));
    let got = Fetch::new(&stand.sites.a.site, &url, &to).run(2 * MINUTE).unwrap();
    (got.octets, got.sha256)
}

#[test]
fn a_hundred_megabytes_and_ten_thousand_pings_pass_whole_and_sealed() {
    let stand = TwoGateways::start("gateway").unwrap();
    stand.protect().unwrap();
    let octets = 100_000_000;
    let (_server, sum) = serve(&stand, octets);
    let capture = stand.capture_wan("wan").unwrap();

    let report = stand.ping(stand.sites.b.site_v4, 10_000, MILLISECOND).unwrap();
    assert!(report.is_perfect(), "{report:?}");
    let report = stand.ping(stand.sites.b.site_v6, 1_000, MILLISECOND).unwrap();
    assert!(report.is_perfect(), "{report:?}");
    assert_eq!(fetch(&stand, &stand.sites.b.site_v4.to_string()), (octets, sum.clone()));
    assert_eq!(fetch(&stand, &format!("[{}]", stand.sites.b.site_v6)), (octets, sum));

    let captured = capture.stop().unwrap();
    captured.ensure_sealed().unwrap();
    // Both ways of the pings, and the segments of the files, at most 1,460 octets each.
    assert!(captured.packets.count(Kind::Esp) > 22_000 + 2 * 68_000);
}

#[test]
fn without_a_policy_nothing_passes_between_the_sites() {
    let stand = TwoGateways::start("nopolicy").unwrap();
    let capture = stand.capture_wan("wan").unwrap();
    for to in [stand.sites.b.site_v4, stand.sites.b.site_v6] {
        assert_eq!(stand.ping_in_vain(to, 20).unwrap(), 0);
    }
    assert!(stand.a.ended("implicitly_denied").unwrap() >= 40);
    assert_eq!(stand.a.ask("status").unwrap()["filters"], "default-no-policy");
    capture.stop().unwrap().ensure_sealed().unwrap();
}

#[test]
fn a_replayed_capture_is_dropped_in_full_and_counted() {
    let stand = TwoGateways::start("replayed").unwrap();
    stand.protect().unwrap();
    let octets = 5_000_000;
    let (_server, _) = serve(&stand, octets);
    let capture = stand.capture_esp_to_b("first").unwrap();
    assert!(stand.ping(stand.sites.b.site_v4, 1_000, MILLISECOND).unwrap().is_perfect());
    assert_eq!(fetch(&stand, &stand.sites.b.site_v4.to_string()).0, octets);
    let captured = capture.stop().unwrap();

    let before = stand.b.ended("replayed").unwrap();
    let lan = Capture::start_received(&stand.sites.lab, &stand.sites.b.site, "lan", "lan", "ip").unwrap();
    let sent = stand.replay_to_b(&captured, 10_000).unwrap();
    assert_eq!(sent, captured.packets.count(Kind::Esp));
    assert!(sent > 1_000);
    let counted = || stand.b.ended("replayed").unwrap() - before;
    let _ = wait_until("all to be counted", Duration::from_secs(5), || counted() >= sent as u64);
    assert_eq!(counted(), sent as u64);
    assert_eq!(lan.stop().unwrap().packets.frames().count(), 0, "a replayed packet reached the site");
    assert!(stand.is_open(), "the replay closed the way for new packets");
}

/// Where the mistake stands in the file of the next test.
const MISTAKE: (usize, usize) = (4, 10);
const WRONG_POLICY: &str =
    "# A typo that must not open or close anything.\n\n[[rule]]\naction = \"premit\"\n";

#[test]
fn a_wrong_policy_changes_nothing_and_says_where_it_is_wrong() {
    let stand = TwoGateways::start("wrong").unwrap();
    stand.protect().unwrap();
    let file = stand.a.file("wrong.toml");
    fs::write(&file, WRONG_POLICY).unwrap();
    let state = || {
        let status = stand.a.ask("status").unwrap();
        (status["generation"].clone(), status["policy"].clone(), status["applied"].clone())
    };
    let before = state();

    let output = stand.a.try_command("policy apply wrong.toml").unwrap();
    assert_eq!(output.status.code(), Some(1));
    let place = format!("wrong.toml:{}:{}", MISTAKE.0, MISTAKE.1);
    assert!(output.stderr.contains(&place), "no {place} in:\n{}", output.stderr);
    assert!(output.stderr.contains("premit") && output.stderr.contains("permit"), "{}", output.stderr);
    assert_eq!(state(), before);
    assert!(stand.ping(stand.sites.b.site_v4, 100, MILLISECOND).unwrap().is_perfect());
}

#[test]
fn default_filters_stop_protected_traffic_within_100_ms_and_over_a_restart() {
    let mut stand = TwoGateways::start_with_two_workers("default").unwrap();
    stand.protect().unwrap();
    let capture = stand.capture_esp_to_b("wan").unwrap();
    let ping = stand.start_ping(stand.sites.b.site_v4, 1_500, MILLISECOND).unwrap();
    std::thread::sleep(500 * MILLISECOND);

    let begin = SystemTime::now();
    let done = stand.a.ask("filter default").unwrap();
    assert!(done["took_us"].as_u64().unwrap() < 100_000, "{done}");
    let status = stand.a.ask("status").unwrap();
    for worker in status["workers"].as_array().unwrap() {
        assert_eq!(worker["generation"], done["generation"], "a worker is behind: {status}");
    }
    assert_eq!(status["workers"].as_array().unwrap().len(), 2);
    let report = ping.report().unwrap();
    assert!(report.received > 0 && report.received < report.sent, "the pings did not go on: {report:?}");

    // Seen from outside, start of the command included.
    let captured = capture.stop().unwrap();
    let (last, _) = captured.packets.timed_frames().last().unwrap();
    // It may be a little earlier than the command, for the pings are a millisecond and more apart.
    let before = begin.duration_since(last).unwrap_or_default();
    assert!(before < 200 * MILLISECOND, "no packet was sealed in the {before:?} before the command");
    let after = last.duration_since(begin).unwrap_or_default();
    assert!(after < 100 * MILLISECOND, "sealed packets still left {after:?} after the command");

    stand.a.kill_dataplane().unwrap();
    stand.a.start_dataplane().unwrap();
    stand.a.kill_control().unwrap();
    stand.a.start_control().unwrap();
    // Long enough for control to have sent its policy again.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(stand.a.ask("status").unwrap()["filters"], "default-forced");
    assert_eq!(stand.ping_in_vain(stand.sites.b.site_v4, 20).unwrap(), 0);

    stand.a.ravelin("filter reload").unwrap();
    stand.wait_for_traffic().unwrap();
}

#[test]
fn the_keys_are_in_no_log_and_no_answer() {
    let stand = TwoGateways::start("keys").unwrap();
    stand.protect().unwrap();
    let keys = fs::read_to_string(stand.a.file("keys.toml")).unwrap();
    let secrets: Vec<&str> = keys.split('"').skip(1).step_by(2).collect();
    assert!(!secrets.is_empty());
    let mut told: Vec<String> =
        ["sa list", "policy show", "status", "stats", "filter list", "interface list"]
            .iter()
            .flat_map(|line| {
                [stand.a.ravelin(line).unwrap(), stand.a.ravelin(&format!("--json {line}")).unwrap()]
            })
            .collect();
    told.push(stand.a.scrape().unwrap());
    told.extend(["ravelin-dataplane.log", "ravelin-control.log"].map(|log| read(&stand.a.file(log))));
    for text in told {
        assert!(!secrets.iter().any(|secret| text.contains(secret)), "a key in:\n{text}");
    }
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}
