//! The filters as the kernel keeps them for this host: real packets to and from a gateway between two peers, in
//! namespaces (netns).
//!
//! `va` is the port of the protected side, in zone "lan"; `vb` that of the other, in zone "wan".

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use ravelin_contract::address::AddressRange;
use ravelin_dataplane::kernel::guard::{self, Guarded};
use ravelin_dataplane::table::PortInfo;
use ravelin_dataplane::table::policy::{Policy, PolicySource};

use crate::lab::{Lab, Namespace, ip};
use crate::written;

/// Rules of a policy with one tunnel, "site-b", and the zones of [`ports`].
pub(crate) fn policy(text: &str) -> Policy {
    let (rules, zones) = written::rules(text);
    Policy::compile(PolicySource { rules, zones, ..PolicySource::default() }, 1, None)
}

pub(crate) fn ports() -> Vec<PortInfo> {
    let port = |name: &str, zone: &str| PortInfo {
        name: name.to_owned(),
        ifindex: 0,
        mac: [0; 6],
        mtu: 1500,
        zone: None,
        zone_name: zone.to_owned(),
        protected: zone == "lan",
    };
    vec![port("va", "lan"), port("vb", "wan")]
}

/// Puts the second line up in the gateway.
pub(crate) fn raise(lab: &Lab, rules: &str, protected: &[&str], by_policy: bool) {
    let filters = policy(rules);
    let protected: Vec<_> = protected.iter().map(|at| AddressRange::prefix(ip(at), 24).unwrap()).collect();
    lab.gateway.run(move || {
        let (protected, ports) = (&protected[..], &ports()[..]);
        guard::raise(&Guarded { protected, ports, workers: None, filters: &filters, by_policy }).unwrap();
    });
}

/// What becomes of an attempt to open a connection.
#[derive(Debug, PartialEq, Eq)]
enum Dial {
    Open,
    /// ICMP said that it is forbidden.
    Forbidden,
    /// Nobody answered.
    Silence,
}

/// `wanted` says how long to wait: an ICMP message that comes while connect(2) still works on the first segment only
/// counts with the second, after a second.
fn dial(from: &Namespace, to: &str, wanted: &Dial) -> Dial {
    let to: SocketAddr = to.parse().unwrap();
    let patience = Duration::from_millis(if *wanted == Dial::Forbidden { 5000 } else { 400 });
    let result = from.run(move || TcpStream::connect_timeout(&to, patience));
    match result {
        Ok(_) => Dial::Open,
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Dial::Silence,
        // IPv4 has no error of its own for it (EHOSTUNREACH); IPv6 has EACCES.
        Err(error)
            if matches!(error.kind(), io::ErrorKind::HostUnreachable | io::ErrorKind::PermissionDenied) =>
        {
            Dial::Forbidden
        }
        Err(error) => panic!("{to}: {error}"),
    }
}

/// Listens for as long as the result lives.
fn listen(at: &Namespace, ports: &'static [u16]) -> Vec<TcpListener> {
    at.run(move || ports.iter().map(|port| TcpListener::bind(("::", *port)).unwrap()).collect())
}

fn ping(from: &Namespace, to: &'static str) -> bool {
    from.run(move || Command::new("ping").args(["-c1", "-W1", to]).output().unwrap().status.success())
}

/// Whether a datagram with so many octets comes from `from` to the gateway.
fn reaches(lab: &Lab, from: &Namespace, to: &'static str, octets: usize) -> bool {
    let at: SocketAddr = to.parse().unwrap();
    let receiver = lab.gateway.run(move || UdpSocket::bind(at).unwrap());
    receiver.set_read_timeout(Some(Duration::from_millis(400))).unwrap();
    from.run(move || {
        let any = if at.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
        UdpSocket::bind(any).unwrap().send_to(&vec![7; octets], at).unwrap();
    });
    receiver.recv(&mut [0; 4096]).is_ok_and(|length| length == octets)
}

const RULES: &str = r#"
rule = [
    { protocol = "tcp", destination_port = 23, direction = "inbound", action = "deny" },
    { protocol = "tcp", destination_port = 24, direction = "inbound", action = "deny", discard = "icmp" },
    { protocol = "tcp", destination_port = "22-25", zone = "wan", direction = "inbound", routing = "local", action = "permit" },
    { protocol = "tcp", source_port = "22-25", connect = "inbound", direction = "outbound", routing = "local", action = "permit" },
    { protocol = "tcp", destination_port = 80, zone = "lan", direction = "inbound", action = "permit" },
    { protocol = "tcp", destination_port = [443, 444], direction = "outbound", action = "permit" },
    { protocol = "tcp", source_port = 443, connect = "outbound", direction = "inbound", action = "permit" },
    { protocol = "tcp", destination_port = 445, direction = "outbound", action = "deny", discard = "icmp" },
    { protocol = "tcp", destination_port = 99, routing = "routed", action = "permit" },
    { protocol = "icmpv6", icmp_type = ["echo-request", "echo-reply"], action = "permit" },
]
"#;

#[test]
fn netns_the_first_matching_rule_decides() {
    let lab = Lab::new();
    let [lan, wan] = &lab.peers;
    lab.gateway.ip("link set lo up");
    let _gateway = listen(&lab.gateway, &[22, 23, 24, 25, 26, 80, 99]);
    let _wan = listen(wan, &[443, 444, 445]);
    raise(&lab, RULES, &[], true);
    for (from, to, wanted) in [
        (wan, "10.2.0.1:22", Dial::Open),
        (wan, "[2001:db8:2::1]:22", Dial::Open),
        (wan, "10.2.0.1:23", Dial::Silence),
        (wan, "10.2.0.1:24", Dial::Forbidden),
        (wan, "[2001:db8:2::1]:24", Dial::Forbidden),
        (wan, "10.2.0.1:25", Dial::Open),
        (wan, "10.2.0.1:26", Dial::Silence),
        (wan, "[2001:db8:2::1]:26", Dial::Silence),
        (wan, "10.2.0.1:80", Dial::Silence),
        (wan, "10.2.0.1:99", Dial::Silence),
        (lan, "10.1.0.1:80", Dial::Open),
        (lan, "10.1.0.1:22", Dial::Silence),
        (&lab.gateway, "10.2.0.2:443", Dial::Open),
        // The question may go out, but no rule lets the answer in.
        (&lab.gateway, "10.2.0.2:444", Dial::Silence),
        (&lab.gateway, "10.2.0.2:445", Dial::Forbidden),
        (&lab.gateway, "127.0.0.1:26", Dial::Open),
        (&lab.gateway, "10.2.0.1:26", Dial::Open),
    ] {
        assert_eq!(dial(from, to, &wanted), wanted, "{to}");
    }
    assert!(
        ping(wan, "2001:db8:2::1") && ping(&lab.gateway, "2001:db8:2::2"),
        "permitted, and neighbours are found"
    );
    assert!(!ping(wan, "10.2.0.1") && !ping(&lab.gateway, "10.2.0.2"), "permitted by no rule");
}

#[test]
fn netns_connections_are_opened_one_way() {
    let lab = Lab::new();
    let [_, wan] = &lab.peers;
    let _gateway = listen(&lab.gateway, &[9]);
    let _wan = listen(wan, &[9]);
    let rules = |connect: &str, direction: &str, other: &str| {
        format!(
            "[[rule]]\nprotocol = \"tcp\"\n{connect}direction = \"{direction}\"\naction = \"permit\"
             [[rule]]\nprotocol = \"tcp\"\ndirection = \"{other}\"\naction = \"permit\"\n"
        )
    };
    let opens = |from, to| dial(from, to, &Dial::Open) == Dial::Open;
    let says = || (opens(wan, "10.2.0.1:9"), opens(&lab.gateway, "10.2.0.2:9"));
    raise(&lab, &rules("", "inbound", "outbound"), &[], true);
    assert_eq!(says(), (true, true));
    raise(&lab, &rules("connect = \"outbound\"\n", "inbound", "outbound"), &[], true);
    assert_eq!(says(), (false, true), "answers may come in, openings not");
    raise(&lab, &rules("connect = \"inbound\"\n", "outbound", "inbound"), &[], true);
    assert_eq!(says(), (true, false), "answers may go out, openings not");
}

const ALL: &str = "[[rule]]\naction = \"permit\"\n";
const UDP: &str =
    "[[rule]]\nprotocol = \"udp\"\ndestination_port = 5000\ndirection = \"inbound\"\naction = \"permit\"\n";

#[test]
fn netns_fragments_share_the_fate_of_their_packet() {
    let lab = Lab::new();
    let wan = &lab.peers[1];
    let targets = ["10.2.0.1:5000", "[2001:db8:2::1]:5000"];
    let says = |octets| targets.map(|to| reaches(&lab, wan, to, octets));
    raise(&lab, UDP, &[], true);
    assert_eq!((says(100), says(4000)), ([true; 2], [true; 2]), "ports of fragments are known");
    raise(
        &lab,
        "[[rule]]\nprotocol = \"udp\"\ndestination_port = 5001\ndirection = \"inbound\"\naction = \"permit\"",
        &[],
        true,
    );
    assert_eq!((says(100), says(4000)), ([false; 2], [false; 2]), "later fragments open nothing");
    raise(&lab, &format!("[[rule]]\nfragments_only = true\naction = \"deny\"\n{ALL}"), &[], true);
    assert_eq!((says(100), says(4000)), ([true; 2], [false; 2]), "fragments alone are denied");
    raise(&lab, "[[rule]]\nfragments_only = true\naction = \"permit\"", &[], true);
    assert_eq!((says(100), says(4000)), ([false; 2], [true; 2]), "fragments alone are permitted");
}

#[test]
fn netns_what_is_protected_is_not_sent_in_clear() {
    let lab = Lab::new();
    lab.peers[1].ip("addr add 192.0.2.9/32 dev pb");
    lab.gateway.ip("route add 192.0.2.0/24 via 10.2.0.2");
    let ipsec = "[[rule]]\ndestination = \"192.0.2.0/24\"\naction = \"ipsec\"\ntunnel = \"site-b\"\n";
    raise(&lab, ALL, &[], true);
    assert!(ping(&lab.gateway, "192.0.2.9") && ping(&lab.peers[1], "10.2.0.1"));
    raise(&lab, &format!("{ipsec}{ALL}"), &["192.0.2.0"], true);
    assert!(!ping(&lab.gateway, "192.0.2.9"), "sent in clear");
    assert!(ping(&lab.gateway, "10.2.0.2"), "the rest may go");
    // A rule before the tunnel's says otherwise, and it is the policy's word.
    raise(&lab, &format!("{ALL}{ipsec}"), &["192.0.2.0"], true);
    assert!(ping(&lab.gateway, "192.0.2.9"), "the first rule decides");
    // Default filters have no word on what a policy had closed.
    raise(&lab, ALL, &["192.0.2.0"], false);
    assert!(!ping(&lab.gateway, "192.0.2.9") && ping(&lab.gateway, "10.2.0.2"));
}

#[test]
fn netns_a_table_that_is_refused_changes_nothing() {
    let lab = Lab::new();
    raise(&lab, ALL, &[], true);
    let filters = policy("[[rule]]\nsource = \"10.2.0.2\"\naction = \"deny\"");
    let refused = lab.gateway.run(move || {
        // No interface has such a name, and nft knows it.
        let mut ports = ports();
        ports[1].name = "a-name-of-twenty-octets".to_owned();
        guard::raise(&Guarded {
            protected: &[],
            ports: &ports,
            workers: None,
            filters: &filters,
            by_policy: true,
        })
    });
    assert!(matches!(refused, Err(guard::GuardError::Refused(_))), "{refused:?}");
    assert!(ping(&lab.peers[1], "10.2.0.1"), "what stood must stand");
    raise(&lab, "[[rule]]\nsource = \"10.2.0.2\"\naction = \"deny\"", &[], true);
    assert!(!ping(&lab.peers[1], "10.2.0.1"));
}

#[test]
fn netns_ten_thousand_rules_are_raised_in_one_step() {
    let lab = Lab::new();
    let rule = |n: u32| {
        format!(
            "[[rule]]\nsource = \"172.{}.{}.0/24\"\nprotocol = \"tcp\"\ndestination_port = {}\ndirection = \"inbound\"\naction = \"permit\"\n",
            16 + n / 256,
            n % 256,
            n + 1
        )
    };
    let begun = std::time::Instant::now();
    raise(&lab, UDP, &[], false);
    let small = begun.elapsed();
    let rules: String = (0..10_000).map(rule).collect();
    let filters = policy(&rules);
    let begun = std::time::Instant::now();
    lab.gateway.run(move || {
        let ports = ports();
        guard::raise(&Guarded {
            protected: &[],
            ports: &ports,
            workers: None,
            filters: &filters,
            by_policy: true,
        })
        .unwrap();
    });
    let large = begun.elapsed();
    let begun = std::time::Instant::now();
    raise(&lab, UDP, &[], false);
    println!("nft: small {small:?}, 10,000 rules {large:?}, back to small {:?}", begun.elapsed());
    assert!(large < Duration::from_secs(10), "{large:?}");
}
