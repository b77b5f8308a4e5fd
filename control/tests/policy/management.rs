//! Who manages a gateway by its ports is warned before a policy locks it out (row B2).
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use ravelin_config::appliance::Appliance;
use ravelin_config::source::Source;
use ravelin_control::policy;
use ravelin_control::policy::management::Site;

const WEB: &str =
    "[[rule]]\nname = \"web\"\nsource = \"10.1.0.0/16\"\nrouting = \"routed\"\naction = \"permit\"\n";
const SSH: &str = "[[rule]]\nname = \"ssh\"\nsource = \"192.0.2.0/28\"\nprotocol = \"tcp\"\ndestination_port = 22\n\
                   direction = \"inbound\"\nrouting = \"local\"\naction = \"permit\"\n";
const ANSWERS: &str = "[[rule]]\nname = \"answers\"\ndestination = \"192.0.2.0/28\"\nprotocol = \"tcp\"\nsource_port = 22\n\
                       direction = \"outbound\"\nconnect = \"inbound\"\nrouting = \"local\"\naction = \"permit\"\n";
const DENY: &str = "[[rule]]\nname = \"stop\"\naction = \"deny\"\n";

/// What is said of a policy with these default filters, on a gateway of these ports.
fn said(top: &str, defaults: &str, policy: &str) -> String {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("ravelin.toml");
    let ports = "[[port]]\ninterface = \"lan0\"\nside = \"protected\"\n[[port]]\ninterface = \"wan0\"\nside = \"unprotected\"\n";
    std::fs::write(&file, format!("{top}{ports}")).unwrap();
    if !defaults.is_empty() {
        std::fs::write(place.path().join("default-filters.toml"), defaults).unwrap();
    }
    let (appliance, _) = Appliance::load(&file).unwrap();
    let (site, _) = Site::of(&appliance).unwrap();
    let findings = match policy::load(&[Source::from_text("ipsec.toml", policy)], None, &site) {
        Ok(compiled) => compiled.warnings,
        Err(findings) => findings,
    };
    findings.to_string()
}

#[test]
fn a_policy_that_ends_the_management_of_the_default_filters_is_refused() {
    let reachable = format!("{SSH}{ANSWERS}");
    let found = said("", &reachable, WEB);
    assert!(found.contains("error: no rule permits a TCP connection to this gateway"), "{found}");
    assert!(found.ends_with("[RVL-CHECK-LOCK-OUT]"), "{found}");
    let behind_a_deny = format!("{DENY}{reachable}");
    assert!(said("", &reachable, &behind_a_deny).contains("error: no rule permits"));
    assert_eq!(said("", &reachable, &format!("{WEB}{reachable}")), "");
    assert_eq!(said("management = \"elsewhere\"\n", &reachable, WEB), "");
}

#[test]
fn what_the_emergency_switch_would_end_is_a_warning() {
    let reachable = format!("{SSH}{ANSWERS}");
    for defaults in ["", WEB] {
        let found = said("", defaults, &reachable);
        assert!(
            found.contains("warning: ") && found.contains("`ravelin filter default` would lock out"),
            "{found}"
        );
        let neither = said("", defaults, WEB);
        assert!(neither.contains("warning: neither a rule nor "), "{neither}");
        assert!(neither.ends_with("[RVL-CHECK-UNMANAGED]"), "{neither}");
    }
}

#[test]
fn a_connection_needs_its_answers_but_not_towards_a_protected_port() {
    let of_zone = |zone: &str| SSH.replace("routing", &format!("zone = \"{zone}\"\nrouting"));
    let reachable = format!("{SSH}{ANSWERS}");
    let wrong_answers = ANSWERS.replace("source_port = 22", "source_port = 23");
    assert_eq!(said("", &reachable, &of_zone("lan0")), "");
    assert_eq!(said("", &reachable, &format!("{}{ANSWERS}", of_zone("wan0"))), "");
    for without in [of_zone("wan0"), format!("{}{wrong_answers}", of_zone("wan0"))] {
        assert!(said("", &reachable, &without).contains("error: no rule permits"), "{without}");
    }
}

#[test]
fn rules_that_open_no_connection_to_this_host_do_not_count() {
    let reachable = format!("{SSH}{ANSWERS}");
    for (from, to) in [
        ("\"tcp\"", "\"udp\""),
        ("\"inbound\"", "\"outbound\""),
        ("\"local\"", "\"routed\""),
        ("routing", "connect = \"outbound\"\nrouting"),
    ] {
        let policy = format!("{}{ANSWERS}", SSH.replace(from, to));
        assert!(said("", &reachable, &policy).contains("error: no rule permits"), "{policy}");
    }
}
