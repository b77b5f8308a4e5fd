//! How many strangers we listen to at once: half-open limits and per-source rates, in bounded memory.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::time::Time;

/// Limits on what unproven peers may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Half-open IKE SAs from which on everybody must return a cookie first.
    pub cookies_from: usize,
    /// Most cookies per second that are asked for, over all sources: answers to false addresses are a burden to others.
    pub cookies_per_second: u32,
    /// Most half-open IKE SAs.
    pub half_open: usize,
    /// Most half-open IKE SAs of one source (an IPv4 address or an IPv6 /64).
    pub half_open_per_source: usize,
    /// IKE_SA_INIT requests per second and source that are answered.
    pub rate_per_source: u32,
    /// Most IKE SAs.
    pub sessions: usize,
    /// How long a stranger may take to prove who it is.
    pub patience: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            cookies_from: 64,
            cookies_per_second: 20_000,
            half_open: 4096,
            half_open_per_source: 256,
            rate_per_source: 1000,
            sessions: 1 << 20,
            patience: Duration::from_secs(30),
        }
    }
}

/// What to do with an IKE_SA_INIT request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Handle it.
    Admit,
    /// Ask for a cookie.
    Cookie,
    /// Drop it.
    Refuse,
}

/// Rate buckets kept; a source whose bucket is thrown out starts with a full one, behind its cookie.
const SOURCES: usize = 4096;

/// Strangers that were refused and are told of, each second.
const TOLD: u32 = 20;

/// Half-open SAs and rates by source.
#[derive(Debug, Default)]
pub(crate) struct Load {
    half_open: usize,
    by_source: HashMap<IpAddr, usize>,
    rates: HashMap<IpAddr, Bucket>,
    /// Of cookies to be asked for.
    cookies: Option<Bucket>,
    /// Of refusals to be told of.
    told: Option<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    tokens: f64,
    at: Time,
}

impl Bucket {
    fn full(now: Time, rate: u32) -> Self {
        Self { tokens: rate.into(), at: now }
    }

    /// What is there now; it fills within a second.
    fn fill(&mut self, now: Time, rate: u32) -> f64 {
        let full = f64::from(rate);
        self.tokens = (self.tokens + now.since(self.at).as_secs_f64() * full).min(full);
        self.at = now;
        self.tokens
    }

    /// One token, when there is one.
    fn spend(&mut self, now: Time, rate: u32) -> bool {
        if self.fill(now, rate) < 1.0 {
            return false;
        }
        self.tokens -= 1.0;
        true
    }
}

impl Load {
    /// Judges a request. Only what carries a good cookie (`proved`) touches memory for its source once cookies are on.
    pub(crate) fn judge(&mut self, now: Time, source: IpAddr, proved: bool, limits: &Limits) -> Admission {
        if !proved && self.half_open >= limits.cookies_from {
            let rate = limits.cookies_per_second;
            let cookies = self.cookies.get_or_insert_with(|| Bucket::full(now, rate));
            return if cookies.spend(now, rate) { Admission::Cookie } else { Admission::Refuse };
        }
        let source = aggregate(source);
        let held = self.by_source.get(&source).copied().unwrap_or(0);
        if self.half_open >= limits.half_open || held >= limits.half_open_per_source {
            return Admission::Refuse;
        }
        if self.spend(now, source, limits.rate_per_source) { Admission::Admit } else { Admission::Refuse }
    }

    /// Whether [`Load::judge`] would refuse whoever shows no cookie.
    pub(crate) fn is_flooded(&mut self, now: Time, limits: &Limits) -> bool {
        let rate = limits.cookies_per_second;
        let left = |bucket: &mut Bucket| bucket.fill(now, rate) >= 1.0;
        self.half_open >= limits.cookies_from && self.cookies.as_mut().is_some_and(|bucket| !left(bucket))
    }

    /// Whether the operator is to hear of one more stranger that was refused.
    pub(crate) fn may_tell(&mut self, now: Time) -> bool {
        self.told.get_or_insert_with(|| Bucket::full(now, TOLD)).spend(now, TOLD)
    }

    fn spend(&mut self, now: Time, source: IpAddr, rate: u32) -> bool {
        if self.rates.len() >= SOURCES && !self.rates.contains_key(&source) {
            self.rates.retain(|_, bucket| now.since(bucket.at) < Duration::from_secs(1));
            if self.rates.len() >= SOURCES {
                self.rates.clear();
            }
        }
        self.rates.entry(source).or_insert_with(|| Bucket::full(now, rate)).spend(now, rate)
    }

    /// A half-open SA was made.
    pub(crate) fn opened(&mut self, source: IpAddr) {
        self.half_open += 1;
        *self.by_source.entry(aggregate(source)).or_insert(0) += 1;
    }

    /// A half-open SA was proved or dropped.
    pub(crate) fn closed(&mut self, source: IpAddr) {
        self.half_open = self.half_open.saturating_sub(1);
        let source = aggregate(source);
        if let Some(held) = self.by_source.get_mut(&source) {
            *held -= 1;
            if *held == 0 {
                self.by_source.remove(&source);
            }
        }
    }

    /// Octets held on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.by_source.capacity() * size_of::<(IpAddr, usize)>()
            + self.rates.capacity() * size_of::<(IpAddr, Bucket)>()
    }

    /// Half-open SAs now.
    pub(crate) fn half_open(&self) -> usize {
        self.half_open
    }
}

/// One IPv6 site has 2^64 addresses to ask from; it counts as one source.
fn aggregate(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V6(address) => {
            std::net::Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_cost_a_cookie_first_and_one_source_cannot_take_all() {
        let limits = Limits { cookies_from: 2, half_open: 10, half_open_per_source: 3, ..Limits::default() };
        let mut load = Load::default();
        let (a, b): (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [192, 0, 2, 2].into());
        let now = Time::default();
        for _ in 0..2 {
            assert_eq!(load.judge(now, a, false, &limits), Admission::Admit);
            load.opened(a);
        }
        assert_eq!(load.judge(now, b, false, &limits), Admission::Cookie);
        assert_eq!(load.judge(now, a, true, &limits), Admission::Admit);
        load.opened(a);
        assert_eq!(load.judge(now, a, true, &limits), Admission::Refuse);
        assert_eq!(load.judge(now, b, true, &limits), Admission::Admit);
        (0..3).for_each(|_| load.closed(a));
        assert_eq!((load.half_open(), load.by_source.len()), (0, 0));
    }

    #[test]
    fn cookies_are_asked_for_at_a_rate() {
        let limits = Limits { cookies_from: 0, cookies_per_second: 3, ..Limits::default() };
        let (mut load, now) = (Load::default(), Time::default());
        let judged = |load: &mut Load, now| {
            let source = |last: u8| IpAddr::from([192, 0, 2, last]);
            let asked = |last| load.judge(now, source(last), false, &limits) == Admission::Cookie;
            (0..10).map(asked).filter(|asked| *asked).count()
        };
        assert_eq!(judged(&mut load, now), 3);
        assert_eq!(judged(&mut load, now + Duration::from_secs(1)), 3);
        assert_eq!(
            load.judge(now, [192, 0, 2, 1].into(), true, &limits),
            Admission::Admit,
            "a cookie is one's way in"
        );
        assert!(load.rates.len() <= 1, "who has not proved its address costs no memory");
    }

    #[test]
    fn rates_are_per_source_and_memory_for_them_is_bounded() {
        let limits = Limits { rate_per_source: 2, ..Limits::default() };
        let mut load = Load::default();
        let now = Time::default();
        let a: IpAddr = "2001:db8::1".parse().expect("an address");
        let neighbour: IpAddr = "2001:db8::2".parse().expect("an address");
        assert_eq!(load.judge(now, a, true, &limits), Admission::Admit);
        assert_eq!(load.judge(now, neighbour, true, &limits), Admission::Admit);
        assert_eq!(load.judge(now, a, true, &limits), Admission::Refuse, "one /64 is one source");
        assert_eq!(load.judge(now + Duration::from_secs(1), a, true, &limits), Admission::Admit);
        for number in 0..20_000u32 {
            load.judge(now, std::net::Ipv4Addr::from_bits(number).into(), true, &limits);
        }
        assert!(load.rates.len() <= SOURCES);
    }
}
