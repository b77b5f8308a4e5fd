//! Traffic of the gateways themselves: through tunnels to their own stack and back.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::lab::pcap::Kind;
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
