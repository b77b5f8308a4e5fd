//! What is fuzzed: one function per parser, fed with octets of any kind, and good octets to begin with.

use std::cell::RefCell;
use std::path::Path;

use ravelin_config::appliance::Appliance;
use ravelin_config::default_filters::DefaultFilters;
use ravelin_config::source::Source;
use ravelin_contract::codec;
use ravelin_contract::message::{Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, FilterSettings, Rule};
use ravelin_contract::sa::{Receiving, Sa, Side, Transform};
use ravelin_contract::snapshot::Snapshot;
use ravelin_crypto_accel::iv::Iv;
use ravelin_crypto_accel::{Text, etm};
use ravelin_dataplane::wire::icmp::PathMtu;
use ravelin_dataplane::wire::{ethernet, ip};

use super::esp_support::{Kind, transforms};
use super::network::{host, wan};
use super::plan::{Plan, gcm, spi};
use super::samples::{Ip, internet_checksum, udp};
use super::seeds::{FORGED, Seed, TAG, all_protected, mixed, seeds};
use super::{Rig, Setup, WAN, cut};

/// One function and what it is fed with at first.
pub struct Target {
    pub name: &'static str,
    pub run: fn(&[u8]),
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// All that run without the control process.
pub const TARGETS: &[Target] = &[
    Target { name: "headers", run: headers, seeds: frames },
    Target { name: "gateway", run: gateway, seeds: frames_with_port },
    Target { name: "inside_esp", run: inside_esp, seeds: inner },
    Target { name: "reassembly", run: reassembly, seeds: pieces },
    Target { name: "path_mtu", run: path_mtu, seeds: errors },
    Target { name: "contract", run: contract, seeds: messages },
    Target { name: "appliance_text", run: appliance_text, seeds: || texts("ravelin.toml") },
    Target {
        name: "default_filters_text",
        run: default_filters_text,
        seeds: || texts("default-filters.toml"),
    },
];

/// Frames: what the headers say lies within the frame.
pub fn headers(data: &[u8]) {
    let Some(header) = ethernet::Header::read(data) else { return };
    let packet = &data[header.size()..];
    let Ok(ip) = ip::parse(packet) else { return };
    let (head, total) = (usize::from(ip.header_len), usize::from(ip.total_len));
    assert!(head <= total && total <= packet.len() && usize::from(ip.protocol_at) < head);
    // Octets after the packet say nothing.
    assert_eq!(ip::parse(&packet[..total]), Ok(ip));
    PathMtu::read(packet, &ip);
}

/// A gateway that lasts, since making one costs more than a packet.
fn in_gateway(make: fn() -> Rig, act: impl FnOnce(&mut Rig)) {
    thread_local!(static RIG: RefCell<Option<Rig>> = const { RefCell::new(None) });
    RIG.with_borrow_mut(|rig| {
        let rig = rig.get_or_insert_with(make);
        act(rig);
        rig.hand.advance(500);
        rig.breathe();
        rig.plugs[0].iter().for_each(|plug| {
            plug.drain(|_| ());
        });
        rig.assert_no_frame_lost();
    });
}

/// Any frame by any port, through a whole worker. The first octet chooses the port.
pub fn gateway(data: &[u8]) {
    let Some((port, frame)) = data.split_first() else { return };
    in_gateway(
        || Rig::with(Setup::of(1), mixed()),
        |rig| {
            if frame.len() < 1900 {
                rig.plugs[0][usize::from(port & 1)].feed(frame);
                rig.breathe();
            }
        },
    );
}

/// Anything after a good ICV, as a peer with the key could send. The text is payload, padding, pad length, next header.
pub fn inside_esp(data: &[u8]) {
    if data.len() > 1500 {
        return;
    }
    let make = || Rig::with(Setup::of(1), all_by_null());
    in_gateway(make, |rig| {
        let packet = Ip::new(&wan(2, false), &wan(1, false), 50, sealed_by_hand(data));
        rig.receive(WAN, &packet.octets());
    });
}

/// Site 1 takes anything from site 2 by an SA without a window.
fn all_by_null() -> Snapshot {
    let everything = ["0.0.0.0/0", "::/0"].map(|all| (all.to_owned(), all.to_owned()));
    let receiving = Receiving { replay_window: 0 };
    let windowless = |sa: &mut Sa| {
        if !sa.is_outbound() {
            sa.side = Side::Inbound(receiving.clone());
        }
    };
    Plan::of(1).tunnel_between(2, &null(), &everything).each_sa(windowless).done()
}

/// NULL with HMAC, so that a packet can be put together by hand.
pub fn null() -> Kind {
    let transform = transforms().into_iter().find(|transform| transform.name() == "null-hmac-sha2-256");
    Kind { transform: transform.unwrap(), ..gcm() }
}

/// An ESP packet from site 2 to site 1 with number 1, this text and a good ICV.
pub fn sealed_by_hand(text: &[u8]) -> Vec<u8> {
    let Transform::Null { integrity } = null().transform else { panic!("not NULL") };
    let key = etm::Key::new(etm::Cipher::Null, &[], etm::Hash::Sha256, integrity.key.expose()).unwrap();
    let header = [spi(2, 1).to_be_bytes(), 1u32.to_be_bytes()].concat();
    let (mut text, mut icv) = (text.to_vec(), [0; 16]);
    let iv = Iv::promised([0; etm::BLOCK_LEN]);
    key.seal(&header, iv, Text::in_place(&mut text).unwrap(), &[], &mut icv).unwrap();
    [&header[..], &text, &icv].concat()
}

/// Fragments in a row, of both families: an octet for family, flags and identification, one for the offset, one for the
/// length, and so on.
pub fn reassembly(data: &[u8]) {
    in_gateway(
        || Rig::with(Setup::of(1), all_protected()),
        |rig| {
            for piece in data.chunks_exact(3).take(64) {
                let [what, offset, length] = piece else { continue };
                let v6 = what & 1 == 1;
                let content = vec![*offset; usize::from(*length) * if what & 2 == 2 { 8 } else { 1 }];
                let packet = Ip::new(&wan(2, v6), &wan(1, v6), if what & 4 == 4 { 17 } else { 50 }, content);
                let fragment = Some((u32::from(what >> 6), u16::from(*offset) * 8, what & 8 == 8));
                let packet = Ip { fragment, traffic_class: what >> 4 & 3, ..packet };
                let packet = packet.octets();
                if packet.len() < 1900 {
                    rig.receive(WAN, &packet);
                }
            }
        },
    );
}

/// ICMP errors with a good checksum about anything; the first octet chooses the family.
pub fn path_mtu(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else { return };
    let v6 = first & 1 == 1;
    if rest.len() < 8 || rest.len() > 1500 {
        return;
    }
    let mut message = rest.to_vec();
    let mut packet = Ip::new(&wan(2, v6), &wan(1, v6), if v6 { 58 } else { 1 }, vec![]);
    message[2..4].fill(0);
    let pseudo = match v6 {
        true => pseudo_header(&packet, message.len()),
        false => vec![],
    };
    let checksum = internet_checksum(&[&pseudo[..], &message].concat());
    message[2..4].copy_from_slice(&checksum.to_be_bytes());
    packet.payload = message;
    let octets = packet.octets();
    if let Ok(headers) = ip::parse(&octets)
        && let Some(claim) = PathMtu::read(&octets, &headers)
    {
        assert!(claim.mtu >= if claim.source.is_ipv4() { 576 } else { 1280 });
    }
}

fn pseudo_header(packet: &Ip, length: usize) -> Vec<u8> {
    let octets = packet.octets();
    [&octets[8..40], &(length as u32).to_be_bytes(), &[0, 0, 0, 58]].concat()
}

/// Messages: what decodes encodes again, and no snapshot check panics.
pub fn contract(data: &[u8]) {
    if let Ok(request) = codec::decode::<Request>(data) {
        let again = codec::encode(&request).unwrap();
        assert_eq!(codec::decode::<Request>(&again).unwrap(), request);
    }
    if let Ok(reply) = codec::decode::<Reply>(data) {
        let again = codec::encode(&reply).unwrap();
        assert_eq!(codec::decode::<Reply>(&again).unwrap(), reply);
    }
    if let Ok(snapshot) = codec::decode::<Snapshot>(data) {
        let _ = snapshot.check();
    }
    let _ = codec::read::<Request>(&mut &data[..]);
}

/// `ravelin.toml`: a file or findings that can be shown.
pub fn appliance_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let source = Source::from_text("ravelin.toml", text);
    match Appliance::parse(&source) {
        Ok((appliance, notes)) => {
            appliance.zones();
            notes.render(true);
        }
        Err(found) => assert!(!found.render(false).is_empty()),
    }
}

/// `default-filters.toml`: permits only, whatever it says (row B21).
pub fn default_filters_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
    let source = Source::from_text("default-filters.toml", text);
    match DefaultFilters::parse(&source, &zones) {
        Ok((filters, _)) => {
            let permits = |rule: &Rule| rule.action == Action::Permit;
            assert!(filters.rules.iter().all(permits));
            assert!(filters.rules.iter().all(|rule| rule.selector.is_consistent()));
        }
        Err(found) => assert!(!found.render(false).is_empty()),
    }
}

fn frames() -> Vec<Vec<u8>> {
    seeds(&Setup::of(1)).into_iter().map(|seed| seed.frame).collect()
}

fn frames_with_port() -> Vec<Vec<u8>> {
    let with_port = |Seed { port, frame }| [&[port as u8], &frame[..]].concat();
    seeds(&Setup::of(1)).into_iter().map(with_port).collect()
}

fn inner() -> Vec<Vec<u8>> {
    let v4 = Ip::new(&host(2, false), &host(1, false), 17, udp(1, 2, TAG)).octets();
    let v6 = Ip::new(&host(2, true), &host(1, true), 17, udp(1, 2, TAG)).octets();
    let end = |next: u8| vec![1, 2, 2, next];
    let mut all: Vec<_> = [(&v4, 4), (&v6, 41), (&v4, 59), (&v6, 50)]
        .map(|(inner, next)| [&inner[..], &end(next)].concat())
        .to_vec();
    all.extend(cut(&v4, 16).into_iter().map(|piece| [&piece[..], &end(4)].concat()));
    all.push([FORGED, &end(6)].concat());
    all
}

fn pieces() -> Vec<Vec<u8>> {
    // Whole in two and three pieces, in both orders, of both families; an overlap; a duplicate.
    vec![
        vec![0x0a, 0, 8, 0x02, 8, 9],
        vec![0x02, 8, 9, 0x0a, 0, 8],
        vec![0x0b, 0, 8, 0x0b, 8, 8, 0x03, 16, 3],
        vec![0x0a, 0, 8, 0x0a, 4, 8, 0x02, 8, 9],
        vec![0x0a, 0, 8, 0x0a, 0, 8, 0x02, 8, 9],
        vec![0x0e, 0, 8, 0x06, 8, 9],
    ]
}

fn errors() -> Vec<Vec<u8>> {
    let error = |v6: bool, about: Ip| {
        let kind: &[u8] = if v6 { &[1, 2, 0, 0, 0, 0, 0, 5, 0x14] } else { &[0, 3, 4, 0, 0, 0, 0, 5, 0x14] };
        [kind, &about.octets()].concat()
    };
    let about = |v6, protocol, payload: Vec<u8>| {
        error(v6, Ip::new(&wan(1, v6), &wan(2, v6), protocol, [payload, vec![7; 1400]].concat()))
    };
    let esp = vec![0, 1, 1, 2, 0, 0, 0, 1];
    [false, true]
        .into_iter()
        .flat_map(|v6| {
            [about(v6, 50, esp.clone()), about(v6, 17, udp(4500, 4500, &esp)), about(v6, 6, esp.clone())]
        })
        .collect()
}

fn messages() -> Vec<Vec<u8>> {
    let snapshot = mixed();
    let requests = [
        Request::Hello { version: 1 },
        Request::Begin { fingerprint: "f".to_owned(), filter: FilterSettings::default() },
        Request::Zones(snapshot.zones.clone()),
        Request::Tunnels(snapshot.tunnels.clone()),
        Request::Rules(snapshot.rules.clone()),
        Request::Sas(snapshot.sas[..4].to_vec()),
        Request::Commit,
        Request::ListSas { from: 9 },
    ];
    let mut all: Vec<_> = requests.iter().map(|request| codec::encode(request).unwrap().to_vec()).collect();
    let rig = Rig::with(Setup::of(1), all_protected());
    let replies = [
        Reply::Status(Box::new(rig.engine.status())),
        Reply::Ports(rig.engine.ports()),
        rig.engine.list_rules(0),
    ];
    all.extend(replies.iter().map(|reply| codec::encode(reply).unwrap().to_vec()));
    let plain = Snapshot {
        rules: super::plan::both("10.1.0.0/24", "0.0.0.0/0", Action::Permit),
        ..Default::default()
    };
    all.push(codec::encode(&plain).unwrap().to_vec());
    all
}

/// Every file of this name among the examples.
pub fn texts(name: &str) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let root = above.find(|folder| folder.join("deny.toml").exists()).unwrap();
    collect(&root.join("configs"), name, &mut found);
    found
}

fn collect(folder: &Path, name: &str, found: &mut Vec<Vec<u8>>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, name, found);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(std::fs::read(&path).unwrap());
        }
    }
}
