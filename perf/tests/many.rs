//! Many peers at one gateway, and a flood from addresses that nobody has: who stands goes on standing.
//!
//! Short by default; `make scale` asks for ten thousand peers and ten seconds of 50,000 first messages each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::time::{Duration, Instant};

use ravelin_perf::foreign::program;
use ravelin_perf::initiators::{Kind, Target, first_message};
use ravelin_perf::lab::{Process, Shape, wait_until};
use ravelin_perf::two_gateways::TwoGateways;

/// Long enough for a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(120);
/// Between two rekeys under the flood.
const PAUSE: Duration = Duration::from_millis(250);
/// The secret of all initiators.
const SECRET: &str = "4m0OZ2cHqlw3cTnXSB9cEXAMPLEEXAMPLEEXAMPLE0Q=";

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(usual)
}

/// Gateway b takes initiators from anywhere, beside its other peer.
fn open_to_all(stand: &TwoGateways) {
    let file = stand.b.file("site-to-site-ike.toml");
    let policy = fs::read_to_string(&file).unwrap();
    let more = r#"
[[rule]]
name = "initiators"
source = "10.2.0.0/24"
destination = "172.16.0.0/12"
action = "ipsec"
tunnel = "initiators"

[[peer]]
name = "initiators"
local = "198.51.100.1"
remote = "any"
local_id = "gw-b.example"
remote_id = "*.example"
shared_key = "gw-a"
mobike = false
unique = false

[[tunnel]]
name = "initiators"
peer = "initiators"
start = "remote"
"#;
    fs::write(&file, policy + more).unwrap();
}

fn target() -> Target {
    Target {
        from: vec!["198.51.100.2".parse().unwrap()],
        to: "198.51.100.1".parse().unwrap(),
        gateway: "gw-b.example".to_owned(),
        secret: SECRET.to_owned(),
        network: "10.2.0.0".parse().unwrap(),
        kind: Kind::SharedKey,
        papers: None,
    }
}

/// So many of them, from the network between the sites.
fn start_initiators(stand: &TwoGateways, count: u64) -> Process {
    let Target { from, to, gateway, secret, network, .. } = target();
    let mut command = stand.sites.wan.command(program("ravelin-initiators").unwrap());
    command.args(["--from", &from[0].to_string(), "--to", &to.to_string(), "--count", &count.to_string()]);
    command.args(["--gateway", &gateway, "--secret", &secret, "--network", &network.to_string()]);
    command.args(["--seconds", "1000"]);
    let log = stand.b.file("initiators.log");
    Process::spawn("ravelin-initiators", &mut command, &log).unwrap()
}

fn start_flood(stand: &TwoGateways, rate: u64, seconds: u64) -> Process {
    let message = stand.b.file("first-message");
    fs::write(&message, first_message(&target()).unwrap()).unwrap();
    let mut command = stand.sites.wan.command(program("ravelin-flood").unwrap());
    command.arg("--message").arg(&message).args(["--to", "198.51.100.1"]);
    command.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
    Process::spawn("ravelin-flood", &mut command, &stand.b.file("flood.log")).unwrap()
}

fn inbound_sas(stand: &TwoGateways) -> u64 {
    stand.b.metrics().unwrap().sum("ravelin_inbound_sas", &[]).unwrap() as u64
}

/// Octets in memory.
fn resident(process: &Process) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.pid().unwrap())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() * 1024
}

/// Of both processes of gateway b.
fn memory(stand: &mut TwoGateways) -> [u64; 2] {
    [resident(stand.b.control().unwrap()), resident(stand.b.dataplane().unwrap())]
}

/// Gateway a's IKE SAs: their names, and the SPI under which it receives.
fn standing(stand: &TwoGateways) -> Vec<(String, String)> {
    let listed = stand.a.ask("ike list").unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let children = |ike: &serde_json::Value| -> Vec<(String, String)> {
        let standing = |child: &&serde_json::Value| child["state"] == "standing";
        let all = ike["children"].as_array().unwrap().iter().filter(standing);
        all.map(|child| (text(&ike["id"]), text(&child["inbound_spi"]))).collect()
    };
    listed.as_array().unwrap().iter().flat_map(children).collect()
}

#[test]
fn many_peers_stand_and_a_flood_of_strangers_harms_none() {
    let (peers, seconds) = (number("RAVELIN_PEERS", 300), number("RAVELIN_FLOOD_SECONDS", 5));
    let mut stand = TwoGateways::start_example("many", Shape::default(), "site-to-site-ike").unwrap();
    open_to_all(&stand);
    stand.protect().unwrap();

    let (before, own) = (memory(&mut stand), inbound_sas(&stand));
    let begun = Instant::now();
    let initiators = start_initiators(&stand, peers);
    let told = initiators.wait_for_line("stand after", Duration::from_secs(1000));
    told.unwrap_or_else(|error| panic!("{error}\n{}", initiators.log()));
    wait_until("all SAs in the packet process", PATIENCE, || inbound_sas(&stand) == own + peers).unwrap();
    let took = begun.elapsed();
    let used = memory(&mut stand);
    let each = |n: usize| used[n].saturating_sub(before[n]) / peers;
    println!(
        "{peers} pairs stand after {took:?}; octets for each: control {}, packet process {}",
        each(0),
        each(1)
    );
    assert_eq!(stand.b.ask("ike list").unwrap().as_array().unwrap().len() as u64, peers + 1);

    let interval = Duration::from_millis(5);
    let count = (seconds * 200) as u32;
    let ping = stand.start_ping(stand.sites.b.site_v4, count, interval).unwrap();
    let mut flood = start_flood(&stand, 50_000, seconds);
    let mut renewed = Vec::new();
    while flood.is_running() {
        let old = standing(&stand);
        let begun = Instant::now();
        stand.a.ravelin("ike rekey gw-b").unwrap();
        let new = || matches!(&standing(&stand)[..], [one] if old.iter().all(|old| old.0 != one.0 && old.1 != one.1));
        wait_until("new keys to stand alone under the flood", PATIENCE, new).unwrap();
        renewed.push(begun.elapsed());
        std::thread::sleep(PAUSE);
    }
    flood.wait(PATIENCE).unwrap();
    let report = ping.report().unwrap();
    let passed = stand.b.metrics().unwrap().sum("ravelin_xdp_frames_total", &[("class", "pass_ike")]);
    println!(
        "flood, messages and a second: {}; {passed:?} came; new keys took {renewed:?}; {report:?}",
        flood.log()
    );
    assert!(report.received + report.sent / 50 >= report.sent, "{report:?}");
    // What was replaced last may still receive.
    let all = || inbound_sas(&stand) == own + peers && standing(&stand).len() == 1;
    wait_until("those who stood before, and nobody else", PATIENCE, all).unwrap();
    let log = fs::read_to_string(stand.a.file("ravelin-control.log")).unwrap();
    assert!(!log.contains("ike.peer_silent"), "liveness was harmed");
}
