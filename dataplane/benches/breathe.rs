//! Ticks per packet of whole breaths, packets from memory: clear forwarding, sealing and opening.
//!
//! One worker breathes while the time-stamp counter runs; feeding it and taking what it sent is outside of the count. The
//! memory port copies each frame once on its way in and once on its way out; both are inside. What is opened was sealed
//! by a second worker just before. Figures are TSC ticks, medians over breaths: `make bench`.
#![expect(unsafe_code, reason = "the time-stamp counter")]

use std::arch::x86_64::_rdtsc;
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::address::{AddressRange, Family};
use ravelin_contract::name::Name;
use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::*;
use ravelin_contract::sa::*;
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::Selector;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::clock::Clock;
use ravelin_dataplane::esp::builder::{Builder, Built};
use ravelin_dataplane::esp::numbers::Numbers;
use ravelin_dataplane::esp::reservation::{STEP, Store};
use ravelin_dataplane::forward::neighbour::asks;
use ravelin_dataplane::frame::Pool;
use ravelin_dataplane::packet::{BURST, PortIndex};
use ravelin_dataplane::port::memory::{Plug, plugged};
use ravelin_dataplane::report::counter::WorkerCounters;
use ravelin_dataplane::report::events::Events;
use ravelin_dataplane::table::forwarding::Forwarding;
use ravelin_dataplane::table::forwarding::view::*;
use ravelin_dataplane::table::policy::{Policy, PolicySource};
use ravelin_dataplane::table::sa_table::{InboundEntry, OutboundEntry};
use ravelin_dataplane::table::{PortInfo, SaTable, Tables, publish};
use ravelin_dataplane::tls::Tls;
use ravelin_dataplane::tls::standing::Standing;
use ravelin_dataplane::wiring::Wiring;
use ravelin_dataplane::worker::desk::Desk;
use ravelin_dataplane::worker::handoff::Post;
use ravelin_dataplane::worker::host::Host;
use ravelin_dataplane::worker::{Parts, Worker};

/// Breaths measured per cell.
const BREATHS: usize = 4000;
/// Link headers of the two ports of each gateway.
const LAN: [u8; 6] = [2, 0, 0, 0, 0, 1];
const WAN: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PEER: [u8; 6] = [2, 0, 0, 0, 0, 9];

/// A gateway with one worker: site `here` behind it, site `there` behind the peer, an SA each way for each of `sas`
/// tunnels, told apart by the host at site 2.
struct Gateway {
    worker: Worker,
    lan: Plug,
    wan: Plug,
    counters: Arc<WorkerCounters>,
    _publisher: publish::Publisher<Tables>,
}

/// What the rules ask for.
#[derive(Clone, Copy, PartialEq)]
enum Wanted {
    Clear,
    Protected,
}

fn name(text: &str) -> Name {
    Name::new(text).expect("a good name")
}

fn site(number: u8) -> AddressRange {
    AddressRange::prefix([10, number, 0, 0].into(), 16).expect("a prefix")
}

/// The host of tunnel `number` at a site.
fn host(site: u8, number: usize) -> IpAddr {
    [10, site, (number >> 8) as u8, number as u8].into()
}

fn endpoint(site: u8) -> IpAddr {
    [192, 0, 2, site].into()
}

impl Gateway {
    fn new(here: u8, there: u8, wanted: Wanted, sas: usize) -> Self {
        let tunnels = if wanted == Wanted::Protected { sas } else { 0 };
        let rules = (0..sas.max(1)).flat_map(|number| rules(here, there, wanted, number)).collect();
        let source = PolicySource {
            rules,
            zones: vec![],
            tunnels: (0..tunnels).map(|number| name(&format!("t{number}"))).collect(),
            ..PolicySource::default()
        };
        let view = view(here, there);
        let tables = Tables {
            generation: 1,
            mode: FilterMode::Policy,
            policy: Arc::new(Policy::compile(source, 1, None)),
            sas: Arc::new(sa_table(here, there, tunnels)),
            encapsulation_ports: Arc::default(),
            forwarding: Arc::new(Forwarding::build(&view, &[1, 2])),
            ports: [port("lan", 1, LAN, true), port("wan", 2, WAN, false)].into(),
        };
        let (publisher, mut readers) = publish::channel(Arc::new(tables), 1);
        let ((lan_port, lan), (wan_port, wan)) = (plugged(256, 2048), plugged(256, 2048));
        let counters = Arc::new(WorkerCounters::new(0, 2));
        let (clock, pool) = (Clock::start(), Pool::in_memory(1024, 2048));
        let tls = Tls::new((0, 1), &Standing::new(16), 16, &pool, clock.read()).expect("limits that fit");
        let worker = Worker::new(Parts {
            index: 0,
            workers: 1,
            clock,
            reader: readers.remove(0),
            pool,
            trunks: vec![Box::new(lan_port), Box::new(wan_port)],
            wiring: Arc::new(Wiring::untagged(2)),
            counters: Arc::clone(&counters),
            events: Events::new(),
            asks: asks(),
            post: Arc::new(Post::new(1, 2048)),
            host: Host::closed().expect("an eventfd"),
            desk: Desk::new(1, vec![]).expect("an eventfd"),
            tls,
        });
        Self { worker, lan, wan, counters, _publisher: publisher }
    }

    /// How packets ended, port by port.
    fn verdicts(&self) -> [Vec<(Verdict, u64, u64)>; 2] {
        [0, 1].map(|port| self.counters.port(PortIndex(port)).verdicts())
    }
}

fn rules(here: u8, there: u8, wanted: Wanted, number: usize) -> [Rule; 2] {
    let action = match wanted {
        Wanted::Clear => Action::Permit,
        Wanted::Protected => Action::Protect(TunnelId(number as u32)),
    };
    let rule = |direction, source, destination| Rule {
        name: name(&format!("r{number}")),
        extension: if direction == Direction::Inbound { 2 } else { 1 },
        direction,
        selector: Selector { source, destination, ..Selector::all(Family::V4) },
        routing: Routing::Either,
        zone: None,
        fragments: Fragments::Any,
        opening: Opening::Allowed,
        action,
        log: Log::No,
        identities: Vec::new(),
    };
    let end = |site_number: u8| match (wanted, site_number) {
        (Wanted::Protected, 2) => AddressRange::single(host(2, number)),
        _ => site(site_number),
    };
    let (near, far) = (end(here), end(there));
    [rule(Direction::Outbound, near, far), rule(Direction::Inbound, far, near)]
}

fn port(name: &str, ifindex: u32, mac: [u8; 6], protected: bool) -> PortInfo {
    let zone_name = name.to_owned();
    PortInfo { name: name.to_owned(), ifindex, mac, mtu: 1600, zone: None, zone_name, protected }
}

fn view(here: u8, there: u8) -> View {
    let link = |index, mac| Link {
        index,
        name: format!("p{index}"),
        mac: Some(mac),
        mtu: 1600,
        up: true,
        vlan: None,
    };
    let route = |prefix: IpAddr, length, link, gateway| KernelRoute {
        prefix,
        length,
        local_table: false,
        metric: 0,
        kind: RouteKind::Unicast,
        mtu: None,
        hops: vec![Hop { link, gateway, weight: 1, dead: false }],
    };
    let own = KernelRoute {
        local_table: true,
        kind: RouteKind::Local,
        hops: vec![],
        ..route(endpoint(here), 32, 2, None)
    };
    let lan_router: IpAddr = [10, here, 255, 254].into();
    View {
        links: vec![link(1, LAN), link(2, WAN)],
        addresses: vec![Address { link: 2, address: endpoint(here), global: true }],
        routes: Arc::new(vec![
            own,
            route([10, here, 0, 0].into(), 16, 1, Some(lan_router)),
            route([192, 0, 2, 0].into(), 24, 2, None),
            route([10, there, 0, 0].into(), 16, 2, Some(endpoint(there))),
        ]),
        neighbours: vec![
            Neighbour { link: 1, address: lan_router, mac: PEER },
            Neighbour { link: 2, address: endpoint(there), mac: WAN },
        ],
    }
}

fn sa_table(here: u8, there: u8, tunnels: usize) -> SaTable {
    let mut builder: Builder = Builder::new(Numbers::new(Store::open("/nonexistent".as_ref()), STEP));
    let sas: Vec<Sa> = (0..tunnels)
        .flat_map(|number| [sa(here, there, number, true), sa(here, there, number, false)])
        .collect();
    let built = builder.build(&sas, Clock::start().read(), &mut || [7; 16]).expect("good keys");
    let (mut inbound, mut outbound) = (vec![], vec![]);
    for (sa, built) in sas.iter().zip(built) {
        let (spi, tunnel, destination) = (sa.spi.get(), sa.tunnel, sa.remote);
        match built {
            Built::Inbound(sa_in) => {
                inbound.push(InboundEntry {
                    spi,
                    destination: sa.local,
                    tunnel,
                    identities: Arc::default(),
                    sa: sa_in,
                });
            }
            Built::Outbound(sa) => outbound.push(OutboundEntry {
                spi,
                destination,
                tunnel,
                selectors: Arc::default(),
                worker: None,
                identities: Arc::default(),
                sa,
            }),
        }
    }
    SaTable::new(inbound, outbound)
}

/// Key and SPI follow from sender and number, so that both gateways agree.
fn sa(here: u8, there: u8, number: usize, outbound: bool) -> Sa {
    let sender = if outbound { here } else { there };
    let mut key = vec![sender; 16];
    key[..8].copy_from_slice(&(number as u64).to_be_bytes());
    let side = match outbound {
        true => Side::Outbound(Sending {
            dont_fragment: DontFragment::Clear,
            dscp: Dscp::Copy,
            hop_limit: Some(64),
            pad_to: 0,
            clamp_mss: false,
        }),
        false => Side::Inbound(Receiving { replay_window: 1024 }),
    };
    Sa {
        name: name(&format!("t{number}")),
        tunnel: TunnelId(number as u32),
        spi: Spi::new(0x1000 + (u32::from(sender) << 24) + number as u32).expect("not reserved"),
        mode: Mode::Tunnel,
        local: endpoint(here),
        remote: endpoint(there),
        carrier: Carrier::Ip,
        transform: Transform::AesGcm16 { key: Secret::new(key), salt: [sender; 4] },
        extended_sequence: true,
        selectors: vec![],
        origin: Origin::Ike,
        side,
    }
}

/// A frame with a UDP packet of `length` octets from site 1 to the host of tunnel `number` at site 2.
fn frame(length: usize, number: usize) -> Vec<u8> {
    use ravelin_dataplane::wire::ipv4;
    let mut octets = vec![0; 14 + length];
    octets[..6].copy_from_slice(&LAN);
    octets[6..12].copy_from_slice(&PEER);
    octets[12..14].copy_from_slice(&[8, 0]);
    let mut header = [0; 20];
    let (IpAddr::V4(source), IpAddr::V4(destination)) = (host(1, 1), host(2, number)) else { unreachable!() };
    ipv4::Header {
        traffic_class: 0,
        total_len: length as u16,
        identification: 0,
        dont_fragment: true,
        hop_limit: 64,
        protocol: 17,
        source,
        destination,
    }
    .write(&mut header);
    octets[14..34].copy_from_slice(&header);
    octets[34..38].copy_from_slice(&[0x10, 0, 0x20, 0]);
    octets
}

/// Ticks per packet of one breath with `burst` packets laid in by `feed`; what was sent is taken by `take`.
struct Meter {
    samples: Vec<f64>,
}

impl Meter {
    fn breathe(&mut self, worker: &mut Worker, burst: usize) {
        // SAFETY: every x86-64 processor has the counter.
        let begun = unsafe { _rdtsc() };
        worker.breathe();
        // SAFETY: as above.
        let ended = unsafe { _rdtsc() };
        self.samples.push((ended - begun) as f64 / burst as f64);
    }

    fn median(mut self) -> f64 {
        self.samples.drain(..self.samples.len() / 10);
        self.samples.sort_by(f64::total_cmp);
        self.samples[self.samples.len() / 2]
    }
}

/// Ticks to send and to open: outbound at gateway 1, inbound at gateway 2.
fn cell(wanted: Wanted, sas: usize, length: usize, burst: usize) -> (f64, f64) {
    let (mut one, mut two) = (Gateway::new(1, 2, wanted, sas), Gateway::new(2, 1, wanted, sas));
    let frames: Vec<Vec<u8>> = (0..sas).map(|number| frame(length, number)).collect();
    let (mut out, mut inward) = (Meter { samples: vec![] }, Meter { samples: vec![] });
    let mut next = 0;
    for _ in 0..BREATHS {
        for _ in 0..burst {
            assert!(one.lan.feed(&frames[next % sas]), "the cable is full");
            next += 7;
        }
        out.breathe(&mut one.worker, burst);
        let mut passed = 0;
        while let Some(sent) = one.wan.take() {
            assert!(two.wan.feed(&sent), "the cable is full");
            passed += 1;
        }
        assert_eq!(passed, burst, "gateway 1 lost packets: {:?}", one.verdicts());
        inward.breathe(&mut two.worker, burst);
        assert_eq!(two.lan.drain(|_| ()), burst, "gateway 2 lost packets: {:?}", two.verdicts());
    }
    (out.median(), inward.median())
}

fn main() {
    println!("TSC ticks per packet, whole breath, AES-128-GCM tunnel, bursts of {BURST}");
    println!("{:<10} {:>6} {:>6} {:>10} {:>10}", "what", "SAs", "octets", "outbound", "inbound");
    for (what, wanted, sas) in
        [("clear", Wanted::Clear, 1), ("ESP", Wanted::Protected, 1), ("ESP", Wanted::Protected, 1000)]
    {
        for length in [64, 256, 1420] {
            let (out, inward) = cell(wanted, sas, length, BURST);
            println!("{what:<10} {sas:>6} {length:>6} {out:>10.0} {inward:>10.0}");
        }
    }
}
