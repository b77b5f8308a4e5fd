//! A host of the simulation: a TCP written apart from the one under test, plain where that one is clever.
//!
//! Its receiver keeps everything out of order in a map; its sender goes back to the first octet that is missing.

use std::collections::BTreeMap;

use ravelin_splice::Endpoint;
use ravelin_splice::wire::build::{Header, Opening};
use ravelin_splice::wire::segment::{Flags, Segment, intact};
use ravelin_splice::wire::seq::Seq;

/// What a host can do and wants.
#[derive(Debug, Clone)]
pub(crate) struct Habits {
    pub(crate) mss: u16,
    pub(crate) scale: Option<u8>,
    pub(crate) sack: bool,
    pub(crate) stamps: bool,
    /// Octets that it buffers for its application.
    pub(crate) buffer: u32,
    /// Microseconds that it delays an acknowledgment.
    pub(crate) delay: u64,
    /// Octets to send.
    pub(crate) send: u32,
    /// Whether it closes after the last of them, or only when the other has closed.
    pub(crate) closes_first: bool,
    /// Its application reads nothing from here to there.
    pub(crate) stall: (u64, u64),
    /// When it resets the connection, if it does.
    pub(crate) resets_at: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Closed,
    Listen,
    SynSent,
    SynReceived,
    Established,
    /// Was reset by the other, by itself, or gave up.
    Reset,
}

/// Microseconds of silence before a keepalive.
const KEEPALIVE: u64 = 60_000_000;

#[derive(Debug)]
pub(crate) struct Host {
    pub(crate) habits: Habits,
    /// Octets of a segment that the path takes.
    pub(crate) path: u16,
    pub(crate) state: State,
    me: Endpoint,
    peer: Endpoint,
    first: Seq,
    their_first: Seq,
    /// Offsets of our octets: acknowledged, next to send, highest sent. FIN is the octet after the last.
    una: u64,
    next: u64,
    highest: u64,
    window: u64,
    their_scale: Option<u8>,
    their_mss: u16,
    use_sack: bool,
    use_stamps: bool,
    recent: u32,
    congestion: u64,
    duplicates: u32,
    backoff: u32,
    attempts: u32,
    retransmit_at: Option<u64>,
    acknowledge_at: Option<u64>,
    heard_at: u64,
    /// What came in order, checked on the way; how much of it the application has read.
    pub(crate) received: u64,
    read: u64,
    pub(crate) wrong_octets: bool,
    edge: u64,
    strays: BTreeMap<u64, Vec<u8>>,
    latest_stray: u64,
    fin_at: Option<u64>,
    pub(crate) got_fin: bool,
    pub(crate) out: Vec<Vec<u8>>,
}

/// The octet at an offset of the stream of this host.
fn octet(from: Endpoint, offset: u64) -> u8 {
    (offset.wrapping_mul(0x9e37_79b9) >> 7) as u8 ^ from.1 as u8
}

impl Host {
    pub(crate) fn new(habits: Habits, me: Endpoint, peer: Endpoint, first: u32, listens: bool) -> Self {
        Self {
            state: if listens { State::Listen } else { State::Closed },
            me,
            peer,
            first: Seq(first),
            their_first: Seq(0),
            una: 0,
            next: 0,
            highest: 0,
            window: 0,
            their_scale: None,
            their_mss: 536,
            use_sack: false,
            use_stamps: false,
            recent: 0,
            congestion: 10 * u64::from(habits.mss),
            duplicates: 0,
            backoff: 0,
            attempts: 0,
            retransmit_at: None,
            acknowledge_at: None,
            heard_at: 0,
            received: 0,
            read: 0,
            wrong_octets: false,
            edge: 0,
            strays: BTreeMap::new(),
            latest_stray: 0,
            fin_at: None,
            got_fin: false,
            out: Vec::new(),
            path: habits.mss,
            habits,
        }
    }

    pub(crate) fn connect(&mut self, now: u64) {
        self.state = State::SynSent;
        self.emit_syn(now, Flags::SYN);
        self.retransmit_at = Some(now + 1_000_000);
    }

    /// Everything sent was acknowledged, FIN with it, and the other's FIN came.
    pub(crate) fn is_done(&self) -> bool {
        self.got_fin && self.una > u64::from(self.habits.send)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.is_done() || self.state == State::Reset
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        if self.state == State::Reset {
            return None;
        }
        let stall = (self.habits.stall.1 > 0).then_some(self.habits.stall.1);
        let keepalive =
            (self.state == State::Established && !self.is_done()).then_some(self.heard_at + KEEPALIVE);
        [self.retransmit_at, self.acknowledge_at, stall, keepalive, self.habits.resets_at]
            .into_iter()
            .flatten()
            .min()
    }

    pub(crate) fn expire(&mut self, now: u64) {
        if self.habits.resets_at.is_some_and(|at| at <= now) {
            self.habits.resets_at = None;
            if !matches!(self.state, State::Closed | State::Listen) && !self.is_done() {
                self.emit(now, self.highest.max(1), &[], Flags::RST.and(Flags::ACK), &[]);
                self.state = State::Reset;
                return;
            }
        }
        if self.habits.stall.1 > 0 && self.habits.stall.1 <= now {
            self.habits.stall.1 = 0;
            self.read = self.received;
            self.acknowledge(now);
        }
        if self.acknowledge_at.is_some_and(|at| at <= now) {
            self.acknowledge(now);
        }
        if self.retransmit_at.is_some_and(|at| at <= now) {
            self.time_out(now);
        }
        if self.state == State::Established && !self.is_done() && self.heard_at + KEEPALIVE <= now {
            self.heard_at = now;
            self.emit(now, self.highest.saturating_sub(1), &[], Flags::ACK, &[]);
        }
    }

    fn time_out(&mut self, now: u64) {
        self.attempts += 1;
        self.backoff = (self.backoff + 1).min(6);
        self.retransmit_at = Some(now + (300_000 << self.backoff));
        if self.attempts > 20 {
            self.state = State::Reset;
            return;
        }
        match self.state {
            State::SynSent => self.emit_syn(now, Flags::SYN),
            State::SynReceived => self.emit_syn(now, Flags::SYN.and(Flags::ACK)),
            _ => {
                self.congestion = self.habits.mss.into();
                self.next = self.una;
                let probe = self.window == 0;
                self.window = self.window.max(u64::from(probe));
                self.push(now);
                self.window -= u64::from(probe);
            }
        }
    }

    pub(crate) fn arrive(&mut self, now: u64, octets: &[u8]) {
        let segment = Segment::read(octets).expect("the splice sends whole segments");
        intact(octets, self.peer.0, self.me.0).expect("the splice sends good checksums");
        let data = &octets[segment.data_at.into()..];
        assert!(segment.len <= self.habits.mss, "larger than our MSS");
        match self.state {
            State::Reset => self.refuse(now, &segment),
            State::Closed => {}
            State::Listen | State::SynSent => self.take_syn(now, &segment),
            State::SynReceived | State::Established => self.take(now, &segment, data),
        }
    }

    /// RFC 9293 3.10.7.1.
    fn refuse(&mut self, now: u64, segment: &Segment) {
        if segment.flags.has(Flags::RST) {
            return;
        }
        let (seq, flags) = match segment.flags.has(Flags::ACK) {
            true => (segment.ack, Flags::RST),
            false => (Seq(0), Flags::RST.and(Flags::ACK)),
        };
        let header = Header { ack: segment.end(), ..self.header(now, seq, flags, &[]) };
        self.write(&header, &[]);
    }

    fn take_syn(&mut self, now: u64, segment: &Segment) {
        let answers = segment.flags.has(Flags::ACK);
        let refused = segment.flags.has(Flags::RST) && answers && segment.ack == self.first.plus(1);
        if self.state == State::SynSent && refused {
            self.state = State::Reset;
        }
        if !segment.flags.has(Flags::SYN) || answers != (self.state == State::SynSent) {
            return;
        }
        assert!(!answers || segment.ack == self.first.plus(1));
        assert_eq!(segment.len, 0);
        self.their_first = segment.seq;
        let options = segment.options;
        self.their_mss = options.mss.unwrap_or(536);
        let asked = self.state == State::SynSent;
        assert!(!asked || (self.habits.scale.is_some() || options.scale.is_none()), "scale not offered");
        assert!(!asked || (self.habits.sack || !options.sack_permitted), "SACK not offered");
        assert!(!asked || (self.habits.stamps || options.timestamps.is_none()), "stamps not offered");
        self.their_scale = options.scale.filter(|_| self.habits.scale.is_some());
        self.use_sack = options.sack_permitted && self.habits.sack;
        self.use_stamps = options.timestamps.is_some() && self.habits.stamps;
        self.recent = options.timestamps.map_or(0, |(value, _)| value);
        self.window = segment.window.into();
        self.heard_at = now;
        (self.una, self.next, self.highest) = (0, 0, 0);
        self.attempts = 0;
        if asked {
            self.state = State::Established;
            self.retransmit_at = None;
            self.push(now);
            self.acknowledge(now);
        } else {
            self.state = State::SynReceived;
            self.emit_syn(now, Flags::SYN.and(Flags::ACK));
            self.retransmit_at = Some(now + 1_000_000);
        }
    }

    fn take(&mut self, now: u64, segment: &Segment, data: &[u8]) {
        let expected = self.their_first.plus(1).plus(self.received as u32).plus(u32::from(self.got_fin));
        if segment.flags.has(Flags::RST) {
            if segment.seq == expected {
                self.state = State::Reset;
            }
            return;
        }
        self.heard_at = now;
        if segment.flags.has(Flags::SYN) || !segment.flags.has(Flags::ACK) {
            return self.acknowledge(now);
        }
        if self.state == State::SynReceived {
            if segment.ack.before(self.first.plus(1)) {
                return;
            }
            (self.state, self.retransmit_at, self.attempts, self.backoff) = (State::Established, None, 0, 0);
        }
        if let Some((value, _)) = segment.options.timestamps
            && segment.seq.until(expected)
        {
            self.recent = value;
        }
        assert_eq!(segment.options.timestamps.is_some(), self.use_stamps, "time stamps as agreed");
        assert!(self.use_sack || segment.options.blocks().is_empty());
        self.take_acknowledgment(now, segment);
        // Far-off numbers are older than what we have.
        let offset = self.received as i64 + i64::from(segment.seq.0.wrapping_sub(expected.0) as i32);
        self.take_data(now, offset + i64::from(self.got_fin), segment, data);
        self.push(now);
    }

    fn take_acknowledgment(&mut self, now: u64, segment: &Segment) {
        let ahead = segment.ack.0.wrapping_sub(self.first.plus(1).plus(self.una as u32).0) as i32;
        if ahead < 0 {
            return;
        }
        let ack = self.una + ahead as u64;
        assert!(ack <= self.highest, "acknowledged what was never sent");
        let window = u64::from(segment.window) << self.their_scale.unwrap_or(0);
        if ack > self.una {
            self.congestion += self.habits.mss as u64;
            self.una = ack;
            self.next = self.next.max(ack);
            (self.duplicates, self.backoff, self.attempts) = (0, 0, 0);
            self.retransmit_at = (self.una < self.highest).then_some(now + 300_000);
        } else if segment.span() == 0 && window == self.window && self.una < self.highest {
            self.duplicates += 1;
            if self.duplicates == 3 {
                self.next = self.una;
                self.congestion = (self.congestion / 2).max(self.habits.mss.into());
            }
        }
        if self.una == self.highest || window == 0 {
            // Whoever answers is alive.
            self.attempts = 0;
        }
        self.window = window;
    }

    fn take_data(&mut self, now: u64, offset: i64, segment: &Segment, data: &[u8]) {
        if segment.span() == 0 {
            if offset < self.received as i64 {
                // A probe of a window or a keepalive.
                self.acknowledge(now);
            }
            return;
        }
        let limit = self.edge as i64;
        assert!(offset + data.len() as i64 <= limit.max(self.received as i64), "beyond the window");
        for (at, byte) in (offset..).zip(data) {
            self.wrong_octets |= at >= 0 && *byte != octet(self.peer, at as u64);
        }
        if segment.flags.has(Flags::FIN) {
            let at = (offset + data.len() as i64) as u64;
            assert!(self.fin_at.is_none_or(|before| before == at), "FIN has moved");
            self.fin_at = Some(at);
        }
        let in_order = offset <= self.received as i64;
        if offset >= 0 {
            self.latest_stray = offset as u64;
            let longer = self.strays.get(&(offset as u64)).is_none_or(|old| old.len() < data.len());
            if longer {
                self.strays.insert(offset as u64, data.to_vec());
            }
        }
        let gap = !self.strays.is_empty() && self.strays.keys().next_back() > Some(&self.received);
        while let Some((at, data)) = self.strays.first_key_value() {
            if *at > self.received {
                break;
            }
            self.received = self.received.max(at + data.len() as u64);
            self.strays.pop_first();
        }
        self.got_fin |= self.fin_at == Some(self.received);
        if !(self.habits.stall.0..self.habits.stall.1).contains(&now) {
            self.read = self.received;
        }
        let at_once = !in_order || gap || self.got_fin || self.habits.delay == 0;
        match self.acknowledge_at {
            None if !at_once => self.acknowledge_at = Some(now + self.habits.delay),
            _ => self.acknowledge(now),
        }
    }

    /// Sends what windows allow.
    fn push(&mut self, now: u64) {
        if self.state != State::Established {
            return;
        }
        let total = u64::from(self.habits.send);
        let closes = self.habits.closes_first || self.got_fin;
        let end = self.una + self.window.min(self.congestion.max(1));
        let most = u64::from(self.their_mss.min(self.path)) - if self.use_stamps { 12 } else { 0 };
        loop {
            let len = (total.saturating_sub(self.next)).min(most).min(end.saturating_sub(self.next));
            let fin = closes && self.next + len == total;
            if len == 0 && !(fin && self.next == total && self.next < end.max(self.una + 1)) {
                break;
            }
            let data: Vec<u8> = (self.next..self.next + len).map(|at| octet(self.me, at)).collect();
            let flags = if fin { Flags::ACK.and(Flags::FIN) } else { Flags::ACK };
            self.emit(now, self.next, &data, flags, &[]);
            self.next += len + u64::from(fin);
            self.highest = self.highest.max(self.next);
            if fin {
                break;
            }
        }
        let waits = self.una < self.highest || self.next < total + u64::from(closes);
        if !waits {
            self.retransmit_at = None;
        } else if self.retransmit_at.is_none() {
            self.retransmit_at = Some(now + (300_000 << self.backoff));
        }
    }

    fn acknowledge(&mut self, now: u64) {
        if !matches!(self.state, State::Established) {
            return;
        }
        let mut blocks: Vec<(u64, u64)> = Vec::new();
        if self.use_sack {
            for (at, data) in &self.strays {
                let (first, end) = (*at, at + data.len() as u64);
                match blocks.last_mut() {
                    Some((_, last)) if *last >= first => *last = (*last).max(end),
                    _ => blocks.push((first, end)),
                }
            }
            let latest = self.latest_stray;
            blocks.sort_by_key(|(first, end)| !(*first <= latest && latest < *end));
            blocks.retain(|(first, end)| first < end);
        }
        let number = |offset: u64| self.their_first.plus(1).plus(offset as u32);
        let blocks: Vec<_> =
            blocks.into_iter().take(3).map(|(first, end)| (number(first), number(end))).collect();
        self.emit(now, self.highest, &[], Flags::ACK, &blocks);
    }

    fn emit(&mut self, now: u64, offset: u64, data: &[u8], flags: Flags, blocks: &[(Seq, Seq)]) {
        let seq = self.first.plus(1).plus(offset as u32);
        let header = self.header(now, seq, flags, blocks);
        self.acknowledge_at = None;
        self.write(&header, data);
    }

    fn emit_syn(&mut self, now: u64, flags: Flags) {
        let answers = flags.has(Flags::ACK);
        let scale = self.habits.scale.filter(|_| !answers || self.their_scale.is_some());
        let sack = if answers { self.use_sack } else { self.habits.sack };
        let stamps = if answers { self.use_stamps } else { self.habits.stamps };
        let window = self.habits.buffer.min(65_535);
        self.edge = window.into();
        let header = Header {
            source: self.me.1,
            destination: self.peer.1,
            seq: self.first,
            ack: if answers { self.their_first.plus(1) } else { Seq(0) },
            flags,
            window: window as u16,
            timestamps: stamps.then_some(((now / 1_000) as u32, self.recent)),
            blocks: &[],
            opening: Some(Opening { mss: self.habits.mss, scale, sack }),
        };
        self.write(&header, &[]);
    }

    fn header<'a>(&mut self, now: u64, seq: Seq, flags: Flags, blocks: &'a [(Seq, Seq)]) -> Header<'a> {
        let scale = if self.their_scale.is_some() { self.habits.scale.unwrap_or(0) } else { 0 };
        let held: u64 = self.received - self.read;
        let room = u64::from(self.habits.buffer).saturating_sub(held);
        // Never back, and no silly steps.
        if self.received + room
            >= self.edge + u64::from(self.habits.mss).min(u64::from(self.habits.buffer) / 2)
        {
            self.edge = self.received + room;
        }
        let window = ((self.edge.saturating_sub(self.received)) >> scale).min(65_535);
        Header {
            source: self.me.1,
            destination: self.peer.1,
            seq,
            ack: self.their_first.plus(1).plus(self.received as u32).plus(u32::from(self.got_fin)),
            flags,
            window: window as u16,
            timestamps: self.use_stamps.then_some(((now / 1_000) as u32, self.recent)),
            blocks,
            opening: None,
        }
    }

    fn write(&mut self, header: &Header<'_>, data: &[u8]) {
        let mut octets = vec![0; 60];
        octets.extend(data);
        let start = header.write(&mut octets, 60, data.len(), (self.me.0, self.peer.0)).expect("room");
        self.out.push(octets.split_off(start));
    }
}
