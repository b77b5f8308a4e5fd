//! What strongSwan and we agree on: narrowed traffic, several children, and messages too long for the path.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway_and_swan::GatewayAndSwan;
use ravelin_perf::lab::{Capture, Connection, Shape, Watch, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

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

#[test]
fn either_side_narrows_traffic_and_one_ike_sa_has_several_children() {
    let stand = GatewayAndSwan::start("swannarrow", &networks(&[("10.2.0.0/16", "10.0.0.0/8")])).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    // strongSwan wants more than our rules give.
    stand.called().unwrap();
    assert_eq!(agreed(&stand), ("10.1.0.0/24".to_owned(), "10.2.0.0/24".to_owned()));
    stand.ensure_carries(20).unwrap();
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
