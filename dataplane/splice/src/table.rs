//! Who a segment belongs to: four-tuples, hashed with a secret.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::frame::NONE;
use crate::turn::Endpoint;
use crate::wire::checksum::Sum;

/// Both endpoints of a connection, the lower one first, so that both directions have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Key {
    /// Addresses, those of IPv4 as mapped ones.
    low: [u64; 2],
    high: [u64; 2],
    /// Ports, the lower endpoint's above the other's.
    ports: u32,
    ipv6: bool,
}

impl Key {
    /// The key of a segment, and whether the lower endpoint sent it. `None` when somebody writes to itself.
    #[inline]
    pub(crate) fn of(source: Endpoint, destination: Endpoint) -> Option<(Self, bool)> {
        let ipv6 = source.0.is_ipv6();
        let (from, to) = (address(source.0), address(destination.0));
        let (port, other) = (u32::from(source.1), u32::from(destination.1));
        match (from, port).cmp(&(to, other)) {
            std::cmp::Ordering::Less => {
                Some((Self { low: from, high: to, ports: port << 16 | other, ipv6 }, true))
            }
            std::cmp::Ordering::Equal => None,
            std::cmp::Ordering::Greater => {
                Some((Self { low: to, high: from, ports: other << 16 | port, ipv6 }, false))
            }
        }
    }

    /// The lower or the higher endpoint.
    pub(crate) fn endpoint(&self, low: bool) -> Endpoint {
        let ([above, below], port) = match low {
            true => (self.low, self.ports >> 16),
            false => (self.high, self.ports),
        };
        let address = match self.ipv6 {
            true => Ipv6Addr::from_bits(u128::from(above) << 64 | u128::from(below)).into(),
            false => Ipv4Addr::from_bits(below as u32).into(),
        };
        (address, port as u16)
    }

    /// The port of the lower endpoint or the higher, and that of the other.
    #[inline]
    pub(crate) fn ports(&self, low: bool) -> (u16, u16) {
        let ports = if low { self.ports } else { self.ports.rotate_left(16) };
        ((ports >> 16) as u16, ports as u16)
    }

    /// The addresses' part of a checksum. What is before an IPv4 address here counts as nothing in it.
    #[inline]
    pub(crate) fn sum(&self) -> Sum {
        [self.low, self.high].into_iter().flatten().fold(Sum::default(), Sum::long)
    }

    pub(crate) fn is_ipv6(&self) -> bool {
        self.ipv6
    }

    /// A hash that nobody can aim at without the secret.
    pub(crate) fn hash(&self, secret: [u64; 2]) -> u32 {
        let mut state = fold(secret[0] ^ self.low[0], secret[1] ^ self.low[1]);
        state = fold(state ^ self.high[0], secret[0] ^ self.high[1]);
        state = fold(state ^ u64::from(self.ports), secret[1] ^ 0x9e37_79b9_7f4a_7c15);
        (state ^ state >> 32) as u32
    }
}

/// The prefix of IPv4 addresses among those of IPv6, below the 64 zeros that it begins with.
const MAPPED: u64 = 0xffff_0000_0000;

#[inline]
fn address(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(address) => [0, MAPPED | u64::from(address.to_bits())],
        IpAddr::V6(address) => [(address.to_bits() >> 64) as u64, address.to_bits() as u64],
    }
}

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    product as u64 ^ (product >> 64) as u64
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    index: u32,
}

/// From key to number, by open addressing at most half full. Keys themselves lie with what they are for.
#[derive(Debug)]
pub(crate) struct Table {
    slots: Vec<Slot>,
    mask: usize,
    /// What was found last: segments come in bursts, and the next one is often of the same connection.
    latest: Option<(Key, u32)>,
}

impl Table {
    pub(crate) fn new(most: u32) -> Self {
        let count = (most as usize * 2).next_power_of_two().max(16);
        Self { slots: vec![Slot { hash: 0, index: NONE }; count], mask: count - 1, latest: None }
    }

    /// The number that was last noted, if it was for this key.
    #[inline]
    pub(crate) fn latest(&self, key: &Key) -> Option<u32> {
        self.latest.as_ref().filter(|(latest, _)| latest == key).map(|(_, index)| *index)
    }

    /// Notes what was found, until anything is stored or removed.
    #[inline]
    pub(crate) fn note(&mut self, key: Key, index: u32) {
        self.latest = Some((key, index));
    }

    /// The number that was stored for this hash and that `is_it` accepts.
    pub(crate) fn find(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<u32> {
        self.place(hash, is_it).map(|place| self.slots[place].index)
    }

    /// What [`Table::find`] would look at first.
    pub(crate) fn glance(&self, hash: u32) -> u32 {
        self.slots[hash as usize & self.mask].index
    }

    fn place(&self, hash: u32, is_it: impl Fn(u32) -> bool) -> Option<usize> {
        let mut place = hash as usize & self.mask;
        while self.slots[place].index != NONE {
            if self.slots[place].hash == hash && is_it(self.slots[place].index) {
                return Some(place);
            }
            place = (place + 1) & self.mask;
        }
        None
    }

    /// Stores a number. There is room: the table has twice the slots of what may be stored.
    pub(crate) fn insert(&mut self, hash: u32, index: u32) {
        self.latest = None;
        let mut place = hash as usize & self.mask;
        while self.slots[place].index != NONE {
            place = (place + 1) & self.mask;
        }
        self.slots[place] = Slot { hash, index };
    }

    /// Removes a number and closes the gap, so that no tombstones gather.
    pub(crate) fn remove(&mut self, hash: u32, index: u32) {
        self.latest = None;
        let Some(mut gap) = self.place(hash, |found| found == index) else { return };
        let mut place = gap;
        loop {
            place = (place + 1) & self.mask;
            let slot = self.slots[place];
            if slot.index == NONE {
                break;
            }
            let home = slot.hash as usize & self.mask;
            // It may move to the gap unless its home lies after the gap on the way to its place.
            if (place.wrapping_sub(home) & self.mask) >= (place.wrapping_sub(gap) & self.mask) {
                self.slots[gap] = slot;
                gap = place;
            }
        }
        self.slots[gap].index = NONE;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn same_as_a_map(steps in prop::collection::vec((any::<bool>(), 0u32..24), 1..200)) {
            let mut table = Table::new(24);
            let mut model = BTreeMap::new();
            // Few hashes, so that chains meet and wrap.
            let hash = |index: u32| (index % 5).wrapping_sub(2);
            for (insert, index) in steps {
                if insert && model.insert(index, ()).is_none() {
                    table.insert(hash(index), index);
                } else if !insert {
                    table.remove(hash(index), index);
                    model.remove(&index);
                }
                for index in 0..24 {
                    let found = table.find(hash(index), |found| found == index);
                    prop_assert_eq!(found.is_some(), model.contains_key(&index));
                }
            }
        }

        #[test]
        fn both_directions_have_one_key(a: [u8; 4], b: [u8; 4], ports: (u16, u16), secret: [u64; 2]) {
            let (a, b): (Endpoint, Endpoint) = ((a.into(), ports.0), (b.into(), ports.1));
            prop_assume!(a != b);
            let (there, low) = Key::of(a, b).unwrap();
            let (back, high) = Key::of(b, a).unwrap();
            prop_assert_eq!((there, low), (back, !high));
            prop_assert_eq!(there.hash(secret), back.hash(secret));
            prop_assert_eq!((there.endpoint(low), there.endpoint(!low)), (a, b));
        }
    }
}
