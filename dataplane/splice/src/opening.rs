//! The mirror handshake: each SYN is carried across with its own number until both ends have acknowledged the other's.
//!
//! Nothing is answered before the far end has answered, so a refusal, an unreachable host and silence look as they do
//! without us; retransmission is the ends' own. Only options are ours: those that a leg cannot carry are left out.
//!
//! With [`Answer::OnWord`] the server's answer stops here: its leg stands, and the client waits in its `connect()` until the
//! owner of the splice gives the word. From then on the answer is ours, and so is its retransmission.

use crate::cookie;
use crate::frame::NONE;
use crate::leg::Agreed;
use crate::limits::Limits;
use crate::relay::Side;
use crate::table::Key;
use crate::time::{Now, Stamp, Tick, ticks};
use crate::wire::build::Opening as Offer;
use crate::wire::segment::{Flags, HEADER, Segment};
use crate::wire::seq::Seq;

/// When a client's SYN is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Answer {
    /// As soon as the server has answered it.
    #[default]
    Mirrored,
    /// When [`crate::Splice::answer`] says so; the server's leg stands by then. A connection that ends before was refused.
    OnWord,
}

/// What one end said in its SYN.
#[derive(Debug, Clone, Copy, Default)]
struct Half {
    first: Seq,
    window: u16,
    mss: Option<u16>,
    scale: Option<u8>,
    sack: bool,
    stamp: Option<u32>,
    /// Its SYN has come.
    seen: bool,
    /// It has acknowledged the other's SYN.
    acknowledged: bool,
    /// When the other's SYN was first sent to it, and whether it was sent again.
    asked_at: Option<Stamp>,
    asked_again: bool,
    /// What its answer took.
    rtt: Option<u32>,
}

/// A half-open connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening {
    pub(crate) key: Key,
    /// Whether the client is the lower endpoint of the key.
    pub(crate) client_low: bool,
    pub(crate) heard_at: Tick,
    answer: Answer,
    /// The connection whose server's leg stands already, or none.
    pub(crate) flow: u32,
    /// An answer of ours that nobody has acknowledged yet.
    pub(crate) repeat: Option<Repeat>,
    /// Our number towards the client, where it got a cookie for one of the server's.
    cookie: Option<Seq>,
    halves: [Half; 2],
}

/// What a client has proven by its cookie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proven {
    /// The number of its SYN, and its largest segment.
    pub(crate) first: Seq,
    pub(crate) mss: u16,
    /// The cookie.
    pub(crate) number: Seq,
}

/// A SYN that we send again until it is acknowledged (RFC 9293 MUST-20, RFC 6298 5.5).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Repeat {
    pub(crate) at: Tick,
    times: u8,
}

impl Repeat {
    /// It has been sent for the first time.
    pub(crate) fn begin(now: Now) -> Self {
        Self { at: now.tick().plus(ticks(FIRST_REPEAT_MS)), times: 0 }
    }

    /// It is sent again now; `None` when that was often enough.
    pub(crate) fn next(self, now: Now) -> Option<Self> {
        let times = self.times + 1;
        let at = now.tick().plus(ticks(FIRST_REPEAT_MS << times));
        (times <= REPEATS).then_some(Self { at, times })
    }
}

/// What follows from a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing.
    Ignore,
    /// Carry a SYN across to this side, with or without acknowledgment.
    Carry(Side, Flags),
    /// Carry the reset across as it is: the opening is over.
    CarryReset(Side),
    /// Answer with a reset of this number.
    Refuse(Seq),
    /// The client has given up and begun anew.
    BeginAnew,
    /// Both ends have what they need; or the server has, and the client waits for the word.
    Establish,
}

impl Opening {
    pub(crate) fn new(key: Key, client_low: bool, answer: Answer, now: Now) -> Self {
        let (flow, repeat, halves) = (NONE, None, [Half::default(); 2]);
        Self { key, client_low, heard_at: now.tick(), answer, flow, repeat, cookie: None, halves }
    }

    /// Of a client that stands already, by what its acknowledgment brought back.
    pub(crate) fn proven(key: Key, client_low: bool, proven: Proven, segment: &Segment, now: Now) -> Self {
        let mut opening = Self::new(key, client_low, Answer::Mirrored, now);
        let stamps = segment.options.timestamps;
        let (scale, sack) = stamps.map_or((None, false), |(_, echo)| cookie::options(echo));
        opening.cookie = Some(proven.number);
        opening.halves[Side::Client as usize] = Half {
            first: proven.first,
            window: segment.window,
            mss: Some(proven.mss),
            scale,
            sack,
            stamp: stamps.map(|(value, _)| value),
            seen: true,
            acknowledged: true,
            ..Half::default()
        };
        opening
    }

    /// Whether the client stands already, and it is the server that is asked.
    pub(crate) fn is_proven(&self) -> bool {
        self.cookie.is_some()
    }

    /// Our number towards `side`.
    fn ours(&self, side: Side) -> Option<Seq> {
        let other = self.halves[side.other() as usize];
        self.cookie.filter(|_| side == Side::Client).or(other.seen.then_some(other.first))
    }

    /// Whether the client has not been told yet that the server answered.
    pub(crate) fn withholds(&self) -> bool {
        self.flow != NONE && self.repeat.is_none()
    }

    /// Which side sent a segment whose source is the lower endpoint, or not.
    pub(crate) fn side(&self, from_low: bool) -> Side {
        if from_low == self.client_low { Side::Client } else { Side::Server }
    }

    /// Takes a segment in (RFC 9293 3.10.7.3 and 3.10.7.4 for the states SYN-SENT and SYN-RECEIVED, seen from between).
    pub(crate) fn arrive(&mut self, segment: &Segment, from: Side, now: Now) -> Step {
        let to = from.other();
        let answers = segment.flags.has(Flags::ACK);
        let other = self.halves[to as usize];
        let fits = self.ours(from).is_some_and(|ours| segment.ack == ours.plus(1));
        if answers && (!fits || self.withholds_from(from)) {
            return if segment.flags.has(Flags::RST) { Step::Ignore } else { Step::Refuse(segment.ack) };
        }
        if segment.flags.has(Flags::RST) {
            let half = self.halves[from as usize];
            let exact = half.seen && segment.seq == half.first.plus(1);
            return if answers && !half.seen || exact { Step::CarryReset(to) } else { Step::Ignore };
        }
        self.heard_at = now.tick();
        if segment.flags.has(Flags::SYN) {
            return match self.flow {
                NONE => self.take_syn(segment, from, answers, now),
                _ => self.take_late_syn(segment),
            };
        }
        let half = &self.halves[from as usize];
        if !answers || !half.seen || segment.seq.before(half.first.plus(1)) {
            return Step::Ignore;
        }
        self.take_answer(segment, from, now);
        if other.acknowledged { Step::Establish } else { Step::Ignore }
    }

    fn take_syn(&mut self, segment: &Segment, from: Side, answers: bool, now: Now) -> Step {
        let half = &mut self.halves[from as usize];
        if half.seen && half.first != segment.seq {
            // A client that gave up and began anew; a server does so only behind our back.
            if from == Side::Server || self.halves[Side::Server as usize].seen {
                return Step::Ignore;
            }
            self.halves = [Half::default(); 2];
            (self.cookie, self.repeat) = (None, None);
        }
        let options = &segment.options;
        let half = &mut self.halves[from as usize];
        half.seen = true;
        (half.first, half.window, half.mss) = (segment.seq, segment.window, options.mss);
        (half.scale, half.sack) = (options.scale, options.sack_permitted);
        half.stamp = options.timestamps.map(|(value, _)| value);
        if answers {
            self.take_answer(segment, from, now);
        }
        let waits = self.answer == Answer::OnWord && from == Side::Server;
        if waits && !answers {
            // Two SYNs have crossed: the client's is answered next, and ours is that answer's acknowledgment.
            self.halves[from as usize].seen = false;
            return Step::Ignore;
        }
        if waits || self.halves.iter().all(|half| half.acknowledged) {
            return Step::Establish;
        }
        Step::Carry(from.other(), if answers { Flags::SYN.and(Flags::ACK) } else { Flags::SYN })
    }

    /// A SYN of a client whose server stands already. To one that was answered we say the same again: whoever began anew
    /// resets that (RFC 9293 figure 9).
    fn take_late_syn(&mut self, segment: &Segment) -> Step {
        let withholds = self.withholds();
        let half = &mut self.halves[Side::Client as usize];
        let same = half.first == segment.seq;
        if same && half.stamp.is_some() {
            half.stamp = segment.options.timestamps.map(|(value, _)| value).or(half.stamp);
        }
        match (withholds, same) {
            (true, true) => Step::Ignore,
            (true, false) => Step::BeginAnew,
            (false, _) => Step::Carry(Side::Client, Flags::SYN.and(Flags::ACK)),
        }
    }

    fn withholds_from(&self, side: Side) -> bool {
        side == Side::Client && self.withholds()
    }

    /// `from` has acknowledged the other's SYN.
    fn take_answer(&mut self, segment: &Segment, from: Side, now: Now) {
        let half = &mut self.halves[from as usize];
        half.acknowledged = true;
        if let Some((stamp, _)) = segment.options.timestamps
            && half.stamp.is_some()
        {
            half.stamp = Some(stamp);
        }
        if half.rtt.is_none() && !half.asked_again {
            half.rtt = half.asked_at.map(|asked_at| now.stamp().since(asked_at));
        }
    }

    /// What the SYN to `to` carries: the other's number, its acknowledgment, the offer and the time stamp to echo, if
    /// stamps are offered.
    pub(crate) fn syn(&mut self, to: Side, limits: &Limits, now: Now) -> (Seq, Seq, Offer, Option<u32>) {
        let half = &mut self.halves[to as usize];
        half.asked_again = half.asked_at.is_some();
        half.asked_at = half.asked_at.or(Some(now.stamp()));
        let half = self.halves[to as usize];
        let offer = Offer {
            mss: self.largest(to, limits).saturating_sub(limits.growth).max(LEAST_MSS),
            scale: self.offers(to, |half| half.scale.is_some()).then_some(limits.scale),
            sack: self.offers(to, |half| half.sack),
        };
        let stamp = self.offers(to, |half| half.stamp.is_some()).then(|| half.stamp.unwrap_or(0));
        (self.halves[to.other() as usize].first, half.first.plus(1), offer, stamp)
    }

    /// We offer what the client offered; a SYN that answers offers no more than the one that asked.
    fn offers(&self, to: Side, has: impl Fn(&Half) -> bool) -> bool {
        let asked = self.halves[to as usize];
        has(&self.halves[Side::Client as usize]) && (!asked.seen || has(&asked))
    }

    /// The window of our SYN, which is never scaled.
    pub(crate) fn window(limits: &Limits) -> u16 {
        limits.budget.min(u16::MAX.into()) as u16
    }

    /// Whether `side` has acknowledged the other's SYN.
    pub(crate) fn has_acknowledged(&self, side: Side) -> bool {
        self.halves[side as usize].acknowledged
    }

    /// Microseconds that the answer of `side` took, if that is known.
    pub(crate) fn rtt(&self, side: Side) -> Option<u32> {
        self.halves[side as usize].rtt
    }

    /// What `side` and we have agreed on.
    pub(crate) fn agreed(&self, side: Side, stamp_offset: u32, limits: &Limits) -> Agreed {
        let theirs = self.halves[side as usize];
        // RFC 9293 MUST-15: who says nothing takes this much.
        let default = if self.key.is_ipv6() { 1_220 } else { 536 };
        let scale = theirs.scale.filter(|_| self.offers(side, |half| half.scale.is_some()));
        Agreed {
            ours: self.ours(side).unwrap_or_default(),
            theirs: theirs.first,
            mss: theirs.mss.unwrap_or(default).max(LEAST_MSS).min(self.largest(side, limits)),
            // RFC 7323 2.3: a shift above 14 is 14.
            scales: scale.map(|scale| (scale.min(14), limits.scale)),
            sack: theirs.sack && self.offers(side, |half| half.sack),
            stamp: theirs.stamp.filter(|_| self.offers(side, |half| half.stamp.is_some())),
            stamp_offset,
            window: theirs.window,
            announced: Self::window(limits).into(),
            rtt: theirs.rtt,
        }
    }

    /// The largest segment, options not counted, that the path's first link towards `side` takes.
    fn largest(&self, side: Side, limits: &Limits) -> u16 {
        let ip = if self.key.is_ipv6() { 40 } else { 20 };
        limits.mtu[side as usize].saturating_sub(ip + HEADER as u16).max(LEAST_MSS)
    }
}

/// An MSS below this is taken for this: smaller segments are an attack on whoever must send them.
const LEAST_MSS: u16 = 88;

/// Milliseconds until a SYN of ours is sent again, doubled each time (RFC 6298 2.1).
const FIRST_REPEAT_MS: u32 = 1_000;

/// How often it is (RFC 9293 3.8.3 asks for three minutes of a SYN; who connects asks again by itself).
const REPEATS: u8 = 5;
