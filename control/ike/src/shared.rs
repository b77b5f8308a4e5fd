//! What all IKE SAs of one endpoint share: numbers that must be unique, and addresses to hand out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ravelin_contract::address::Family;
use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;

use crate::crypto::Random;
use crate::input::IkeId;
use crate::policy::{Identity, Lease};
use crate::pool::{Claim, Pool};
use crate::random;

/// Shared by reference between jobs; every hold of the lock is short.
#[derive(Debug, Default)]
pub(crate) struct Shared(Mutex<Registry>);

#[derive(Debug, Default)]
struct Registry {
    children: HashMap<Spi, IkeId>,
    /// How many IKE SAs stand by each rule.
    standing: HashMap<Name, usize>,
    pools: HashMap<Name, Vec<Pool>>,
}

impl Registry {
    /// The pools of a lease, with the ranges that policy gives them now.
    fn pools_of(&mut self, lease: &Lease) -> &mut Vec<Pool> {
        let pools = self.pools.entry(lease.pool.clone()).or_default();
        if !pools.iter().map(Pool::range).eq(&lease.addresses) {
            let mut old = std::mem::take(pools);
            *pools = lease.addresses.iter().map(|range| Pool::new(*range)).collect();
            pools.iter_mut().for_each(|pool| old.iter_mut().for_each(|old| pool.inherit(old)));
        }
        pools
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Registry> {
        // The registry is whole between any two statements: a panic elsewhere cannot leave it half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An inbound SPI that fits and that no child of ours has.
    pub(crate) fn take_spi(&self, owner: IkeId, fits: impl Fn(Spi) -> bool, random: &mut dyn Random) -> Spi {
        let mut registry = self.lock();
        loop {
            let candidate = Spi::new(u32::from_be_bytes(random::array(random)));
            if let Some(spi) = candidate.filter(|spi| fits(*spi) && !registry.children.contains_key(spi)) {
                registry.children.insert(spi, owner);
                return spi;
            }
        }
    }

    /// A child of an earlier run goes on; false when somebody has its SPI.
    pub(crate) fn reserve(&self, spi: Spi, owner: IkeId) -> bool {
        self.lock().children.insert(spi, owner).is_none()
    }

    /// The child goes on under another IKE SA.
    pub(crate) fn hand_over(&self, spi: Spi, owner: IkeId) {
        self.lock().children.insert(spi, owner);
    }

    /// The SPI may be used again.
    pub(crate) fn release_spi(&self, spi: Spi) {
        self.lock().children.remove(&spi);
    }

    /// The IKE SA of a child.
    pub(crate) fn owner(&self, spi: Spi) -> Option<IkeId> {
        self.lock().children.get(&spi).copied()
    }

    /// Inbound SPIs in use.
    pub(crate) fn spis(&self) -> usize {
        self.lock().children.len()
    }

    /// Octets that numbers in use hold on the heap.
    pub(crate) fn heap(&self) -> usize {
        self.lock().children.capacity() * size_of::<(Spi, IkeId)>()
    }

    /// An IKE SA with this peer stands.
    pub(crate) fn stands(&self, peer: &Name) {
        *self.lock().standing.entry(peer.clone()).or_insert(0) += 1;
    }

    /// One stands no more.
    pub(crate) fn stands_no_more(&self, peer: &Name) {
        let mut registry = self.lock();
        if let Some(count) = registry.standing.get_mut(peer) {
            *count -= 1;
            if *count == 0 {
                registry.standing.remove(peer);
            }
        }
    }

    /// Whether an IKE SA with this peer stands: then none is its first (INITIAL_CONTACT, RFC 7296 2.4).
    pub(crate) fn knows(&self, peer: &Name) -> bool {
        self.lock().standing.contains_key(peer)
    }

    /// Addresses of the pool, one of each family that `claims` speaks of, as far as there are any.
    pub(crate) fn lease(&self, lease: &Lease, claims: &[(Family, Claim<'_>)]) -> Vec<IpAddr> {
        let mut registry = self.lock();
        let pools = registry.pools_of(lease);
        let take = |(family, claim): &(Family, Claim<'_>)| {
            pools
                .iter_mut()
                .filter(|pool| pool.range().family() == *family)
                .find_map(|pool| pool.take(*claim))
        };
        claims.iter().filter_map(take).collect()
    }

    /// The addresses that `holder` had in an earlier run, or others where somebody else has them.
    pub(crate) fn lease_again(&self, lease: &Lease, holder: &Identity, had: &[IpAddr]) -> Vec<IpAddr> {
        let claim =
            |address: &IpAddr| (Family::of(*address), Claim { holder, wish: Some(*address), sole: false });
        self.lease(lease, &had.iter().map(claim).collect::<Vec<_>>())
    }

    /// An SA of an earlier run carries these.
    pub(crate) fn orphan(&self, lease: &Lease, addresses: &[IpAddr]) {
        let mut registry = self.lock();
        for pool in registry.pools_of(lease) {
            addresses.iter().for_each(|address| pool.orphan(*address));
        }
    }

    /// It carries them no more.
    pub(crate) fn bury(&self, lease: &Lease, addresses: &[IpAddr]) {
        let mut registry = self.lock();
        for pool in registry.pools_of(lease) {
            addresses.iter().for_each(|address| pool.bury(*address));
        }
    }

    /// Gives addresses back.
    pub(crate) fn release(&self, pool: &Name, addresses: &[IpAddr]) {
        let mut registry = self.lock();
        for pool in registry.pools.get_mut(pool).into_iter().flatten() {
            let range = *pool.range();
            addresses
                .iter()
                .filter(|address| range.contains(**address))
                .for_each(|address| pool.release(*address));
        }
    }
}
