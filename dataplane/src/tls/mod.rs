//! TLS for connections whose ends know nothing of it: a segment leaves the batch for the splice, which ends both legs, and
//! what the splice sends joins the batch again, to be routed, judged and protected like any packet.
//!
//! ```text
//!   batch -> take -> Splice -> Records (connection by connection)
//!                                  handshake: octets of the peer -> notices   <- orders of control
//!                                  then:      records opened and sealed
//!   batch <- emit <- Splice
//! ```
//!
//! Filters come first: what they deny never comes here. Nothing that a rule speaks of goes on in clear: a fragment that may
//! belong to such a connection ends here, and a segment of a connection that is not known is answered with a reset.
//!
//! Read on in this order: `segment`, `memory`, [`order`], `buffers`, `inward`, `connection`, `relay`,
//! [`standing`], `path`.

mod buffers;
mod connection;
mod inward;
mod memory;
pub mod order;
mod path;
mod relay;
mod segment;
pub mod standing;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ravelin_contract::rule::ZoneId;
use ravelin_contract::selector::protocol;
use ravelin_contract::tls::{Answer, ConnectionId, Ending, Notice, Secure, TlsAction, TlsRule};
use ravelin_contract::verdict::Verdict;
use ravelin_lookup::tls::TlsTable;
use ravelin_splice::{self as splice, Endpoint, Limits, Splice};

use crate::clock::Now;
use crate::frame::Pool;
use crate::packet::{Batch, Decision, Origin, Packet, PortIndex, Route};
use crate::table::Tables;
use crate::wire::ip::Fragment;
use connection::Connection;
use memory::{Slot, Slots};
use order::{Command, Deed};
use relay::Records;
use standing::{Standing, Stay};

/// Nanoseconds between two looks at handshakes that take too long, and at connections that may rest.
const LOOK: u64 = 100_000_000;
/// Looks after which each connection was asked to rest: keys that were not used for three seconds are folded, after six at
/// the latest.
const REST: usize = 30;
/// Notices that wait for control, beyond which no connection begins: nobody would do its handshake.
const BACKLOG: usize = 4096;
/// Most half-open connections of a worker; from half of them on SYNs are answered with cookies.
const OPENINGS: u32 = 4096;
/// One buffer for so many connections; two for each that has a long record in work.
const SHARE: u32 = 16;
/// Least buffers.
const LEAST_BUFFERS: u32 = 64;

/// What this stage uses up, looks things up in, and tells.
pub struct Means<'a> {
    /// Rules, routes, ports.
    pub tables: &'a Tables,
    /// Time of the breath.
    pub now: Now,
    /// Frames.
    pub pool: &'a mut Pool,
    /// Gives a packet to the worker that owns its connection; says whether that had room.
    pub hand: &'a dyn Fn(usize, &Packet) -> bool,
}

/// The connections of one worker.
pub struct Tls {
    splice: Splice<Slot, Records>,
    worker: u16,
    workers: usize,
    standing: Arc<Standing>,
    /// For the next connection.
    serial: u32,
    /// Connections without keys.
    handshakes: Vec<ConnectionId>,
    looked: Now,
    identification: u16,
}

impl Tls {
    /// Of one of so many workers, all with one `standing`, for at most `connections` at a time, over its frames.
    ///
    /// # Errors
    /// There can be no such number.
    pub fn new(
        (worker, workers): (usize, usize),
        standing: &Arc<Standing>,
        connections: u32,
        pool: &Pool,
        now: Now,
    ) -> Result<Self, splice::Unfit> {
        let limits = Limits {
            flows: connections,
            openings: connections.clamp(64, OPENINGS),
            cookies_above: connections.clamp(64, OPENINGS) / 2,
            reserve: pool.total() / 4,
            headroom: HEADROOM,
            growth: GROWTH,
            secret: random(),
            ..Limits::default()
        };
        let buffers = (connections / SHARE).max(LEAST_BUFFERS);
        let records = Records::new(connections as usize, buffers as usize);
        let [first, _] = random();
        Ok(Self {
            splice: Splice::new(limits, records, pool.total(), at(now))?,
            worker: worker as u16,
            workers,
            standing: Arc::clone(standing),
            serial: first as u32,
            handshakes: Vec::new(),
            looked: now,
            identification: (first >> 32) as u16,
        })
    }

    /// Takes the segments out of the batch that belong to connections of a rule, and lets what goes out for them join it as
    /// far as there is room. Returns whether something did: it has neither route nor decision yet.
    ///
    /// In the place of what was taken stay empty frames, ended with `Spliced`. Others end with `TlsRefused` or
    /// `TlsFragment`.
    pub fn carry(&mut self, batch: &mut Batch, means: &mut Means<'_>) -> bool {
        if means.tables.policy.tls().is_empty() && self.standing.is_empty() && self.is_idle() {
            return false;
        }
        self.take(batch, means);
        self.work(means);
        self.emit(batch, means)
    }

    fn take(&mut self, batch: &mut Batch, means: &mut Means<'_>) {
        if self.splice.counts().0 > 0 {
            self.splice.look_ahead(batch.packets.iter().filter_map(|packet| segment::ends(&packet.ip.flow)));
        }
        for packet in batch.travelling() {
            let permitted = matches!(packet.decision, Decision::Clear | Decision::Protect(_));
            let tcp = packet.ip.flow.protocol == protocol::TCP;
            if tcp && permitted && !packet.sealed && packet.origin != Origin::Spliced {
                self.consider(packet, means);
            }
        }
    }

    fn consider(&mut self, packet: &mut Packet, means: &mut Means<'_>) {
        let ends = segment::ends(&packet.ip.flow);
        let whole = packet.ip.fragment == Fragment::Whole;
        if whole && ends.is_some_and(|(from, to)| self.splice.knows(from, to)) {
            // Its worker is this one, whatever the rules say by now.
            return self.give(packet, false, means);
        }
        let Means { tables, hand, .. } = &*means;
        let hash = ends.map(|(from, to)| segment::hash(from, to));
        let may_stand = hash.is_some_and(|hash| self.standing.may_hold(hash));
        if !whole {
            if may_stand || tables.policy.tls().may_concern(&packet.ip.flow) {
                packet.end(Verdict::TlsFragment);
            }
            return;
        }
        let (Some((from, to)), Some(hash)) = (ends, hash) else { return };
        let owner = hash as usize % self.workers;
        let is_ours = owner == usize::from(self.worker);
        let action = match may_stand && !is_ours {
            true => None,
            false => match action(packet.ip.opens_tcp, from, to, tables) {
                Some(TlsAction::Pass) | None => return,
                decided => decided,
            },
        };
        if !is_ours {
            let handed = hand(owner, packet);
            return packet.end(if handed { Verdict::HandedOff } else { Verdict::HandOffFull });
        }
        // Whoever finds no room should know, and ask elsewhere.
        let full = packet.ip.opens_tcp && self.splice.is_full();
        self.give(packet, full || action == Some(TlsAction::Refuse), means);
    }

    /// Gives a packet's segment to the splice, which refuses it or takes it.
    fn give(&mut self, packet: &mut Packet, refused: bool, means: &mut Means<'_>) {
        let Means { tables, now, pool, .. } = means;
        let Some(stand_in) = pool.take() else { return packet.end(Verdict::NoFrame) };
        let answer = match segment::ends(&packet.ip.flow) {
            Some((from, to)) if packet.ip.opens_tcp => answer(from, to, tables),
            _ => splice::Answer::Mirrored,
        };
        let arrival = segment::arrival(packet, stand_in, answer);
        if refused {
            packet.end(Verdict::TlsRefused);
            self.splice.turn_away(at(*now), arrival, &mut Slots(pool));
        } else {
            packet.end(Verdict::Spliced);
            self.splice.receive(at(*now), arrival, &mut Slots(pool));
        }
    }

    /// Does what is due, connection by connection.
    fn work(&mut self, means: &mut Means<'_>) {
        let Means { tables, now, ref mut pool, .. } = *means;
        self.splice.expire(at(now), &mut Slots(pool));
        self.admit(tables, now);
        self.look(now);
        // No more than can go on: thousands may wait.
        for _ in 0..self.splice.relay().free_buffers() {
            let Some(flow) = self.splice.relay().next_waiting() else { break };
            self.splice.wake(flow);
        }
        for flow in std::mem::take(&mut self.splice.relay().answered) {
            self.splice.answer(at(now), flow, &mut Slots(pool));
        }
        self.splice.flush(at(now), &mut Slots(pool));
        for flow in std::mem::take(&mut self.splice.relay().doomed) {
            match self.splice.relay().connection(flow).and_then(|connection| connection.hearer()) {
                Some(peer) => self.splice.part_with(at(now), flow, peer, &mut Slots(pool)),
                None => self.splice.end_flow(at(now), flow, &mut Slots(pool)),
            }
        }
        // Last words go out with this breath.
        self.splice.flush(at(now), &mut Slots(pool));
    }

    /// Whether [`Tls::carry`] has something to do at once.
    pub fn is_busy(&self) -> bool {
        self.splice.is_busy()
    }

    /// Whether there is no connection at all.
    fn is_idle(&self) -> bool {
        self.splice.counts() == (0, 0) && !self.splice.is_busy()
    }

    /// What control is to hear, the oldest first.
    pub fn notices(&mut self) -> &mut VecDeque<Notice> {
        &mut self.splice.relay().notices
    }

    /// Carries out an order. One for a connection that has ended is left out.
    pub fn order(&mut self, command: Command) {
        let Command { connection: id, deed } = command;
        let records = self.splice.relay();
        let Some(connection) = records.connection(id.slot).filter(|connection| connection.id == id) else {
            return;
        };
        match deed {
            Deed::Send(octets) => connection.send(&octets),
            Deed::Taken(count) => connection.taken(count),
            Deed::Run(session, preface) => {
                connection.run(*session, preface);
                records.answered.push(id.slot);
            }
            Deed::TakeBack(octets) => connection.take_back(&octets),
            Deed::Change(change) => connection.change(&change),
            Deed::End => connection.end(Ending::Ordered),
        }
        records.note_doom(id.slot);
        self.splice.wake(id.slot);
    }

    /// Frames that legs keep.
    pub fn frames_held(&self) -> usize {
        self.splice.frames_kept()
    }

    /// Connections that stand now get their rule; where there is none any more they are reset.
    fn admit(&mut self, tables: &Tables, now: Now) {
        for (flow, [client, server]) in std::mem::take(&mut self.splice.relay().opened) {
            let table = tables.policy.tls();
            let rule = find(client, server, tables);
            let secured = rule.and_then(|rule| Some((rule, secures(rule)?)));
            let heard = self.splice.relay().notices.len() < BACKLOG;
            let Some((rule, secure)) = secured.filter(|_| heard) else {
                self.splice.relay().doomed.push(flow);
                continue;
            };
            self.serial = self.serial.wrapping_add(1);
            let id = ConnectionId { worker: self.worker, slot: flow, serial: self.serial };
            let records = self.splice.relay();
            let stay = Stay::begin(&self.standing, segment::hash(client, server));
            if secure.answer == Answer::AtOnce {
                // The rule may have been another one when the client's SYN came.
                records.answered.push(flow);
            }
            records.admit(flow, Connection::new(id, secure, now, stay));
            records.notices.push_back(Notice::Opened {
                connection: id,
                rule: TlsTable::label(rule),
                fingerprint: table.fingerprint().to_owned(),
                client: SocketAddr::from(client),
                server: SocketAddr::from(server),
                role: secure.role,
            });
            self.handshakes.push(id);
            self.splice.wake(flow);
        }
    }

    fn look(&mut self, now: Now) {
        if now.since(self.looked) >= LOOK {
            self.looked = now;
            self.look_at_handshakes(now);
            self.splice.relay().rest(REST);
        }
    }

    fn look_at_handshakes(&mut self, now: Now) {
        let records = self.splice.relay();
        self.handshakes.retain(|id| {
            let Some(connection) = records.connection(id.slot).filter(|connection| connection.id == *id)
            else {
                return false;
            };
            let late = !connection.has_keys() && connection.keys_until < now;
            if late {
                connection.end(Ending::TimedOut);
                records.doomed.push(id.slot);
            }
            !late && !records.connection(id.slot).is_some_and(|connection| connection.has_keys())
        });
    }

    fn emit(&mut self, batch: &mut Batch, means: &mut Means<'_>) -> bool {
        let Means { tables, pool, .. } = means;
        let before = batch.packets.len();
        // Segments of one end follow each other.
        let mut latest = None;
        while !batch.packets.is_full()
            && pool.free() > 0
            && let Some(transmit) = self.splice.transmit()
        {
            let splice::Transmit { frame, at, len, ends } = transmit;
            let segment = &frame.0.whole()[at.into()..usize::from(at) + usize::from(len)];
            self.identification = self.identification.wrapping_add(1);
            let made = segment::packet(segment, ends, self.identification, pool);
            self.splice.complete(frame, &mut Slots(pool));
            let Some((frame, headers)) = made else { continue };
            let ingress = match latest {
                Some((source, ingress)) if source == headers.flow.source => ingress,
                _ => port_towards(headers.flow.source, tables).unwrap_or(PortIndex(0)),
            };
            latest = Some((headers.flow.source, ingress));
            batch.packets.push(Packet::new(frame, headers, ingress, Origin::Spliced));
        }
        batch.packets.len() > before
    }
}

/// Octets before the data of a frame that the splice fills: TCP's header. All other headers go before the copy.
const HEADROOM: u16 = 64;

/// What a record adds to its content, at most: header, explicit nonce of TLS 1.2, tag (RFC 5288 3). So what the application
/// sends in one segment goes out in one.
const GROWTH: u16 = 29;

/// What becomes of a segment that belongs to no connection of ours. One that does not open a connection may come from
/// either end.
fn action(opens: bool, from: Endpoint, to: Endpoint, tables: &Tables) -> Option<TlsAction> {
    let of = |client, server| find(client, server, tables).map(|rule| rule.action);
    let first = of(from, to);
    if opens || first.is_some_and(|action| action != TlsAction::Pass) {
        return first;
    }
    of(to, from).or(first)
}

fn find(client: Endpoint, server: Endpoint, tables: &Tables) -> Option<&TlsRule> {
    tables.policy.tls().find(&segment::flow(client, server), zone_towards(client.0, tables))
}

/// When a SYN is answered that this rule speaks of.
fn answer(client: Endpoint, server: Endpoint, tables: &Tables) -> splice::Answer {
    match find(client, server, tables).and_then(secures) {
        Some(Secure { answer: Answer::AfterHandshake, .. }) => splice::Answer::OnWord,
        _ => splice::Answer::Mirrored,
    }
}

fn secures(rule: &TlsRule) -> Option<Secure> {
    match rule.action {
        TlsAction::Secure(secure) => Some(secure),
        TlsAction::Pass | TlsAction::Refuse => None,
    }
}

/// The port by which packets to `address` leave, and so packets from it come.
fn port_towards(address: IpAddr, tables: &Tables) -> Option<PortIndex> {
    match tables.forwarding.route(address) {
        Some(Route::Via { port, .. }) => Some(port),
        _ => None,
    }
}

fn zone_towards(address: IpAddr, tables: &Tables) -> Option<ZoneId> {
    port_towards(address, tables).and_then(|port| tables.port(port)).and_then(|port| port.zone)
}

/// Microseconds for the splice.
fn at(now: Now) -> splice::Now {
    splice::Now(now.0 / 1_000)
}

/// Two words that nobody can guess.
fn random() -> [u64; 2] {
    use std::hash::{BuildHasher, RandomState};
    let state = RandomState::new();
    [state.hash_one(1u8), state.hash_one(2u8)]
}
