//! What is counted: every refusal and every turn of a connection by name.

/// Something that happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Event {
    /// A segment that contradicts itself.
    Malformed,
    /// A segment whose checksum is wrong.
    BadChecksum,
    /// A segment for no connection; a reset may have answered it.
    NoFlow,
    /// No place for another connection.
    FlowsFull,
    /// No place for another half-open connection.
    OpeningsFull,
    /// Data outside of the window, or old.
    OutOfWindow,
    /// Data out of order beyond what a leg may hold.
    OutOfOrderFull,
    /// Packet memory had no free frame.
    NoFrame,
    /// A time stamp that runs backwards, or none where one must be (RFC 7323).
    StaleTimestamp,
    /// An acknowledgment of what was never sent, or long ago.
    BadAcknowledgment,
    /// An acknowledgment that asks whether a SYN or RST was meant (RFC 5961).
    Challenge,
    /// A SYN was relayed for the first time.
    Opening,
    /// A half-open connection was forgotten.
    OpeningExpired,
    /// A half-open connection was refused by its server or given up by its client.
    OpeningReset,
    /// Both legs stand.
    Established,
    /// Both legs ended in order.
    Closed,
    /// A peer reset its leg, so the other was reset.
    ResetByPeer,
    /// A leg had no answer for too long; both were reset.
    TimedOut,
    /// The relay refused to go on; both legs were reset.
    ResetByRelay,
    /// The owner of the splice ended the connection; both legs were reset.
    ResetByOwner,
    /// A reset was sent, whatever for.
    ResetSent,
    /// A retransmission timer ran out.
    RetransmissionTimeout,
    /// Segments that were sent again.
    Retransmitted,
    /// A tail loss probe was sent.
    TailProbe,
    /// A window probe was sent.
    WindowProbe,
    /// A keepalive was sent.
    Keepalive,
    /// A router said that a path is narrower than was thought.
    PathNarrowed,
    /// A path that loses large segments in silence got smaller ones.
    BlackHole,
    /// A SYN was answered with a cookie.
    CookieSent,
    /// A client brought its cookie back.
    CookieTaken,
}

/// Number of events.
const COUNT: usize = Event::CookieTaken as usize + 1;

/// Names of events in the order of the enumeration.
const NAMES: [&str; COUNT] = [
    "malformed",
    "bad_checksum",
    "no_flow",
    "flows_full",
    "openings_full",
    "out_of_window",
    "out_of_order_full",
    "no_frame",
    "stale_timestamp",
    "bad_acknowledgment",
    "challenge",
    "opening",
    "opening_expired",
    "opening_reset",
    "established",
    "closed",
    "reset_by_peer",
    "timed_out",
    "reset_by_relay",
    "reset_by_owner",
    "reset_sent",
    "retransmission_timeout",
    "retransmitted",
    "tail_probe",
    "window_probe",
    "keepalive",
    "path_narrowed",
    "black_hole",
    "cookie_sent",
    "cookie_taken",
];

/// How often each event happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Counters([u64; COUNT]);

impl Default for Counters {
    fn default() -> Self {
        Self([0; COUNT])
    }
}

impl Counters {
    pub(crate) fn count(&mut self, event: Event) {
        self.0[event as usize] += 1;
    }

    /// How often `event` happened.
    pub fn of(&self, event: Event) -> u64 {
        self.0[event as usize]
    }

    /// All of them, by name.
    pub fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        NAMES.into_iter().zip(self.0)
    }
}
