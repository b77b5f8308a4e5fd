//! Addresses handed out to road warriors (RFC 7296 3.15), in order, the longest unused first.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use ravelin_contract::address::AddressRange;

use crate::policy::Identity;

/// Addresses of one range and who holds them. Somebody who returns gets the same address while it is free.
#[derive(Debug)]
pub(crate) struct Pool {
    range: AddressRange,
    taken: HashMap<IpAddr, Holding>,
    before: HashMap<Identity, IpAddr>,
    /// Carried by SAs of an earlier run that no IKE SA goes on with.
    orphaned: BTreeSet<IpAddr>,
    next: IpAddr,
}

/// Who has an address, and by how many IKE SAs: two while one takes over from the other.
#[derive(Debug)]
struct Holding {
    holder: Identity,
    count: u32,
}

/// Who asks for an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Claim<'a> {
    pub(crate) holder: &'a Identity,
    /// The address that it would like.
    pub(crate) wish: Option<IpAddr>,
    /// Whatever it holds is its own of before: it has just said that nothing else of it is alive.
    pub(crate) sole: bool,
}

/// Remembered holders; beyond this the memory of who had what begins anew.
const REMEMBERED: usize = 1 << 16;

impl Pool {
    pub(crate) fn new(range: AddressRange) -> Self {
        Self {
            range,
            taken: HashMap::new(),
            before: HashMap::new(),
            orphaned: BTreeSet::new(),
            next: range.first(),
        }
    }

    /// An address for the claim's holder. Its own one if it comes again while its last IKE SA still stands; else the one that
    /// it had before, or wishes for, if that is free; else the next free one; an orphaned one comes last.
    pub(crate) fn take(&mut self, claim: Claim<'_>) -> Option<IpAddr> {
        let Claim { holder, wish, sole } = claim;
        let before = self.before.get(holder).copied();
        let own = |address: &IpAddr| self.taken.get(address).is_some_and(|holding| holding.holder == *holder);
        let again = wish.filter(own).or_else(|| before.filter(|address| sole && own(address)));
        let free = |address: &IpAddr| self.range.contains(*address) && self.is_free(address);
        let address = again
            .or_else(|| before.filter(free))
            .or_else(|| wish.filter(free))
            .or_else(|| self.next_free())
            .or_else(|| self.orphaned.first().copied())?;
        self.orphaned.remove(&address);
        if again.is_none() {
            self.next = following(address, &self.range);
        }
        let holding = self.taken.entry(address);
        holding.or_insert_with(|| Holding { holder: holder.clone(), count: 0 }).count += 1;
        if self.before.len() >= REMEMBERED {
            self.before.clear();
        }
        self.before.insert(holder.clone(), address);
        Some(address)
    }

    /// What the pool's owner has held so far goes on where the range still has it.
    pub(crate) fn inherit(&mut self, old: &mut Self) {
        let range = self.range;
        self.taken.extend(old.taken.extract_if(|address, _| range.contains(*address)));
        self.before.extend(old.before.extract_if(|_, address| range.contains(*address)));
        self.orphaned.extend(old.orphaned.iter().filter(|address| range.contains(**address)));
    }

    fn is_free(&self, address: &IpAddr) -> bool {
        !self.taken.contains_key(address) && !self.orphaned.contains(address)
    }

    fn next_free(&self) -> Option<IpAddr> {
        let mut candidate = self.next;
        for _ in 0..=self.taken.len() + self.orphaned.len() {
            if self.is_free(&candidate) {
                return Some(candidate);
            }
            candidate = following(candidate, &self.range);
            if candidate == self.next {
                return None;
            }
        }
        None
    }

    /// One IKE SA of the holder is gone.
    pub(crate) fn release(&mut self, address: IpAddr) {
        let Some(holding) = self.taken.get_mut(&address) else { return };
        holding.count -= 1;
        if holding.count == 0 {
            self.taken.remove(&address);
        }
    }

    /// Nobody gets it while there is another.
    pub(crate) fn orphan(&mut self, address: IpAddr) {
        if self.range.contains(address) && !self.taken.contains_key(&address) {
            self.orphaned.insert(address);
        }
    }

    /// Nothing carries it any more.
    pub(crate) fn bury(&mut self, address: IpAddr) {
        self.orphaned.remove(&address);
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
        Identity::User(name.into())
    }

    fn take(pool: &mut Pool, name: &str, wish: Option<IpAddr>, sole: bool) -> Option<IpAddr> {
        pool.take(Claim { holder: &who(name), wish, sole })
    }

    fn four() -> Pool {
        Pool::new(AddressRange::prefix([10, 9, 0, 0].into(), 30).expect("a prefix"))
    }

    #[test]
    fn each_gets_its_own_and_returns_to_it() {
        let mut pool = four();
        let taken: Vec<_> =
            ["a", "b", "c", "d"].map(|name| take(&mut pool, name, None, false).expect("an address")).into();
        assert_eq!(taken.iter().collect::<std::collections::HashSet<_>>().len(), 4);
        assert_eq!(take(&mut pool, "e", None, false), None, "empty");
        pool.release(taken[0]);
        pool.release(taken[1]);
        assert_eq!(take(&mut pool, "b", None, false), Some(taken[1]));
        let wish = Some(taken[1]);
        assert_eq!(take(&mut pool, "e", wish, false), Some(taken[0]), "nobody gets what another holds");
    }

    #[test]
    fn who_comes_again_keeps_its_address_until_the_last_of_its_own_is_gone() {
        let mut pool = four();
        let first = take(&mut pool, "a", None, false);
        assert_eq!(take(&mut pool, "a", first, false), first, "it asks for what it has");
        assert_eq!(take(&mut pool, "a", None, true), first, "it has nothing else");
        assert_ne!(take(&mut pool, "a", None, false), first, "a second machine of the same user");
        let address = first.expect("given");
        for _ in 0..2 {
            pool.release(address);
            assert_ne!(take(&mut pool, "b", first, false), first, "still held");
            pool.release(pool.before[&who("b")]);
        }
        pool.release(address);
        assert_eq!(take(&mut pool, "c", first, false), first);
        pool.release([192, 0, 2, 1].into());
    }

    #[test]
    fn what_an_old_sa_carries_is_given_last_and_free_again_when_that_is_gone() {
        let mut pool = four();
        let address = |last: u8| IpAddr::from([10, 9, 0, last]);
        (0..3).for_each(|last| pool.orphan(address(last)));
        assert_eq!(take(&mut pool, "a", Some(address(1)), false), Some(address(3)), "not even on a wish");
        pool.bury(address(2));
        assert_eq!(take(&mut pool, "b", None, false), Some(address(2)));
        assert_eq!(take(&mut pool, "c", None, false), Some(address(0)), "there is no other");
        pool.orphan(address(0));
        pool.release(address(0));
        assert_eq!(take(&mut pool, "d", None, false), Some(address(0)), "who holds it has it");
    }

    #[test]
    fn a_range_that_changes_forgets_nobody_who_fits() {
        let mut pool = four();
        let held = take(&mut pool, "a", None, false);
        let mut wider = Pool::new(AddressRange::prefix([10, 9, 0, 0].into(), 29).expect("a prefix"));
        wider.inherit(&mut pool);
        assert_ne!(take(&mut wider, "b", held, false), held);
        wider.release(held.expect("given"));
        assert_eq!(take(&mut wider, "a", None, false), held);
    }
}
