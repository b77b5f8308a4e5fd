//! The one who knows every connection: notices and turns come in, orders go out. It never waits but for its door.

mod connection;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use ravelin_contract::name::Name;
use ravelin_contract::tls::{ConnectionId, Ending, Notice, Order};
use ravelin_contract::tls_session::{Happening, Role};
use ravelin_tls::{Failure, Handover, Reason};

use self::connection::{Connection, State};
use super::environments::Served;
use super::ledger::{Which, ending_name};
use super::link::Link;
use super::pool::{Key, Pool};
use super::turn::{Input, Outcome, Turn, Turned, now, running};
use super::{Door, Knock, orders, proxy, view};

/// How often handshakes are looked at for what takes too long.
const TICK: Duration = Duration::from_millis(100);
/// Most handshakes at a time; who comes on top is turned away.
const HANDSHAKES: usize = 4096;
/// Policies that are remembered: a connection may have been mapped by one that was replaced since.
const POLICIES: usize = 4;
/// What the time of a handshake may be exceeded by while a thread is busy with it.
const GRACE: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Driver {
    door: Door,
    link: Link,
    pool: Pool,
    /// The run of the packet process that all connections are of.
    incarnation: u64,
    /// Others by fingerprint, the latest first.
    policies: VecDeque<(String, Served)>,
    /// The one in force, with its fingerprint.
    current: (String, Served),
    connections: HashMap<ConnectionId, Connection>,
    /// Those of them whose handshake is not done: the others, which may be a hundred thousand, need no look at the clock.
    handshaking: HashSet<ConnectionId>,
    looked: Instant,
}

/// A connection that has just been opened.
struct Opened {
    rule: Name,
    fingerprint: String,
    client: SocketAddr,
    server: SocketAddr,
    role: Role,
}

impl Driver {
    pub(super) fn new(door: Door, link: Link, pool: Pool) -> Self {
        Self {
            door,
            link,
            pool,
            incarnation: 0,
            policies: VecDeque::new(),
            current: Default::default(),
            connections: HashMap::new(),
            handshaking: HashSet::new(),
            looked: Instant::now(),
        }
    }

    /// For the life of the process.
    pub(super) fn run(mut self, knocks: &Receiver<Knock>) {
        loop {
            // While no handshake runs there is nothing to look at.
            let knock = match self.handshaking.is_empty() {
                true => knocks.recv().map_err(|_| RecvTimeoutError::Disconnected),
                false => knocks.recv_timeout(TICK),
            };
            match knock {
                Ok(knock) => self.answer(knock),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            if !self.handshaking.is_empty() && self.looked.elapsed() >= TICK {
                self.looked = Instant::now();
                self.look_at_clock();
            }
            self.link.listen(!self.current.1.is_empty() || !self.connections.is_empty());
        }
    }

    fn answer(&mut self, knock: Knock) {
        match knock {
            Knock::Coming { fingerprint, served } => self.remember(fingerprint, served),
            Knock::InForce { fingerprint, served } => {
                let (old, replaced) = std::mem::replace(&mut self.current, (fingerprint, served));
                self.remember(old, replaced);
                self.link.try_again();
            }
            Knock::Notices { incarnation, notices } => {
                self.meet(incarnation);
                notices.into_iter().for_each(|notice| self.hear(notice));
            }
            Knock::Lost { incarnation } if incarnation == self.incarnation => self.give_up_all(),
            Knock::Lost { .. } => {}
            Knock::NotServed(why) => {
                ravelin_events::tell!(TLS_NOT_SERVED, why);
            }
            Knock::Refused { connection, why } => {
                self.give_up(
                    connection,
                    "order-refused",
                    &format!("the packet process refused an order: {why}"),
                );
            }
            Knock::Turned(turned) => self.turned(*turned),
            Knock::Asked(asker) => {
                // Who does not wait any more needs no answer.
                let _ = asker.send(self.standing());
            }
        }
    }

    fn remember(&mut self, fingerprint: String, served: Served) {
        self.policies.retain(|(known, _)| *known != fingerprint);
        self.policies.push_front((fingerprint, served));
        self.policies.truncate(POLICIES);
    }

    /// Another run of the packet process has none of the connections of the one before.
    fn meet(&mut self, incarnation: u64) {
        if std::mem::replace(&mut self.incarnation, incarnation) != incarnation {
            let gone: Vec<_> = self.connections.keys().copied().collect();
            gone.into_iter().for_each(|connection| {
                self.forget(connection, "restart", "the packet process has restarted");
            });
        }
    }

    fn order(&self, order: Order) {
        self.link.order(self.incarnation, order);
    }

    fn hear(&mut self, notice: Notice) {
        match notice {
            Notice::Opened { connection, rule: (rule, _), fingerprint, client, server, role } => {
                self.open(connection, Opened { rule, fingerprint, client, server, role });
            }
            Notice::Octets { connection, octets } => self.feed(connection, Input::Octets(octets)),
            Notice::StreamEnded { connection } => self.feed(connection, Input::Ended),
            Notice::Happened { connection, happening } => self.happened(connection, &happening),
            Notice::Ended { connection, ending, octets } => self.ended(connection, &ending, octets),
        }
    }

    fn open(&mut self, id: ConnectionId, opened: Opened) {
        let Opened { rule, fingerprint, client, server, role } = opened;
        let mut policies = std::iter::once(&self.current).chain(&self.policies);
        let policy = policies.find(|(known, _)| *known == fingerprint);
        let service = policy.and_then(|(_, served)| served.get(&rule));
        let service = service.filter(|service| service.plan.role() == role).cloned();
        let why = match service {
            None => Some(("no-policy", "its rule is of a policy that is not known here any more")),
            Some(_) if self.handshaking.len() >= HANDSHAKES => Some(("too-many", "too many handshakes run")),
            Some(_) => None,
        };
        let (Some(service), None) = (service, why) else {
            let (result, why) = why.unwrap_or(("no-policy", ""));
            self.door.ledger.refused(Which { rule: &rule, client, server }, result, why, false);
            return self.order(Order::End { connection: id });
        };
        self.door.ledger.begun(&rule);
        self.handshaking.insert(id);
        let connection = Connection::new(service, client, server);
        self.connections.insert(id, connection);
        self.give_turn(id);
    }

    /// Has the next turn of a handshake taken, unless one is being taken.
    fn give_turn(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Some((handshake, inputs)) = connection.begin_turn() else { return };
        let turn = Turn {
            connection: id,
            service: connection.service.clone(),
            environments: self.door.environments.clone(),
            server: connection.server,
            handshake,
            inputs,
        };
        let (key, door) = (Key::of(&turn.service), self.door.clone());
        self.pool.put(key, move || door.knock(Knock::Turned(Box::new(turn.take()))));
    }

    fn feed(&mut self, id: ConnectionId, input: Input) {
        match self.connections.get_mut(&id) {
            // One of an earlier run of control, or one that was given up: it cannot go on.
            None => self.order(Order::End { connection: id }),
            Some(Connection { state: State::Running(_), .. }) => {
                if let Input::Octets(octets) = input {
                    orders::returned(id, &octets).for_each(|order| self.order(order));
                }
            }
            Some(connection) => {
                connection.waiting.push(input);
                self.give_turn(id);
            }
        }
    }

    fn turned(&mut self, turned: Turned) {
        let Turned { connection: id, service, output, taken, outcome } = turned;
        self.pool.done(Key::of(&service));
        // It may be gone meanwhile.
        let Some(connection) = self.connections.get_mut(&id) else { return };
        orders::octets(id, &output).for_each(|order| self.link.order(self.incarnation, order));
        match outcome {
            Outcome::Going(handshake) => {
                connection.state = State::Waiting(handshake);
                let more = !connection.waiting.is_empty();
                self.take(id, taken);
                if more {
                    self.give_turn(id);
                }
            }
            Outcome::Done(handover) => {
                self.take(id, taken);
                self.run_connection(id, *handover);
            }
            Outcome::Failed(failure) => self.fail(id, &failure),
        }
    }

    fn take(&self, connection: ConnectionId, count: u32) {
        if count > 0 {
            self.order(Order::Taken { connection, count });
        }
    }

    /// Hands the keys over, and what the handshake did not use.
    fn run_connection(&mut self, id: ConnectionId, handover: Handover) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let Handover { session, unopened, facts, keeper } = handover;
        let preface = match connection.service.plan.proxy_protocol {
            true => proxy::header(connection.client, connection.server, &facts),
            false => Vec::new(),
        };
        self.handshaking.remove(&id);
        let secured = connection::Secured::new(keeper, &facts);
        self.door.ledger.done(connection.which(), &facts, secured.agreed(), connection.age());
        self.door.environments.ask(connection::wanted(&facts));
        connection.state = State::Running(Box::new(secured));
        let (link, incarnation) = (&self.link, self.incarnation);
        link.order(incarnation, Order::Run { connection: id, session: Box::new(session), preface });
        orders::returned(id, &unopened).for_each(|order| link.order(incarnation, order));
        for input in std::mem::take(&mut connection.waiting) {
            if let Input::Octets(octets) = input {
                orders::returned(id, &octets).for_each(|order| link.order(incarnation, order));
            }
        }
    }

    fn fail(&mut self, id: ConnectionId, failure: &Failure) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.handshaking.remove(&id);
        self.door.ledger.failed(connection.which(), failure, true);
        self.door.environments.ask(failure.wanted.clone());
        self.order(Order::End { connection: id });
    }

    fn happened(&mut self, id: ConnectionId, happening: &Happening) {
        let Some(Connection { state: State::Running(secured), .. }) = self.connections.get_mut(&id) else {
            // Of an earlier run of control: nobody has its next key. One that only wants another may go on.
            if matches!(happening, Happening::PeerUpdated { .. }) {
                self.order(Order::End { connection: id });
            }
            return;
        };
        match secured.happened(happening, now()) {
            Ok(changes) => {
                for change in changes {
                    self.order(Order::Change { connection: id, change });
                }
            }
            Err(why) => self.give_up(id, "no-key", &why),
        }
    }

    fn ended(&mut self, id: ConnectionId, ending: &Ending, octets: [u64; 2]) {
        let Some(connection) = self.connections.remove(&id) else { return };
        match &connection.state {
            State::Running(secured) => {
                self.door.ledger.ended(
                    connection.which(),
                    secured.agreed(),
                    connection.age(),
                    ending,
                    octets,
                );
            }
            State::Waiting(_) | State::Working => {
                self.handshaking.remove(&id);
                let why = format!("the connection was over before its handshake was: {ending:?}");
                self.door.ledger.refused(connection.which(), ending_name(ending), &why, true);
            }
        }
    }

    /// Ends a connection that cannot go on.
    fn give_up(&mut self, id: ConnectionId, result: &str, why: &str) {
        self.forget(id, result, why);
        self.order(Order::End { connection: id });
    }

    fn forget(&mut self, id: ConnectionId, result: &str, why: &str) {
        let Some(connection) = self.connections.remove(&id) else { return };
        match &connection.state {
            State::Running(secured) => {
                let ending = Ending::Failed(why.to_owned());
                self.door.ledger.ended(
                    connection.which(),
                    secured.agreed(),
                    connection.age(),
                    &ending,
                    [0; 2],
                );
            }
            State::Waiting(_) | State::Working => {
                self.handshaking.remove(&id);
                self.door.ledger.refused(connection.which(), result, why, true);
            }
        }
    }

    /// Notices or orders may be lost: no connection is what we take it to be.
    fn give_up_all(&mut self) {
        let all: Vec<_> = self.connections.keys().copied().collect();
        for connection in all {
            self.give_up(connection, "lost", "the connection to the packet process broke");
        }
    }

    fn look_at_clock(&mut self) {
        let (now, grace) = (now(), running().saturating_sub(GRACE));
        let due = |connection: &Connection| match &connection.state {
            State::Waiting(handshake) => handshake.deadline() <= now.running,
            State::Working => connection.opened + connection.service.plan.settings.timeouts.whole <= grace,
            State::Running(_) => false,
        };
        let is_due = |id: &ConnectionId| self.connections.get(id).is_some_and(&due);
        let due: Vec<_> = self.handshaking.iter().copied().filter(is_due).collect();
        for id in due {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            let whole = connection.service.plan.settings.timeouts.whole;
            match std::mem::replace(&mut connection.state, State::Working) {
                State::Waiting(mut handshake) => {
                    handshake.tick(now);
                    if let Err(failure) = handshake.finish() {
                        self.fail(id, &failure);
                    }
                }
                _ => self.fail(id, &Reason::Slow(whole.as_secs()).into()),
            }
        }
    }

    fn standing(&self) -> view::Standing {
        let is_stale = |connection: &Connection| {
            let now = self.current.1.get(&connection.service.plan.rule);
            now.is_none_or(|now| now.plan.settings != connection.service.plan.settings)
        };
        let shown = self.connections.iter().map(|(id, one)| one.view(*id, is_stale(one)));
        let mut connections: Vec<_> = shown.collect();
        connections.sort_by(|a, b| b.age_s.cmp(&a.age_s).then_with(|| a.client.cmp(&b.client)));
        let rules = self.current.1.values().map(|service| connection::rule(&service.plan)).collect();
        view::Standing { connections, rules }
    }
}
