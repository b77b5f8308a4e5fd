//! A whole gateway without a kernel: workers over cables in memory, the engine that feeds them, and a clock that moves
//! by hand.
#![allow(dead_code, unreachable_pub, missing_docs, reason = "each test file uses some of it")]
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

pub mod connection;
pub mod crowd;
#[path = "../esp_support/mod.rs"]
pub mod esp_support;
pub mod fuzzed;
pub mod mutate;
pub mod network;
pub mod plan;
#[path = "../../src/wire/samples.rs"]
pub mod samples;
pub mod seeds;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use ravelin_contract::address::AddressRange;
use ravelin_contract::message::{Refusal, Reply};
use ravelin_contract::report::FilterMode;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::verdict::Verdict;
use ravelin_dataplane::clock::{Clock, Hand};
use ravelin_dataplane::engine::{Carried, Engine, InForce, ModeFile, Parts, Surroundings};
use ravelin_dataplane::esp::builder::Builder;
use ravelin_dataplane::esp::numbers::Numbers;
use ravelin_dataplane::esp::reservation::Store;
use ravelin_dataplane::forward::neighbour::{Asks, asks};
use ravelin_dataplane::frame::Pool;
use ravelin_dataplane::port::memory::{Plug, plugged};
use ravelin_dataplane::port::{HEADROOM, Port};
use ravelin_dataplane::report::counter::WorkerCounters;
use ravelin_dataplane::report::events::Events;
use ravelin_dataplane::table::Tables;
use ravelin_dataplane::table::forwarding::Forwarding;
use ravelin_dataplane::table::forwarding::view::View;
use ravelin_dataplane::table::policy::{Policy, PolicySource};
use ravelin_dataplane::table::publish;
use ravelin_dataplane::tls::Tls;
use ravelin_dataplane::tls::standing::Standing;
use ravelin_dataplane::wiring::{Place, TrunkIndex, Wiring};
use ravelin_dataplane::worker::desk::Desk;
use ravelin_dataplane::worker::handoff::Post;
use ravelin_dataplane::worker::host::Host;
use ravelin_dataplane::worker::{self, Worker};

/// The ports of every gateway here.
pub const LAN: usize = 0;
pub const WAN: usize = 1;
/// Interface indexes of the ports.
pub const LINKS: [u32; 2] = [10, 11];

/// What a test may choose of a gateway.
#[derive(Debug, Clone)]
pub struct Setup {
    /// 1 to 3; decides all addresses.
    pub site: u8,
    pub workers: usize,
    /// Where LAN and WAN come by: a cable each, untagged, unless said otherwise.
    pub places: [Place; 2],
    /// Frames of each worker, and octets of each.
    pub frames: u32,
    pub frame_size: u16,
    /// Whether there is a way to the host's own stack.
    pub stack: bool,
    /// Frames that fit a cable.
    pub slots: u32,
    /// MTU of LAN and WAN.
    pub mtu: [u16; 2],
    /// Filters without a policy.
    pub defaults: PolicySource,
    /// Numbers reserved at once for a manual key.
    pub step: u64,
    /// TLS connections of each worker.
    pub connections: u32,
}

impl Setup {
    pub fn of(site: u8) -> Self {
        Self {
            site,
            workers: 1,
            stack: true,
            places: [0, 1].map(|trunk| Place { trunk: TrunkIndex(trunk), vlan: None }),
            frames: 512,
            frame_size: 2048,
            slots: 256,
            mtu: [1500; 2],
            defaults: PolicySource::default(),
            step: 1 << 20,
            connections: 64,
        }
    }
}

/// What the engine told its surroundings last.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Heard {
    pub prefixes: Vec<AddressRange>,
    pub ports: Vec<u16>,
    pub peers: Vec<IpAddr>,
    pub wakes: u32,
}

#[derive(Debug, Default, Clone)]
struct Listener(Arc<Mutex<Heard>>);

impl Surroundings for Listener {
    fn host(&self, _: &InForce<'_>) -> Result<(), String> {
        Ok(())
    }

    fn protect(&self, prefixes: &[AddressRange]) -> Result<(), String> {
        self.0.lock().unwrap().prefixes = prefixes.to_vec();
        Ok(())
    }

    fn encapsulation_ports(&self, ports: &[u16]) -> Result<(), String> {
        self.0.lock().unwrap().ports = ports.to_vec();
        Ok(())
    }

    fn peers(&self, peers: &[IpAddr]) -> Result<(), String> {
        self.0.lock().unwrap().peers = peers.to_vec();
        Ok(())
    }

    fn peers_changed(&self, come: &[IpAddr], gone: &[IpAddr]) -> Result<(), String> {
        let peers = &mut self.0.lock().unwrap().peers;
        peers.extend(come);
        peers.retain(|peer| !gone.contains(peer));
        peers.sort_unstable();
        Ok(())
    }

    fn wake(&self) {
        self.0.lock().unwrap().wakes += 1;
    }
}

/// How often each verdict was counted.
pub type Counts = BTreeMap<Verdict, u64>;

/// One gateway. Nothing runs by itself: packets move when the test breathes.
pub struct Rig {
    pub engine: Arc<Engine>,
    pub workers: Vec<Worker>,
    /// By worker and trunk.
    pub plugs: Vec<[Plug; 2]>,
    /// The queues of the host's own stack.
    pub host: Arc<Host>,
    pub hand: Hand,
    pub clock: Clock,
    pub events: Arc<Events>,
    pub asks: Asks,
    /// The kernel's side; change it by [`Rig::change_routes`].
    view: View,
    pub setup: Setup,
    heard: Listener,
    /// Sequence numbers and the operator's choice of filters.
    pub state: Arc<tempfile::TempDir>,
}

impl Rig {
    pub fn new(setup: Setup) -> Self {
        Self::on(setup, Arc::new(tempfile::tempdir().unwrap()))
    }

    /// A start on the state of an earlier one. The clock begins anew, as it does.
    pub fn on(setup: Setup, state: Arc<tempfile::TempDir>) -> Self {
        let (clock, hand) = Clock::by_hand();
        hand.advance(1000);
        let view = network::view(&setup);
        let defaults = Arc::new(Policy::compile(setup.defaults.clone(), setup.workers, None));
        let first = Tables {
            generation: 1,
            mode: FilterMode::DefaultNoPolicy,
            policy: Arc::clone(&defaults),
            sas: Arc::default(),
            encapsulation_ports: Arc::default(),
            forwarding: Arc::new(Forwarding::build(&view, &LINKS)),
            ports: network::ports(&setup).into(),
        };
        let (publisher, readers) = publish::channel(Arc::new(first), setup.workers);
        let counters: Vec<_> =
            (0..setup.workers).map(|core| Arc::new(WorkerCounters::new(core as u32, 2))).collect();
        let (events, asks, heard) = (Events::new(), asks(), Listener::default());
        let desk = Desk::new(setup.workers, vec![]).unwrap();
        let engine = Engine::new(Parts {
            defaults,
            ports: network::ports(&setup),
            carried: ["lan0", "wan0"]
                .map(|trunk| Carried { trunk: trunk.to_owned(), driver: "memory".to_owned() })
                .to_vec(),
            counters: counters.clone(),
            events: Arc::clone(&events),
            builder: Builder::new(Numbers::new(Store::open(&state.path().join("numbers")), setup.step)),
            clock,
            mode_file: ModeFile::new(state.path()),
            surroundings: Box::new(heard.clone()),
            publisher,
            crypto: ravelin_crypto_accel::back_end().to_owned(),
            desk: Arc::clone(&desk),
        });
        let post = Arc::new(Post::new(setup.workers, setup.frame_size.into()));
        let host =
            if setup.stack { Host::open(setup.frame_size.into(), None) } else { Host::closed() }.unwrap();
        let wiring = Arc::new(Wiring::new(setup.places));
        let (mut workers, mut plugs) = (Vec::new(), Vec::new());
        let standing = Standing::new(setup.workers * setup.connections as usize);
        for (index, (reader, counters)) in readers.into_iter().zip(counters).enumerate() {
            let cable = || plugged(setup.slots, setup.frame_size);
            let ((lan, lan_plug), (wan, wan_plug)) = (cable(), cable());
            plugs.push([lan_plug, wan_plug]);
            let trunks: Vec<Box<dyn Port>> = vec![Box::new(lan), Box::new(wan)];
            let pool = Pool::in_memory(setup.frames, setup.frame_size);
            let tls =
                Tls::new((index, setup.workers), &standing, setup.connections, &pool, clock.read()).unwrap();
            workers.push(Worker::new(worker::Parts {
                index,
                workers: setup.workers,
                clock,
                reader,
                pool,
                trunks,
                wiring: Arc::clone(&wiring),
                counters,
                events: Arc::clone(&events),
                asks: Arc::clone(&asks),
                post: Arc::clone(&post),
                host: Arc::clone(&host),
                desk: Arc::clone(&desk),
                tls,
            }));
        }
        Self {
            engine: Arc::new(engine),
            workers,
            plugs,
            host,
            hand,
            clock,
            events,
            asks,
            view,
            setup,
            heard,
            state,
        }
    }

    /// A gateway with a policy in force.
    pub fn with(setup: Setup, snapshot: Snapshot) -> Self {
        let mut rig = Self::new(setup);
        rig.install(snapshot).unwrap();
        rig
    }

    /// Does what waits for the workers, while they breathe.
    pub fn meanwhile<T: Send>(&mut self, act: impl FnOnce(&Engine) -> T + Send) -> T {
        let engine = Arc::clone(&self.engine);
        let workers = &mut self.workers;
        std::thread::scope(|scope| {
            let doing = scope.spawn(move || act(&engine));
            while !doing.is_finished() {
                breathe(workers);
                std::thread::yield_now();
            }
            doing.join().unwrap()
        })
    }

    pub fn install(&mut self, snapshot: Snapshot) -> Result<Reply, Refusal> {
        self.meanwhile(|engine| engine.install(snapshot))
    }

    /// The kernel's tables change.
    pub fn change_routes(&mut self, change: impl FnOnce(&mut View)) {
        change(&mut self.view);
        let (view, ports) = (self.view.clone(), network::ports(&self.setup));
        self.meanwhile(|engine| engine.forwarding_changed(|before| before.rebuild(&view, &LINKS), ports));
    }

    /// All workers take one breath.
    pub fn breathe(&mut self) {
        breathe(&mut self.workers);
    }

    /// A packet comes in by `port` of the first worker, which takes a breath.
    pub fn receive(&mut self, port: usize, packet: &[u8]) {
        self.receive_frame(port, &network::framed(&self.setup, port, packet));
    }

    pub fn receive_frame(&mut self, port: usize, frame: &[u8]) {
        assert!(frame.len() + HEADROOM <= self.setup.frame_size.into(), "lost before it is counted");
        assert!(self.plugs[0][port].feed(frame), "the cable is full or the frame too long");
        self.breathe();
    }

    /// Packets that left by `port` since the last look, without their link header.
    pub fn sent(&self, port: usize) -> Vec<Vec<u8>> {
        let plugs = self.plugs.iter();
        plugs.flat_map(|plugs| std::iter::from_fn(|| plugs[port].take())).map(|f| f[14..].to_vec()).collect()
    }

    /// What was given to the host's stack since the last look.
    pub fn delivered(&self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while self.host.next_for_stack(|packet| packets.push(packet.to_vec())) {}
        packets
    }

    /// What goes out of `port` when `packet` comes in by the other.
    pub fn pass(&mut self, from: usize, packet: &[u8]) -> Vec<Vec<u8>> {
        self.receive(from, packet);
        self.sent(1 - from)
    }

    /// Verdicts so far.
    pub fn counts(&self) -> Counts {
        let mut counts = Counts::new();
        for (verdict, packets, _) in self.engine.ports().into_iter().flat_map(|port| port.verdicts) {
            *counts.entry(verdict).or_default() += packets;
        }
        counts
    }

    /// Verdicts that came about during `act`.
    pub fn counted(&mut self, act: impl FnOnce(&mut Self)) -> Counts {
        let before = self.counts();
        act(self);
        let mut counts = self.counts();
        for (verdict, packets) in before {
            *counts.entry(verdict).or_default() -= packets;
        }
        counts.retain(|_, packets| *packets > 0);
        counts
    }

    pub fn heard(&self) -> Heard {
        self.heard.0.lock().unwrap().clone()
    }

    /// Every frame is free or held for a reason. Only while the cables have room for all that was sent.
    pub fn assert_no_frame_lost(&self) {
        for worker in &self.workers {
            let there = worker.frames_free() as usize + worker.frames_held();
            assert_eq!(there, self.setup.frames as usize, "a frame leaked");
        }
    }
}

fn breathe(workers: &mut [Worker]) {
    for worker in workers {
        worker.breathe();
    }
}

/// The one verdict that came about.
pub fn only(counts: &Counts) -> Verdict {
    let all: Vec<_> = counts.iter().collect();
    match all[..] {
        [(verdict, 1)] => *verdict,
        _ => panic!("not one verdict, once: {counts:?}"),
    }
}

/// A packet from the LAN of one gateway to that of another: what arrives, and what was on the wire between them.
pub fn across(from: &mut Rig, to: &mut Rig, packet: &[u8]) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let wire = from.pass(LAN, packet);
    let arrived = wire.iter().flat_map(|sealed| to.pass(WAN, sealed)).collect();
    (arrived, wire)
}

/// Cuts a packet without options or extension headers in two, `at` octets into its payload, as a router would.
pub fn cut(packet: &[u8], at: usize) -> Vec<Vec<u8>> {
    let headers = ravelin_dataplane::wire::ip::parse(packet).unwrap();
    let payload = &packet[headers.header_len.into()..];
    let piece = |offset: usize, more: bool, payload: &[u8]| {
        let (source, destination) = (headers.flow.source.to_string(), headers.flow.destination.to_string());
        let whole = samples::Ip::new(&source, &destination, headers.flow.protocol, payload.to_vec());
        samples::Ip {
            fragment: Some((77, offset as u16, more)),
            hop_limit: headers.hop_limit,
            traffic_class: headers.traffic_class,
            ..whole
        }
        .octets()
    };
    vec![piece(0, true, &payload[..at]), piece(at, false, &payload[at..])]
}
