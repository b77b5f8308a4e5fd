//! Message numbers and retransmission (RFC 7296 2.1 to 2.3): one request on the way each way, one response kept.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::time::Time;
use crate::wire::ExchangeType;

/// When a request is sent again, and when the peer counts as gone (row B55: IkeInitWait and IkeRetries).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retransmission {
    /// From the first sending to the second; doubles each time.
    pub first: Duration,
    /// Longest wait between two sendings.
    pub longest: Duration,
    /// How often a request is sent again before the peer counts as gone.
    pub retries: u8,
}

impl Default for Retransmission {
    fn default() -> Self {
        Self { first: Duration::from_secs(2), longest: Duration::from_secs(32), retries: 6 }
    }
}

impl Retransmission {
    /// From the first sending until the peer counts as gone.
    pub(crate) fn whole(&self) -> Duration {
        (0..=self.retries).map(|sending| self.wait(sending)).sum()
    }

    /// The wait after the sending with this number, counted from 0.
    fn wait(&self, sending: u8) -> Duration {
        self.first.saturating_mul(1 << sending.min(16)).min(self.longest)
    }
}

/// One message as it goes out: one datagram, or its fragments (RFC 7383).
pub(crate) type Packets = Vec<Vec<u8>>;

/// What a request's number says of it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Arrival {
    /// The next one: to be handled.
    New,
    /// The one answered last: the same answer goes out again, unless it is still in the making.
    Repeat,
    /// Older, or beyond the window: dropped.
    Outside,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Outstanding {
    id: u32,
    packets: Packets,
    sendings: u8,
    due: Time,
}

/// What [`Window::tick`] asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// Nothing is due.
    Idle,
    /// The request goes out again.
    Again(Packets),
    /// It went out often enough: the peer is gone.
    GaveUp,
}

/// Both directions of one IKE SA.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
pub(crate) struct Window {
    next_request: u32,
    outstanding: Option<Outstanding>,
    next_expected: u32,
    last_response: Packets,
}

impl Window {
    /// The window of an SA whose first exchanges have used these numbers.
    pub(crate) fn starting_at(next_request: u32, next_expected: u32) -> Self {
        Self { next_request, next_expected, ..Self::default() }
    }

    /// Whether another request may go out.
    pub(crate) fn is_free(&self) -> bool {
        self.outstanding.is_none()
    }

    /// The number of the next request.
    pub(crate) fn next_request(&self) -> u32 {
        self.next_request
    }

    /// Whether numbers are nearly used up; the SA must be rekeyed or closed before (2.2).
    pub(crate) fn is_nearly_spent(&self) -> bool {
        self.next_request.max(self.next_expected) > u32::MAX - 1024
    }

    /// A request went out.
    pub(crate) fn sent(&mut self, now: Time, packets: Packets, pace: &Retransmission) {
        debug_assert!(self.outstanding.is_none(), "one request at a time");
        self.outstanding =
            Some(Outstanding { id: self.next_request, packets, sendings: 0, due: now + pace.wait(0) });
        self.next_request += 1;
    }

    /// Whether the peer has said anything, of an SA whose numbers began at 0.
    pub(crate) fn has_heard(&self) -> bool {
        self.next_expected > 0 || self.next_request > u32::from(self.outstanding.is_some())
    }

    /// Whether a response of this number and exchange is the awaited one.
    pub(crate) fn awaits(&self, id: u32, exchange: ExchangeType) -> bool {
        let asked = |request: &Outstanding| {
            // What went out is a message: its exchange stands behind SPIs, first payload and version.
            request.packets.first().and_then(|packet| packet.get(18)).copied().map(ExchangeType::from)
        };
        self.outstanding.as_ref().is_some_and(|request| request.id == id && asked(request) == Some(exchange))
    }

    /// The awaited response has come.
    pub(crate) fn answered(&mut self) {
        self.outstanding = None;
    }

    /// Sends the request that is on the way again at once: the path has changed.
    pub(crate) fn hurry(&mut self, now: Time) {
        if let Some(request) = &mut self.outstanding {
            request.due = now;
        }
    }

    /// What a request of this number is.
    pub(crate) fn judge(&self, id: u32) -> Arrival {
        if id == self.next_expected {
            Arrival::New
        } else if id.checked_add(1) == Some(self.next_expected) {
            Arrival::Repeat
        } else {
            Arrival::Outside
        }
    }

    /// The next request was authentic and is being handled; its answer may take a while.
    pub(crate) fn accepted(&mut self) {
        self.next_expected += 1;
        self.last_response = Packets::new();
    }

    /// The answer went out.
    pub(crate) fn responded(&mut self, packets: Packets) {
        self.last_response = packets;
    }

    /// The answer that went out last.
    pub(crate) fn last_response(&self) -> &Packets {
        &self.last_response
    }

    /// Looks whether the request on the way is due again.
    pub(crate) fn tick(&mut self, now: Time, pace: &Retransmission) -> Tick {
        match &mut self.outstanding {
            Some(request) if request.due <= now => {
                request.sendings += 1;
                if request.sendings > pace.retries {
                    return Tick::GaveUp;
                }
                request.due = now + pace.wait(request.sendings);
                Tick::Again(request.packets.clone())
            }
            _ => Tick::Idle,
        }
    }

    /// When [`Self::tick`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.outstanding.as_ref().map(|request| request.due)
    }

    /// Octets held on the heap.
    pub(crate) fn heap(&self) -> usize {
        let held = |packets: &Packets| {
            packets.capacity() * size_of::<Vec<u8>>() + packets.iter().map(Vec::capacity).sum::<usize>()
        };
        held(&self.last_response) + self.outstanding.as_ref().map_or(0, |request| held(&request.packets))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_out_again_at_growing_distances_and_then_the_peer_is_gone() {
        let pace =
            Retransmission { first: Duration::from_secs(1), longest: Duration::from_secs(4), retries: 4 };
        let mut window = Window::default();
        window.sent(Time::default(), vec![vec![1]], &pace);
        let mut sent_at = Vec::new();
        for second in 0..30 {
            match window.tick(Time::from_micros(second * 1_000_000), &pace) {
                Tick::Idle => {}
                Tick::Again(_) => sent_at.push(second),
                Tick::GaveUp => {
                    assert_eq!((sent_at, second), (vec![1, 3, 7, 11], 15));
                    assert_eq!(pace.whole(), Duration::from_secs(second));
                    return;
                }
            }
        }
        panic!("never gave up");
    }

    #[test]
    fn only_the_next_and_the_last_request_are_looked_at() {
        let mut window = Window::starting_at(0, 5);
        assert_eq!(window.judge(5), Arrival::New);
        window.accepted();
        assert_eq!(window.judge(5), Arrival::Repeat);
        assert_eq!(window.judge(4), Arrival::Outside);
        assert_eq!(window.judge(7), Arrival::Outside);
        assert_eq!(Window::default().judge(u32::MAX), Arrival::Outside);
    }

    #[test]
    fn only_an_answer_or_a_request_of_the_peer_is_heard() {
        let mut window = Window::default();
        assert!(!window.has_heard());
        window.sent(Time::default(), vec![vec![1]], &Retransmission::default());
        assert!(!window.has_heard());
        window.answered();
        assert!(window.has_heard());
        let mut window = Window::default();
        window.accepted();
        assert!(window.has_heard());
    }
}
