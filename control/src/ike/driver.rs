//! The thread that drives the protocol core: what knocks becomes inputs, and actions are done in their order.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use ravelin_contract::child::{Change, Happening};
use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;
use ravelin_ike::crypto::SystemRandom;
use ravelin_ike::{Action, ChildSa, Command, Endpoint, Input, Installed, Time};
use tracing::{info, warn};

use super::authority::{Authority, Hashes};
use super::children::{self, Link};
use super::key_log::KeyLog;
use super::records::{Places, Records};
use super::sockets::Sockets;
use super::view::IkeSa;
use super::{Door, Knock, Question};
use crate::policy::peers::{Ike, PORT};

/// Longest sleep without a timer.
const REST: Duration = Duration::from_secs(3600);

/// Everything that IKE needs of the world.
pub(super) struct Driver {
    endpoint: Endpoint,
    door: Door,
    ike: Ike,
    sockets: Sockets,
    link: Link,
    authority: Authority,
    timer: Option<Time>,
    records: Records,
    /// SAs that an earlier run of control left in the packet process and that no IKE SA goes on with. They serve until new ones
    /// stand.
    left_over: BTreeMap<Name, Vec<Spi>>,
    random: SystemRandom,
    key_log: KeyLog,
}

impl Driver {
    pub(super) fn new(door: Door, link: Link, authority: Authority, places: Places) -> Self {
        let (ike, mut random) = (Ike::default(), SystemRandom);
        Self {
            endpoint: Endpoint::new(now(), ike.policy.clone(), &mut random),
            records: Records::new(places),
            ike,
            sockets: Sockets::new(door.clone()),
            door,
            link,
            authority,
            timer: None,
            left_over: BTreeMap::new(),
            random,
            key_log: KeyLog::open(),
        }
    }

    pub(super) fn run(mut self, knocks: &Receiver<Knock>) {
        loop {
            match knocks.recv_timeout(self.rest()) {
                Ok(knock) => self.answer(knock),
                Err(RecvTimeoutError::Timeout) => self.handle(Input::Timer),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn rest(&self) -> Duration {
        self.timer.map_or(REST, |timer| timer.since(now()))
    }

    fn answer(&mut self, knock: Knock) {
        match knock {
            Knock::InForce { ike, incarnation } => self.take_policy(ike, incarnation),
            Knock::Heard(event) => self.hear(event),
            Knock::Datagram { path, bytes } => {
                self.door.taken();
                self.handle(Input::Datagram { path, bytes });
            }
            Knock::Answered { ike, question, answer } => self.handle(Input::Answer { ike, question, answer }),
            Knock::Authorities(authorities) => self.take_authorities(authorities),
            Knock::Asked(question, answer) => {
                let result = self.obey(question);
                // Whoever asked may be gone.
                let _ = answer.send(result.map(|()| self.endpoint.statuses().map(IkeSa::from).collect()));
            }
        }
    }

    fn take_policy(&mut self, ike: Ike, incarnation: u64) {
        let met = self.link.meet(incarnation);
        if met {
            // Keys do not outlive the packet process: nothing of before is there any more.
            self.down_children();
        }
        let mut addresses: Vec<IpAddr> = ike
            .policy
            .peers
            .iter()
            .flat_map(|peer| &peer.local_addresses)
            .map(|range| range.first())
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        self.sockets.serve(&addresses);
        let authorities = self.ike.policy.authorities.clone();
        self.authority.serve(&ike.policy);
        self.ike = ike;
        if met {
            self.go_on();
        }
        self.take_authorities(authorities);
        if met {
            self.call_for_left_over();
        }
    }

    /// Takes up what an earlier run of control left.
    fn go_on(&mut self) {
        let children = self.link.children().unwrap_or_else(|error| {
            warn!(code = "RVL-IKE-LINK", %error, "SAs of an earlier run stay until they end");
            Vec::new()
        });
        let records = self.records.begin(self.link.incarnation());
        let installed: Vec<_> =
            children.iter().map(|child| Installed { inbound: child.spi, sends: child.sends }).collect();
        self.endpoint.keep_records();
        let actions = self.endpoint.restore(now(), &self.ike.policy, records, &installed);
        self.do_all(actions);
        let known: Vec<Spi> =
            self.endpoint.statuses().flat_map(|ike| ike.children).map(|child| child.inbound).collect();
        self.left_over.clear();
        for child in children.into_iter().filter(|child| !known.contains(&child.spi)) {
            self.left_over.entry(child.tunnel).or_default().push(child.spi);
        }
    }

    /// The peer will not believe for long in an IKE SA that nobody here has: what is left over gets successors now.
    fn call_for_left_over(&mut self) {
        let mut peers: Vec<Name> = self.left_over.keys().filter_map(|tunnel| self.peer_of(tunnel)).collect();
        peers.dedup();
        let can_call = |peer: &Name| self.ike.policy.peer(peer).is_some_and(|peer| peer.initiate.is_some());
        peers.retain(can_call);
        peers.into_iter().for_each(|peer| self.command(Command::Up { peer }));
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
                if let Some(peer) = self.peer_of(&tunnel) {
                    self.command(Command::Acquire { peer, child: tunnel, flow });
                }
            }
            Event::Child { spi, happening, .. } => match happening {
                Happening::Used => self.sends(spi),
                Happening::Ageing(_) => self.command(Command::RekeyChild { inbound: spi }),
                Happening::Expired(_) | Happening::Orphaned => {
                    self.command(Command::DownChild { inbound: spi })
                }
                Happening::PeerMoved { remote, port } => {
                    let remote = SocketAddr::new(remote, port.unwrap_or(PORT));
                    self.command(Command::PeerMoved { inbound: spi, remote });
                }
            },
            _ => {}
        }
    }

    /// The peer that a tunnel is negotiated with.
    fn peer_of(&self, tunnel: &Name) -> Option<Name> {
        let has =
            |peer: &&Arc<ravelin_ike::policy::Peer>| peer.children.iter().any(|child| child.name == *tunnel);
        self.ike.policy.peers.iter().find(has).map(|peer| peer.name.clone())
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

    fn command(&mut self, command: Command) {
        self.handle(Input::Command(command));
    }

    /// What an action leads to comes after the actions that were to be done with it.
    fn handle(&mut self, input: Input) {
        let mut waiting = VecDeque::from([input]);
        while let Some(input) = waiting.pop_front() {
            let actions = self.endpoint.handle(now(), input, &mut self.random);
            waiting.extend(self.perform(actions));
        }
    }

    fn do_all(&mut self, actions: Vec<Action>) {
        self.perform(actions).into_iter().for_each(|input| self.handle(input));
    }

    /// Children are installed, then what is to survive is written down, then all else is done.
    fn perform(&mut self, actions: Vec<Action>) -> Vec<Input> {
        let is_install = |action: &Action| matches!(action, Action::InstallChild(_));
        let (installs, others): (Vec<_>, Vec<_>) = actions.into_iter().partition(is_install);
        let mut inputs: Vec<_> = installs.into_iter().filter_map(|action| self.act(action)).collect();
        self.records.keep(self.endpoint.records(now()));
        inputs.extend(others.into_iter().filter_map(|action| self.act(action)));
        inputs
    }

    fn act(&mut self, action: Action) -> Option<Input> {
        match action {
            Action::Send { local, remote, bytes } => self.sockets.send(local, remote, &bytes),
            Action::InstallChild(sa) => return self.install(&sa),
            Action::UseChild { inbound } => self.sends(inbound),
            // What no other child of the tunnel sends for is dropped once this one is removed, as policy says.
            Action::StopSending { .. } => {}
            Action::RemoveChild { inbound } => self.change(vec![Change::Remove(inbound)]),
            Action::MoveChild { inbound, path, udp } => {
                let path = children::path(&path, udp, self.ike.keepalive);
                self.change(vec![Change::Move { spi: inbound, path }]);
            }
            Action::Assigned(assigned) => {
                warn!(code = "RVL-IKE-ASSIGNED", peer = %assigned.peer, addresses = ?assigned.addresses, "an address that was not asked for is not taken");
            }
            Action::Ask { question, ike, ask } => {
                return self.authority.ask(ike, question, ask);
            }
            Action::Event(event) => tell(&event),
            Action::SetTimer(timer) => self.timer = timer,
        }
        None
    }

    /// A child that the packet process does not take is given back to the peer: better none than half of one.
    fn install(&mut self, sa: &ChildSa) -> Option<Input> {
        let give_back = Input::Command(Command::DownChild { inbound: sa.inbound });
        let Some(dress) = self.ike.dress.get(&sa.name) else { return Some(give_back) };
        let child = children::child(sa, dress, self.ike.keepalive);
        let installed = self.link.change(vec![Change::Install(Box::new(child))]);
        if let Err(error) = installed {
            warn!(code = "RVL-IKE-INSTALL", tunnel = %sa.name, spi = %sa.inbound, %error, "a negotiated SA was not installed");
            return Some(give_back);
        }
        self.key_log.write(sa);
        if sa.use_at_once {
            self.retire(&sa.name);
        }
        None
    }

    /// The child sends from now on.
    fn sends(&mut self, inbound: Spi) {
        self.change(vec![Change::Send(inbound)]);
        let children = self.endpoint.statuses().flat_map(|ike| ike.children);
        let name = children.into_iter().find(|child| child.inbound == inbound).map(|child| child.name);
        if let Some(name) = name {
            self.retire(&name);
        }
    }

    /// A new child serves this tunnel, so what an earlier run of control left of it goes.
    fn retire(&mut self, tunnel: &Name) {
        if let Some(old) = self.left_over.remove(tunnel) {
            self.change(old.into_iter().map(Change::Remove).collect());
        }
    }

    fn change(&mut self, changes: Vec<Change>) {
        if let Err(error) = self.link.change(changes) {
            warn!(code = "RVL-IKE-LINK", %error, "the packet process did not change a negotiated SA");
        }
    }
}

/// The clock of the machine since its start: the next run of control goes on with it.
fn now() -> Time {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    Time::from_micros(seconds * 1_000_000 + u64::try_from(now.tv_nsec / 1000).unwrap_or(0))
}

fn tell(event: &ravelin_ike::Event) {
    let peer = event.peer.as_ref().map(Name::as_str);
    let (ike, remote) = (event.ike.map(tracing::field::display), event.remote.map(tracing::field::display));
    info!(code = event.code.as_str(), peer, ike, remote, "{}", event.text);
}
