//! What strongSwan's ESP in user space cannot do, between two gateways of ours, read from the wire by scapy with the
//! negotiated keys: plain ESP, extended sequence numbers, transport mode, ESP in UDP by policy, every cipher.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::foreign::script;
use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{MARK, Namespace, Shape, Watch, check, wait_until};
use ravelin_perf::two_gateways::TwoGateways;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);
/// Pings of a case.
const COUNT: u32 = 20;

/// How two gateways are to agree.
struct Case {
    /// More lines about the peer.
    peer: &'static str,
    /// More lines about the tunnel.
    tunnel: &'static str,
    /// What scapy must say of every packet.
    all: &'static [&'static str],
    /// What it must say of none.
    none: &'static [&'static str],
}

const TUNNEL: &[Case] = &[
    Case { peer: "", tunnel: "", all: &["plain", "extended", "tunnel", "AES-GCM"], none: &["udp"] },
    Case {
        peer: "force_udp = true",
        tunnel: "extended_sequence = false\nalgorithms = \"chacha20-poly1305\"",
        all: &["udp", "tunnel", "CHACHA20-POLY1305"],
        none: &["plain", "extended"],
    },
    Case {
        peer: "",
        tunnel: "algorithms = \"aes128-cbc-hmac-sha2-384\"",
        all: &["plain", "extended", "tunnel", "AES-CBC"],
        none: &["udp"],
    },
];

const TRANSPORT: &[Case] = &[
    Case {
        peer: "",
        tunnel: "mode = \"transport\"",
        all: &["plain", "extended", "transport", "between_gateways"],
        none: &["udp", "tunnel"],
    },
    Case {
        peer: "force_udp = true",
        tunnel: "mode = \"transport\"\nalgorithms = \"aes256-cbc-hmac-sha2-512\"",
        all: &["udp", "extended", "transport", "between_gateways", "AES-CBC"],
        none: &["plain"],
    },
];

/// The example's policy of a gateway with more lines.
fn policy(gateway: &Gateway, case: &Case) -> String {
    let example = gateway.policy_text().unwrap();
    let (before, after) = example.split_once("[[tunnel]]").unwrap();
    format!("{before}{}\n\n[[tunnel]]{after}{}\n", case.peer, case.tunnel)
}

/// Instead of traffic between the sites, pings between the gateways themselves.
fn between_gateways(policy: &str, own: &str, other: &str) -> String {
    let (before, rest) = policy.split_once("source = \"").unwrap();
    let after = rest.split_once("action = ").unwrap().1;
    let policy = format!(
        "{before}source = \"{own}\"\ndestination = \"{other}\"\nprotocol = \"icmp\"\nrouting = \"local\"\naction = {after}"
    );
    // Nothing names them any more.
    let begin = policy.find("[addresses]").unwrap();
    let end = policy.find("[[rule]]").unwrap();
    [&policy[..begin], &policy[end..]].concat()
}

fn start(label: &str) -> TwoGateways {
    let mut stand = TwoGateways::start_example(label, Shape::default(), "site-to-site-ike").unwrap();
    stand.a.kill_control().unwrap();
    stand.a.log_keys();
    stand.a.start_control().unwrap();
    stand
}

/// Puts new policies in force, waits for traffic, and lets scapy read some more of it. `to` are ping's last arguments.
fn read(stand: &TwoGateways, policies: [&str; 2], from: &Namespace, to: &str, name: &str) -> Value {
    stand.a.apply_text(policies[0]).unwrap();
    stand.b.apply_text(policies[1]).unwrap();
    let gone = || stand.a.spis().unwrap().is_empty() && stand.b.spis().unwrap().is_empty();
    wait_until("the tunnel of the policy before to be gone", PATIENCE, gone).unwrap();
    let mark: String = MARK.iter().map(|octet| format!("{octet:02x}")).collect();
    let ping = |count: u32| from.run(&format!("ping -n -q -W 1 -p {mark} -i 0.01 -c {count} {to}"));
    wait_until("a ping", PATIENCE, || ping(1).is_ok())
        .unwrap_or_else(|e| panic!("{e}\n{}", stand.a.control_log()));
    let capture = stand.capture_wan(name).unwrap();
    let report = ping(COUNT).unwrap();
    assert!(report.contains(" 0% packet loss"), "{report}");
    let captured = capture.stop().unwrap();
    let mut scapy = script(|python| std::process::Command::new(python), "read_esp.py").unwrap();
    scapy.arg(&captured.file).arg(stand.a.file(Gateway::KEYS)).arg(mark);
    serde_json::from_str(&check(&mut scapy, PATIENCE).unwrap()).unwrap()
}

fn judge(case: &Case, seen: &Value) {
    let count = |word: &str| seen[word].as_u64().unwrap_or(0);
    assert_eq!(count("all"), u64::from(2 * COUNT), "{seen}");
    for word in case.all.iter().chain(&["marked"]) {
        assert_eq!(count(word), count("all"), "{word} of {seen}");
    }
    for word in case.none.iter().chain(&["unknown", "clear"]) {
        assert_eq!(count(word), 0, "{word} of {seen}");
    }
}

#[test]
fn scapy_reads_plain_esp_with_extended_numbers_and_esp_in_udp() {
    let stand = start("ikewire");
    let watch = Watch::start(&stand.sites).unwrap();
    let examples = [&stand.a, &stand.b]
        .map(|gateway| TUNNEL.iter().map(|case| policy(gateway, case)).collect::<Vec<_>>());
    for (number, case) in TUNNEL.iter().enumerate() {
        let to = stand.sites.b.site_v4.to_string();
        let policies = [&*examples[0][number], &*examples[1][number]];
        judge(case, &read(&stand, policies, &stand.sites.a.site, &to, &format!("wire-{number}")));
    }
    watch.ensure_nothing_else().unwrap();
}

#[test]
fn scapy_reads_transport_mode() {
    let stand = start("iketransport");
    let watch = Watch::start(&stand.sites).unwrap();
    let (a, b) = (stand.sites.a.gateway_v4.to_string(), stand.sites.b.gateway_v4.to_string());
    let texts = [(&stand.a, &a, &b), (&stand.b, &b, &a)].map(|(gateway, own, other)| {
        TRANSPORT.iter().map(|case| between_gateways(&policy(gateway, case), own, other)).collect::<Vec<_>>()
    });
    for (number, case) in TRANSPORT.iter().enumerate() {
        let policies = [&*texts[0][number], &*texts[1][number]];
        // The SA is for these addresses alone, and the host has others.
        let to = format!("-I {a} {b}");
        judge(case, &read(&stand, policies, &stand.sites.a.gateway, &to, &format!("wire-{number}")));
    }
    watch.ensure_nothing_else().unwrap();
}
