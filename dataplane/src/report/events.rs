//! Events on their way to control: a bounded queue that workers fill and nobody waits for.
//!
//! Each worker has an [`EventSink`] with limits of its own, so that a flood of matches costs it a comparison and not the
//! queue's cache line. What is not admitted is counted and told with the next event of the same rule.

use std::cell::RefCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crossbeam::queue::ArrayQueue;
use ravelin_contract::child::Happening;
use ravelin_contract::limits;
use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Rule, TunnelId};
use ravelin_contract::sa::Spi;
use ravelin_contract::selector::FlowKey;
use ravelin_contract::verdict::Verdict;

use crate::clock::{Clock, Now};

/// Events per second, rule and worker.
pub const PER_RULE: u32 = 10;
/// Events per second and worker over all rules.
pub const PER_WORKER: u32 = 200;
/// Acquires per second, tunnel and worker.
pub const PER_TUNNEL: u32 = 1;
/// Notes of a moved peer per second, SA and worker.
pub const PER_SA: u32 = 1;
/// Notes of unknown SPIs per second, sender and worker.
pub const PER_SENDER: u32 = 1;
/// Rules (or tunnels, SAs, senders) of which a worker remembers how many events they had; others share their place.
const PLACES: usize = 256;
/// Key of the implicit deny, which is no rule.
const IMPLICIT: u32 = u32::MAX;

/// Events that wait for control. When it does not fetch them, the oldest are lost and counted.
#[derive(Debug)]
pub struct Events {
    queue: ArrayQueue<(Now, Event)>,
    lost: AtomicU64,
}

impl Events {
    /// An empty queue for [`limits::EVENTS`].
    pub fn new() -> Arc<Self> {
        Arc::new(Self { queue: ArrayQueue::new(limits::EVENTS), lost: AtomicU64::new(0) })
    }

    /// Takes at most `most` events, oldest first. `clock` is the one that workers read.
    pub fn take(&self, most: usize, clock: &Clock) -> Vec<Event> {
        let waiting = std::iter::from_fn(|| self.queue.pop()).take(most);
        waiting.map(|(at, event)| stamped(event, clock.read().since(at))).collect()
    }

    /// Events that nobody fetched in time.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Tells something rare, without a limit.
    pub fn tell(&self, now: Now, event: Event) {
        self.put(now, event);
    }

    fn put(&self, now: Now, event: Event) {
        if self.queue.force_push((now, event)).is_some() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Gives an event of `age` nanoseconds the time of day at which it happened.
fn stamped(mut event: Event, age: u64) -> Event {
    if let Event::FilterMatch { time, .. } = &mut event {
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        *time = (today.as_micros() as u64).saturating_sub(age / 1000);
    }
    event
}

/// One packet that a rule with a log flag, or the implicit deny, decided.
#[derive(Debug, Clone, Copy)]
pub struct Matched<'a> {
    /// Generation of the rule.
    pub generation: u64,
    /// The rule and its position; `None` for the implicit deny.
    pub rule: Option<(u32, &'a Rule)>,
    /// How it ends.
    pub verdict: Verdict,
    /// The packet.
    pub flow: FlowKey,
    /// Port it came in by.
    pub port: &'a str,
    /// Octets of the IP packet.
    pub length: u32,
    /// Whether it is a fragment.
    pub fragment: bool,
}

/// The writing end of one worker.
#[derive(Debug)]
pub struct EventSink {
    events: Arc<Events>,
    limits: RefCell<Limits>,
}

/// How much one worker has told lately.
#[derive(Debug)]
struct Limits {
    rules: Gate,
    tunnels: Gate,
    sas: Gate,
    senders: Gate,
    all: Gate,
}

impl EventSink {
    /// A sink into `events`.
    pub fn new(events: Arc<Events>) -> Self {
        let [rules, tunnels, sas, senders] = [(); 4].map(|()| Gate::new(PLACES));
        let limits = Limits { rules, tunnels, sas, senders, all: Gate::new(1) };
        Self { events, limits: RefCell::new(limits) }
    }

    /// Tells of a match, within [`PER_RULE`] and [`PER_WORKER`].
    pub fn matched(&self, now: Now, matched: &Matched<'_>) {
        let index = matched.rule.map_or(IMPLICIT, |(index, _)| index);
        let key = (matched.generation << 32) | u64::from(index);
        let mut limits = self.limits.borrow_mut();
        let limits = &mut *limits;
        if !limits.rules.admits(key, PER_RULE, now) {
            return;
        }
        if !limits.all.admits(0, PER_WORKER, now) {
            limits.rules.suppress(key);
            return;
        }
        let suppressed = limits.rules.told(key);
        self.events.put(now, Self::event(matched, suppressed));
    }

    /// Asks for an SA of `tunnel`, for which `flow` had none; within [`PER_TUNNEL`].
    pub fn acquire(&self, now: Now, tunnel: TunnelId, name: &Name, flow: FlowKey) {
        let mut limits = self.limits.borrow_mut();
        if limits.tunnels.admits(tunnel.0.into(), PER_TUNNEL, now) {
            self.events.put(now, Event::Acquire { tunnel: name.clone(), flow });
        }
    }

    /// Tells that a peer has moved, within [`PER_SA`]. False when it was not told.
    pub fn moved(&self, now: Now, spi: u32, name: &Name, happening: Happening) -> bool {
        let Ok(spi) = Spi::try_from(spi) else { return false };
        let admitted = self.limits.borrow_mut().sas.admits(spi.get().into(), PER_SA, now);
        if admitted {
            self.events.put(now, Event::Child { spi, name: name.clone(), happening });
        }
        admitted
    }

    /// Tells of an unknown SPI that `sender` used, within [`PER_SENDER`] and [`PER_WORKER`].
    pub fn unknown_spi(&self, now: Now, event: Event, sender: IpAddr) {
        let mut limits = self.limits.borrow_mut();
        if limits.senders.admits(address_key(sender), PER_SENDER, now)
            && limits.all.admits(0, PER_WORKER, now)
        {
            self.events.put(now, event);
        }
    }

    fn event(matched: &Matched<'_>, suppressed: u32) -> Event {
        Event::FilterMatch {
            time: 0,
            rule: matched.rule.map(|(_, rule)| (rule.name.clone(), rule.extension)),
            action: matched.rule.map(|(_, rule)| rule.action),
            verdict: matched.verdict,
            flow: matched.flow,
            port: matched.port.to_owned(),
            length: matched.length,
            fragment: matched.fragment,
            suppressed,
        }
    }
}

/// Senders that share a key share a limit, no more.
fn address_key(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => address.to_bits().into(),
        IpAddr::V6(address) => {
            let bits = address.to_bits();
            (bits >> 64) as u64 ^ bits as u64
        }
    }
}

/// So many per second for each key. Keys that share a place push each other out; only their counts suffer.
#[derive(Debug)]
struct Gate {
    /// A power of two.
    places: Box<[Place]>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Place {
    key: u64,
    /// The second that `admitted` speaks of.
    second: u64,
    admitted: u32,
    /// Refused since the last that was told.
    suppressed: u32,
}

impl Gate {
    fn new(places: usize) -> Self {
        Self { places: vec![Place::default(); places.next_power_of_two()].into() }
    }

    /// Whether one more may be told now; one that may not is counted as suppressed.
    fn admits(&mut self, key: u64, most: u32, now: Now) -> bool {
        let second = now.seconds();
        let place = self.place(key);
        if place.key != key {
            *place = Place { key, ..Place::default() };
        }
        if place.second != second {
            (place.second, place.admitted) = (second, 0);
        }
        let admitted = place.admitted < most;
        match admitted {
            true => place.admitted += 1,
            false => place.suppressed = place.suppressed.saturating_add(1),
        }
        admitted
    }

    fn suppress(&mut self, key: u64) {
        let place = self.place(key);
        place.suppressed = place.suppressed.saturating_add(1);
    }

    /// How many were suppressed before this one.
    fn told(&mut self, key: u64) -> u32 {
        std::mem::take(&mut self.place(key).suppressed)
    }

    fn place(&mut self, key: u64) -> &mut Place {
        let mask = self.places.len() - 1;
        &mut self.places[(key ^ (key >> 32)) as usize & mask]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn flow() -> FlowKey {
        let [source, destination] = ["192.0.2.1", "192.0.2.2"].map(|text| text.parse().unwrap());
        FlowKey { source, destination, protocol: 17, upper: Some((1, 2)) }
    }

    fn implicit(sink: &EventSink, now: Now) {
        let (verdict, port) = (Verdict::ImplicitlyDenied, "wan");
        let (length, fragment) = (100, false);
        sink.matched(
            now,
            &Matched { generation: 1, rule: None, verdict, flow: flow(), port, length, fragment },
        );
    }

    fn suppressed(event: &Event) -> u32 {
        match event {
            Event::FilterMatch { suppressed, .. } => *suppressed,
            _ => panic!("not a match"),
        }
    }

    #[test]
    fn a_flood_is_told_within_the_limit_and_the_rest_as_a_number() {
        let events = Events::new();
        let sink = EventSink::new(Arc::clone(&events));
        (0..1000).for_each(|_| implicit(&sink, Now(5)));
        implicit(&sink, Now(SECOND));
        let told = events.take(usize::MAX, &Clock::start());
        assert_eq!(told.len(), PER_RULE as usize + 1);
        assert_eq!(told.last().map(suppressed), Some(1000 - PER_RULE));
    }

    #[test]
    fn what_nobody_fetches_is_lost_from_the_oldest_on() {
        let events = Events::new();
        let sink = EventSink::new(Arc::clone(&events));
        let name = Name::new("paris").unwrap();
        let acquire = |n: u64| sink.acquire(Now(n * SECOND), TunnelId(n as u32), &name, flow());
        (0..limits::EVENTS as u64 + 3).for_each(acquire);
        assert_eq!(events.lost(), 3);
        assert_eq!(events.take(usize::MAX, &Clock::start()).len(), limits::EVENTS);
    }

    #[test]
    fn a_tunnel_is_asked_for_once_a_second() {
        let events = Events::new();
        let sink = EventSink::new(Arc::clone(&events));
        let name = Name::new("paris").unwrap();
        (0..50).for_each(|n| sink.acquire(Now(n * SECOND / 10), TunnelId(3), &name, flow()));
        assert_eq!(events.take(usize::MAX, &Clock::start()).len(), 5);
    }

    #[test]
    fn a_match_carries_the_time_of_day() {
        let events = Events::new();
        let (clock, sink) = (Clock::start(), EventSink::new(Arc::clone(&events)));
        implicit(&sink, clock.read());
        let told = events.take(1, &clock);
        let Some(Event::FilterMatch { time, .. }) = told.first() else { panic!("no match") };
        let today = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
        assert!(today - time < 60_000_000, "{time} is not about {today}");
    }
}
