//! What all IKE SAs of one endpoint share: numbers that must be unique, and addresses to hand out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;

use crate::crypto::Random;
use crate::input::IkeId;
use crate::policy::{Identity, Lease};
use crate::pool::Pool;
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

    /// Addresses for `holder` out of the peer's pools, one of each range.
    pub(crate) fn lease(
        &self,
        peer: &Name,
        lease: &Lease,
        holder: &Identity,
        wishes: &[IpAddr],
    ) -> Vec<IpAddr> {
        let mut registry = self.lock();
        let pools = registry
            .pools
            .entry(peer.clone())
            .or_insert_with(|| lease.addresses.iter().map(|range| Pool::new(*range)).collect());
        let wish = |pool: &Pool| wishes.iter().copied().find(|wish| pool.range().contains(*wish));
        pools.iter_mut().filter_map(|pool| pool.take(holder, wish(pool))).collect()
    }

    /// Gives addresses back.
    pub(crate) fn release(&self, peer: &Name, addresses: &[IpAddr]) {
        let mut registry = self.lock();
        let pools = registry.pools.get_mut(peer).into_iter().flatten();
        for pool in pools {
            let range = *pool.range();
            addresses
                .iter()
                .filter(|address| range.contains(**address))
                .for_each(|address| pool.release(*address));
        }
    }
}
