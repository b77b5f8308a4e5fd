//! A network between two hosts: loss, delay, reordering, duplication, and a NAT whose mappings change.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use ravelin_ike::Time;

use crate::world::Dice;

/// What the network does to datagrams.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    /// Percent lost.
    pub(crate) loss: u32,
    /// Percent that come twice.
    pub(crate) twice: u32,
    /// Least delay.
    pub(crate) delay: Duration,
    /// What may come on top of it: more than the distance between two datagrams reorders them.
    pub(crate) jitter: Duration,
}

impl Weather {
    /// Ten milliseconds, always.
    pub(crate) const FAIR: Self =
        Self { loss: 0, twice: 0, delay: Duration::from_millis(10), jitter: Duration::ZERO };
    /// Much goes wrong.
    pub(crate) const FOUL: Self =
        Self { loss: 15, twice: 10, delay: Duration::from_millis(10), jitter: Duration::from_millis(400) };
}

/// A datagram on its way.
#[derive(Debug, Clone)]
pub(crate) struct Datagram {
    pub(crate) source: SocketAddr,
    pub(crate) destination: SocketAddr,
    pub(crate) bytes: Vec<u8>,
}

/// A NAT before one host: its public ports, by private end and destination.
#[derive(Debug, Clone)]
pub(crate) struct Nat {
    pub(crate) private: IpAddr,
    pub(crate) public: IpAddr,
    ports: BTreeMap<SocketAddr, u16>,
    next: u16,
}

impl Nat {
    pub(crate) fn new(private: IpAddr, public: IpAddr) -> Self {
        Self { private, public, ports: BTreeMap::new(), next: 20_000 }
    }

    /// All mappings are forgotten: what goes out next gets new ports.
    pub(crate) fn rebind(&mut self) {
        self.ports.clear();
        self.next += 100;
    }

    fn out(&mut self, datagram: &mut Datagram) {
        if datagram.source.ip() == self.private {
            let next = &mut self.next;
            let port = *self.ports.entry(datagram.source).or_insert_with(|| {
                *next += 1;
                *next
            });
            datagram.source = SocketAddr::new(self.public, port);
        }
    }

    /// False when nobody behind the NAT has that port.
    fn back(&self, datagram: &mut Datagram) -> bool {
        if datagram.destination.ip() != self.public {
            return datagram.destination.ip() != self.private;
        }
        let found = self.ports.iter().find(|(_, port)| **port == datagram.destination.port());
        match found {
            Some((inside, _)) => datagram.destination = *inside,
            None => return false,
        }
        true
    }
}

/// Datagrams on their way, by the time they arrive.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) weather: Weather,
    pub(crate) nat: Option<Nat>,
    pub(crate) cut: bool,
    lost_next: bool,
    flights: BTreeMap<(Time, u64), Datagram>,
    count: u64,
    sent: usize,
    last: Option<Datagram>,
    recorded: Option<Vec<Datagram>>,
}

impl Network {
    pub(crate) fn new() -> Self {
        Self {
            weather: Weather::FAIR,
            nat: None,
            cut: false,
            lost_next: false,
            flights: BTreeMap::new(),
            count: 0,
            sent: 0,
            last: None,
            recorded: None,
        }
    }

    /// Takes a datagram from a host.
    pub(crate) fn send(&mut self, now: Time, mut datagram: Datagram, dice: &mut Dice) {
        if let Some(nat) = &mut self.nat {
            nat.out(&mut datagram);
        }
        self.sent += 1;
        self.last = Some(datagram.clone());
        if let Some(recorded) =
            self.recorded.as_mut().filter(|known| known.iter().all(|old| old.bytes != datagram.bytes))
        {
            recorded.push(datagram.clone());
        }
        let copies = if dice.percent(self.weather.twice) { 2 } else { 1 };
        let lost = std::mem::take(&mut self.lost_next);
        for _ in 0..copies {
            if lost || self.cut || dice.percent(self.weather.loss) {
                continue;
            }
            let due = now + self.weather.delay + dice.up_to(self.weather.jitter);
            self.count += 1;
            self.flights.insert((due, self.count), datagram.clone());
        }
    }

    /// The next datagram that is sent does not arrive.
    pub(crate) fn lose_next(&mut self) {
        self.lost_next = true;
    }

    /// What is on its way is lost.
    pub(crate) fn forget(&mut self) {
        self.flights.clear();
    }

    /// Datagrams sent so far.
    pub(crate) fn sent(&self) -> usize {
        self.sent
    }

    /// The last one that a host sent.
    pub(crate) fn last_sent(&self) -> Option<Datagram> {
        self.last.clone()
    }

    /// Keeps every datagram from now on.
    pub(crate) fn record(&mut self) {
        self.recorded = Some(Vec::new());
    }

    /// What was kept, in order, repetitions apart.
    pub(crate) fn recorded(&self) -> Vec<Datagram> {
        self.recorded.clone().unwrap_or_default()
    }

    /// When the next one arrives.
    pub(crate) fn next(&self) -> Option<Time> {
        self.flights.keys().next().map(|(due, _)| *due)
    }

    /// The next one that arrives somewhere by `now`.
    pub(crate) fn arrive(&mut self, now: Time) -> Option<Datagram> {
        loop {
            let entry = self.flights.first_entry().filter(|entry| entry.key().0 <= now)?;
            let mut datagram = entry.remove();
            if self.nat.as_ref().is_none_or(|nat| nat.back(&mut datagram)) {
                return Some(datagram);
            }
        }
    }
}
