//! The initiators without sockets or clock: datagrams in, datagrams out.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::{Context, Result};
use ravelin_ike::crypto::SystemRandom;
use ravelin_ike::policy::Policy;
use ravelin_ike::{Action, Answer, Command, Endpoint, IkeId, Input, Path, Time};

use super::{CERTIFIED, Kind, Papers, Target, rules};

/// An IKE message with its ends, seen from who sends it.
#[derive(Debug)]
pub struct Datagram {
    /// From.
    pub local: SocketAddr,
    /// To.
    pub remote: SocketAddr,
    /// The message.
    pub bytes: Vec<u8>,
}

/// One of them: an endpoint of its own, so that none costs more because there are others.
struct Initiator {
    endpoint: Endpoint,
    ike: IkeId,
    timer: Option<Time>,
}

/// All of them.
pub struct Crowd {
    target: Target,
    papers: Option<Papers>,
    /// By our SPI, with which every message to us begins.
    all: HashMap<u64, Initiator>,
    timers: BTreeSet<(Time, u64)>,
    /// Whether each ends as soon as it stands.
    leaves: bool,
    begun: u32,
    standing: u32,
    ended: u32,
    out: Vec<Datagram>,
}

impl Crowd {
    /// None has begun. Each ends as soon as it stands if it `leaves`.
    pub fn new(target: Target, leaves: bool) -> Result<Self> {
        let papers = match (target.kind, &target.papers) {
            (Kind::Certificate, folder) => {
                let folder = folder.as_ref().context("certificates need a folder")?;
                Some(Papers::read(folder, CERTIFIED, false)?)
            }
            _ => None,
        };
        Ok(Self {
            target,
            papers,
            all: HashMap::new(),
            timers: BTreeSet::new(),
            leaves,
            begun: 0,
            standing: 0,
            ended: 0,
            out: Vec::new(),
        })
    }

    /// Those that have begun.
    pub fn begun(&self) -> u32 {
        self.begun
    }

    /// Those whose child stands.
    pub fn standing(&self) -> u32 {
        self.standing
    }

    /// Those that stood, and have ended.
    pub fn ended(&self) -> u32 {
        self.ended
    }

    /// Those that are not yet what they are to be.
    pub fn under_way(&self) -> usize {
        let done = if self.leaves { self.ended } else { self.standing };
        (self.begun - done) as usize
    }

    /// What is to be sent.
    pub fn sent(&mut self) -> Vec<Datagram> {
        std::mem::take(&mut self.out)
    }

    /// One more begins.
    pub fn begin(&mut self, now: Time) -> Result<()> {
        let peer = rules::initiator(&self.target, self.begun)?;
        self.begun += 1;
        let up = Command::Up { peer: peer.name.clone() };
        let policy = Arc::new(Policy { peers: vec![Arc::new(peer)], ..Policy::default() });
        let mut endpoint = Endpoint::new(now, policy, &mut SystemRandom);
        let actions = endpoint.handle(now, Input::Command(up), &mut SystemRandom);
        let (ike, _) = *endpoint.states().first().context("nothing has begun")?;
        self.all.insert(ike.0, Initiator { endpoint, ike, timer: None });
        self.act(now, ike.0, actions);
        Ok(())
    }

    /// A message has come; what is for none of them is nobody's.
    pub fn receive(&mut self, now: Time, path: Path, bytes: Vec<u8>) {
        let spi = bytes.first_chunk().map(|spi| u64::from_be_bytes(*spi));
        if let Some(spi) = spi {
            self.handle(now, spi, Input::Datagram { path, bytes });
        }
    }

    /// The time goes on.
    pub fn tick(&mut self, now: Time) {
        while let Some((due, spi)) = self.timers.first().copied().filter(|(due, _)| *due <= now) {
            self.timers.remove(&(due, spi));
            if let Some(one) = self.all.get_mut(&spi) {
                one.timer = None;
            }
            self.handle(now, spi, Input::Timer);
        }
    }

    fn handle(&mut self, now: Time, spi: u64, input: Input) {
        let Some(one) = self.all.get_mut(&spi) else { return };
        let actions = one.endpoint.handle(now, input, &mut SystemRandom);
        self.act(now, spi, actions);
    }

    fn act(&mut self, now: Time, spi: u64, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send { local, remote, bytes } => self.out.push(Datagram { local, remote, bytes }),
                Action::InstallChild(_) => self.stands(now, spi),
                Action::RemoveChild { .. } => {
                    self.standing -= 1;
                    self.ended += 1;
                    // It lingers for repetitions only, which nobody needs here.
                    self.remove(spi);
                }
                Action::Ask { question, ike, ask } => {
                    let none = || Answer::Refused("there are no certificates here".to_owned());
                    let answer = self.papers.as_ref().map_or_else(none, |papers| papers.answer(&ask));
                    self.handle(now, spi, Input::Answer { ike, question, answer });
                }
                Action::SetTimer(timer) => self.set_timer(spi, timer),
                _ => {}
            }
        }
    }

    fn stands(&mut self, now: Time, spi: u64) {
        self.standing += 1;
        if let Some(ike) = self.all.get(&spi).map(|one| one.ike).filter(|_| self.leaves) {
            self.handle(now, spi, Input::Command(Command::Down { ike }));
        }
    }

    fn set_timer(&mut self, spi: u64, timer: Option<Time>) {
        let Some(one) = self.all.get_mut(&spi) else { return };
        if let Some(old) = std::mem::replace(&mut one.timer, timer) {
            self.timers.remove(&(old, spi));
        }
        self.timers.extend(timer.map(|timer| (timer, spi)));
    }

    fn remove(&mut self, spi: u64) {
        if let Some(Initiator { timer: Some(timer), .. }) = self.all.remove(&spi) {
            self.timers.remove(&(timer, spi));
        }
    }
}
