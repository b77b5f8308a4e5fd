//! Packets that grow too long under ESP: the sender is told, or they are cut before they are sealed, and TCP never sends them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::net::IpAddr;

use ravelin_perf::lab::pcap::{Kind, Pcap};
use ravelin_perf::lab::{Capture, Fetch, FileServer, MOMENT, Shape, marked_file, run};
use ravelin_perf::two_gateways::{HTTP, TwoGateways};

/// Octets of an inner packet that fit, sealed with AES-GCM in IPv4, into 1500.
const FITS: usize = 1446;
/// IP and ICMP headers.
const fn echo_headers(to: IpAddr) -> usize {
    if to.is_ipv4() { 28 } else { 48 }
}

/// Sends one echo request that makes an IP packet of so many octets; returns what ping said, and whether it was answered.
fn ping(stand: &TwoGateways, to: IpAddr, octets: usize, how: &str) -> (String, bool) {
    let size = octets - echo_headers(to);
    let mut command = stand.sites.a.site.command("ping");
    command.args(["-n", "-c", "1", "-W", "1", "-M", how, "-s", &size.to_string(), &to.to_string()]);
    let said = run(&mut command, MOMENT).unwrap();
    (said.stdout + &said.stderr, said.status.success())
}

/// Waits until a small ping is answered over both families: in the first second after a link is up the kernel has no
/// IPv6 address yet by which to ask for neighbours, and an error that has to wait for one may come too late.
fn settle(stand: &TwoGateways) {
    for to in [stand.sites.b.site_v4, stand.sites.b.site_v6] {
        let answered = (0..10).any(|_| ping(stand, to, 100, "do").1);
        assert!(answered, "{to} never answered");
    }
}

fn forget_path_mtu(stand: &TwoGateways) {
    for host in [&stand.sites.a.site, &stand.sites.b.site] {
        host.run("ip route flush cache").unwrap();
        host.run("ip -6 route flush cache").unwrap();
    }
}

#[test]
fn a_sender_that_forbids_fragments_is_told_what_fits() {
    let stand = TwoGateways::start("toobig").unwrap();
    stand.protect().unwrap();
    settle(&stand);
    for (to, words) in [
        (stand.sites.b.site_v4, format!("Frag needed and DF set (mtu = {FITS})")),
        (stand.sites.b.site_v6, format!("Packet too big: mtu={FITS}")),
    ] {
        let (said, answered) = ping(&stand, to, 1500, "do");
        assert!(!answered && said.contains(&words), "no {words:?} in\n{said}");
        // It was the truth: one octet more is too many, and this many are not.
        forget_path_mtu(&stand);
        let (said, answered) = ping(&stand, to, FITS + 1, "do");
        assert!(!answered && said.contains(&words), "no {words:?} in\n{said}");
        forget_path_mtu(&stand);
        let (said, answered) = ping(&stand, to, FITS, "do");
        assert!(answered, "{said}");
    }
    assert!(stand.a.ended("too_big").unwrap() >= 4);
}

/// The longest IP packet of a capture.
fn longest(pcap: &Pcap) -> usize {
    pcap.frames().map(|frame| frame.len() - 14).max().unwrap()
}

#[test]
fn a_sender_that_allows_fragments_is_served_and_the_wan_needs_none() {
    let stand = TwoGateways::start("fragment").unwrap();
    stand.protect().unwrap();
    let capture = stand.capture_wan("wan").unwrap();
    let (said, answered) = ping(&stand, stand.sites.b.site_v4, 1500, "dont");
    assert!(answered, "{said}");
    // Fragments that the host itself makes.
    for to in [stand.sites.b.site_v4, stand.sites.b.site_v6] {
        let (said, answered) = ping(&stand, to, 4000, "dont");
        // Over IPv6 the host has to be told first, and so has the one that answers.
        let answered = answered || (0..3).any(|_| ping(&stand, to, 4000, "dont").1);
        assert!(answered, "{said}");
    }
    let wan = capture.stop().unwrap().packets;
    assert!(wan.count(Kind::Esp) >= 4 && wan.count(Kind::Other) == 0);
    assert!(longest(&wan) <= 1500);
    // Cut before sealing: no fragment of ESP, so each packet can be opened as it comes (RFC 4301 7).
    let is_fragment = |frame: &&[u8]| frame[12..14] == [8, 0] && (frame[20] & 0x3f, frame[21]) != (0, 0);
    assert_eq!(wan.frames().filter(is_fragment).count(), 0);
}

/// The maximum segment size that the first SYN of a capture asks for; it is the first option of Linux.
fn mss(pcap: &Pcap, ip_header: usize) -> u16 {
    let tcp = pcap.frames().next().unwrap().get(14 + ip_header..).unwrap();
    assert_eq!(tcp[20..22], [2, 4]);
    u16::from_be_bytes([tcp[22], tcp[23]])
}

#[test]
fn tcp_is_told_a_segment_size_that_fits() {
    const OCTETS: u64 = 5_000_000;
    // Of the narrower wan only the gateways know.
    let stand = TwoGateways::start_in("mss", Shape { wan_mtu: 1400, ..Shape::default() }).unwrap();
    stand.protect().unwrap();
    let directory = stand.sites.lab.make_directory("served").unwrap();
    let sum = marked_file(&directory.join("file"), OCTETS).unwrap();
    let b = &stand.sites.b;
    let _server = FileServer::start(&stand.sites.lab, &b.site, &directory, HTTP).unwrap();
    for (host, family, header) in [(b.site_v4.to_string(), "ip", 20), (format!("[{}]", b.site_v6), "ip6", 40)]
    {
        let filter = format!("{family} and tcp dst port {HTTP}");
        let lan = Capture::start_received(&stand.sites.lab, &b.site, "lan", family, &filter).unwrap();
        let url = format!("http://{host}:{HTTP}/file");
        let got = Fetch::new(&stand.sites.a.site, &url, &stand.sites.lab.file("got")).run(MOMENT).unwrap();
        assert_eq!((got.octets, &got.sha256), (OCTETS, &sum));
        let asked = mss(&lan.stop().unwrap().packets, header);
        assert_eq!(usize::from(asked), FITS - 100 - header - 20);
    }
}
