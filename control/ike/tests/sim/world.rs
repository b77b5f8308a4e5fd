//! Two gateways with their packet processes in miniature, and what must always hold between them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::sa::Spi;
use ravelin_ike::status::Status;
use ravelin_ike::{
    Action, Answer, Ask, ChildSa, Code, Command, Endpoint, Event, IkeId, Input, Keep, Kept, Path, Policy,
    Random, Time,
};

use crate::network::{Datagram, Network};
use ravelin_ike::Installed as Standing;

/// Dice that fall the same way for the same seed (xorshift64*).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        (self.next() >> 16) % limit
    }

    pub(crate) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < u64::from(share)
    }

    pub(crate) fn up_to(&mut self, span: Duration) -> Duration {
        span.mul_f64(self.below(1 << 20) as f64 / f64::from(1 << 20))
    }
}

impl Random for Dice {
    fn fill(&mut self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let octets = self.next().to_be_bytes();
            chunk.copy_from_slice(&octets[..chunk.len()]);
        }
    }
}

/// A child in a packet process.
#[derive(Debug, Clone)]
pub(crate) struct Installed {
    pub(crate) sa: ChildSa,
    /// Whether packets go out under it.
    pub(crate) sends: bool,
    /// It will never send again.
    stopped: bool,
    since: u64,
}

/// The answers of the world outside.
pub(crate) type Oracle = Box<dyn Fn(&Ask) -> Answer>;

/// One gateway.
pub(crate) struct Host {
    pub(crate) endpoint: Endpoint,
    pub(crate) policy: Arc<Policy>,
    pub(crate) address: IpAddr,
    pub(crate) children: BTreeMap<Spi, Installed>,
    /// Inbound SPIs that were in use once and whose end the peer was told of, or should know of.
    dropped: HashSet<Spi>,
    pub(crate) events: Vec<Event>,
    pub(crate) assigned: Vec<IpAddr>,
    pub(crate) oracle: Option<Oracle>,
    timer: Option<Time>,
    installs: u64,
    /// What lies beside the process for its next run.
    kept: BTreeMap<IkeId, Kept>,
    /// The process ends while it does what the next input leads to.
    pub(crate) doom: Option<Doom>,
    /// At no moment may there be children and none that sends.
    pub(crate) never_mute: bool,
}

/// How far a process comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Doom {
    /// Children are installed, nothing is written down.
    BeforeRecord,
    /// It is written down; nothing is sent or removed.
    AfterRecord,
}

/// Both gateways, the network and the clock.
pub(crate) struct World {
    pub(crate) now: Time,
    pub(crate) dice: Dice,
    pub(crate) network: Network,
    pub(crate) hosts: [Host; 2],
    /// Answers that went out, repetitions apart: each ends one exchange.
    pub(crate) exchanges: u64,
    answered: HashSet<(u64, u64, u32, bool)>,
    /// What went out under each IV of each key.
    ivs: HashMap<(u64, u64, bool, u64), Vec<u8>>,
    /// Between two inner packets of a side.
    pub(crate) pace: Duration,
    /// Inner packets sent, and those that arrived where they could be opened.
    pub(crate) packets: (u64, u64),
    /// Whether both sides' knowledge may differ for now: a restart, or a peer that was given up.
    pub(crate) torn: bool,
    /// What happened last, for whoever must find out why.
    journal: std::collections::VecDeque<String>,
}

/// Octets that one of two sites may hold, whatever happens between them.
const BOUND: usize = 200_000;

pub(crate) const A: usize = 0;
pub(crate) const B: usize = 1;

impl World {
    pub(crate) fn new(seed: u64, a: Policy, b: Policy) -> Self {
        let mut dice = Dice::new(seed);
        let hosts = [host("192.0.2.1", a, &mut dice), host("198.51.100.1", b, &mut dice)];
        Self {
            now: Time::default(),
            dice,
            network: Network::new(),
            hosts,
            exchanges: 0,
            answered: HashSet::new(),
            ivs: HashMap::new(),
            pace: Duration::from_millis(250),
            packets: (0, 0),
            torn: false,
            journal: std::collections::VecDeque::new(),
        }
    }

    pub(crate) fn command(&mut self, at: usize, command: Command) {
        self.input(at, Input::Command(command));
    }

    pub(crate) fn input(&mut self, at: usize, input: Input) {
        let host = &mut self.hosts[at];
        let doom = host.doom.take();
        let actions = host.endpoint.handle(self.now, input, &mut self.dice);
        let (installs, others) =
            actions.into_iter().partition(|action| matches!(action, Action::InstallChild(_)));
        self.perform(at, installs);
        if doom == Some(Doom::BeforeRecord) {
            return self.resume(at);
        }
        let host = &mut self.hosts[at];
        for keep in host.endpoint.records(self.now) {
            match keep {
                Keep::Put(kept) => drop(host.kept.insert(kept.ike, kept)),
                Keep::Drop(ike) => assert!(host.kept.remove(&ike).is_some(), "nothing was kept of {ike}"),
            }
        }
        match doom {
            Some(_) => self.resume(at),
            None => self.perform(at, others),
        }
    }

    /// The process of one gateway ends without a word and goes on from what it had kept. Its packet process goes on meanwhile.
    pub(crate) fn resume(&mut self, at: usize) {
        let host = &mut self.hosts[at];
        // What was not established cannot go on, and the peer may take it for standing.
        self.torn |= !host.endpoint.states().iter().all(|(ike, _)| host.kept.contains_key(ike));
        host.endpoint = Endpoint::new(self.now, Arc::clone(&host.policy), &mut self.dice);
        host.endpoint.keep_records();
        host.timer = None;
        let kept = host.kept.values().cloned().collect();
        let installed =
            host.children.iter().map(|(spi, child)| Standing { inbound: *spi, sends: child.sends });
        let installed: Vec<_> = installed.collect();
        let policy = Arc::clone(&host.policy);
        let actions = host.endpoint.restore(self.now, &policy, kept, &installed);
        let known: HashSet<Spi> = self.inbound(at);
        let host = &mut self.hosts[at];
        let before = host.children.len();
        host.children.retain(|spi, _| known.contains(spi));
        self.torn |= host.children.len() < before;
        assert!(
            known.iter().all(|spi| host.children.contains_key(spi)),
            "a record is of a child that is not there"
        );
        self.perform(at, actions);
        self.input(at, Input::Timer);
    }

    /// Inbound SPIs of the children that IKE knows.
    fn inbound(&self, at: usize) -> HashSet<Spi> {
        let statuses = self.statuses(at);
        statuses.iter().flat_map(|status| status.children.iter().map(|child| child.inbound)).collect()
    }

    /// Does what the core wants; or what it should not have wanted.
    pub(crate) fn perform(&mut self, at: usize, actions: Vec<Action>) {
        let apart = |event: &Event| event.code == Code::PeerSilent || event.text.contains("begun anew");
        let broken = actions.iter().any(|action| matches!(action, Action::Event(event) if apart(event)));
        self.torn |= broken;
        for action in actions {
            self.note(at, &action);
            match action {
                Action::Send { local, remote, bytes } => {
                    self.count(&bytes);
                    let datagram = Datagram { source: local, destination: remote, bytes };
                    self.network.send(self.now, datagram, &mut self.dice);
                }
                Action::InstallChild(sa) => self.install(at, *sa),
                Action::UseChild { inbound } => self.change(at, inbound, |child| child.sends = true),
                Action::StopSending { inbound } => self.change(at, inbound, |child| {
                    child.sends = false;
                    child.stopped = true;
                }),
                Action::RemoveChild { inbound } => {
                    let host = &mut self.hosts[at];
                    assert!(
                        host.children.remove(&inbound).is_some(),
                        "removed {inbound}, which was not there"
                    );
                    if !broken {
                        host.dropped.insert(inbound);
                    }
                    let mute = !host.children.values().any(|child| child.sends);
                    assert!(!(host.never_mute && mute), "nothing sends for a moment");
                }
                Action::MoveChild { inbound, path, udp } => self.change(at, inbound, |child| {
                    child.sa.path = path;
                    child.sa.udp = udp;
                }),
                Action::Assigned(assignment) => self.hosts[at].assigned = assignment.addresses,
                Action::Ask { question, ike, ask } => {
                    let oracle = self.hosts[at].oracle.as_ref().expect("somebody must know");
                    let answer = oracle(&ask);
                    self.input(at, Input::Answer { ike, question, answer });
                }
                Action::Event(event) => self.hosts[at].events.push(event),
                Action::SetTimer(timer) => self.hosts[at].timer = timer,
            }
        }
    }

    fn note(&mut self, at: usize, action: &Action) {
        let what = match action {
            Action::Send { bytes, .. } => format!("sends {}", crate::transitions::label(bytes)),
            Action::InstallChild(sa) => {
                format!(
                    "installs {} out {} for {:?} at once {}",
                    sa.inbound, sa.outbound, sa.replaces, sa.use_at_once
                )
            }
            Action::SetTimer(_) | Action::Ask { .. } => return,
            other => format!("{other:?}"),
        };
        if self.journal.len() > 20_000 {
            self.journal.pop_front();
        }
        let millis = self.now.as_micros() / 1000;
        self.journal.push_back(format!("{millis:>8} {} {what}", ["A", "B"][at]));
    }

    fn journal(&self) -> String {
        self.journal.iter().map(String::as_str).collect::<Vec<_>>().join("\n")
    }

    fn change(&mut self, at: usize, inbound: Spi, change: impl FnOnce(&mut Installed)) {
        let child = self.hosts[at].children.get_mut(&inbound);
        change(child.unwrap_or_else(|| panic!("{inbound} is not there")));
    }

    fn install(&mut self, at: usize, sa: ChildSa) {
        let host = &mut self.hosts[at];
        host.installs += 1;
        let child = Installed { sends: sa.use_at_once, stopped: false, since: host.installs, sa };
        let inbound = child.sa.inbound;
        assert!(host.children.insert(inbound, child).is_none(), "SPI {inbound} twice in use");
        host.dropped.remove(&inbound);
    }

    /// Counts answers that have not been sent before.
    fn count(&mut self, bytes: &[u8]) {
        let number = |at: usize| u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight octets"));
        let response = bytes[19] & 0x20 != 0;
        let id = u32::from_be_bytes(bytes[20..24].try_into().expect("four octets"));
        self.check_iv((number(0), number(8), bytes[19] & 8 != 0), bytes);
        if response && self.answered.insert((number(0), number(8), id, bytes[19] & 8 != 0)) {
            self.exchanges += 1;
        }
    }

    /// Nothing of its own accord happens at a host until the next input.
    pub(crate) fn hold(&mut self, at: usize) {
        self.hosts[at].timer = None;
    }

    /// No IV is used for two messages, whatever happens to the process in between. Additional key exchanges change the key under the
    /// same SPIs, so theirs are left out.
    fn check_iv(&mut self, (initiator, responder, side): (u64, u64, bool), bytes: &[u8]) {
        const INTERMEDIATE: u8 = 43;
        let at = match bytes[16] {
            46 => 32,
            53 => 36,
            _ => return,
        };
        if bytes[18] == INTERMEDIATE {
            return;
        }
        let iv = u64::from_be_bytes(bytes[at..at + 8].try_into().expect("eight octets"));
        let before = self.ivs.entry((initiator, responder, side, iv)).or_insert_with(|| bytes.to_vec());
        assert!(before == bytes, "IV {iv} of {initiator:x} and {responder:x} was used for two messages");
    }

    /// Lets time pass, with an inner packet each way every so often.
    pub(crate) fn run(&mut self, span: Duration) {
        let end = self.now + span;
        let mut next_packet = self.now;
        let mut steps = 0;
        loop {
            let timers = self.hosts.iter().filter_map(|host| host.timer);
            let next = timers.chain(self.network.next()).min().map(|due| due.max(self.now));
            if next_packet <= next.unwrap_or(end).min(end) {
                self.now = next_packet;
                next_packet = next_packet + self.pace;
                self.packet(A);
                self.packet(B);
                continue;
            }
            let Some(due) = next.filter(|due| *due <= end) else {
                self.now = end;
                return;
            };
            steps = if due == self.now { steps + 1 } else { 0 };
            assert!(steps < 10_000, "time stands still\n{}", self.log());
            self.now = due;
            self.step();
        }
    }

    fn step(&mut self) {
        while let Some(datagram) = self.network.arrive(self.now) {
            let path = Path { local: datagram.destination, remote: datagram.source };
            let at = self.hosts.iter().position(|host| host.address == path.local.ip());
            if let Some(at) = at {
                self.input(at, Input::Datagram { path, bytes: datagram.bytes });
            }
        }
        for at in [A, B] {
            if self.hosts[at].timer.is_some_and(|due| due <= self.now) {
                self.hosts[at].timer = None;
                self.input(at, Input::Timer);
            }
        }
    }

    /// One inner packet: under the child that a packet process would take, the newest that may send.
    fn packet(&mut self, at: usize) {
        let newest =
            self.hosts[at].children.values().filter(|child| child.sends).max_by_key(|child| child.since);
        let Some(child) = newest.cloned() else { return };
        self.packets.0 += 1;
        let (mine, theirs) = (child.sa.outbound, child.sa.outbound_transform.clone());
        match self.hosts[1 - at].children.get_mut(&mine) {
            Some(other) => {
                assert_eq!(other.sa.inbound_transform, theirs, "both sides hold other keys");
                self.packets.1 += 1;
                // The first authentic packet under a new child says that the peer is ready for it (RFC 7296 2.8).
                other.sends |= !other.stopped;
            }
            None if self.torn => {}
            None => {
                assert!(
                    !self.hosts[1 - at].dropped.contains(&mine),
                    "host {at}: a packet under {mine}, which the peer has dropped\n{}",
                    self.journal()
                );
                assert!(
                    child.sa.replaces.is_none(),
                    "host {at}: the successor {mine} is used before the peer has it\n{}",
                    self.journal()
                );
            }
        }
    }

    /// The process of one gateway ends without a word and begins anew, without its SAs.
    pub(crate) fn restart(&mut self, at: usize) {
        self.torn = true;
        let policy = Arc::clone(&self.hosts[at].policy);
        let host = &mut self.hosts[at];
        host.endpoint = Endpoint::new(self.now, policy, &mut self.dice);
        host.endpoint.keep_records();
        host.children.clear();
        host.dropped.clear();
        host.kept.clear();
        host.timer = None;
        self.input(at, Input::Timer);
    }

    pub(crate) fn statuses(&self, at: usize) -> Vec<Status> {
        let mut list: Vec<Status> = self.hosts[at].endpoint.statuses().collect();
        list.sort_by_key(|status| status.ike);
        list
    }

    pub(crate) fn only(&self, at: usize) -> Status {
        let mut list = self.statuses(at);
        assert_eq!(list.len(), 1, "not one IKE SA: {list:#?}\n{}", self.log());
        list.remove(0)
    }

    /// The IKE SA's name here.
    pub(crate) fn ike(&self, at: usize) -> IkeId {
        self.only(at).ike
    }

    pub(crate) fn saw(&self, at: usize, code: Code) -> bool {
        self.hosts[at].events.iter().any(|event| event.code == code)
    }

    pub(crate) fn log(&self) -> String {
        let of = |host: &Host| {
            let lines = host.events.iter().map(|event| format!("  {} {}", event.code.as_str(), event.text));
            lines.collect::<Vec<_>>().join("\n")
        };
        format!("first:\n{}\nsecond:\n{}", of(&self.hosts[A]), of(&self.hosts[B]))
    }

    /// Neither side holds more than two sites can need.
    pub(crate) fn assert_bounded(&self) {
        let held = self.hosts.iter().map(|host| host.endpoint.memory()).max().unwrap_or(0);
        assert!(held < BOUND, "{held} octets for what two sites need");
    }

    /// Both sides know the same IKE SAs and the same children, and their packet processes too.
    pub(crate) fn assert_agreed(&self) {
        if let Some(what) = self.disagreement() {
            panic!("{what}\n{}\n{}", self.log(), self.journal());
        }
    }

    /// What both sides know is the same again, and nothing is on its way: from here on nothing is forgiven.
    pub(crate) fn heal(&mut self) {
        if self.torn && self.network.next().is_none() && self.disagreement().is_none() {
            self.torn = false;
            self.hosts.iter_mut().for_each(|host| host.dropped.clear());
        }
    }

    fn disagreement(&self) -> Option<String> {
        let [a, b] = [A, B].map(|at| {
            self.statuses(at).into_iter().map(|status| (status.spis, status)).collect::<BTreeMap<_, _>>()
        });
        if !a.keys().eq(b.keys()) {
            return Some(format!("the sides know other IKE SAs: {:x?} and {:x?}", a.keys(), b.keys()));
        }
        for (spis, ours) in &a {
            let pair = |child: &ravelin_ike::status::ChildStatus| (child.inbound, child.outbound);
            let first: HashSet<_> = ours.children.iter().map(pair).collect();
            let second: HashSet<_> = b[spis].children.iter().map(pair).map(|(i, o)| (o, i)).collect();
            if first != second {
                return Some(format!("the sides know other children of {spis:x?}: {first:?} and {second:?}"));
            }
        }
        [A, B].into_iter().find_map(|at| {
            let host = &self.hosts[at];
            let known = self.inbound(at);
            let installed: HashSet<Spi> = host.children.keys().copied().collect();
            if known != installed {
                return Some(format!(
                    "host {at}: IKE and packet process differ: {known:?} and {installed:?}"
                ));
            }
            (host.endpoint.spis() != known.len()).then(|| format!("host {at}: SPIs leak"))
        })
    }
}

fn host(address: &str, policy: Policy, dice: &mut Dice) -> Host {
    let policy = Arc::new(policy);
    let mut endpoint = Endpoint::new(Time::default(), Arc::clone(&policy), dice);
    endpoint.keep_records();
    Host {
        endpoint,
        policy,
        address: address.parse().expect("an address"),
        children: BTreeMap::new(),
        dropped: HashSet::new(),
        events: Vec::new(),
        assigned: Vec::new(),
        oracle: None,
        timer: Some(Time::default()),
        installs: 0,
        kept: BTreeMap::new(),
        doom: None,
        never_mute: false,
    }
}

/// The end of a host at one port.
pub(crate) fn end(address: &str, port: u16) -> SocketAddr {
    SocketAddr::new(address.parse().expect("an address"), port)
}
