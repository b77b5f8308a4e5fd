//! Security associations as workers use them: a part that is only read, and a part that changes with every packet and
//! outlives the generation.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use ravelin_contract::name::Name;
use ravelin_contract::report::SaStatus;
use ravelin_contract::rule::Direction;
use ravelin_contract::sa::{Carrier, Mode, Origin, Receiving, Sa, Sending, Side};
use ravelin_contract::selector::{FlowKey, Selector};
use ravelin_contract::verdict::Verdict;
use ravelin_crypto_accel::error::KeyError;
use ravelin_crypto_accel::iv;

use super::counter::{Drops, Traffic};
use super::fingerprint::Fingerprint;
use super::lookup::End;
use super::outer::Outer;
use super::path_mtu::PathMtu;
use super::replay::Window;
use super::sequence::{Sequence, last_number};
use super::suite::{Cipher, Suite};
use crate::clock::Now;
use crate::wire::udp;

/// Why an inbound SA drops.
const RECEIVE_DROPS: [Verdict; 7] = [
    Verdict::Replayed,
    Verdict::BadIcv,
    Verdict::BadEspLength,
    Verdict::BadPadding,
    Verdict::BadInner,
    Verdict::BadEcn,
    Verdict::SelectorMismatch,
];
/// Why an outbound SA drops.
const SEND_DROPS: [Verdict; 5] = [
    Verdict::SequenceExhausted,
    Verdict::SequenceNotReserved,
    Verdict::TooLongToSeal,
    Verdict::NotSealable,
    Verdict::NoFrame,
];

/// What makes two SAs of two generations the same one, so that numbers, window and counts go on.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Identity {
    outbound: bool,
    destination: IpAddr,
    spi: u32,
    transform: Fingerprint,
}

impl Identity {
    /// Direction, destination, SPI, and algorithms with their keys.
    pub fn of(sa: &Sa) -> Self {
        let outbound = sa.is_outbound();
        let destination = if outbound { sa.remote } else { sa.local };
        Self { outbound, destination, spi: sa.spi.get(), transform: Fingerprint::of_transform(&sa.transform) }
    }

    /// Whether it has this SPI and destination, by which packets name it.
    pub fn is_for(&self, spi: u32, destination: IpAddr) -> bool {
        self.spi == spi && self.destination == destination
    }
}

/// What an SA is, without its keys and without the tunnel's number, which may change from generation to generation.
#[derive(Debug, PartialEq, Eq)]
struct Facts {
    identity: Identity,
    name: Name,
    mode: Mode,
    local: IpAddr,
    remote: IpAddr,
    carrier: Carrier,
    algorithm: &'static str,
    extended: bool,
    origin: Origin,
    selectors: Arc<[Selector]>,
    side: Side,
}

impl Facts {
    fn of(sa: &Sa) -> Self {
        Self {
            identity: Identity::of(sa),
            name: sa.name.clone(),
            mode: sa.mode,
            local: sa.local,
            remote: sa.remote,
            carrier: sa.carrier,
            algorithm: sa.transform.name(),
            extended: sa.extended_sequence,
            origin: sa.origin,
            selectors: sa.selectors.as_slice().into(),
            side: sa.side.clone(),
        }
    }

    /// What both directions tell; the rest is zero.
    fn status(&self, tunnel: &str) -> SaStatus {
        SaStatus {
            name: self.name.to_string(),
            tunnel: tunnel.to_owned(),
            direction: if self.identity.outbound { Direction::Outbound } else { Direction::Inbound },
            spi: self.identity.spi,
            endpoints: (self.local, self.remote),
            mode: self.mode,
            carrier: self.carrier,
            algorithm: self.algorithm.to_owned(),
            extended_sequence: self.extended,
            traffic: (0, 0),
            sequence: 0,
            bound: 0,
            drops: Vec::new(),
            path_mtu: None,
        }
    }
}

/// What an inbound SA remembers. Its own cache lines; only the worker that owns the SA writes.
#[derive(Debug)]
#[repr(align(64))]
pub struct Received {
    pub(super) window: Window,
    pub(super) traffic: Traffic,
    pub(super) drops: Drops<7>,
    /// Where packets came from when that was told last, mixed to a word; 0 while they come from where they should.
    elsewhere: AtomicU64,
}

impl Received {
    /// Nothing received yet; numbers up to `accepted` are refused, see [`Window::new`].
    pub fn new(receiving: &Receiving, accepted: u64) -> Self {
        Self {
            window: Window::new(receiving.replay_window, accepted),
            traffic: Traffic::default(),
            drops: Drops::of(RECEIVE_DROPS),
            elsewhere: AtomicU64::new(0),
        }
    }

    /// The highest number accepted.
    pub fn highest(&self) -> u64 {
        self.window.highest()
    }
}

/// An SA under which we open.
#[derive(Debug)]
pub struct InboundSa {
    pub(super) suite: Suite,
    pub(super) mode: Mode,
    pub(super) extended: bool,
    pub(super) received: Arc<Received>,
    /// The peer's end, where somebody wants to hear that it moves: of negotiated SAs whose window tells old from new.
    watched: Option<End>,
    facts: Facts,
}

impl InboundSa {
    /// Prepares `sa`. `received` is new or that of the same SA in the generation before; then its window keeps its size.
    ///
    /// # Errors
    /// A key whose length its algorithm does not take.
    pub fn new(sa: &Sa, received: Arc<Received>) -> Result<Self, KeyError> {
        Ok(Self {
            suite: Suite::new(&sa.transform)?,
            mode: sa.mode,
            extended: sa.extended_sequence,
            watched: (sa.origin == Origin::Ike && received.window.size() > 0).then(|| peer(sa)),
            received,
            facts: Facts::of(sa),
        })
    }

    /// What the SA is known by.
    pub fn identity(&self) -> &Identity {
        &self.facts.identity
    }

    /// The operator's name for the connection.
    pub fn name(&self) -> &Name {
        &self.facts.name
    }

    /// Takes in where the newest packet came from, which is authentic. `tell` is asked once for each new end.
    pub(super) fn notice_end(&self, from: End, tell: impl FnOnce(End) -> bool) {
        let Some(watched) = self.watched else { return };
        let elsewhere = &self.received.elsewhere;
        let told = elsewhere.load(Relaxed);
        if from == watched {
            if told != 0 {
                elsewhere.store(0, Relaxed);
            }
            return;
        }
        let word = word(from);
        if told != word && tell(from) {
            elsewhere.store(word, Relaxed);
        }
    }

    /// Whether it was made from an equal `sa`, tunnel number aside.
    pub fn is_made_from(&self, sa: &Sa) -> bool {
        self.facts == Facts::of(sa)
    }

    /// What it remembers, for its successor in the next generation.
    pub fn received(&self) -> &Arc<Received> {
        &self.received
    }

    /// Packets and octets opened.
    pub fn traffic(&self) -> (u64, u64) {
        self.received.traffic.read()
    }

    /// Security Parameters Index.
    pub fn spi(&self) -> u32 {
        self.facts.identity.spi
    }

    /// Whether the packet may travel under it (RFC 4301 5.2).
    pub fn admits(&self, flow: &FlowKey) -> bool {
        let selectors = &self.facts.selectors;
        selectors.is_empty() || selectors.iter().any(|selector| selector.matches(flow))
    }

    /// What the operator sees. `tunnel` is the tunnel's name in this generation.
    pub fn status(&self, tunnel: &str) -> SaStatus {
        SaStatus {
            traffic: self.received.traffic.read(),
            sequence: self.received.highest(),
            bound: self.received.window.size(),
            drops: self.received.drops.read(),
            ..self.facts.status(tunnel)
        }
    }
}

/// The peer's end.
fn peer(sa: &Sa) -> End {
    match sa.carrier {
        Carrier::Ip => (sa.remote, None),
        Carrier::Udp { remote_port, .. } => (sa.remote, Some(remote_port)),
    }
}

/// An end as a word that is never 0.
fn word(end: End) -> u64 {
    let mut hasher = DefaultHasher::new();
    end.hash(&mut hasher);
    hasher.finish() | 1
}

/// What an outbound SA remembers, apart from its sequence numbers. Its own cache lines; any worker writes.
#[derive(Debug)]
#[repr(align(64))]
pub struct Sent {
    pub(super) traffic: Traffic,
    pub(super) drops: Drops<5>,
    path_mtu: PathMtu,
    /// When the last packet or keepalive went.
    last: AtomicU64,
}

impl Sent {
    /// Nothing sent yet. The first keepalive is due one interval after `now`.
    pub fn new(now: Now) -> Self {
        Self {
            traffic: Traffic::default(),
            drops: Drops::of(SEND_DROPS),
            path_mtu: PathMtu::default(),
            last: AtomicU64::new(now.0),
        }
    }

    /// Notes that something went.
    pub(super) fn touch(&self, now: Now) {
        self.last.store(now.0, Relaxed);
    }
}

/// An SA under which we seal.
#[derive(Debug)]
pub struct OutboundSa {
    pub(super) suite: Suite,
    pub(super) spi: u32,
    pub(super) mode: Mode,
    pub(super) extended: bool,
    /// In transport mode for keepalives only.
    pub(super) outer: Outer,
    /// Source and destination port when UDP carries it.
    pub(super) ports: Option<(u16, u16)>,
    pub(super) sending: Sending,
    /// Makes IVs for CBC; AEAD needs none.
    pub(super) ivs: Option<iv::Generator>,
    pub(super) sequence: Arc<Sequence>,
    pub(super) sent: Arc<Sent>,
    facts: Facts,
}

impl OutboundSa {
    /// Prepares `sa`, whose side is `sending`. `sequence` belongs to its key, `sent` is new or that of the same SA in the
    /// generation before; `seed` is random, secret and used for nothing else.
    ///
    /// # Errors
    /// A key whose length its algorithm does not take.
    pub fn new(
        sa: &Sa,
        sending: &Sending,
        sequence: Arc<Sequence>,
        sent: Arc<Sent>,
        seed: &[u8; 16],
    ) -> Result<Self, KeyError> {
        let suite = Suite::new(&sa.transform)?;
        Ok(Self {
            spi: sa.spi.get(),
            mode: sa.mode,
            extended: sa.extended_sequence,
            outer: Outer::new(sa, sending),
            ports: match sa.carrier {
                Carrier::Ip => None,
                Carrier::Udp { local_port, remote_port, .. } => Some((local_port, remote_port)),
            },
            sending: sending.clone(),
            ivs: matches!(suite.cipher, Cipher::Etm(_)).then(|| iv::Generator::new(seed)),
            suite,
            sequence,
            sent,
            facts: Facts::of(sa),
        })
    }

    /// What the SA is known by.
    pub fn identity(&self) -> &Identity {
        &self.facts.identity
    }

    /// Whether it was made from an equal `sa`, tunnel number aside.
    pub fn is_made_from(&self, sa: &Sa) -> bool {
        self.facts == Facts::of(sa)
    }

    /// What it remembers, for its successor in the next generation.
    pub fn sent(&self) -> &Arc<Sent> {
        &self.sent
    }

    /// Packets and octets sealed.
    pub fn traffic(&self) -> (u64, u64) {
        self.sent.traffic.read()
    }

    /// What may travel under it.
    pub fn selectors(&self) -> &Arc<[Selector]> {
        &self.facts.selectors
    }

    /// The numbers of its key.
    pub fn sequence(&self) -> &Arc<Sequence> {
        &self.sequence
    }

    /// Security Parameters Index.
    pub fn spi(&self) -> u32 {
        self.spi
    }

    /// Our security endpoint and the peer's.
    pub fn endpoints(&self) -> (IpAddr, IpAddr) {
        (self.facts.local, self.facts.remote)
    }

    /// Octets between the start of the packet and that of its payload: outer header, UDP, ESP header and IV. In
    /// transport mode what is added before the payload.
    pub(super) fn front(&self) -> usize {
        self.outer_len() + self.udp_len() + self.suite.front()
    }

    /// Octets of the outer IP header; 0 in transport mode.
    pub(super) fn outer_len(&self) -> usize {
        if self.mode == Mode::Tunnel { self.outer.len() } else { 0 }
    }

    /// Octets of the UDP header, where there is one.
    pub(super) fn udp_len(&self) -> usize {
        if self.ports.is_some() { udp::HEADER } else { 0 }
    }

    /// Longest inner packet that, sealed, is no longer than the path carries: `link_mtu` or what was learned of the path.
    /// In transport mode for a packet whose headers before ESP are the base header alone. 0 when none fits.
    pub fn inner_mtu(&self, link_mtu: u16, now: Now) -> u16 {
        let path = self.path_mtu(now).map_or(link_mtu, |path| path.min(link_mtu));
        let room = usize::from(path).saturating_sub(self.outer.len() + self.udp_len());
        let own_header = if self.mode == Mode::Tunnel { 0 } else { self.outer.len() };
        match self.suite.most_payload(room) {
            0 => 0,
            most => (own_header + most) as u16,
        }
    }

    /// Most octets that sealing adds to a packet, traffic-flow padding aside.
    pub fn overhead(&self) -> u16 {
        // Padding is shorter than its unit, which divides 16.
        (self.front() + 15 + super::trailer::TRAILER + self.suite.icv_len()) as u16
    }

    /// Whether the MSS of TCP connections is to be clamped to [`OutboundSa::inner_mtu`].
    pub fn clamp_mss(&self) -> bool {
        self.sending.clamp_mss
    }

    /// The path MTU that routers told, while fresh.
    pub fn path_mtu(&self, now: Now) -> Option<u16> {
        self.sent.path_mtu.in_force(now)
    }

    /// Takes in an ICMP "too big" about packets of this SA (RFC 4301 8.2.1). Says whether it changed anything.
    pub fn learn_path_mtu(&self, claimed: u16, now: Now) -> bool {
        self.sent.path_mtu.learn(claimed, self.facts.remote.is_ipv6(), now)
    }

    /// Source and destination port when UDP carries it.
    pub fn udp_ports(&self) -> Option<(u16, u16)> {
        self.ports
    }

    /// The UDP ports and the moment from which a NAT keepalive is due, where the SA wants any (RFC 3948 4).
    pub(super) fn keepalive(&self) -> Option<((u16, u16), Now)> {
        match self.facts.carrier {
            Carrier::Udp { keepalive, .. } if keepalive > 0 => {
                let last = Now(self.sent.last.load(Relaxed));
                self.ports.zip(Some(last.plus_ms(u64::from(keepalive) * 1000)))
            }
            _ => None,
        }
    }

    /// What the operator sees. `tunnel` is the tunnel's name in this generation.
    pub fn status(&self, tunnel: &str, now: Now) -> SaStatus {
        SaStatus {
            traffic: self.sent.traffic.read(),
            sequence: self.sequence.next(),
            bound: self.sequence.limit(),
            drops: self.sent.drops.read(),
            path_mtu: self.path_mtu(now).map(u32::from),
            ..self.facts.status(tunnel)
        }
    }

    /// The last number it may use.
    pub(super) fn last_number(&self) -> u64 {
        last_number(self.extended)
    }
}
