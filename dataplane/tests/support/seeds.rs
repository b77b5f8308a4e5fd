//! Good frames of every kind for site 1, from which bad ones are made, and a policy that knows them all.

use ravelin_contract::rule::{Action, Direction, Discard, Fragments, Log};
use ravelin_contract::sa::{Mode, Receiving, Sa, Side, Spi};
use ravelin_contract::snapshot::Snapshot;
use ravelin_dataplane::wire::edit;

use super::esp_support::{Kind, Pair, octets, transforms};
use super::network::{INTERNET, NOWHERE, framed, host, lan, wan};
use super::plan::{Plan, both, gcm, inbound, outbound, rule};
use super::samples::{Ip, internet_checksum, tcp, udp};
use super::{LAN, Setup, WAN, cut};

/// Stands in every frame of the LAN and inside of everything sealed, and so must never be seen on the WAN.
pub const TAG: &[u8] = b"<never in clear>";

/// Stands in every frame that comes in clear by the WAN.
pub const FORGED: &[u8] = b"<nobody trusted>";

/// A frame and the port it comes in by.
#[derive(Debug, Clone)]
pub struct Seed {
    pub port: usize,
    pub frame: Vec<u8>,
}

/// The far ends' SAs toward site 1: every algorithm over both families, in UDP and without; every other one has
/// extended numbers and a window, the rest neither, so that their packets open again and again.
pub fn inbound_sas() -> Vec<(Kind, Sa, Sa)> {
    let mut all = Vec::new();
    for transform in transforms() {
        for bits in 0..8 {
            let bit = |at: u32| bits >> at & 1 == 1;
            let mode = if bit(2) { Mode::Transport } else { Mode::Tunnel };
            let extended = all.len() % 2 == 1;
            let kind = Kind { transform: transform.clone(), mode, outer_v6: bit(0), extended, udp: bit(1) };
            let spi = Spi::new(0x20000 + all.len() as u32).unwrap();
            let side = Side::Inbound(Receiving { replay_window: if extended { 128 } else { 0 } });
            let there = Sa { spi, ..outbound(2, 1, &kind) };
            let here = Sa { spi, side, ..inbound(2, 1, &kind) };
            all.push((kind, there, here));
        }
    }
    all
}

/// What site 1 has: everything to and from anywhere by the tunnel, and nothing in clear.
pub fn all_protected() -> Snapshot {
    let everything = ["0.0.0.0/0", "::/0"].map(|all| (all.to_owned(), all.to_owned()));
    let plan = Plan::of(1).tunnel_between(2, &gcm(), &everything);
    plan.sas(inbound_sas().into_iter().map(|(_, _, here)| here)).done()
}

/// The two LANs by the tunnel; much of the rest in clear, by rules that look at everything there is to look at.
pub fn mixed() -> Snapshot {
    let plan = Plan::of(1).tunnel(2, &gcm()).sas(inbound_sas().into_iter().map(|(_, _, here)| here));
    let mut no_dns = rule(Direction::Outbound, "10.1.0.0/24", "198.51.100.0/24", Action::Deny(Discard::Icmp));
    no_dns.selector.upper = super::plan::udp_to(53);
    let mut pieces = rule(Direction::Outbound, "0.0.0.0/0", "0.0.0.0/0", Action::Permit);
    (pieces.fragments, pieces.log) = (Fragments::Only, Log::Yes);
    let internet = [
        both("10.1.0.0/24", "198.51.100.0/24", Action::Permit),
        both("2001:db8:1::/64", "::/0", Action::Permit),
    ];
    plan.rules([no_dns]).rules(internet.concat()).rules([pieces]).done()
}

/// The seeds.
pub fn seeds(setup: &Setup) -> Vec<Seed> {
    let mut all = Vec::new();
    for packet in clear(&host(1, false), &host(1, true), TAG) {
        all.push(Seed { port: LAN, frame: framed(setup, LAN, &packet) });
    }
    for packet in clear(&host(2, false), &host(2, true), FORGED) {
        all.push(Seed { port: WAN, frame: framed(setup, WAN, &packet) });
    }
    let sealed: Vec<_> =
        inbound_sas().iter().flat_map(|(kind, there, here)| sealed(kind, there, here)).collect();
    for packet in sealed.iter().cloned().chain(around_esp(&sealed)) {
        all.push(Seed { port: WAN, frame: framed(setup, WAN, &packet) });
    }
    let tagged = |tags: &[u8]| {
        let mut seed = all[0].clone();
        seed.frame.splice(12..12, tags.iter().copied());
        seed
    };
    let tagged = [
        tagged(&[0x81, 0, 0, 9]),
        tagged(&[0x88, 0xa8, 0, 7, 0x81, 0, 0, 9]),
        tagged(&[0x81, 0, 0, 9].repeat(3)),
    ];
    all.extend(tagged);
    all
}

/// Packets in clear from these two addresses to everywhere.
fn clear(v4: &str, v6: &str, tag: &[u8]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let far = |v6: bool| match v6 {
        false => vec![
            host(1, false),
            host(2, false),
            INTERNET.to_owned(),
            NOWHERE.to_owned(),
            lan(1, false),
            wan(1, false),
            "10.1.0.99".to_owned(),
            "198.51.100.77".to_owned(),
        ],
        true => vec![
            host(1, true),
            host(2, true),
            "2001:db8:9::9".to_owned(),
            wan(1, true),
            "2001:db8:1::99".to_owned(),
            "fe80::1".to_owned(),
        ],
    };
    for (source, v6) in [(v4, false), (v6, true)] {
        for to in far(v6) {
            let plain = Ip::new(source, &to, 17, udp(4000, 53, &[tag, &octets(30, 1)].concat()));
            let ping = [&[if v6 { 128 } else { 8 }, 0, 0, 0, 0, 1, 0, 1][..], tag].concat();
            let ping = Ip { protocol: if v6 { 58 } else { 1 }, payload: ping, ..plain.clone() };
            let syn = [&tcp(1, 80, 2, &[2, 4, 5, 180])[..], tag].concat();
            let syn = Ip { protocol: 6, payload: syn, ..plain.clone() };
            let long = Ip { payload: udp(4000, 53, &[tag; 90].concat()), ..plain.clone() };
            let unbreakable = Ip { dont_fragment: true, ..long.clone() };
            let tired = Ip { hop_limit: 1, ..plain.clone() };
            let with_options = Ip { options: vec![7, 7, 4, 0, 0, 0, 0, 1], ..plain.clone() };
            let extensions = vec![(0, vec![0, 0, 1, 4, 0, 0, 0, 0]), (60, vec![0, 0, 1, 4, 0, 0, 0, 0])];
            let extended = Ip { extensions, ..plain.clone() };
            all.extend(cut(&plain.octets(), 16));
            all.extend(cut(&long.octets(), 800));
            all.extend(
                [plain, ping, syn, long, unbreakable, tired, with_options, extended].map(|ip| ip.octets()),
            );
        }
    }
    all
}

/// What goes inside: of both families, for a host, for nobody, for the internet, for the gateway itself.
fn sealed(kind: &Kind, there: &Sa, here: &Sa) -> Vec<Vec<u8>> {
    let data = udp(4000, 53, &[TAG, &octets(20, 5)].concat());
    let inner: Vec<_> = match kind.mode {
        Mode::Transport => vec![Ip::new(&wan(2, kind.outer_v6), &wan(1, kind.outer_v6), 17, data)],
        Mode::Tunnel => {
            let v4 = |to: &str| Ip::new(&host(2, false), to, 17, data.clone());
            let v6 = |to: &str| Ip::new(&host(2, true), to, 17, data.clone());
            let long = Ip { payload: udp(1, 2, &[TAG; 80].concat()), ..v4(&host(1, false)) };
            let tired = Ip { hop_limit: 1, ..v4(&host(1, false)) };
            vec![
                v4(&host(1, false)),
                v6(&host(1, true)),
                v4(INTERNET),
                v4(&lan(1, false)),
                v6("2001:db8:1::99"),
                long,
                tired,
            ]
        }
    };
    let mut pair = Pair::from(there, here, 0);
    let inner: Vec<_> = inner.iter().map(Ip::octets).collect();
    pair.seal_batch(&inner).into_iter().map(Result::unwrap).collect()
}

/// What comes with ESP: pieces of it, errors about it, what keeps its port open, and IKE beside it.
fn around_esp(sealed: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    let pieces = |packet: &Vec<u8>| cut(packet, 48).into_iter().chain(cut(packet, 64)).collect::<Vec<_>>();
    all.extend(sealed.iter().step_by(3).flat_map(pieces));
    for v6 in [false, true] {
        let from_peer =
            |payload: Vec<u8>, protocol| Ip::new(&wan(2, v6), &wan(1, v6), protocol, payload).octets();
        all.push(from_peer(udp(4500, 4500, &[0xff]), 17));
        all.push(from_peer(udp(4500, 4500, &[&[0; 4], FORGED].concat()), 17));
        all.push(from_peer(octets(4, 1), 50));
    }
    // About what site 1 sent to site 2, by a router on the way.
    let out = outbound(1, 2, &gcm());
    let mut pair = Pair::from(&out, &inbound(1, 2, &gcm()), 0);
    let mut ours = pair.seal(&Ip::new(&host(1, false), &host(2, false), 17, octets(60, 1)).octets()).unwrap();
    edit::set_total_len(&mut ours, 1500);
    for mtu in [0u16, 576, 1400, 1499] {
        let mut error = [&[3, 4, 0, 0, 0, 0], &mtu.to_be_bytes()[..], &ours].concat();
        let checksum = internet_checksum(&error);
        error[2..4].copy_from_slice(&checksum.to_be_bytes());
        all.push(Ip::new("192.0.2.254", &wan(1, false), 1, error).octets());
    }
    all
}
