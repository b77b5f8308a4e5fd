//! What a policy means when nothing is wrong with it, and how two differ.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use proptest::prelude::*;
use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Discard, FilterSettings, TunnelId};
use ravelin_contract::sa::{Carrier, DontFragment, Dscp, Mode, Sa, Side, Transform};
use ravelin_contract::snapshot::Snapshot;
use ravelin_control::policy::algorithm::ALGORITHMS;
use ravelin_control::policy::diff::{Kind, diff};
use ravelin_control::policy::management::Site;
use ravelin_control::policy::{self, Compiled};

const POLICY: &str = r#"
[[rule]]
name = "vpn"
source = "10.1.0.0/24"
destination = "10.2.0.0/24"
action = "ipsec"
tunnel = "b"

[[rule]]
name = "rest"
action = "deny"
discard = "icmp"

[[tunnel]]
name = "b"
local = "192.0.2.1"
remote = "198.51.100.1"
[tunnel.manual]
algorithm = "aes256-gcm16"
outbound_spi = 0x1001
inbound_spi = 0x1002
keys = "b"
"#;

/// `length` octets in hexadecimal, different for each `seed`.
fn hex(seed: u8, length: usize) -> String {
    (0..length).map(|i| format!("{:02x}", seed.wrapping_add(i as u8 * 3))).collect()
}

fn keys(outbound: &str, inbound: &str) -> String {
    format!("[b]\noutbound = {{ {outbound} }}\ninbound = {{ {inbound} }}\n")
}

fn gcm_keys() -> String {
    let side = |seed| format!("key = {:?}, salt = \"a0a1a2a3\"", hex(seed, 32));
    keys(&side(1), &side(2))
}

fn load(text: &str, keys: &str) -> Compiled {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let keys = Source::from_secret("keys.toml", keys);
    match policy::load(&[Source::from_text("ipsec.toml", text)], Some(&keys), &Site::with(&zones)) {
        Ok(compiled) => compiled,
        Err(findings) => panic!("{findings}"),
    }
}

fn snapshot(text: &str) -> Snapshot {
    let compiled = load(text, &gcm_keys());
    assert!(compiled.warnings.is_empty(), "{}", compiled.warnings);
    compiled.snapshot
}

fn pair(of: &Snapshot) -> (&Sa, &Sa) {
    let [outbound, inbound] = of.sas.as_slice() else { panic!("{:?}", of.sas) };
    assert!(outbound.is_outbound() && !inbound.is_outbound());
    (outbound, inbound)
}

#[test]
fn a_tunnel_becomes_two_sas_with_the_selectors_of_its_rules() {
    let s = snapshot(POLICY);
    assert_eq!(s.check(), Ok(()));
    assert_eq!(s.zones.len(), 2);
    assert_eq!(s.filter, FilterSettings { log_implicit: true, ..FilterSettings::default() });
    let shown: Vec<_> =
        s.rules.iter().map(|r| (r.name.as_str(), r.extension, r.direction, r.action)).collect();
    let (protect, deny) = (Action::Protect(TunnelId(0)), Action::Deny(Discard::Icmp));
    assert_eq!(
        shown[..2],
        [("vpn", 1, Direction::Outbound, protect), ("vpn", 2, Direction::Inbound, protect)]
    );
    assert_eq!(shown.len(), 6);
    assert!(shown[2..].iter().all(|r| (r.0, r.3) == ("rest", deny)));
    let (outbound, inbound) = pair(&s);
    assert_eq!((outbound.spi.get(), inbound.spi.get()), (0x1001, 0x1002));
    assert_eq!(outbound.selectors, [s.rules[0].selector]);
    assert_eq!(inbound.selectors, [s.rules[1].selector]);
    assert_eq!(
        (outbound.mode, outbound.carrier, outbound.extended_sequence),
        (Mode::Tunnel, Carrier::Ip, true)
    );
    let Side::Outbound(sending) = &outbound.side else { panic!() };
    assert_eq!(
        (sending.dont_fragment, sending.dscp, sending.hop_limit),
        (DontFragment::Copy, Dscp::Copy, Some(64))
    );
    assert_eq!((sending.pad_to, sending.clamp_mss), (0, true));
    assert!(matches!(&inbound.side, Side::Inbound(receiving) if receiving.replay_window == 4096));
}

#[test]
fn each_direction_gets_its_own_key() {
    let s = snapshot(POLICY);
    let (outbound, inbound) = pair(&s);
    let key = |sa: &Sa| match &sa.transform {
        Transform::AesGcm16 { key, salt } => (key.expose()[0], *salt),
        other => panic!("{other:?}"),
    };
    assert_eq!((key(outbound), key(inbound)), ((1, [0xa0, 0xa1, 0xa2, 0xa3]), (2, [0xa0, 0xa1, 0xa2, 0xa3])));
}

#[test]
fn every_algorithm_takes_the_keys_it_asks_for() {
    for algorithm in ALGORITHMS {
        let side = |seed: u8| {
            let mut fields = Vec::new();
            if algorithm.key > 0 {
                fields.push(format!("key = {:?}", hex(seed, algorithm.key)));
            }
            if algorithm.has_salt() {
                fields.push(format!("salt = {:?}", hex(seed, 4)));
            }
            if let Some(hash) = algorithm.hash() {
                fields.push(format!("integrity = {:?}", hex(seed + 100, hash.key_len())));
            }
            fields.join(", ")
        };
        let text = POLICY.replace("aes256-gcm16", algorithm.name);
        let compiled = load(&text, &keys(&side(1), &side(2)));
        let (outbound, inbound) = pair(&compiled.snapshot);
        assert_eq!(outbound.transform.name(), algorithm.name);
        assert_eq!(inbound.transform.name(), algorithm.name);
        assert!(outbound.transform.has_valid_keys());
    }
}

#[test]
fn everything_may_be_said_of_a_tunnel() {
    let more = "remote = \"198.51.100.1\"
        encapsulation = \"udp\"
        local_port = 4501
        keepalive = 0
        extended_sequence = false
        replay_window = 0
        df = \"clear\"
        dscp = 46
        hop_limit = \"copy\"
        pad_to = 256
        clamp_mss = false
        selectors = [{ source = \"10.0.0.0/8\", destination = \"10.2.0.0/16\" }]";
    let s = snapshot(&POLICY.replace("remote = \"198.51.100.1\"", more));
    let (outbound, inbound) = pair(&s);
    assert_eq!(outbound.carrier, Carrier::Udp { local_port: 4501, remote_port: 4500, keepalive: 0 });
    assert!(!outbound.extended_sequence);
    let Side::Outbound(sending) = &outbound.side else { panic!() };
    assert_eq!((sending.dont_fragment, sending.dscp), (DontFragment::Clear, Dscp::Value(46)));
    assert_eq!((sending.hop_limit, sending.pad_to, sending.clamp_mss), (None, 256, false));
    assert!(matches!(&inbound.side, Side::Inbound(receiving) if receiving.replay_window == 0));
    assert_eq!(outbound.selectors[0].source.to_string(), "10.0.0.0/8");
    assert_eq!(inbound.selectors, [outbound.selectors[0].reversed()]);
}

#[test]
fn a_tunnel_that_only_sends_still_has_inbound_selectors() {
    let s = snapshot(&POLICY.replace("action = \"ipsec\"", "action = \"ipsec\"\ndirection = \"outbound\""));
    let (outbound, inbound) = pair(&s);
    assert_eq!(inbound.selectors, [outbound.selectors[0].reversed()]);
}

#[test]
fn transport_mode_is_for_the_two_endpoints() {
    let text = POLICY
        .replace("10.1.0.0/24", "192.0.2.1")
        .replace("10.2.0.0/24", "198.51.100.1")
        .replace("[tunnel.manual]", "mode = \"transport\"\n[tunnel.manual]");
    assert_eq!(pair(&snapshot(&text)).0.mode, Mode::Transport);
}

#[test]
fn several_files_are_one_policy() {
    let (rules, tunnel) = POLICY.split_at(POLICY.find("[[tunnel]]").unwrap());
    let files = [Source::from_text("rules.toml", rules), Source::from_text("tunnels.toml", tunnel)];
    let keys = Source::from_secret("keys.toml", gcm_keys());
    let site = Site::with(&["lan", "wan"].map(|z| Name::new(z).unwrap()));
    let compiled = policy::load(&files, Some(&keys), &site).unwrap();
    assert_eq!(compiled.snapshot, snapshot(POLICY));
}

#[test]
fn the_same_policy_has_the_same_fingerprint_and_no_other_has_it() {
    let first = snapshot(POLICY);
    assert_eq!(first.fingerprint, snapshot(&format!("# a remark\n{POLICY}")).fingerprint);
    assert_eq!(first.fingerprint.len(), 64);
    let changed = [
        snapshot(&POLICY.replace("10.2.0.0/24", "10.3.0.0/24")),
        snapshot(&POLICY.replace("0x1001", "0x1003")),
        snapshot(&POLICY.replace("\"rest\"", "\"others\"")),
        snapshot(&format!("[filter]\nlog_implicit = false\n{POLICY}")),
        snapshot(&format!("[filter]\nlog = false\n{POLICY}")),
        snapshot(&format!("[filter]\nimplicit_discard = \"icmp\"\n{POLICY}")),
        snapshot(&format!("[filter]\npre_decap = true\n{POLICY}")),
        load(POLICY, &gcm_keys().replace("a0a1a2a3", "a0a1a2a4")).snapshot,
    ];
    for other in changed {
        assert_ne!(first.fingerprint, other.fingerprint);
        assert!(!diff(&first, &other).0.is_empty());
    }
}

#[test]
fn a_difference_is_told_in_the_operators_names() {
    let old = snapshot(POLICY);
    assert!(diff(&old, &snapshot(POLICY)).0.is_empty());
    let text = POLICY
        .replace("10.2.0.0/24", "10.3.0.0/24")
        .replace("0x1001", "0x1003")
        .replace("[[tunnel]]", "[[rule]]\nname = \"last\"\nprotocol = \"tcp\"\naction = \"deny\"\ndirection = \"inbound\"\n[[tunnel]]");
    let new = load(&text, &gcm_keys()).snapshot;
    let text = diff(&old, &new).to_string();
    let expected = "\
~ rule vpn
    - outbound any from 10.1.0.0/24 to 10.2.0.0/24: ipsec by b
    - inbound any from 10.2.0.0/24 to 10.1.0.0/24: ipsec by b
    + outbound any from 10.1.0.0/24 to 10.3.0.0/24: ipsec by b
    + inbound any from 10.3.0.0/24 to 10.1.0.0/24: ipsec by b
+ rule last
    + inbound tcp from 0.0.0.0/0 to 0.0.0.0/0: deny
    + inbound tcp from ::/0 to ::/0: deny
~ SA b outbound
    SPI: 0x00001001 to 0x00001003
    selectors: any from 10.1.0.0/24 to 10.2.0.0/24 to any from 10.1.0.0/24 to 10.3.0.0/24
~ SA b inbound
    selectors: any from 10.2.0.0/24 to 10.1.0.0/24 to any from 10.3.0.0/24 to 10.1.0.0/24
";
    assert_eq!(text, expected);
    let back = diff(&new, &old);
    assert!(back.to_string().contains("- rule last\n"));
    let json = serde_json::to_value(&back).unwrap();
    assert_eq!(json[0]["kind"], "removed");
    assert_eq!(json[0]["object"], "rule");
}

#[test]
fn new_keys_are_a_difference_that_does_not_show_them() {
    let side = |seed| format!("key = {:?}, salt = \"a0a1a2a3\"", hex(seed, 32));
    let new = load(POLICY, &keys(&side(1), &side(9))).snapshot;
    let text = diff(&snapshot(POLICY), &new).to_string();
    assert_eq!(text, "~ SA b inbound\n    keys: changed\n");
}

/// Rules in an order, each of its own protocol.
fn ordered(order: &[u8]) -> Snapshot {
    let rule = |n: &u8| format!("[[rule]]\nname = \"r{n}\"\nprotocol = {n}\naction = \"permit\"\n");
    let text: String = order.iter().map(rule).collect();
    policy::load(&[Source::from_text("ipsec.toml", text)], None, &Site::default()).unwrap().snapshot
}

#[test]
fn a_rule_that_moved_is_told_and_the_others_are_not() {
    let text = diff(&ordered(&[1, 2, 3, 4, 5]), &ordered(&[1, 4, 2, 3, 5])).to_string();
    assert_eq!(text, "^ rule r4\n");
}

proptest! {
    /// Whatever is not told as removed, added or moved kept its order; so few moves suffice that no shorter list does.
    #[test]
    fn what_was_not_moved_kept_its_order(order in Just((100u8..112).collect::<Vec<_>>()).prop_shuffle()) {
        let old: Vec<u8> = (100..112).collect();
        let moved = diff(&ordered(&old), &ordered(&order));
        prop_assert!(moved.0.iter().all(|change| change.kind == Kind::Moved));
        let names: Vec<_> = moved.0.iter().map(|change| change.name.clone()).collect();
        let steady: Vec<_> = order.iter().filter(|n| !names.contains(&format!("r{n}"))).collect();
        prop_assert!(steady.is_sorted());
        let longest = (0u32..1 << order.len())
            .map(|set| order.iter().enumerate().filter(|(i, _)| set >> i & 1 == 1).map(|(_, n)| n).collect::<Vec<_>>())
            .filter(|run| run.is_sorted())
            .map(|run| run.len())
            .max();
        prop_assert_eq!(Some(steady.len()), longest);
    }
}
