//! Transport mode from host to host: a gateway's own packets, sealed by its worker, read and answered by scapy.

use ravelin_perf::foreign::{script, workspace};
use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::pcap::Kind;
use ravelin_perf::lab::{Capture, MOMENT, Process, TwoSites};

const PINGS: usize = 50;

/// `configs/two-hosts`, whose SAs have extended sequence numbers: our address is the selector, and no header is added.
#[test]
fn a_host_pings_scapy_in_transport_mode_with_extended_numbers() {
    let sites = TwoSites::build("transport").unwrap();
    let (here, there) = (&sites.a, &sites.b);
    let mut host = Gateway::lay_out(&sites.lab, &here.gateway, "host-a", "two-hosts", "").unwrap();
    host.start().unwrap();
    host.apply_policy().unwrap();
    // The other kernel has no business with ESP.
    there.gateway.run("nft add table inet quiet").unwrap();
    let chain = "nft add chain inet quiet input { type filter hook input priority 0 ; policy drop ; }";
    there.gateway.run(chain).unwrap();
    let mut scapy = script(|python| there.gateway.command(python), "transport_peer.py").unwrap();
    scapy.arg("wan0").arg(workspace().join("configs/two-hosts/keys.toml"));
    scapy.args(["host-b", "0x1001", "0x2001"]);
    let scapy = Process::spawn("scapy", &mut scapy, &host.file("scapy.log")).unwrap();
    scapy.wait_for_line("listening", MOMENT).unwrap();

    let capture = Capture::start(&sites.lab, &sites.wan, &there.wan_interface(), "wan").unwrap();
    let (from, to) = (here.gateway_v4, there.gateway_v4);
    for size in [56, 1000] {
        let said = here.gateway.run(&format!("ping -n -c {PINGS} -i 0.02 -W 20 -s {size} -I {from} {to}"));
        let said = said.unwrap_or_else(|error| panic!("{error}\n{}", scapy.log()));
        assert!(said.contains(" 0% packet loss"), "{said}");
    }
    assert!(!scapy.log().contains("wrong"), "{}", scapy.log());
    scapy.wait_for_line(&format!("answered {}", 2 * PINGS), MOMENT).unwrap();
    let sealed = 2 * PINGS as u64;
    assert_eq!((host.ended("protected").unwrap(), host.ended("local").unwrap()), (sealed, sealed));

    let seen = capture.stop().unwrap().packets;
    assert_eq!((seen.count(Kind::Esp), seen.count(Kind::Other)), (4 * PINGS, 0));
    let sas = host.ask("sa list").unwrap();
    let modes = sas.as_array().unwrap().iter().map(|sa| (&sa["mode"], &sa["extended_sequence"]));
    assert!(
        modes.clone().count() == 2 && modes.clone().all(|(mode, esn)| mode == "transport" && esn == true),
        "{sas}"
    );
}
