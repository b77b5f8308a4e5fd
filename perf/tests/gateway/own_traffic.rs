//! Traffic of the gateways themselves: through tunnels to their own stack and back, and joined fragments to it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::pcap::Kind;
use ravelin_perf::lab::{MOMENT, Namespace, Process, check};
use ravelin_perf::two_gateways::TwoGateways;

/// From site a to the gateway of site b by its LAN address, which is protected: there and back in ESP.
#[test]
fn a_gateway_answers_through_the_tunnel() {
    let stand = TwoGateways::start("own").unwrap();
    stand.protect().unwrap();
    let capture = stand.capture_wan("own").unwrap();
    let local = stand.b.ended("local").unwrap();
    for address in [stand.sites.b.lan_v4, stand.sites.b.lan_v6] {
        let report = stand.ping(address, 100, Duration::from_millis(5)).unwrap();
        assert!(report.is_perfect(), "{report:?}");
    }
    assert_eq!(stand.b.ended("local").unwrap() - local, 200);
    assert_eq!(stand.b.ended("no_local_path").unwrap(), 0);
    let seen = capture.stop().unwrap().packets;
    assert_eq!((seen.count(Kind::Esp), seen.count(Kind::Other)), (400, 0));
}

/// A socket where IKE listens, which says what came.
const LISTEN: &str = "
import socket, sys
at = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
at.bind((sys.argv[1], 500))
print('listening', flush=True)
octets, sender = at.recvfrom(65535)
print('got', len(octets), octets == bytes(n % 251 for n in range(len(octets))), sender[0], sender[1], flush=True)
";
/// Sends one datagram of a known pattern.
const SEND: &str = "
import socket, sys
out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
out.bind((sys.argv[1], 500))
out.sendto(bytes(n % 251 for n in range(int(sys.argv[3]))), (sys.argv[2], 500))
";

/// A worker joins UDP fragments from a peer with an SA, since they may be ESP. What turns out to be IKE must reach the
/// socket where the key exchange listens, whole and from its sender.
#[test]
fn fragmented_ike_from_a_peer_reaches_the_key_exchange() {
    const OCTETS: usize = 3000;
    let stand = TwoGateways::start("bigike").unwrap();
    [&stand.a, &stand.b].into_iter().for_each(permit_ike);
    stand.protect().unwrap();
    let (from, to) = (stand.sites.a.gateway_v4, stand.sites.b.gateway_v4);
    let python = |namespace: &Namespace, script: &str, arguments: &[&str]| {
        let mut command = namespace.command("python3");
        command.args(["-c", script]).args(arguments);
        command
    };
    let log = stand.b.file("listener.log");
    let mut listen = python(&stand.sites.b.gateway, LISTEN, &[&to.to_string()]);
    let listener = Process::spawn("listener", &mut listen, &log).unwrap();
    listener.wait_for_line("listening", MOMENT).unwrap();

    let sizes = [from.to_string(), to.to_string(), OCTETS.to_string()];
    let mut send = python(&stand.sites.a.gateway, SEND, &sizes.each_ref().map(String::as_str));
    check(&mut send, MOMENT).unwrap();
    listener.wait_for_line(&format!("got {OCTETS} True {from} 500"), MOMENT).unwrap();
    let ended = |verdict| stand.b.ended(verdict).unwrap();
    assert_eq!((ended("reassembled"), ended("local")), (2, 1), "not three fragments that a worker joined");
}

fn permit_ike(gateway: &Gateway) {
    let rule = "\n[[rule]]\nname = \"ike\"\nprotocol = \"udp\"\nsource_port = 500\ndestination_port = 500\n\
                routing = \"local\"\naction = \"permit\"\n";
    let mut policy = File::options().append(true).open(gateway.file("site-to-site.toml")).unwrap();
    policy.write_all(rule.as_bytes()).unwrap();
}
