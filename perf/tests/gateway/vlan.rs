//! A gateway whose site is a VLAN: a sub-interface of the kernel on its side, and a real one on the host's.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::time::Duration;

use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{Side, TwoSites, wait_until};
use ravelin_perf::two_gateways::TwoGateways;

const MILLISECOND: Duration = Duration::from_millis(1);

/// Whether the kernel can make VLAN interfaces; some of virtual machines cannot.
fn has_vlans(sites: &TwoSites) -> bool {
    let made = sites.a.site.run("ip link add link lan name lan.1 type vlan id 1");
    match made {
        Ok(_) => true,
        Err(error) if format!("{error:#}").contains("Unknown device type") => false,
        Err(error) => panic!("{error:#}"),
    }
}

/// Moves the host of a site and the gateway's side of it from the cable to VLAN 100 on it.
fn tag(side: &Side) {
    for (namespace, interface, v4, v6) in
        [(&side.gateway, "lan0", side.lan_v4, side.lan_v6), (&side.site, "lan", side.site_v4, side.site_v6)]
    {
        // Tags in the frame, where an XDP program sees them.
        namespace.run(&format!("ethtool -K {interface} txvlan off")).unwrap();
        namespace.run(&format!("ip address flush dev {interface} scope global")).unwrap();
        namespace
            .run(&format!("ip link add link {interface} name {interface}.100 type vlan id 100"))
            .unwrap();
        namespace.run(&format!("ip address add {v4}/24 dev {interface}.100")).unwrap();
        namespace.run(&format!("ip address add {v6}/64 dev {interface}.100 nodad")).unwrap();
        namespace.run(&format!("ip link set dev {interface}.100 up")).unwrap();
    }
    side.site.run(&format!("ip route replace default via {}", side.lan_v4)).unwrap();
    side.site.run(&format!("ip -6 route replace default via {}", side.lan_v6)).unwrap();
}

/// Gateway a with VLAN `number` of `parent` for its site.
fn write_port(gateway: &Gateway, number: u16, parent: &str) {
    let file = gateway.file("ravelin.toml");
    let text = fs::read_to_string(&file).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with("parent = ") && !line.starts_with("vlan = "));
    let port = format!("interface = \"lan0.100\"\nparent = \"{parent}\"\nvlan = {number}");
    let lines = lines.map(|line| if line.starts_with("interface = \"lan0") { port.as_str() } else { line });
    fs::write(&file, lines.collect::<Vec<_>>().join("\n")).unwrap();
}

fn lay_out(sites: &TwoSites, side: &Side) -> Gateway {
    let name = format!("gw-{}", side.letter);
    Gateway::lay_out(&sites.lab, &side.gateway, &name, &format!("site-to-site/{name}"), "").unwrap()
}

#[test]
fn a_site_behind_a_vlan_is_reached_through_the_tunnel() {
    let sites = TwoSites::build("vlan").unwrap();
    if !has_vlans(&sites) {
        eprintln!("not tested: this kernel has no VLAN interfaces (CONFIG_VLAN_8021Q)");
        return;
    }
    tag(&sites.a);
    let (mut a, mut b) = (lay_out(&sites, &sites.a), lay_out(&sites, &sites.b));

    // The file and the kernel must mean the same VLAN.
    for (number, parent, written) in [(101, "lan0", "VLAN 101 of lan0"), (100, "wan0", "VLAN 100 of wan0")] {
        write_port(&a, number, parent);
        let said = format!("{:#}", a.start_dataplane().unwrap_err());
        let clear =
            format!("lan0.100 is {written} in the appliance file, but VLAN 100 of lan0 in the kernel");
        assert!(said.contains(&clear), "{said}");
    }

    write_port(&a, 100, "lan0");
    a.start().unwrap();
    b.start().unwrap();
    let stand = TwoGateways { a, b, sites };
    stand.protect().unwrap();
    for to in [stand.sites.b.site_v4, stand.sites.b.site_v6] {
        let report = stand.ping(to, 300, MILLISECOND).unwrap();
        assert!(report.is_perfect(), "{report:?}");
    }
    // What carries no tag, or another, belongs to nobody.
    let strangers = || stand.a.ended("unknown_vlan").unwrap();
    let before = strangers();
    let site = &stand.sites.a.site;
    site.run("ip link add link lan name lan.7 type vlan id 7").unwrap();
    site.run("ip address add 10.7.0.2/24 dev lan.7").unwrap();
    site.run("ip link set dev lan.7 up").unwrap();
    site.run("ip neighbour add 10.7.0.1 lladdr 02:00:00:00:00:07 dev lan.7").unwrap();
    site.run(&format!("ip route add {} via 10.7.0.1", stand.sites.b.site_v4)).unwrap();
    assert_eq!(stand.ping_in_vain(stand.sites.b.site_v4, 10).unwrap(), 0);
    wait_until("frames of another VLAN to be counted", Duration::from_secs(20), || {
        strangers() >= before + 10
    })
    .unwrap();
}
