//! Many peers at one gateway, and a flood from addresses that nobody has: who stands goes on standing.
//!
//! Short by default; `make scale` asks for ten thousand peers and ten seconds of 50,000 first messages each.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::time::{Duration, Instant};

use ravelin_perf::foreign::program;
use ravelin_perf::initiators::{Kind, Target, first_message};
use ravelin_perf::lab::{Process, Shape, wait_until};
use ravelin_perf::spent::resident;
use ravelin_perf::two_gateways::TwoGateways;

/// Long enough for a machine that has other work.
const PATIENCE: Duration = Duration::from_secs(120);
/// Seconds of silence after which gateway b asks an initiator whether it lives.
const LIVENESS: u64 = 2;
/// Half-open IKE SAs from which on strangers must return cookies, which nobody of a flood does; and a few who do.
const HALF_OPEN: u64 = 64 + 16;
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
    let more = format!(
        r#"
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
liveness = {LIVENESS}
mobike = false
unique = false

[[tunnel]]
name = "initiators"
peer = "initiators"
start = "remote"
"#
    );
    fs::write(&file, policy + &more).unwrap();
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

/// One of gateway b's figures.
fn figure(stand: &TwoGateways, name: &str) -> u64 {
    stand.b.metrics().unwrap().sum(name, &[]).unwrap() as u64
}

fn inbound_sas(stand: &TwoGateways) -> u64 {
    figure(stand, "ravelin_inbound_sas")
}

/// How many of gateway b's IKE SAs have not heard of their peer for so long.
fn silent_for(stand: &TwoGateways, time: Duration) -> usize {
    let listed = stand.b.ask("ike list").unwrap();
    let silent = |ike: &&serde_json::Value| ike["heard_s"].as_u64().unwrap() >= time.as_secs();
    listed.as_array().unwrap().iter().filter(silent).count()
}

/// Of both processes of gateway b.
fn memory(stand: &mut TwoGateways) -> [u64; 2] {
    let octets = |process: &Process| resident(process.pid().unwrap()).unwrap();
    [octets(stand.b.control().unwrap()), octets(stand.b.dataplane().unwrap())]
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

/// New keys for everything between the gateways; how long that took.
fn renew(stand: &TwoGateways) -> Duration {
    let old = standing(stand);
    let begun = Instant::now();
    stand.a.ravelin("ike rekey gw-b").unwrap();
    let new =
        || matches!(&standing(stand)[..], [one] if old.iter().all(|old| old.0 != one.0 && old.1 != one.1));
    wait_until("new keys to stand alone under the flood", PATIENCE, new).unwrap();
    begun.elapsed()
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

    let ping =
        stand.start_ping(stand.sites.b.site_v4, (seconds * 200) as u32, Duration::from_millis(5)).unwrap();
    let (mut renewed, mut half_open) = (Vec::new(), 0);
    let cookies = figure(&stand, "ravelin_ike_cookies_total");
    let flooded = Instant::now();
    // Again, until every peer has answered whether it lives while the flood went on.
    loop {
        let mut flood = start_flood(&stand, 50_000, seconds);
        while flood.is_running() {
            renewed.push(renew(&stand));
            half_open = half_open.max(figure(&stand, "ravelin_ike_half_open"));
            std::thread::sleep(PAUSE);
        }
        flood.wait(PATIENCE).unwrap();
        println!("flood, messages and a second: {}", flood.log());
        if silent_for(&stand, flooded.elapsed()) == 0 {
            break;
        }
        assert!(flooded.elapsed() < PATIENCE, "some were not heard of for {:?}", flooded.elapsed());
    }
    let report = ping.report().unwrap();
    let passed = stand.b.metrics().unwrap().sum("ravelin_xdp_frames_total", &[("class", "pass_ike")]);
    let asked = figure(&stand, "ravelin_ike_cookies_total") - cookies;
    println!("{passed:?} came, {asked} were asked for a cookie, {half_open} were half-open at most");
    println!("new keys took {renewed:?}; {report:?}");
    assert!(asked > 0, "strangers must be asked for cookies");
    assert!(half_open <= HALF_OPEN, "{half_open} half-open IKE SAs");
    assert!(renewed.len() > 1 && report.received + report.sent / 50 >= report.sent, "{report:?}");
    // What was replaced last may still receive.
    let all = || inbound_sas(&stand) == own + peers && standing(&stand).len() == 1;
    wait_until("those who stood before, and nobody else", PATIENCE, all).unwrap();
    for gateway in [&stand.a, &stand.b] {
        let log = fs::read_to_string(gateway.file("ravelin-control.log")).unwrap();
        assert!(!log.contains("ike.peer_silent"), "liveness was harmed");
    }
}
