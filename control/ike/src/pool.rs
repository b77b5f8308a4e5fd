//! Addresses handed out to road warriors (RFC 7296 3.15), in order, the longest unused first.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ravelin_contract::address::AddressRange;

use crate::policy::Identity;

/// Addresses of one range and who holds them. Somebody who returns gets the same address while it is free.
#[derive(Debug)]
pub(crate) struct Pool {
    range: AddressRange,
    taken: BTreeSet<IpAddr>,
    before: HashMap<Identity, IpAddr>,
    next: IpAddr,
}

/// Remembered holders; beyond this the memory of who had what begins anew.
const REMEMBERED: usize = 1 << 16;

impl Pool {
    pub(crate) fn new(range: AddressRange) -> Self {
        Self { range, taken: BTreeSet::new(), before: HashMap::new(), next: range.first() }
    }

    /// An address for `holder`: the one it asks for or had before if free, else the next free one.
    pub(crate) fn take(&mut self, holder: &Identity, wish: Option<IpAddr>) -> Option<IpAddr> {
        let free = |address: &IpAddr| self.range.contains(*address) && !self.taken.contains(address);
        let address = self
            .before
            .get(holder)
            .copied()
            .filter(free)
            .or_else(|| wish.filter(free))
            .or_else(|| self.next_free())?;
        self.taken.insert(address);
        self.next = following(address, &self.range);
        if self.before.len() >= REMEMBERED {
            self.before.clear();
        }
        self.before.insert(holder.clone(), address);
        Some(address)
    }

    fn next_free(&self) -> Option<IpAddr> {
        let mut candidate = self.next;
        for _ in 0..=self.taken.len() {
            if !self.taken.contains(&candidate) {
                return Some(candidate);
            }
            candidate = following(candidate, &self.range);
            if candidate == self.next {
                return None;
            }
        }
        None
    }

    /// The holder is gone.
    pub(crate) fn release(&mut self, address: IpAddr) {
        self.taken.remove(&address);
    }

    /// The range.
    pub(crate) fn range(&self) -> &AddressRange {
        &self.range
    }
}

fn following(address: IpAddr, range: &AddressRange) -> IpAddr {
    if address >= range.last() {
        return range.first();
    }
    match address {
        IpAddr::V4(v4) => std::net::Ipv4Addr::from_bits(v4.to_bits() + 1).into(),
        IpAddr::V6(v6) => std::net::Ipv6Addr::from_bits(v6.to_bits() + 1).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(name: &str) -> Identity {
        Identity::Fqdn(name.into())
    }

    #[test]
    fn each_gets_its_own_and_returns_to_it() {
        let range = AddressRange::prefix([10, 9, 0, 0].into(), 30).expect("a prefix");
        let mut pool = Pool::new(range);
        let taken: Vec<_> = ["a", "b", "c", "d"].map(|name| pool.take(&who(name), None)).into();
        assert_eq!(taken.iter().flatten().collect::<BTreeSet<_>>().len(), 4);
        assert_eq!(pool.take(&who("e"), None), None, "empty");
        let of_b = taken[1].expect("given");
        pool.release(taken[0].expect("given"));
        pool.release(of_b);
        assert_eq!(pool.take(&who("b"), None), Some(of_b));
        assert_eq!(pool.take(&who("e"), Some(of_b)), taken[0], "a wish for a taken address is not granted");
    }
}
