//! What other daemons do badly, between two gateways at work: docs/ike.md has the whole list and where each is tested.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::collections::BTreeSet;
use std::time::Duration;

use ravelin_perf::foreign::script;
use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{Shape, Watch, check, wait_until};
use ravelin_perf::two_gateways::TwoGateways;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Whoever comes may try, and another connection beside.
const MORE: &str = r#"
[[peer]]
name = "anybody"
local = "198.51.100.1"
remote = "any"
local_id = "gw-b.example"
remote_id = "*.nowhere.example"
shared_key = "gw-a"
liveness = LIVENESS

[[tunnel]]
name = "anybody"
peer = "anybody"
start = "remote"

[[rule]]
name = "anybody"
source = "10.2.0.0/24"
destination = "172.16.0.0/12"
action = "ipsec"
tunnel = "anybody"
"#;

/// Example policy of gateway b with another connection, of which one line changes.
fn with_another(gateway: &Gateway, example: &str, liveness: u32) {
    let more = MORE.replace("LIVENESS", &liveness.to_string());
    gateway.apply_text(&format!("{example}{more}")).unwrap();
}

fn names(gateway: &Gateway) -> Vec<Value> {
    gateway.ike_sas().unwrap().iter().map(|ike| ike["id"].clone()).collect()
}

/// SPIs of all children that are listed, as this side sees them: `[in, out]`.
fn pairs(gateway: &Gateway, keys: [&str; 2]) -> BTreeSet<[String; 2]> {
    let children = gateway.children().unwrap();
    let pair = |child: &Value| keys.map(|key| child[key].as_str().unwrap().to_owned());
    children.iter().map(pair).collect()
}

/// What is listed stands: the same on both sides, and in the packet processes.
fn is_true(stand: &TwoGateways) -> bool {
    let ours = pairs(&stand.a, ["inbound_spi", "outbound_spi"]);
    let theirs = pairs(&stand.b, ["outbound_spi", "inbound_spi"]);
    let held = |gateway: &Gateway| {
        let listed = gateway.ask("sa list").unwrap();
        let inbound = listed.as_array().unwrap().iter().filter(|sa| sa["direction"] == "inbound");
        inbound.map(|sa| sa["spi"].as_str().unwrap().to_owned()).collect::<BTreeSet<_>>()
    };
    let mine = |pairs: &BTreeSet<[String; 2]>, at: usize| -> BTreeSet<String> {
        pairs.iter().map(|pair| pair[at].clone()).collect()
    };
    ours == theirs && mine(&ours, 0) == held(&stand.a) && mine(&theirs, 1) == held(&stand.b)
}

#[test]
fn strangers_reloads_and_new_proofs_leave_a_tunnel_alone() {
    let stand = TwoGateways::start_example("ikeweak", Shape::default(), "site-to-site-ike").unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    let examples = [&stand.a, &stand.b].map(|gateway| gateway.policy_text().unwrap());
    let [own, other] = &examples;
    stand.a.apply_text(&own.replace("[[tunnel]]", "reauthenticate = 20\n\n[[tunnel]]")).unwrap();
    with_another(&stand.b, other, 30);
    stand.wait_for_traffic().unwrap();
    let first = names(&stand.a);
    assert_eq!(first.len(), 1);
    let ping = stand.start_ping(stand.sites.b.site_v4, 26_000, Duration::from_millis(1)).unwrap();

    // What no honest peer sends is refused and counted; what lies about its length is not answered at all.
    let answers = strange(&stand);
    for (case, answer) in answers.as_object().unwrap() {
        let expected = match case.as_str() {
            "an honest one" => Value::from("accepted"),
            share if share.starts_with("a share") => Value::from("INVALID_SYNTAX"),
            _ => Value::Null,
        };
        assert_eq!(answer, &expected, "{case} of {answers}\n{}", stand.b.control_log());
    }
    let metrics = stand.b.metrics().unwrap();
    let counted = |reason| metrics.sum("ravelin_ike_dropped_total", &[("reason", reason)]);
    assert_eq!((counted("refused"), counted("malformed")), (Some(5.0), Some(3.0)));

    // A policy that changes another connection, and one that ends it.
    with_another(&stand.b, other, 40);
    stand.b.apply_text(other).unwrap();
    assert_eq!(names(&stand.a), first, "this one goes on");
    wait_until("both sides to agree", PATIENCE, || is_true(&stand)).unwrap();

    // New proofs, made before the old ones go.
    let anew = || matches!(&names(&stand.a)[..], [one] if *one != first[0]);
    wait_until("an IKE SA with new proofs, alone", PATIENCE, anew)
        .unwrap_or_else(|e| panic!("{e}\n{}", stand.a.control_log()));
    wait_until("both sides to agree", PATIENCE, || is_true(&stand)).unwrap();
    let report = ping.report().unwrap();
    let ends = ["no_such_sa", "no_sa", "denied", "replayed"]
        .map(|verdict| (verdict, [&stand.a, &stand.b].map(|gateway| gateway.ended(verdict).ok())));
    assert!(report.is_perfect(), "{report:?} {ends:?}\n{}\n{}", stand.a.control_log(), stand.b.control_log());
    watch.ensure_nothing_else().unwrap();
}

/// From the network between the sites.
fn strange(stand: &TwoGateways) -> Value {
    let mut strange = script(|python| stand.sites.wan.command(python), "strange_ike.py").unwrap();
    strange.args(["198.51.100.2", "198.51.100.1"]);
    serde_json::from_str(&check(&mut strange, PATIENCE).unwrap()).unwrap()
}
