//! One leg of a connection: a whole TCP endpoint, but for the opening, which both legs do together.
//!
//! `arrive` judges a segment; `acknowledge` and `loss` are the sender's half, `receive` the receiver's; `send` says what
//! goes out; `timers` what happens when nothing comes.

mod acknowledge;
mod arrive;
mod cubic;
mod envelope;
mod loss;
mod rack;
mod receive;
mod recovery;
mod rtt;
mod send;
mod timers;
mod window;

use crate::frame::{Frame, Ledger, List, Memory, NONE};
use crate::limits::Limits;
use crate::time::{Now, Tick};
use crate::turn::Turn;
use crate::wire::build::TIMESTAMPS;
use crate::wire::seq::Seq;

pub(crate) use arrive::Outcome;
use cubic::Cubic;
use rack::Rack;
use recovery::Recovery;
use rtt::Rtt;
pub(crate) use timers::Fired;

/// How far the end of our own octets has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Ending {
    /// More may follow.
    #[default]
    Open,
    /// All octets are queued, FIN not yet, for want of a frame.
    Wanted,
    /// FIN is queued or sent.
    Queued,
    /// FIN was acknowledged.
    Acknowledged,
}

/// What both ends agreed on in their SYNs.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Agreed {
    /// Our first number; its SYN is acknowledged.
    pub(crate) ours: Seq,
    /// The peer's first number.
    pub(crate) theirs: Seq,
    /// The largest segment that the peer takes, options not counted.
    pub(crate) mss: u16,
    /// Shift of the windows that the peer announces and that we announce, when both sent the option.
    pub(crate) scales: Option<(u8, u8)>,
    /// SACK may be used.
    pub(crate) sack: bool,
    /// Time stamps are used: what the peer's latest said.
    pub(crate) stamp: Option<u32>,
    /// What is added to our clock for this connection.
    pub(crate) stamp_offset: u32,
    /// The window in the peer's latest segment, not scaled.
    pub(crate) window: u16,
    /// The window that we announced, octets.
    pub(crate) announced: u32,
    /// Microseconds that our SYN took to be answered, if it was sent once.
    pub(crate) rtt: Option<u32>,
}

/// One leg. Field order is hot first; sizes are held by a test.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Leg {
    /// First number that is not acknowledged.
    una: Seq,
    /// Next number to be sent for the first time.
    next: Seq,
    /// The number after everything queued.
    end: Seq,
    /// Octets after `una` that the peer takes.
    window: u32,
    /// Number and acknowledgment of the segment that told the window.
    window_from: (Seq, Seq),
    /// Entries from `una` on: first those that were sent, from `unsent` on those that were not.
    queue: List,
    unsent: u32,
    /// The last entry that was sent.
    last_sent: u32,
    /// Octets in flight that were reported by SACK, are judged lost, and are lost but sent again.
    sacked: u32,
    lost: u32,
    flying: u32,
    /// Next number that we expect.
    expected: Seq,
    /// The number after the window that we announced; it never goes back.
    edge: Seq,
    /// The acknowledgment in our latest segment.
    told: Seq,
    /// The peer's time stamp to be echoed, and when it came.
    recent: u32,
    recent_at: Tick,
    /// Received in order, not yet relayed.
    pub(crate) held: List,
    held_octets: u32,
    /// Received out of order, sorted, without overlap.
    strays: List,
    stray_count: u16,
    /// Octets that one of our segments may carry, now and on a path without narrow links.
    mss: u16,
    full_mss: u16,
    timers: timers::Timers,
    rtt: Rtt,
    recovery: Recovery,
    stamp_offset: u32,
    /// Flow and side.
    owner: u32,
    /// Scale shifts: of what the peer announces, of what we do.
    their_scale: u8,
    our_scale: u8,
    sack: bool,
    stamps: bool,
    /// An acknowledgment must go out now.
    ack_now: bool,
    /// In-order segments since our latest acknowledgment.
    unacknowledged: u8,
    /// The peer's FIN was received in order.
    ended: bool,
    ending: Ending,
    /// FIN went out before the peer's came, so this leg must remember its end for a while (TIME-WAIT).
    active: bool,
    /// The congestion window stopped us when we last sent.
    window_limited: bool,
    /// Duplicate acknowledgments in a row, where SACK is not to be had.
    duplicates: u8,
    /// SACKed entries.
    sacked_segments: u16,
    cubic: Cubic,
    rack: Rack,
    /// When new data were last sent.
    spoke_at: Tick,
    /// The largest window that the peer ever announced.
    largest_window: u32,
    /// What waits on the other leg because of this one.
    backlog: u32,
    /// Starts of the latest ranges out of order, most recent first (RFC 2018 4).
    recent_strays: [Seq; 3],
    /// A range that came twice, to be told once (RFC 2883).
    twice: Option<(Seq, Seq)>,
    /// When the path was last found to be narrower.
    narrowed_at: Tick,
    /// When the latest challenge was sent.
    challenged_at: Option<Tick>,
}

impl Leg {
    /// A leg whose SYNs both are acknowledged.
    pub(crate) fn new(agreed: &Agreed, owner: u32, now: Now) -> Self {
        let first = agreed.ours.plus(1);
        let expected = agreed.theirs.plus(1);
        let (their_scale, our_scale) = agreed.scales.unwrap_or((0, 0));
        let mss = agreed.mss - if agreed.stamp.is_some() { TIMESTAMPS as u16 } else { 0 };
        let mut rtt = Rtt::default();
        if let Some(micros) = agreed.rtt {
            rtt.sample(micros);
        }
        Self {
            una: first,
            next: first,
            end: first,
            window: agreed.window.into(),
            window_from: (agreed.theirs, agreed.ours),
            queue: List::default(),
            unsent: NONE,
            last_sent: NONE,
            sacked: 0,
            lost: 0,
            flying: 0,
            expected,
            edge: expected.plus(agreed.announced),
            told: expected,
            recent: agreed.stamp.unwrap_or(0),
            recent_at: now.tick(),
            held: List::default(),
            held_octets: 0,
            strays: List::default(),
            stray_count: 0,
            mss,
            full_mss: mss,
            timers: timers::Timers::new(now),
            rtt,
            recovery: Recovery::default(),
            stamp_offset: agreed.stamp_offset,
            owner,
            their_scale,
            our_scale,
            sack: agreed.sack,
            stamps: agreed.stamp.is_some(),
            ack_now: false,
            unacknowledged: 0,
            ended: false,
            ending: Ending::Open,
            active: false,
            window_limited: false,
            duplicates: 0,
            sacked_segments: 0,
            cubic: Cubic::new(mss.into(), first),
            rack: Rack::new(first),
            spoke_at: now.tick(),
            largest_window: agreed.window.into(),
            backlog: 0,
            recent_strays: [expected; 3],
            twice: None,
            narrowed_at: now.tick(),
            challenged_at: None,
        }
    }

    /// How long our SYN took to be answered, for a leg that was made before it was.
    pub(crate) fn took_to_open(&mut self, rtt: Option<u32>) {
        rtt.into_iter().for_each(|micros| self.rtt.sample(micros));
    }

    /// Looks at each of its cache lines before its turn.
    pub(crate) fn glance(&self) -> u32 {
        self.una.0 ^ self.held.head ^ self.rtt.smoothed ^ self.cubic.window ^ self.largest_window
    }

    /// Whether the peer has ended, and everything that it sent is relayed.
    pub(crate) fn is_drained(&self) -> bool {
        self.ended && self.held.is_empty()
    }

    /// Whether both directions of this leg ended.
    pub(crate) fn is_finished(&self) -> bool {
        self.ended && self.ending == Ending::Acknowledged
    }

    /// Whether this leg must go through TIME-WAIT (RFC 9293 MUST-13).
    pub(crate) fn must_linger(&self) -> bool {
        self.active
    }

    /// Octets that are queued and not acknowledged.
    pub(crate) fn backlog(&self) -> u32 {
        self.end.since(self.una)
    }

    /// Says how much of what this leg received still waits on the other.
    pub(crate) fn set_backlog(&mut self, octets: u32) {
        self.backlog = octets;
    }

    /// An acknowledgment is due at once.
    pub(crate) fn acknowledge_now(&mut self) {
        self.ack_now = true;
    }

    /// Whether this new SYN may begin a new connection in the place of one that has ended (RFC 6191, RFC 9293 MAY-2).
    pub(crate) fn yields_to(&self, seq: Seq, stamp: Option<u32>) -> bool {
        match stamp {
            Some(stamp) if self.stamps => crate::wire::seq::before(self.recent, stamp),
            _ => self.expected.before(seq),
        }
    }

    /// Gives all frames back.
    pub(crate) fn release<F: Frame, M: Memory<Frame = F>>(&mut self, ledger: &mut Ledger<F>, memory: &mut M) {
        for list in [&mut self.queue, &mut self.held, &mut self.strays] {
            ledger.release_all(list, memory);
        }
    }

    /// Octets in flight, in the sense of sequence numbers.
    fn flight(&self) -> u32 {
        self.next.since(self.una)
    }

    /// Octets believed to be on their way (RFC 6675, "pipe").
    fn pipe(&self) -> u32 {
        let duplicates = u32::from(self.duplicates) * u32::from(self.mss);
        (self.flight() + self.flying).saturating_sub(self.sacked + self.lost + duplicates)
    }

    fn budget(&self, limits: &Limits) -> u32 {
        limits.budget
    }

    /// Room for appended octets: in the last entry, when it was not sent yet and does not end the stream.
    pub(crate) fn tail_with_room<M: Memory>(&self, turn: &Turn<'_, M>) -> Option<(u32, usize)> {
        let tail = self.queue.tail;
        if self.unsent == NONE {
            return None;
        }
        let entry = turn.ledger.at(tail);
        let room = usize::from(self.mss.saturating_sub(entry.len));
        (room > 0 && self.ending == Ending::Open).then_some((tail, room))
    }
}

#[cfg(test)]
mod tests {
    use super::Leg;

    /// Five cache lines.
    #[test]
    fn a_leg_stays_small() {
        assert!(size_of::<Leg>() <= 320, "{}", size_of::<Leg>());
    }
}
