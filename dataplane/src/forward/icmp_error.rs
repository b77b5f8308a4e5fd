//! ICMP errors of ours, as packets that go their own way through filters and routes.

use std::net::IpAddr;

use crate::clock::Now;
use crate::frame::{Frame, Pool};
use crate::packet::{Origin, Packet};
use crate::port::HEADROOM;
use crate::wire::icmp::{self, Error};
use crate::wire::ip;

/// Errors per second and worker, in the long run (RFC 4443 2.4 f).
pub const RATE: u64 = 1000;
/// Errors at once after a time without any. A burst of packets that are all too big is answered in full.
pub const BURST: u64 = 100;

/// A token bucket for the errors of one worker.
#[derive(Debug)]
pub struct Limiter {
    /// Nanoseconds of quiet saved up, at most what [`BURST`] errors cost.
    saved: u64,
    /// When `saved` was last brought up to date.
    at: Now,
    /// For the identification field of the next error.
    next: u16,
}

impl Limiter {
    /// Nanoseconds that one error costs.
    const COST: u64 = 1_000_000_000 / RATE;

    /// A full bucket.
    pub fn new(now: Now) -> Self {
        Self { saved: BURST * Self::COST, at: now, next: 0 }
    }

    /// Whether one more error may be sent now; counts it if so.
    pub fn allows(&mut self, now: Now) -> bool {
        self.saved = self.saved.saturating_add(now.since(self.at)).min(BURST * Self::COST);
        self.at = self.at.max(now);
        let allowed = self.saved >= Self::COST;
        if allowed {
            self.saved -= Self::COST;
        }
        allowed
    }

    fn identification(&mut self) -> u16 {
        self.next = self.next.wrapping_add(1);
        self.next
    }
}

/// Makes the packet that tells the sender of `cause` of `error`, from the own address `source`.
///
/// `origin` is [`Origin::Own`] or [`Origin::OwnExempt`]; route and decision of the new packet are open. `None` when no
/// error may be sent about `cause` ([`icmp::may_answer`]), `source` is of another family, the limiter is dry, or there is
/// no free frame.
pub fn answer(
    cause: &Packet,
    error: Error,
    source: IpAddr,
    origin: Origin,
    now: Now,
    pool: &mut Pool,
    limiter: &mut Limiter,
) -> Option<Packet> {
    if !icmp::may_answer(&cause.ip) || !limiter.allows(now) {
        return None;
    }
    let mut frame = pool.take()?;
    match fill(&mut frame, cause, error, source, limiter.identification()) {
        Some(headers) => Some(Packet::new(frame, headers, cause.ingress, origin)),
        None => {
            pool.give(frame);
            None
        }
    }
}

fn fill(frame: &mut Frame, cause: &Packet, error: Error, source: IpAddr, id: u16) -> Option<ip::Headers> {
    frame.place(HEADROOM, frame.capacity().checked_sub(HEADROOM)?)?;
    let sender = cause.ip.flow.source;
    let length = icmp::write_error(frame.bytes_mut(), error, cause.frame.bytes(), source, sender, id)?;
    frame.place(HEADROOM, length)?;
    ip::parse(frame.bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::PortIndex;
    use crate::wire::samples::{Ip, udp};

    fn packet(pool: &mut Pool, octets: &[u8]) -> Packet {
        let mut frame = pool.take().unwrap();
        frame.place(HEADROOM, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(octets);
        Packet::new(frame, ip::parse(octets).unwrap(), PortIndex(3), Origin::Wire)
    }

    const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 254));

    #[test]
    fn the_answer_goes_back_to_the_sender() {
        let mut pool = Pool::in_memory(2, 2048);
        let cause = packet(&mut pool, &Ip::new("192.0.2.1", "198.51.100.2", 17, udp(5, 6, b"x")).octets());
        let mut limiter = Limiter::new(Now(0));
        let made =
            answer(&cause, Error::Prohibited, SOURCE, Origin::OwnExempt, Now(0), &mut pool, &mut limiter)
                .unwrap();
        assert_eq!((made.ip.flow.source, made.ip.flow.destination), (SOURCE, cause.ip.flow.source));
        assert_eq!(
            (made.ip.flow.upper, made.ingress, made.origin),
            (Some((3, 13)), PortIndex(3), Origin::OwnExempt)
        );
        assert!(made.frame.headroom() >= HEADROOM);
    }

    #[test]
    fn no_frame_is_lost_when_there_is_no_answer() {
        let mut pool = Pool::in_memory(2, 2048);
        let cause = packet(&mut pool, &Ip::new("2001:db8::1", "2001:db8::2", 17, udp(5, 6, b"x")).octets());
        let mut limiter = Limiter::new(Now(0));
        assert!(
            answer(&cause, Error::NoRoute, SOURCE, Origin::Own, Now(0), &mut pool, &mut limiter).is_none()
        );
        assert_eq!(pool.free(), 1);
    }

    #[test]
    fn the_bucket_holds_to_its_rate() {
        let mut limiter = Limiter::new(Now(5));
        let allowed =
            |limiter: &mut Limiter, now, tries| (0..tries).filter(|_| limiter.allows(now)).count() as u64;
        assert_eq!(allowed(&mut limiter, Now(5), 1000), BURST);
        assert_eq!(allowed(&mut limiter, Now(5).plus_ms(10), 1000), 10 * RATE / 1000);
        // One at a time it never gives more than the rate either.
        let steps =
            (0..10_000).filter(|step| limiter.allows(Now(5 + 10_000_000 + step * 100_000))).count() as u64;
        assert_eq!(steps, 10_000 * 100_000 / 1_000_000 * RATE / 1000 - 1);
        assert_eq!(allowed(&mut limiter, Now(5).plus_ms(3_600_000), 1000), BURST);
    }

    #[test]
    fn time_that_stands_still_or_turns_back_gives_nothing() {
        let mut limiter = Limiter::new(Now(1_000_000_000));
        while limiter.allows(Now(1_000_000_000)) {}
        assert!(!limiter.allows(Now(0)));
        assert!(!limiter.allows(Now(1_000_000_000)));
    }
}
