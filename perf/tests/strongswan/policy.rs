//! What strongSwan and we agree on and refuse: narrowed traffic, several children, post-quantum keys, wrong secrets,
//! identities and proposals, and messages too long for the path.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway_and_swan::GatewayAndSwan;
use ravelin_perf::lab::{Capture, Connection, Shape, Watch, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);
/// strongSwan's address.
const SWAN: &str = "198.51.100.1";

fn networks(pairs: &[(&str, &str)]) -> Connection {
    let networks = pairs.iter().map(|(own, other)| ((*own).to_owned(), (*other).to_owned())).collect();
    Connection { networks, ..Connection::default() }
}

/// Traffic of the one child on both sides, as we list it.
fn agreed(stand: &GatewayAndSwan) -> (String, String) {
    let children = stand.a.children().unwrap();
    assert_eq!(children.len(), 1, "{children:?}");
    let list = |key: &str| {
        children[0][key]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one.as_str().unwrap())
            .collect::<Vec<_>>()
            .join(", ")
    };
    (list("local"), list("remote"))
}

/// `ravelin ike show` and the metrics speak of what stands.
fn ensure_shown(stand: &GatewayAndSwan) {
    let shown = stand.a.ask("ike show gw-b").unwrap();
    let ike = &shown[0];
    assert_eq!((&ike["nat"], &ike["role"]), (&"the peer's".into(), &"responder".into()), "{shown}");
    assert!(ike["rekey_in_s"].as_u64() > Some(60) && ike["age_s"].as_u64() < Some(3600), "{shown}");
    assert_eq!(ike["children"][0]["mode"], "tunnel");
    assert!(stand.a.ravelin("ike show nobody").is_err());
    let metrics = stand.a.metrics().unwrap();
    for name in ["ravelin_ike_sas", "ravelin_ike_child_sas", "ravelin_tunnel_up"] {
        assert_eq!(metrics.sum(name, &[]), Some(1.0), "{name}");
    }
}

#[test]
fn either_side_narrows_traffic_and_one_ike_sa_has_several_children() {
    let stand = GatewayAndSwan::start("swannarrow", &networks(&[("10.2.0.0/16", "10.0.0.0/8")])).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    // strongSwan wants more than our rules give.
    stand.called().unwrap();
    assert_eq!(agreed(&stand), ("10.1.0.0/24".to_owned(), "10.2.0.0/24".to_owned()));
    stand.ensure_carries(20).unwrap();
    ensure_shown(&stand);
    stand.end().unwrap();

    // It gives less than our rules want. What is beyond has no SA, and does not go in clear.
    stand.b.load(&networks(&[("10.2.0.0/28", "10.1.0.0/28")])).unwrap();
    stand.open().unwrap();
    assert_eq!(agreed(&stand), ("10.1.0.0/28".to_owned(), "10.2.0.0/28".to_owned()));
    stand.ensure_carries(20).unwrap();
    assert!(stand.sites.a.site.run("ping -n -q -c 2 -i 0.2 -W 1 10.2.0.77").is_err());
    stand.end().unwrap();

    // Nothing in common.
    stand.b.load(&networks(&[("10.9.0.0/24", "10.1.0.0/24")])).unwrap();
    let begin = stand.a.control_log().len();
    assert!(stand.b.initiate().is_err());
    stand.wait_for_event(begin, "child.failed", &["10.9.0.0/24", "10.2.0.0/24"]).unwrap();
    assert!(stand.b.log().contains("TS_UNACCEPTABLE"), "{}", stand.told());
    stand.end().unwrap();

    two_children(&stand);
    watch.ensure_nothing_else().unwrap();
}

fn two_children(stand: &GatewayAndSwan) {
    const SECOND: &str = "10.2.0.130";
    stand.sites.b.site.run(&format!("ip address add {SECOND}/24 dev lan")).unwrap();
    // kernel-libipsec asks for an address of the gateway within what it protects.
    stand.sites.b.gateway.run("ip address add 10.2.0.129/24 dev lan0").unwrap();
    stand.b.load(&networks(&[("10.2.0.0/25", "10.1.0.0/24"), ("10.2.0.128/25", "10.1.0.0/24")])).unwrap();
    let rule = "[[rule]]\nname = \"upper\"\nsource = \"10.1.0.0/24\"\ndestination = \"10.2.0.128/25\"\naction = \"ipsec\"\n\
                tunnel = \"upper\"\n\n[[rule]]\nname = \"between-sites\"";
    let tunnel = "\n[[tunnel]]\nname = \"upper\"\npeer = \"gw-b\"\nstart = \"on-demand\"";
    let policy = GatewayAndSwan::policy("", tunnel).unwrap();
    stand.a.apply_text(&policy.replace("[[rule]]\nname = \"between-sites\"", rule)).unwrap();
    stand.open().unwrap();
    let upper = || stand.sites.a.site.run(&format!("ping -n -q -c 1 -W 1 {SECOND}")).is_ok();
    wait_until("the second child", PATIENCE, upper).unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
    assert_eq!((stand.a.ike_sas().unwrap().len(), stand.a.children().unwrap().len()), (1, 2));
    stand.ensure_carries(20).unwrap();
    let old = stand.a.spis().unwrap();
    stand.a.ravelin("ike rekey gw-b").unwrap();
    stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
    assert!(upper());
    stand.ensure_carries(20).unwrap();
}

/// A refusal: how strongSwan differs from what we want, the notification that either side answers with, and the event
/// when it begins and when we do.
struct Refusal {
    connection: Connection,
    notify: &'static str,
    asked: (&'static str, &'static [&'static str]),
    asking: (&'static str, &'static [&'static str]),
}

fn refusals() -> Vec<Refusal> {
    let nobody = Connection { local_id: "gw-x.example".to_owned(), ..Connection::default() };
    vec![
        Refusal {
            connection: Connection::with_secret("not the secret that gateway a has"),
            notify: "AUTHENTICATION_FAILED",
            asked: ("ike.authentication_failed", &["gw-b.example"]),
            asking: ("ike.authentication_failed", &["AUTHENTICATION_FAILED"]),
        },
        Refusal {
            connection: nobody,
            notify: "AUTHENTICATION_FAILED",
            asked: ("ike.no_peer", &["gw-x.example", "we want gw-b.example"]),
            asking: ("ike.authentication_failed", &["AUTHENTICATION_FAILED"]),
        },
        Refusal {
            connection: Connection::with_suites("aes128-sha256-modp2048", "aes256gcm16"),
            notify: "NO_PROPOSAL_CHOSEN",
            asked: ("ike.no_proposal", &["AES_CBC_128", "AES_GCM_16_256", "MODP_2048", "CURVE_25519"]),
            asking: ("ike.no_proposal", &["AES_GCM_16_256"]),
        },
        Refusal {
            connection: Connection::with_suites("aes256gcm16-prfsha384-x25519", "aes128-sha256"),
            notify: "NO_PROPOSAL_CHOSEN",
            asked: ("child.failed", &["AES_CBC_128", "AES_GCM_16_256"]),
            asking: ("child.failed", &["AES_GCM_16_256"]),
        },
    ]
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason_and_nothing_passes() {
    let stand = GatewayAndSwan::start("swanwrong", &Connection::default()).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    for refusal in refusals() {
        let Refusal { connection, notify, asked, asking } = refusal;
        stand.b.load(&connection).unwrap();
        let (begin, told) = (stand.a.control_log().len(), stand.b.log().len());
        assert!(stand.b.initiate().is_err());
        stand.wait_for_event(begin, asked.0, asked.1).unwrap();
        ensure_explained(&stand, asked);
        let said = format!("received {notify} notify");
        assert!(stand.b.log()[told..].contains(&said), "{said}\n{}", stand.told());
        assert!(stand.a.spis().unwrap().is_empty());

        let (begin, told) = (stand.a.control_log().len(), stand.b.log().len());
        // Again and again: an attempt of before, still on its way, has the first packets to itself.
        wait_until(asking.0, PATIENCE, || {
            assert!(!stand.sites.is_open());
            stand.has_event(begin, asking.0, asking.1)
        })
        .unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
        let answer =
            |log: &str| log.lines().any(|line| line.contains("generating") && line.contains(&short(notify)));
        wait_until(notify, PATIENCE, || answer(&stand.b.log()[told..]))
            .unwrap_or_else(|e| panic!("{e}\n{}", stand.told()));
        assert!(stand.a.spis().unwrap().is_empty() && !stand.sites.is_open());
        // An IKE SA without children may stand.
        if !stand.a.ike_sas().unwrap().is_empty() {
            stand.end().unwrap();
        }
    }
    watch.ensure_nothing_else().unwrap();
}

/// The operator is told the same on asking, with a remedy; by the peer's address as well, since none of its names may be known.
fn ensure_explained(stand: &GatewayAndSwan, (code, words): (&str, &[&str])) {
    for whom in ["", SWAN] {
        let told = stand.a.ask(&format!("ike explain {whom}")).unwrap();
        let is_it = |one: &serde_json::Value| {
            let text = one["text"].as_str().unwrap();
            one["code"] == code && words.iter().all(|word| text.contains(word)) && one["remedy"].is_string()
        };
        assert!(told.as_array().unwrap().iter().any(is_it), "{code} {words:?} of {whom:?}: {told}");
    }
}

/// As strongSwan writes a notification within a message.
fn short(notify: &str) -> String {
    let name = match notify {
        "AUTHENTICATION_FAILED" => "AUTH_FAILED",
        "NO_PROPOSAL_CHOSEN" => "NO_PROP",
        other => other,
    };
    format!("N({name})")
}

const PPK: &str = "Vyw1qDRoMwUYg8PxTEXAMPLEEXAMPLEEXAMPLE0h2E0=";

/// strongSwan with a PPK of this value; `more` says whether it insists.
fn with_ppk(secret: &str, required: bool) -> Connection {
    let required = if required { "yes" } else { "no" };
    named_ppk("ppk-1", secret, required)
}

fn named_ppk(id: &str, secret: &str, required: &str) -> Connection {
    Connection {
        more: format!("ppk_id = {id}\n ppk_required = {required}"),
        secrets: format!("ppk-1 {{ id = {id}\n secret = \"{secret}\" }}"),
        ..Connection::default()
    }
}

fn ask_ppk(stand: &GatewayAndSwan, required: bool) {
    let peer = format!("ppk = {{ id = \"ppk-1\", key = \"ppk\", required = {required} }}");
    stand.a.apply_text(&GatewayAndSwan::policy(&peer, "").unwrap()).unwrap();
}

/// Both ways, whether the tunnel comes up.
fn ensure_both_ways(stand: &GatewayAndSwan, up: bool) {
    assert_eq!(stand.b.initiate().is_ok(), up, "{}", stand.told());
    if up {
        stand.ensure_carries(10).unwrap();
        stand.end().unwrap();
        stand.open().unwrap();
        stand.ensure_carries(10).unwrap();
        let old = stand.a.spis().unwrap();
        stand.a.ravelin("ike rekey gw-b").unwrap();
        stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
        stand.ensure_carries(10).unwrap();
        stand.end().unwrap();
    } else {
        assert!(!stand.sites.is_open() && stand.a.spis().unwrap().is_empty());
    }
}

#[test]
fn a_post_quantum_key_is_mixed_in_and_insisted_on() {
    let stand = GatewayAndSwan::start("swanppk", &with_ppk(PPK, true)).unwrap();
    stand.a.add_keys(&format!("\n[ppk]\nshared = \"{PPK}\"\n")).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    // Both have it and insist.
    ask_ppk(&stand, true);
    ensure_both_ways(&stand, true);
    assert!(stand.b.log().contains("using PPK for PPK_ID 'ppk-1'"), "{}", stand.b.log());
    // strongSwan insists, with another key.
    stand.b.load(&with_ppk("another key than that of gateway a", true)).unwrap();
    ensure_both_ways(&stand, false);
    // We insist and it has none.
    stand.b.load(&Connection::default()).unwrap();
    let begin = stand.a.control_log().len();
    ensure_both_ways(&stand, false);
    stand.wait_for_event(begin, "ike.authentication_failed", &["post-quantum"]).unwrap();
    // Neither insists: it goes without where one side has none or another, and with it where both have it.
    ask_ppk(&stand, false);
    ensure_both_ways(&stand, true);
    // As responder strongSwan refuses any other name than its own.
    stand.b.load(&named_ppk("ppk-2", PPK, "no")).unwrap();
    stand.called().unwrap();
    stand.ensure_carries(10).unwrap();
    stand.end().unwrap();
    stand.b.load(&with_ppk(PPK, false)).unwrap();
    let told = stand.b.log().len();
    ensure_both_ways(&stand, true);
    assert!(stand.b.log()[told..].contains("using PPK for PPK_ID 'ppk-1'"), "{}", stand.told());
    watch.ensure_nothing_else().unwrap();
}

/// Prefixes enough that a list of them is longer than any IKE message may be on this path.
const MANY: usize = 100;

#[test]
fn messages_longer_than_the_path_go_in_fragments_of_ike_both_ways() {
    let shape = Shape { wan_mtu: 1280, ..Shape::default() };
    let many = |first: &str| (0..MANY).map(|n| format!("10.{first}.{}.0/25", n)).collect::<Vec<_>>();
    let connection = networks(&[("10.2.0.0/24", &many("1").join(","))]);
    let stand = GatewayAndSwan::start_shaped("swanbig", shape, &connection).unwrap();
    let quoted = many("1").iter().map(|prefix| format!("\"{prefix}\"")).collect::<Vec<_>>().join(", ");
    let policy = GatewayAndSwan::policy("", "").unwrap();
    stand
        .a
        .apply_text(&policy.replace("site-a = [\"10.1.0.0/24\", ", &format!("site-a = [{quoted}, ")))
        .unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    // The next payload of SKF is 53; after the non-ESP marker where it goes by port 4500.
    let (lab, wan) = (&stand.sites.lab, &stand.sites.wan);
    let fragments = "(udp port 500 and udp[24] = 53) or (udp port 4500 and udp[8:4] = 0 and udp[28] = 53)";
    let captures = |name: &str| {
        ["to-a", "to-b"].map(|from| {
            Capture::start_received(lab, wan, from, &format!("{name}-{from}"), fragments).unwrap()
        })
    };
    let pieces = ["to-a", "to-b"].map(|from| {
        Capture::start_received(lab, wan, from, &format!("ip-{from}"), "udp and ip[6:2] & 0x3fff != 0")
            .unwrap()
    });
    let ours = captures("ours");
    stand.open().unwrap();
    stand.ensure_carries(20).unwrap();
    ours.into_iter().for_each(ensure_some);
    stand.end().unwrap();
    let theirs = captures("theirs");
    stand.called().unwrap();
    stand.ensure_carries(20).unwrap();
    theirs.into_iter().for_each(ensure_some);
    for capture in pieces {
        assert_eq!(capture.stop().unwrap().packets.frames().count(), 0, "IP fragments");
    }
    watch.ensure_nothing_else().unwrap();
}

fn ensure_some(capture: Capture) {
    let seen = capture.stop().unwrap();
    assert!(seen.packets.frames().count() >= 2, "no fragments in {}", seen.file.display());
}
