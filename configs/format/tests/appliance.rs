//! What `ravelin.toml` and `default-filters.toml` mean when nothing is wrong with them.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;

use ravelin_config::appliance::{Appliance, Cores, Idle, Management, Policy, Watch, XdpMode};
use ravelin_config::default_filters::DefaultFilters;
use ravelin_config::source::Source;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Opening, Routing, ZoneId};
use ravelin_contract::selector::Upper;

const SMALLEST: &str = "
[[port]]
interface = \"lan0\"
side = \"protected\"
[[port]]
interface = \"wan0\"
side = \"unprotected\"
";

fn appliance(text: &str) -> Appliance {
    let (appliance, warnings) =
        Appliance::parse(&Source::from_text("/etc/ravelin/ravelin.toml", text)).unwrap();
    assert!(warnings.is_empty(), "{warnings}");
    appliance
}

#[test]
fn policies_are_kept_and_not_watched_unless_asked() {
    let policy = |more: &str| appliance(&format!("{SMALLEST}{more}")).policy;
    assert_eq!(policy(""), Policy { keep: 50, watch: Watch::Off });
    assert_eq!(policy("[policy]\nkeep = 1\nwatch = true\n"), Policy { keep: 1, watch: Watch::Apply });
    assert_eq!(policy("[policy]\nwatch = true\nrequire_commit = true\n").watch, Watch::Report);
}

#[test]
fn two_ports_are_enough() {
    let a = appliance(SMALLEST);
    assert_eq!(a.ports.iter().map(|p| p.protected).collect::<Vec<_>>(), [true, false]);
    assert_eq!(a.zones().iter().map(Name::as_str).collect::<Vec<_>>(), ["lan0", "wan0"]);
    assert_eq!(a.workers.cores, Cores::Count(1));
    assert_eq!((a.workers.count(), a.workers.frames, a.workers.queue), (1, 8192, 2048));
    assert_eq!(a.workers.tls_connections, 10_000);
    assert_eq!((a.workers.idle, a.management), (Idle::Wait, Management::Ports));
    assert_eq!(a.dataplane.socket, Path::new("/run/ravelin/dataplane.sock"));
    assert_eq!(a.dataplane.state, Path::new("/var/lib/ravelin"));
    assert_eq!(a.dataplane.default_filters, Path::new("/etc/ravelin/default-filters.toml"));
    assert_eq!(a.dataplane.pins, Path::new("/sys/fs/bpf/ravelin"));
    assert_eq!((a.dataplane.xdp, a.dataplane.tun.as_str()), (XdpMode::Auto, "rvl0"));
    assert_eq!(a.control.policy, [Path::new("/etc/ravelin/ipsec.toml")]);
    assert_eq!(a.control.keys, Path::new("/etc/ravelin/keys.toml"));
    assert_eq!(a.control.metrics, Some("127.0.0.1:9469".parse().unwrap()));
    assert_eq!((a.dataplane.allow, a.control.allow), (vec![0], vec![0]));
}

#[test]
fn vlans_of_one_interface_are_ports_of_their_own() {
    let a = appliance(&format!(
        "{SMALLEST}
        [[port]]
        interface = \"wan0.100\"
        parent = \"wan0\"
        vlan = 100
        zone = \"partner\"
        side = \"unprotected\"
        [[port]]
        interface = \"dmz\"
        parent = \"eth7\"
        vlan = 4094
        side = \"protected\""
    ));
    let vlans: Vec<_> = a.ports.iter().map(|port| port.vlan.as_ref().map(|vlan| vlan.number)).collect();
    assert_eq!(vlans, [None, None, Some(100), Some(4094)]);
    assert_eq!(a.ports.iter().map(|port| port.trunk()).collect::<Vec<_>>(), ["lan0", "wan0", "wan0", "eth7"]);
    assert_eq!(a.trunks(), ["lan0", "wan0", "eth7"]);
    assert_eq!(a.workers.frames, 16384, "rings are per physical interface");
}

#[test]
fn a_name_parts_the_paths_of_several_gateways() {
    let a = appliance(&format!("name = \"gw-a\"\n{SMALLEST}"));
    assert_eq!(a.dataplane.socket, Path::new("/run/ravelin/gw-a/dataplane.sock"));
    assert_eq!(a.control.socket, Path::new("/run/ravelin/gw-a/control.sock"));
    assert_eq!(a.dataplane.state, Path::new("/var/lib/ravelin/gw-a"));
    assert_eq!(a.dataplane.pins, Path::new("/sys/fs/bpf/ravelin/gw-a"));
    assert_eq!(a.control.keys, Path::new("/etc/ravelin/keys.toml"));
    assert_eq!(a.dataplane.tun, "rvl-gw-a");
    let long = appliance(&format!("name = \"gateway:of-the-north\"\n{SMALLEST}"));
    assert_eq!(long.dataplane.tun, "rvl-gatewayof-t");
}

#[test]
fn everything_may_be_said() {
    let a = appliance(&format!(
        "management = \"elsewhere\"
        {SMALLEST}
        [workers]
        cores = [2, 3]
        idle = \"poll\"
        frames = 4096
        queue = 512
        tls_connections = 200000
        [dataplane]
        socket = \"/tmp/d.sock\"
        state = \"state\"
        tun = \"stack\"
        xdp = \"native\"
        allow = [0, 998]
        [control]
        metrics = \"off\"
        policy = [\"a.toml\", \"/b.toml\"]
        allow = 1000"
    ));
    assert_eq!(a.workers.cores, Cores::Pinned(vec![2, 3]));
    assert_eq!((a.workers.idle, a.workers.frames, a.workers.queue), (Idle::Poll, 4096, 512));
    assert_eq!(a.workers.tls_connections, 200_000);
    assert_eq!(a.dataplane.socket, Path::new("/tmp/d.sock"));
    assert_eq!(a.dataplane.state, Path::new("/etc/ravelin/state"));
    assert_eq!((a.dataplane.xdp, a.dataplane.allow), (XdpMode::Native, vec![0, 998]));
    assert_eq!((a.control.metrics, a.management), (None, Management::Elsewhere));
    assert_eq!(a.control.policy, [Path::new("/etc/ravelin/a.toml"), Path::new("/b.toml")]);
    assert_eq!(a.control.allow, [1000]);
}

#[test]
fn a_default_filter_becomes_two_filters_that_answer_each_other() {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let text = "[[rule]]
        source = \"10.1.0.0/24\"
        destination = \"192.0.2.1\"
        protocol = \"tcp\"
        destination_port = 22
        connect = \"outbound\"
        routing = \"routed\"
        zone = \"wan\"";
    let (filters, _) = DefaultFilters::parse(&Source::from_text("f.toml", text), &zones).unwrap();
    assert!(filters.log_implicit);
    let [out, back] = filters.rules.as_slice() else { panic!("{filters:?}") };
    assert_eq!((out.direction, back.direction), (Direction::Outbound, Direction::Inbound));
    assert_eq!((out.name.as_str(), out.extension, back.extension), ("SYSDEFAULTRULE.1", 1, 2));
    assert_eq!((out.opening, back.opening), (Opening::Allowed, Opening::Excluded));
    assert_eq!((out.zone, out.routing, out.action), (Some(ZoneId(1)), Routing::Routed, Action::Permit));
    assert_eq!(back.selector, out.selector.reversed());
    assert!(
        matches!(out.selector.upper, Upper::Ports { protocol: 6, destination, .. } if destination.contains(22))
    );
}

#[test]
fn an_empty_file_of_default_filters_denies_everything() {
    let (filters, _) = DefaultFilters::parse(&Source::from_text("f.toml", ""), &[]).unwrap();
    assert!(filters.rules.is_empty());
}

#[test]
fn a_missing_file_is_told_with_its_name() {
    let findings = Appliance::load(Path::new("/nonexistent/ravelin.toml")).unwrap_err();
    let said = findings.to_string();
    assert!(said.starts_with("/nonexistent/ravelin.toml: error: cannot read the file"), "{said}");
}
