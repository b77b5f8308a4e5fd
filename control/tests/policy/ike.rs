//! What a policy says of IKE: whether its messages pass, settings of all peers, post-quantum keys.

use std::time::Duration;

use ravelin_config::diagnostic::Findings;
use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_control::policy::management::Site;
use ravelin_control::policy::{self, Compiled};

const KEYS: &str = "[k]\nshared = \"sixteen octets or more\"\n";
const QUANTUM: &str = "[q]\nshared = \"another sixteen octets\"\n";
const VPN: &str = "[[rule]]\nname = \"vpn\"\nsource = \"10.1.0.0/24\"\ndestination = \"10.2.0.0/24\"\naction = \"ipsec\"\ntunnel = \"b\"\n";
const TUNNEL: &str = "[[tunnel]]\nname = \"b\"\npeer = \"b\"\n";

fn peer(more: &str) -> String {
    format!(
        "[[peer]]\nname = \"b\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\nshared_key = \"k\"\n{more}\n"
    )
}

/// A rule for IKE, one of both directions.
fn permit(name: &str, more: &str) -> String {
    format!(
        "[[rule]]\nname = \"{name}\"\nprotocol = \"udp\"\nrouting = \"local\"\naction = \"permit\"\n{more}\n"
    )
}

fn load(parts: &[&str]) -> Result<Compiled, Findings> {
    load_with(KEYS, parts)
}

fn load_with(keys: &str, parts: &[&str]) -> Result<Compiled, Findings> {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).expect("a name"));
    let keys = Source::from_secret("keys.toml", keys);
    let text = Source::from_text("ipsec.toml", parts.concat());
    policy::load(&[text], Some(&keys), &Site::with(&zones))
}

fn both(ports: &str) -> String {
    permit("in", &format!("destination_port = {ports}")) + &permit("out", &format!("source_port = {ports}"))
}

#[test]
fn ike_that_no_rule_permits_is_an_error() {
    let cases = [
        (String::new(), "no rule lets IKE of peer `b` come in to 192.0.2.1 UDP port 500"),
        (
            permit("in", "destination_port = 500\ndirection = \"inbound\""),
            "no rule lets IKE go out to peer `b`",
        ),
        (permit("elsewhere", "destination = \"203.0.113.0/24\""), "no rule lets IKE of peer `b` come in"),
        (
            format!(
                "[[rule]]\nname = \"no\"\nprotocol = \"udp\"\naction = \"deny\"\n{}",
                both("[500, 4500]")
            ),
            "come in",
        ),
    ];
    for (rules, says) in cases {
        let findings =
            load(&[VPN, &rules, &peer(""), TUNNEL]).map(|_| rules.clone()).expect_err("IKE is cut off");
        assert!(findings.to_string().contains(says), "{findings}");
        assert!(findings.to_string().contains("permit UDP ports 500 and 4500"), "{findings}");
        assert!(findings.to_string().contains("[RVL-CHECK-IKE-PERMIT]"), "{findings}");
    }
}

#[test]
fn ike_that_passes_is_not_spoken_of() {
    let denied_elsewhere = "[[rule]]\nname = \"no\"\nzone = \"lan\"\nprotocol = \"udp\"\naction = \"deny\"\n";
    for rules in
        [both("[500, 4500]"), permit("udp", ""), format!("{denied_elsewhere}{}", both("[500, 4500]"))]
    {
        let compiled = load(&[VPN, &rules, &peer(""), TUNNEL]).expect("a policy");
        assert!(compiled.warnings.is_empty(), "{}", compiled.warnings);
    }
    // What needs no other port is not asked for it; what may need it is told.
    let fixed = peer("nat = false\nmobike = false");
    assert!(load(&[VPN, &both("500"), &fixed, TUNNEL]).expect("a policy").warnings.is_empty());
    let warned = load(&[VPN, &both("500"), &peer(""), TUNNEL]).expect("a policy").warnings.to_string();
    assert!(warned.contains("come in to 192.0.2.1 UDP port 4500"), "{warned}");
    assert!(warned.ends_with("[RVL-CHECK-IKE-NAT]"), "{warned}");
}

#[test]
fn settings_of_all_peers_are_read() {
    let rules = both("[500, 4500]");
    let compiled = load(&[
        "[ike]\nwait = 1\nlongest_wait = 4\nretries = 3\nkeepalive = 5\n",
        VPN,
        &rules,
        &peer(""),
        TUNNEL,
    ]);
    let ike = compiled.expect("a policy").ike;
    let pace = ike.policy.retransmission;
    assert_eq!((pace.first, pace.longest, pace.retries), (Duration::from_secs(1), Duration::from_secs(4), 3));
    assert_eq!(ike.keepalive, 5);
    let findings =
        load(&["[ike]\nretries = 0\n", VPN, &rules, &peer(""), TUNNEL]).map(|_| ()).expect_err("no retries");
    assert!(findings.to_string().contains("retries"), "{findings}");
}

#[test]
fn a_post_quantum_key_is_required_unless_the_policy_says_otherwise() {
    let rules = both("[500, 4500]");
    let ppk = |more: &str| {
        let peer = peer(&format!("ppk = {{ id = \"ppk-1\", key = \"q\"{more} }}"));
        let compiled =
            load_with(&(KEYS.to_owned() + QUANTUM), &[VPN, &rules, &peer, TUNNEL]).expect("a policy");
        compiled.ike.policy.peers[0].ppk.clone().expect("a PPK")
    };
    assert_eq!((ppk("").id, ppk("").required), (b"ppk-1".to_vec(), true));
    assert!(!ppk(", required = false").required);
    let unknown = peer("ppk = { id = \"ppk-1\", key = \"nowhere\" }");
    assert!(load(&[VPN, &rules, &unknown, TUNNEL]).is_err());
}
