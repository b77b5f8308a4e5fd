//! The thread that drives the protocol core: what knocks becomes inputs, and actions are done in their order.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use ravelin_contract::child::Happening;
use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;
use ravelin_events::tell;
use ravelin_ike::crypto::SystemRandom;
use ravelin_ike::{Begun, Command, Done, Endpoint, IkeId, Input, Installed, Time};

use super::addresses;
use super::authority::{Authority, Hashes};
use super::deeds::Deeds;
use super::key_log::KeyLog;
use super::link::Link;
use super::pool::Pool;
use super::records::{Places, Records};
use super::sockets::Sockets;
use super::view::IkeSa;
use super::{Datagram, Door, Knock, Question};
use crate::policy::peers::{Ike, PORT};
use crate::policy::whom::Whom;

/// Longest sleep without a timer.
const REST: Duration = Duration::from_secs(3600);

/// Jobs of strangers that may wait for a thread; while there are more, strangers are not listened to.
const STRANGE_JOBS: usize = 256;

/// What is to be done next.
enum Next {
    Knock(Knock),
    Datagram(Datagram),
    /// The timer has run out.
    Timer,
}

/// Everything that IKE needs of the world.
pub(super) struct Driver {
    pub(super) endpoint: Endpoint,
    pub(super) door: Door,
    doorway: Receiver<Knock>,
    /// Knocks that had to wait until no job was under way.
    postponed: VecDeque<Knock>,
    pub(super) ike: Ike,
    /// The peer that each tunnel is negotiated with.
    pub(super) peers: HashMap<Name, Name>,
    pub(super) sockets: Sockets,
    pub(super) pool: Pool,
    pub(super) link: Link,
    pub(super) authority: Authority,
    pub(super) timer: Option<Time>,
    pub(super) deeds: Deeds,
    pub(super) records: Records,
    random: SystemRandom,
    pub(super) key_log: KeyLog,
}

impl Driver {
    pub(super) fn new(
        (door, doorway): (Door, Receiver<Knock>),
        link: Link,
        pool: Pool,
        authority: Authority,
        places: Places,
    ) -> Self {
        let (ike, mut random) = (Ike::default(), SystemRandom);
        Self {
            endpoint: Endpoint::new(now(), ike.policy.clone(), &mut random),
            ike,
            peers: HashMap::new(),
            sockets: Sockets::new(),
            door,
            doorway,
            postponed: VecDeque::new(),
            pool,
            link,
            authority,
            timer: None,
            deeds: Deeds::default(),
            records: Records::new(places),
            random,
            key_log: KeyLog::open(),
        }
    }

    /// Until the process ends.
    pub(super) fn run(mut self) {
        loop {
            match self.next() {
                Next::Knock(knock) => self.answer(knock),
                Next::Datagram(Datagram { path, bytes }) => self.handle(Input::Datagram { path, bytes }),
                Next::Timer => {
                    // Run out: it must not be looked at again before another is set, or strangers would never have their turn.
                    self.timer = None;
                    self.handle(Input::Timer);
                    self.remove_late();
                }
            }
            self.work();
        }
    }

    /// Does the jobs at hand, and those that follow from them.
    fn work(&mut self) {
        while let Some(job) = self.pool.at_hand() {
            let done = job.run(&mut self.random);
            self.take_back(done);
        }
    }

    /// Strangers come after everybody else.
    fn next(&mut self) -> Next {
        loop {
            if let Some(knock) = self.postponed.pop_front().or_else(|| self.doorway.try_recv().ok()) {
                return Next::Knock(knock);
            }
            if let Some(datagram) = self.sockets.of_peer() {
                return Next::Datagram(datagram);
            }
            if self.rest().is_zero() {
                return Next::Timer;
            }
            if let Some(datagram) = self.sockets.of_stranger() {
                return Next::Datagram(datagram);
            }
            self.wait();
        }
    }

    /// Until somebody knocks, a datagram comes or the timer runs out.
    fn wait(&mut self) {
        self.door.bell.lie_down();
        // Who knocked before that has not rung.
        match self.doorway.try_recv() {
            Ok(knock) => self.postponed.push_back(knock),
            Err(_) => {
                let hear_strangers = self.pool.strangers() < STRANGE_JOBS;
                let (rest, door) = (self.rest(), &self.door);
                self.sockets.wait(&door.bell, rest, hear_strangers, &door.journal);
            }
        }
        self.door.bell.get_up();
    }

    fn rest(&self) -> Duration {
        let first = self.timer.into_iter().chain(self.deeds.served.deadline()).min();
        first.map_or(REST, |timer| timer.since(now()))
    }

    fn answer(&mut self, knock: Knock) {
        match knock {
            Knock::InForce { ike, incarnation } => self.take_policy(ike, incarnation),
            Knock::Heard(event) => self.hear(event),
            Knock::Done(done, of_stranger) => self.finish(*done, of_stranger),
            Knock::Changed(outcomes) => self.changed(outcomes),
            Knock::Answered { ike, question, answer } => self.handle(Input::Answer { ike, question, answer }),
            Knock::Authorities(authorities) => self.take_authorities(authorities),
            Knock::Addresses => self.move_away(),
            Knock::Asked(question, answer) => {
                self.settle();
                let result = self.obey(question);
                self.settle();
                // Whoever asked may be gone.
                let _ = answer.send(result.map(|()| {
                    let now = now();
                    self.endpoint.statuses().map(|status| IkeSa::new(status, now)).collect()
                }));
            }
        }
    }

    /// Until no job is under way: only then is every IKE SA to be seen.
    fn settle(&mut self) {
        loop {
            self.work();
            if self.pool.is_idle() {
                return;
            }
            match self.doorway.recv() {
                Ok(Knock::Done(done, of_stranger)) => self.finish(*done, of_stranger),
                Ok(other) => self.postponed.push_back(other),
                Err(_) => return,
            }
        }
    }

    fn take_policy(&mut self, ike: Ike, incarnation: u64) {
        self.settle();
        let met = self.link.meet(incarnation);
        if met {
            // Keys do not outlive the packet process: nothing of before is there any more.
            self.down_children();
            self.settle();
        }
        let mut addresses: Vec<IpAddr> = ike
            .policy
            .peers
            .iter()
            .flat_map(|peer| &peer.local_addresses)
            .map(|range| range.first())
            .collect();
        // Whoever has moved goes on from there.
        addresses.extend(self.endpoint.statuses().map(|ike| ike.path.local.ip()));
        addresses.sort_unstable();
        addresses.dedup();
        self.sockets.serve(&addresses);
        let authorities = self.ike.policy.authorities.clone();
        self.authority.serve(&ike.policy);
        let tunnels =
            ike.policy.peers.iter().flat_map(|peer| peer.children.iter().map(move |child| (child, peer)));
        self.peers = tunnels.map(|(child, peer)| (child.name.clone(), peer.name.clone())).collect();
        let before = std::mem::replace(&mut self.ike, ike).whom;
        if met {
            self.take_up();
        }
        // An earlier run may have known other rules: all is told again.
        self.identify(&if met { Whom::default() } else { before });
        self.take_authorities(authorities);
        self.settle();
        self.put_out_former_users();
        if met {
            self.call_for_left_over();
            self.move_away();
        }
    }

    /// Takes up what an earlier run of control left.
    fn take_up(&mut self) {
        let children = self.link.children().unwrap_or_else(|error| {
            tell!(IKE_LINK, %error);
            Vec::new()
        });
        let records = self.records.begin(self.link.incarnation());
        let installed: Vec<_> =
            children.iter().map(|child| Installed { inbound: child.spi, sends: child.sends }).collect();
        self.endpoint.keep_records();
        let actions = self.endpoint.restore(now(), &self.ike.policy, records, &installed);
        self.take_stock(children);
        let homes: Vec<IpAddr> = self.endpoint.statuses().map(|ike| ike.path.local.ip()).collect();
        homes.into_iter().for_each(|home| self.sockets.serve_also(home));
        self.carry_out(None, actions);
    }

    /// The peer will not believe for long in an IKE SA that nobody here has: what is left over gets successors now.
    fn call_for_left_over(&mut self) {
        let mut peers: Vec<Name> =
            self.deeds.left_over.tunnels().filter_map(|tunnel| self.peers.get(tunnel).cloned()).collect();
        peers.dedup();
        let can_call = |peer: &Name| self.ike.policy.peer(peer).is_some_and(|peer| peer.initiate.is_some());
        peers.retain(can_call);
        peers.into_iter().for_each(|peer| self.command(Command::Up { peer }));
    }

    /// IKE SAs whose address this host does not have any more go on from the one that now leads to the peer.
    fn move_away(&mut self) {
        let gone: Vec<IpAddr> =
            self.sockets.addresses().filter(|address| !addresses::is_here(*address)).collect();
        if gone.is_empty() {
            return;
        }
        self.settle();
        let ends = self.endpoint.statuses().map(|ike| (ike.path.local.ip(), ike.path.remote.ip()));
        let mut lost: Vec<_> = ends.filter(|(local, _)| gone.contains(local)).collect();
        lost.sort_unstable();
        lost.dedup();
        for (old, remote) in lost {
            // Without a way to the peer there may be one after the next change.
            if let Some(new) = addresses::toward(remote) {
                self.sockets.serve_also(new);
                self.command(Command::AddressChanged { old, new, remote });
            }
        }
    }

    /// Who peers are believed by is found out beside the policy: rings change when they do.
    fn take_authorities(&mut self, authorities: Hashes) {
        Arc::make_mut(&mut self.ike.policy).authorities = authorities;
        self.command(Command::SetPolicy(Arc::clone(&self.ike.policy)));
    }

    fn down_children(&mut self) {
        let children: Vec<Spi> =
            self.endpoint.statuses().flat_map(|ike| ike.children).map(|child| child.inbound).collect();
        for inbound in children {
            self.command(Command::DownChild { inbound });
        }
    }

    fn hear(&mut self, event: Event) {
        match event {
            Event::Acquire { tunnel, flow } => {
                if let Some(peer) = self.peers.get(&tunnel).cloned() {
                    self.command(Command::Acquire { peer, child: tunnel, flow });
                }
            }
            Event::Child { spi, happening, .. } => match happening {
                Happening::Used => self.sends(None, spi),
                Happening::Ageing(_) => self.command(Command::RekeyChild { inbound: spi }),
                Happening::Expired(_) | Happening::Orphaned => {
                    self.ended(spi);
                    self.command(Command::DownChild { inbound: spi });
                }
                Happening::PeerMoved { remote, port } => {
                    let remote = SocketAddr::new(remote, port.unwrap_or(PORT));
                    self.command(Command::PeerMoved { inbound: spi, remote });
                }
            },
            _ => {}
        }
    }

    fn obey(&mut self, question: Question) -> Result<(), String> {
        let name = match &question {
            Question::List => return Ok(()),
            Question::Up(name) | Question::Down(name) | Question::Rekey(name) => name.clone(),
        };
        if self.ike.policy.peer(&name).is_none() {
            return Err(format!("the policy has no peer `{name}`"));
        }
        let standing: Vec<_> = self.endpoint.statuses().filter(|ike| ike.peer == name).collect();
        match question {
            Question::List => {}
            Question::Up(peer) => self.command(Command::Up { peer }),
            Question::Down(_) => {
                standing.iter().for_each(|status| self.command(Command::Down { ike: status.ike }));
            }
            Question::Rekey(_) => {
                for status in standing {
                    for child in &status.children {
                        self.command(Command::RekeyChild { inbound: child.inbound });
                    }
                    self.command(Command::Rekey { ike: status.ike });
                }
            }
        }
        Ok(())
    }

    pub(super) fn command(&mut self, command: Command) {
        self.handle(Input::Command(command));
    }

    pub(super) fn handle(&mut self, input: Input) {
        let begun = self.endpoint.begin(now(), input, &mut self.random);
        self.go_on(None, begun);
    }

    fn finish(&mut self, done: Done, of_stranger: bool) {
        self.pool.done(of_stranger);
        self.take_back(done);
    }

    fn take_back(&mut self, done: Done) {
        let ike = done.id();
        let begun = self.endpoint.finish(now(), done, &mut self.random);
        self.go_on(Some(ike), begun);
    }

    /// Does what is to be done now, and has the rest done.
    fn go_on(&mut self, ike: Option<IkeId>, begun: Begun) {
        let Begun { actions, jobs } = begun;
        jobs.into_iter().for_each(|job| self.pool.put(job));
        self.carry_out(ike, actions);
        self.door.journal.tally(&self.endpoint);
    }
}

/// The clock of the machine since its start: the next run of control goes on with it.
pub(super) fn now() -> Time {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Time::from_micros(seconds * 1_000_000 + u64::try_from(now.tv_nsec / 1000).unwrap_or(0))
}
