//! What `attls.toml` means when nothing is wrong with it.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::net::IpAddr;
use std::time::Duration;

use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_contract::selector::FlowKey;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::{Answer, Secure, TlsAction, Truncation};
use ravelin_contract::tls_session::{Role as End, Suite, Version};
use ravelin_control::policy::attls::{Expects, Plan};
use ravelin_control::policy::diff::diff;
use ravelin_control::policy::management::Site;
use ravelin_control::policy::{self, Compiled};
use ravelin_rings::revocation::Mode;
use ravelin_tls::settings::{ClientAuth, Group, Resumption, Role};

const BESIDE: &str = "[[rule]]\nname = \"all\"\naction = \"permit\"\n[addresses]\nlan = \"10.1.0.0/16\"\n";

fn load(attls: &str) -> Compiled {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let (policy, attls) = (Source::from_text("ipsec.toml", BESIDE), Source::from_text("attls.toml", attls));
    policy::load_with_tls(&[policy], None, Some(&attls), &Site::with(&zones))
        .unwrap_or_else(|e| panic!("{e}"))
}

/// The first rule that a connection fits, and what becomes of it.
fn verdict<'a>(
    snapshot: &'a Snapshot,
    client: &str,
    server: &str,
    port: u16,
) -> Option<(&'a str, TlsAction)> {
    let address = |text: &str| text.parse::<IpAddr>().unwrap();
    let (source, destination) = (address(client), address(server));
    let flow = FlowKey { source, destination, protocol: 6, upper: Some((40_000, port)) };
    let rule = snapshot.tls.iter().find(|rule| rule.selector.matches(&flow))?;
    Some((rule.name.as_str(), rule.action))
}

fn plan<'a>(compiled: &'a Compiled, rule: &str) -> &'a Plan {
    &compiled.attls.plans[&Name::new(rule).unwrap()]
}

#[test]
fn one_rule_is_enough() {
    let compiled = load(
        "[[rule]]\nname = \"tn\"\nclient = \"lan\"\nserver = \"10.2.0.1\"\nserver_port = [992, \"8000-8002\"]\n\
         role = \"server\"\ncertificate = \"web/main\"\n",
    );
    assert_eq!(compiled.snapshot.check(), Ok(()));
    let names: Vec<_> =
        compiled.snapshot.tls.iter().map(|rule| (rule.name.as_str(), rule.extension)).collect();
    assert_eq!(names, [("tn", 1), ("tn", 2)], "one for each range of ports");
}

#[test]
fn what_is_not_written_is_secure() {
    let compiled =
        load("[[rule]]\nname = \"out\"\nserver_port = 443\nrole = \"client\"\ntrust = \"roots\"\n");
    let plan = plan(&compiled, "out");
    let settings = &plan.settings;
    assert_eq!(settings.versions, [Version::Tls13, Version::Tls12]);
    assert_eq!(settings.groups[0], Group::X25519MlKem768);
    assert_eq!(settings.suites, Suite::ALL);
    assert_eq!(settings.resumption, Resumption::Tickets { count: 2, sessions: 512 });
    assert_eq!((plan.asks.host.as_deref(), &plan.asks.expects), (None, &Expects::Asked));
    let Role::Client { trust, identities } = &settings.role else { panic!("{settings:?}") };
    assert_eq!((trust.revocation.mode, identities.len(), trust.anchors.len()), (Mode::Soft, 0, 1));
    let (patience_ms, truncation) = (35_000, Truncation::Reset);
    let whole = Secure { role: End::Client, patience_ms, truncation, answer: Answer::AfterHandshake };
    let found = verdict(&compiled.snapshot, "10.1.0.1", "192.0.2.1", 443);
    assert_eq!(found, Some(("out", TlsAction::Secure(whole))));
    assert_eq!(verdict(&compiled.snapshot, "10.1.0.1", "192.0.2.1", 444), None);
}

#[test]
fn the_innermost_level_that_says_something_decides() {
    let compiled = load(
        "[groups.g]\nrole = \"client\"\ntrust = \"roots\"\nfirst_timeout = 1\nhandshake_timeout = 2\nalpn = \"g\"\npreset = \"fips\"\n\
         [environments.e]\nfirst_timeout = 3\nalpn = \"e\"\nrevocation = \"hard\"\n\
         [connections.c]\nalpn = [\"c\", \"d\"]\nrole = \"server\"\ncertificate = \"web\"\nclient_auth = \"full\"\n\
         [[rule]]\nname = \"gec\"\nserver_port = 1\ngroup = \"g\"\nenvironment = \"e\"\nconnection = \"c\"\n\
         [[rule]]\nname = \"ge\"\nserver_port = 2\ngroup = \"g\"\nenvironment = \"e\"\n\
         [[rule]]\nname = \"own\"\nserver_port = 3\ngroup = \"g\"\nalpn = \"own\"\ntruncation = \"lenient\"\n",
    );
    let timeouts = |rule| {
        let timeouts = plan(&compiled, rule).settings.timeouts;
        [timeouts.first, timeouts.whole].map(|limit: Duration| limit.as_secs())
    };
    assert_eq!([timeouts("gec"), timeouts("ge"), timeouts("own")], [[3, 2], [3, 2], [1, 2]]);
    let alpn = |rule| plan(&compiled, rule).settings.alpn.concat();
    assert_eq!([alpn("gec"), alpn("ge"), alpn("own")], [b"cd".to_vec(), b"e".to_vec(), b"own".to_vec()]);
    let server = plan(&compiled, "gec");
    let Role::Server { client_auth: ClientAuth::Wanted(trust), .. } = &server.settings.role else {
        panic!("{:?}", server.settings.role)
    };
    assert_eq!(trust.revocation.mode, Mode::Hard);
    assert!(server.settings.suites.iter().all(|suite| suite.name().contains("GCM")), "of the preset");
    let from = |key| {
        let found = server.effective.iter().find(|one| one.key == key).unwrap();
        (found.from.as_str(), found.value.as_str())
    };
    assert_eq!(from("alpn"), ("connection c", "[\"c\", \"d\"]"));
    assert_eq!(from("revocation"), ("environment e", "\"hard\""));
    assert_eq!(from("handshake_timeout"), ("group g", "2"));
    let lenient = compiled.snapshot.tls.iter().find(|rule| rule.name.as_str() == "own").unwrap();
    assert!(matches!(lenient.action, TlsAction::Secure(Secure { truncation: Truncation::Accept, .. })));
}

#[test]
fn who_connects_waits_for_the_handshake_where_that_can_be() {
    let client = "role = \"client\"\ntrust = \"roots\"\n";
    let server = "role = \"server\"\ncertificate = \"web\"\n";
    for (settings, expected) in [
        (client.to_owned(), Answer::AfterHandshake),
        (format!("{client}answer = \"at-once\"\n"), Answer::AtOnce),
        (server.to_owned(), Answer::AtOnce),
        (format!("{server}answer = \"at-once\"\n"), Answer::AtOnce),
    ] {
        let compiled = load(&format!("[[rule]]\nserver_port = 1\n{settings}"));
        let action = compiled.snapshot.tls[0].action;
        assert!(
            matches!(action, TlsAction::Secure(Secure { answer, .. }) if answer == expected),
            "{action:?}"
        );
    }
}

#[test]
fn priorities_come_before_names_and_names_before_the_order_of_the_file() {
    let rule = |name: &str, priority: Option<u32>, port: u16| {
        let priority = priority.map_or(String::new(), |priority| format!("priority = {priority}\n"));
        format!("[[rule]]\nname = \"{name}\"\n{priority}server_port = {port}\nenabled = \"off\"\n")
    };
    let text = [
        rule("z", None, 1),
        rule("y", None, 2),
        rule("low", Some(1), 3),
        rule("b", Some(7), 4),
        rule("a", Some(7), 5),
        rule("high", Some(2_000_000_000), 6),
    ];
    let compiled = load(&text.concat());
    let mut names: Vec<_> = compiled.snapshot.tls.iter().map(|rule| rule.name.as_str()).collect();
    // Each stands there for both families.
    names.dedup();
    assert_eq!(names, ["high", "a", "b", "low", "z", "y"]);
    assert!(
        compiled.attls.plans.is_empty() && compiled.snapshot.tls.iter().all(|r| r.action == TlsAction::Pass)
    );
}

#[test]
fn marked_ports_are_refused_where_no_rule_speaks_of_them() {
    let text = "secure_ports = [992, \"8000-8001\"]\n[[rule]]\nname = \"tn\"\nserver = \"10.2.0.1\"\nserver_port = 992\nenabled = \"off\"\n";
    let compiled = load(text);
    assert_eq!(compiled.snapshot.check(), Ok(()));
    let refused = Some(("on-no-match", TlsAction::Refuse));
    assert_eq!(verdict(&compiled.snapshot, "10.1.0.1", "10.2.0.1", 992), Some(("tn", TlsAction::Pass)));
    assert_eq!(verdict(&compiled.snapshot, "10.1.0.1", "10.2.0.2", 992), refused);
    assert_eq!(verdict(&compiled.snapshot, "2001:db8::1", "2001:db8::2", 8001), refused);
    assert_eq!(verdict(&compiled.snapshot, "10.1.0.1", "10.2.0.1", 8002), None);
    let permitted = load(&format!("on_no_match = \"permit\"\n{text}"));
    assert_eq!(verdict(&permitted.snapshot, "10.1.0.1", "10.2.0.2", 992), None);
}

#[test]
fn presets_and_lists() {
    let base = "server_port = 443\nrole = \"client\"\ntrust = \"roots\"\n";
    let compiled = load(&format!(
        "[[rule]]\nname = \"old\"\n{base}preset = \"compatible\"\n\
         [[rule]]\nname = \"only\"\nclient = \"10.9.0.0/16\"\npriority = 1\n{base}suites = [0x1303]\ncheck_name = \"b.example\"\nserver_name = \"a.example\"\n"
    ));
    assert_eq!(plan(&compiled, "old").settings.groups[0], Group::X25519);
    let only = plan(&compiled, "only");
    assert_eq!(only.settings.versions, [Version::Tls13], "what no suite is of is left out");
    assert_eq!(only.asks.host.as_deref(), Some("a.example"));
    assert!(matches!(&only.asks.expects, Expects::Other(_)));
    only.asks.target([192, 0, 2, 1].into()).unwrap();
}

#[test]
fn a_difference_is_told_and_seen_by_the_fingerprint() {
    let rule = |port| {
        format!("[[rule]]\nname = \"out\"\nserver_port = {port}\nrole = \"client\"\ntrust = \"roots\"\n")
    };
    let [one, other] = [443, 8443].map(|port| load(&rule(port)).snapshot);
    assert_ne!(one.fingerprint, other.fingerprint);
    let said = diff(&one, &other).to_string();
    assert!(
        said.starts_with("~ TLS rule out\n") && said.contains("destination port 8443: TLS as client"),
        "{said}"
    );
    assert!(diff(&one, &one).0.is_empty());
}
