//! What is done with an endpoint by anyone: datagrams, also sealed with the right keys, in any state and order. Nothing may
//! panic, nothing that is not sealed may touch a child, memory stays bounded, and everything ends.

pub(crate) mod clear;
mod login;
mod mallory;
mod papers;
mod rules;
pub(crate) mod states;

use std::collections::{HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use mallory::{CHILD, Mallory, PASSWORD};
use ravelin_contract::sa::Spi;
use ravelin_contract::secret::Secret;
use ravelin_ike::crypto::{Group, Random};
use ravelin_ike::sealed::Plain;
use ravelin_ike::wire::{
    Delete, Eap, ExchangeType, Notify, NotifyType, Payload, PayloadType, ProtocolId, write_chain,
};
use ravelin_ike::{Action, Answer, Ask, Command, Endpoint, IkeId, Input, Path, Time};
use rules::{Proofs, name, policy};

/// Every exchange, and one that does not exist.
const EXCHANGES: [ExchangeType; 8] = [
    ExchangeType::Informational,
    ExchangeType::CreateChildSa,
    ExchangeType::IkeAuth,
    ExchangeType::Intermediate,
    ExchangeType::FollowupKe,
    ExchangeType::IkeSaInit,
    ExchangeType::SessionResume,
    ExchangeType::Unknown(77),
];

/// Octets that stand for dice.
struct Dice(u64);

impl Random for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        for octet in out {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            *octet = (self.0 >> 33) as u8;
        }
    }
}

/// The octets of one input, taken from the front; beyond the end are zeros.
struct Script<'a>(&'a [u8]);

impl<'a> Script<'a> {
    fn octet(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    fn octets(&mut self) -> &'a [u8] {
        let length = usize::from(self.octet()) | usize::from(self.octet()) << 8;
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}

/// The endpoint under test, and everybody else.
struct Stage {
    endpoint: Endpoint,
    mallory: Mallory,
    ours: SocketAddr,
    now: Time,
    timer: Option<Time>,
    dice: Dice,
    children: HashSet<Spi>,
    /// Datagrams that went either way.
    seen: Vec<Vec<u8>>,
    proofs: Proofs,
    /// Whether questions wait here; otherwise they are answered at once.
    world_waits: bool,
    questions: VecDeque<(IkeId, u64, Ask)>,
}

impl Stage {
    fn new(initiator: bool, proofs: Proofs) -> Self {
        let ours: SocketAddr = ([192, 0, 2, 1], 500).into();
        let theirs: SocketAddr = ([198, 51, 100, 1], 500).into();
        let mut dice = Dice(7);
        let policy = Arc::new(policy(ours, theirs, initiator, proofs));
        Self {
            endpoint: Endpoint::new(Time::default(), policy, &mut dice),
            mallory: Mallory::new(theirs, initiator, proofs),
            ours,
            now: Time::default(),
            timer: None,
            dice,
            children: HashSet::new(),
            seen: Vec::new(),
            proofs,
            world_waits: false,
            questions: VecDeque::new(),
        }
    }

    /// One input; `trusted` when it may touch children. Gives what the endpoint sent.
    fn input(&mut self, input: Input, trusted: bool) -> Vec<Vec<u8>> {
        let mut sent = Vec::new();
        let actions = self.endpoint.handle(self.now, input, &mut self.dice);
        for action in actions {
            match action {
                Action::Send { bytes, .. } => sent.push(bytes),
                Action::InstallChild(sa) => {
                    assert!(trusted, "a stranger made a child");
                    assert!(self.children.insert(sa.inbound), "an SPI twice in use");
                }
                Action::RemoveChild { inbound } => {
                    assert!(trusted, "a stranger removed a child");
                    assert!(self.children.remove(&inbound), "what is not there is removed");
                }
                Action::UseChild { inbound }
                | Action::StopSending { inbound }
                | Action::MoveChild { inbound, .. } => {
                    assert!(trusted, "a stranger changed a child");
                    assert!(self.children.contains(&inbound), "what is not there is changed");
                }
                Action::Ask { question, ike, ask } if self.world_waits => {
                    self.questions.push_back((ike, question, ask));
                }
                Action::Ask { question, ike, ask } => {
                    let answer = known(&ask);
                    sent.extend(self.input(Input::Answer { ike, question, answer }, trusted));
                }
                Action::SetTimer(timer) => self.timer = timer,
                Action::Assigned(_) | Action::Event(_) => {}
            }
        }
        assert!(sent.len() <= 200, "{} datagrams for one input", sent.len());
        assert!(self.endpoint.memory() < 1 << 20, "{} octets are held", self.endpoint.memory());
        for bytes in &sent {
            self.mallory.open(bytes);
            self.keep(bytes);
        }
        sent
    }

    fn keep(&mut self, bytes: &[u8]) {
        if self.seen.len() < 64 {
            self.seen.push(bytes.to_vec());
        }
    }

    /// What is due by itself comes first, so that the datagram is not blamed for it.
    fn datagram(&mut self, bytes: Vec<u8>, remote: SocketAddr, trusted: bool) -> Vec<Vec<u8>> {
        self.pass(Duration::ZERO);
        self.input(Input::Datagram { path: Path { local: self.ours, remote }, bytes }, trusted)
    }

    /// Sends under the right keys.
    fn say(
        &mut self,
        exchange: ExchangeType,
        id: u32,
        response: bool,
        plain: &Plain,
        limit: usize,
    ) -> Vec<Vec<u8>> {
        let datagrams = self.mallory.seal(exchange, id, response, plain, limit, &mut self.dice);
        let mut sent = Vec::new();
        for bytes in datagrams {
            self.keep(&bytes);
            sent.extend(self.datagram(bytes, self.mallory.at, true));
        }
        sent
    }

    fn request(&mut self, exchange: ExchangeType, payloads: &[Payload<'_>]) -> Vec<Vec<u8>> {
        let Ok(plain) = Plain::write(payloads) else { return Vec::new() };
        let id = self.mallory.next_id;
        self.mallory.next_id = id.wrapping_add(1);
        self.say(exchange, id, false, &plain, usize::MAX)
    }

    fn respond(&mut self, payloads: &[Payload<'_>]) {
        let Some((id, exchange)) = self.mallory.asked else { return };
        if let Ok(plain) = Plain::write(payloads) {
            self.say(exchange, id, true, &plain, usize::MAX);
        }
    }

    /// An honest beginning, so far: 0 not at all, 1 up to IKE_SA_INIT, 2 up to IKE_AUTH.
    fn begin(&mut self, how_far: u8, initiator: bool) {
        if how_far == 0 {
            return;
        }
        if initiator {
            let first = self.mallory.begin(&mut self.dice);
            let answers = self.datagram(first, self.mallory.at, false);
            answers.first().map(|answer| self.mallory.meet(answer, &mut self.dice));
            if how_far > 1 {
                let proof = self.mallory.first_auth(self.proofs, &mut self.dice);
                self.request(ExchangeType::IkeAuth, &proof);
            }
            return;
        }
        let asked = self.input(Input::Command(Command::Up { peer: name("mallory") }), true);
        let answer = asked.first().and_then(|first| self.mallory.meet(first, &mut self.dice));
        if let Some(answer) = answer {
            self.datagram(answer, self.mallory.at, false);
        }
        if how_far > 1 {
            let proof = self.mallory.first_auth(self.proofs, &mut self.dice);
            self.respond(&proof);
        }
    }

    /// The peer's next message of a log-in by EAP.
    fn log_in(&mut self, initiator: bool) {
        let payloads = self.mallory.log_in(&mut self.dice);
        match initiator {
            true => drop(self.request(ExchangeType::IkeAuth, &payloads)),
            false => self.respond(&payloads),
        }
    }

    /// An honest beginning with a peer that may move (RFC 4555).
    fn begin_mobile(&mut self, initiator: bool) {
        self.begin(1, initiator);
        let mobile = Notify::new(NotifyType::MobikeSupported, Vec::new());
        let payloads = [self.mallory.proof(), vec![Payload::Notify(mobile)]].concat();
        match initiator {
            true => drop(self.request(ExchangeType::IkeAuth, &payloads)),
            false => self.respond(&payloads),
        }
    }

    /// A chain of the fuzzer's own, of payloads that an honest peer sends, or of both.
    fn chain(&mut self, script: &mut Script<'_>) -> Plain {
        let kind = script.octet();
        let mut octets = Vec::new();
        let group = (kind & 1 != 0).then_some(Group::Curve25519);
        let mut payloads: Vec<Payload<'static>> = Vec::new();
        let spi = CHILD.wrapping_add(u32::from(script.octet()));
        match kind >> 4 {
            1 => payloads = self.mallory.child(spi, group, false),
            2 => payloads = self.mallory.child(spi, group, true),
            3 => payloads.push(Payload::Delete(Delete::Ike)),
            4 => payloads
                .push(Payload::Delete(Delete::Children { protocol: ProtocolId::Esp, spis: vec![spi] })),
            5 => {
                let number = u16::from(script.octet()) | u16::from(script.octet()) << 8;
                payloads.push(Payload::Notify(Notify::new(number.into(), script.octets().to_vec())));
            }
            6 => {
                let about = Notify::about_child(NotifyType::RekeySa, ProtocolId::Esp, spi);
                payloads.push(Payload::Notify(about));
                payloads.extend(self.mallory.child(spi.wrapping_add(256), group, false));
            }
            7 => payloads = self.mallory.proof(),
            8 => {
                let proposal = mallory::suite().to_proposal(
                    1,
                    ravelin_ike::wire::ProposalSpi::Ike(ravelin_ike::wire::IkeSpi(u64::from(spi))),
                );
                let proposals = vec![proposal];
                payloads
                    .push(Payload::SecurityAssociation(ravelin_ike::wire::SecurityAssociation { proposals }));
            }
            9 => payloads.push(self.mallory.configuration()),
            10 => payloads = self.mallory.first_auth(self.proofs, &mut self.dice),
            11 => payloads = self.mallory.log_in(&mut self.dice),
            12 => payloads.extend(Eap::parse(script.octets()).ok().map(|eap| Payload::Eap(eap.into_owned()))),
            13 => payloads = self.mallory.child_that_goes_on(spi, kind & 1 != 0, &mut self.dice),
            14 => payloads = self.mallory.share_that_follows(&mut self.dice),
            _ => {}
        }
        if kind & 2 != 0 {
            payloads.extend(self.mallory.exchange(Group::Curve25519, &mut self.dice));
        }
        let own = kind & 4 != 0;
        let first = if own { PayloadType::from(script.octet()) } else { PayloadType::None };
        let first = write_chain(&payloads, first, &mut octets).unwrap_or(PayloadType::None);
        if own {
            octets.extend_from_slice(script.octets());
        }
        Plain::of_chain(first, octets)
    }

    fn step(&mut self, script: &mut Script<'_>) {
        let what = script.octet();
        let exchange = EXCHANGES[usize::from(what >> 5)];
        match what & 7 {
            0 => {
                let remote = if what & 8 == 0 {
                    self.mallory.at
                } else {
                    ([203, 0, 113, script.octet()], 4500).into()
                };
                self.datagram(script.octets().to_vec(), remote, false);
            }
            1 | 2 => {
                let plain = self.chain(script);
                let id = self.mallory.next_id.wrapping_add(if what & 8 == 0 {
                    0
                } else {
                    u32::from(script.octet())
                });
                self.mallory.next_id = self.mallory.next_id.wrapping_add(1);
                let limit = if what & 16 == 0 { usize::MAX } else { 120 };
                self.say(exchange, id, false, &plain, limit);
            }
            3 => {
                let plain = self.chain(script);
                let (id, asked) = self.mallory.asked.unwrap_or((0, exchange));
                let exchange = if what & 8 == 0 { asked } else { exchange };
                let limit = if what & 16 == 0 { usize::MAX } else { 120 };
                self.say(exchange, id, true, &plain, limit);
            }
            4 => drop(self.command(script.octet())),
            5 => self.pass(Duration::from_millis(1 << (script.octet() % 18))),
            6 => {
                let at = usize::from(script.octet());
                let Some(mut bytes) = self.seen.get(at % self.seen.len().max(1)).cloned() else { return };
                let changed = script.octet();
                let whole = changed == 0;
                if !whole {
                    let length = bytes.len();
                    bytes[usize::from(script.octet()) * length / 256] ^= changed;
                }
                self.datagram(bytes, self.mallory.at, whole);
            }
            _ => {
                self.mallory.at =
                    ([198, 51, 100, 1 + (what >> 3) % 3], 500 + u16::from(what >> 6) * 4000).into();
            }
        }
    }

    /// Gives what the endpoint sent.
    fn command(&mut self, which: u8) -> Vec<Vec<u8>> {
        let ike = self.endpoint.states().first().map(|(ike, _)| *ike);
        let child = self.children.iter().min().copied();
        let peer = name("mallory");
        let command = match (which % 12, ike, child) {
            (0, ..) => Command::Up { peer },
            (1, Some(ike), _) => Command::Rekey { ike },
            (2, _, Some(inbound)) => Command::RekeyChild { inbound },
            (3, _, Some(inbound)) => Command::DownChild { inbound },
            (4, Some(ike), _) => Command::Probe { ike },
            (5, Some(ike), _) => Command::Reauthenticate { ike },
            (6, Some(ike), _) => Command::Redirect { ike, gateway: [203, 0, 113, 9].into() },
            (7, _, Some(inbound)) => Command::PeerMoved { inbound, remote: ([203, 0, 113, 8], 4500).into() },
            (8, ..) => {
                let remote = self.mallory.at.ip();
                Command::AddressChanged { old: self.ours.ip(), new: [192, 0, 2, 2].into(), remote }
            }
            (9, Some(ike), _) => Command::Down { ike },
            (10 | 11, ..) => return self.world_answers(which % 12 == 10),
            _ => return Vec::new(),
        };
        self.input(Input::Command(command), true)
    }

    /// The oldest question is answered.
    fn world_answers(&mut self, knows: bool) -> Vec<Vec<u8>> {
        let Some((ike, question, ask)) = self.questions.pop_front() else { return Vec::new() };
        let answer = if knows { known(&ask) } else { Answer::Refused("nobody knows".into()) };
        self.input(Input::Answer { ike, question, answer }, true)
    }

    fn pass(&mut self, span: Duration) {
        let end = self.now + span;
        for _ in 0..2000 {
            let Some(due) = self.timer.filter(|due| *due <= end) else { break };
            self.now = due.max(self.now);
            self.timer = None;
            self.input(Input::Timer, true);
        }
        self.now = end;
    }
}

impl Stage {
    /// Longer than every patience, with a peer that says no more: nothing is left.
    fn end(&mut self) {
        self.pass(Duration::from_secs(1200));
        assert_eq!(self.endpoint.half_open(), 0, "strangers are forgotten");
        assert!(self.endpoint.is_empty(), "a silent peer is given up: {:?}", self.endpoint.states());
        let left = (self.children.len(), self.endpoint.spis());
        assert_eq!(left, (0, 0), "children in the packet process, and SPIs, are left behind");
    }
}

/// What is known outside.
fn known(ask: &Ask) -> Answer {
    match ask {
        Ask::Password { .. } => Answer::Password(Secret::new(PASSWORD.into())),
        Ask::Verify { .. } => papers::believed(),
        Ask::Sign { schemes, .. } => Answer::Signature {
            scheme: schemes[0],
            signature: vec![7; 64],
            chain: vec![vec![0x30, 1, 0]],
            good_for: None,
        },
        Ask::Tls { .. } => Answer::Tls(papers::server()),
        Ask::TlsLogIn { .. } => Answer::TlsLogIn(papers::client()),
    }
}

/// One life of an endpoint, as the octets say.
pub(crate) fn ike_endpoint(data: &[u8]) {
    let mut script = Script(data);
    let first = script.octet();
    let initiator = first & 1 == 0;
    let proofs = Proofs::ALL[usize::from(first >> 3 & 15) % Proofs::ALL.len()];
    let mut stage = Stage::new(initiator, proofs);
    stage.world_waits = first & 0x80 != 0;
    stage.begin((first >> 1 & 3).min(2), initiator);
    for _ in 0..24 {
        if script.0.is_empty() {
            break;
        }
        stage.step(&mut script);
    }
    stage.end();
}
