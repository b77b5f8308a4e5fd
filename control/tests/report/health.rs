//! What `policy check` says of key rings: those that are missing, empty, and whose certificates end.

use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_control::policy::management::Site;
use ravelin_control::policy::{Compiled, health, load_with_tls};
use ravelin_rings::access::{Access, Owner};
use ravelin_rings::issue::{Desk, Plan, Profile};
use ravelin_rings::key::KeyKind;
use ravelin_rings::name::RingName;
use ravelin_rings::passphrase::Source as Passphrase;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::{NewRing, Rings, StoreKind};
use ravelin_rings::verify::parse_name;

const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

const POLICY: &str = "[[rule]]
name = \"vpn\"
source = \"10.1.0.0/24\"
destination = \"10.2.0.0/24\"
action = \"ipsec\"
tunnel = \"b\"
[[rule]]
name = \"ike\"
protocol = \"udp\"
routing = \"local\"
action = \"permit\"
[[tunnel]]
name = \"b\"
peer = \"b\"
[[peer]]
name = \"b\"
local = \"192.0.2.1\"
remote = \"198.51.100.1\"
remote_id = \"b.example\"
certificate = \"gw\"
trust = \"roots\"
";
const ATTLS: &str =
    "[[rule]]\nname = \"web\"\nserver_port = 443\nrole = \"server\"\ncertificate = \"gw/main\"\n";

fn compiled() -> Compiled {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).expect("a name"));
    let (policy, attls) = (Source::from_text("ipsec.toml", POLICY), Source::from_text("attls.toml", ATTLS));
    load_with_tls(&[policy], None, Some(&attls), &Site::with(&zones)).expect("a policy")
}

fn ring(rings: &Rings, name: &str) {
    let new = NewRing {
        owner: Owner::Host,
        access: Access::default(),
        store: StoreKind::Directory,
        passphrase: Passphrase::stash(),
    };
    rings.create(&RingName::new(name).expect("a name"), new).expect("a ring");
}

#[test]
fn rings_that_do_not_serve_are_told_where_they_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let (rings, compiled) = (Rings::at(folder.path()), compiled());
    let said = |now: u64| health::check(&compiled, &rings, now).to_string();
    let lines = |now: u64| said(now).lines().map(str::to_owned).collect::<Vec<_>>();

    let missing = lines(NOW);
    assert_eq!(missing.len(), 3, "{missing:#?}");
    for (line, place) in missing.iter().zip(["attls.toml:5:15: ", "ipsec.toml:20:15: ", "ipsec.toml:21:9: "])
    {
        assert!(line.starts_with(place) && line.contains("there is no ring"), "{line}");
        assert!(line.contains("warning: ") && line.ends_with("[RVL-CHECK-RING]"), "{line}");
    }

    ring(&rings, "gw");
    ring(&rings, "roots");
    let empty = said(NOW);
    assert!(empty.contains("`gw` holds no certificate of ours with its key"), "{empty}");
    assert!(empty.contains("`roots` holds no trust anchor"), "{empty}");

    let signer = Signer::new(rings.clone());
    let place = "gw/main".parse().expect("a place");
    let plan = Plan::new(parse_name("CN=gw").expect("a name"), vec![], Profile::Server, NOW - DAY, 91);
    Desk::new(&rings, &signer, NOW).self_sign(&place, KeyKind::P256, &plan).expect("a certificate");
    assert_eq!(lines(NOW).len(), 1, "the anchor alone is missing: {}", said(NOW));
    let soon = lines(NOW + 70 * DAY);
    assert!(
        soon[0].contains("gw/main ends in 20 days") && soon[0].ends_with("[RVL-CHECK-CERT-ENDS]"),
        "{soon:#?}"
    );
    let over = lines(NOW + 91 * DAY);
    assert!(
        over[0].contains("gw/main has ended") && over[0].ends_with("[RVL-CHECK-CERT-ENDED]"),
        "{over:#?}"
    );
    assert_eq!((soon.len(), over.len()), (3, 3));

    let json = serde_json::to_value(health::check(&compiled, &rings, NOW)).expect("JSON");
    assert_eq!((&json[0]["code"], &json[0]["line"]), (&"RVL-CHECK-RING".into(), &21.into()));
}
