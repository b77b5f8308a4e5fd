//! SAs that an earlier run of control left in the packet process and that no IKE SA goes on with. They serve until new ones
//! stand for the same traffic or lead to the same place; others of a tunnel that many clients share go on.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;

use ravelin_contract::address::AddressRange;
use ravelin_contract::child::{Child, ChildStatus, Path};
use ravelin_contract::limits;
use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;
use ravelin_ike::policy::Lease;

use super::driver::Driver;

/// What is left, and who may take its place.
#[derive(Debug, Default)]
pub(super) struct LeftOvers {
    of: BTreeMap<Name, Vec<LeftOver>>,
    /// Children that stand, by inbound SPI; known only while something is left.
    successors: HashMap<Spi, (Name, Reach)>,
}

/// One pair.
#[derive(Debug)]
struct LeftOver {
    spi: Spi,
    reach: Reach,
}

/// Where a pair runs, and what lies beyond it.
#[derive(Debug, PartialEq, Eq)]
struct Reach {
    path: Path,
    leads_to: Vec<AddressRange>,
}

impl Reach {
    /// Whether both are for the same. Of what may be cut off nobody knows.
    fn is(&self, other: &Self) -> bool {
        self == other && self.leads_to.len() < limits::LEADS_TO
    }

    /// Whether both cannot be of different clients.
    fn meets(&self, other: &Self) -> bool {
        let beyond = |list: &[AddressRange]| list.len() >= limits::LEADS_TO;
        let overlap = |one: &AddressRange| other.leads_to.iter().any(|two| one.intersects(two));
        self.path == other.path
            || beyond(&self.leads_to)
            || beyond(&other.leads_to)
            || self.leads_to.iter().any(overlap)
    }

    /// Addresses that a client has of this pool.
    fn leased(&self, lease: &Lease) -> Vec<IpAddr> {
        let single = self.leads_to.iter().filter(|range| range.first() == range.last());
        let ours = |address: &IpAddr| lease.addresses.iter().any(|range| range.contains(*address));
        single.map(AddressRange::first).filter(ours).collect()
    }
}

impl LeftOvers {
    /// Takes stock: what the packet process has, and what of it IKE SAs go on with.
    fn take_stock(&mut self, stands: impl Fn(Spi) -> bool, children: Vec<ChildStatus>) {
        *self = Self::default();
        for ChildStatus { spi, tunnel, path, leads_to, .. } in children {
            let reach = Reach { path, leads_to };
            match stands(spi) {
                true => drop(self.successors.insert(spi, (tunnel, reach))),
                false => self.of.entry(tunnel).or_default().push(LeftOver { spi, reach }),
            }
        }
        self.clean();
    }

    /// What only received any more when the earlier run ended: something that stands sends for just the same.
    fn replaced(&mut self, sends: impl Fn(Spi) -> bool) -> Vec<Spi> {
        let mut gone = Vec::new();
        for (_, (tunnel, reach)) in self.successors.iter().filter(|(child, _)| sends(**child)) {
            let list = self.of.get_mut(tunnel).into_iter();
            gone.extend(
                list.flat_map(|list| list.extract_if(.., |old| old.reach.is(reach))).map(|old| old.spi),
            );
        }
        self.clean();
        gone
    }

    /// Tunnels of which something is left.
    pub(super) fn tunnels(&self) -> impl Iterator<Item = &Name> {
        self.of.keys()
    }

    /// A child that may take the place of some.
    pub(super) fn expect(&mut self, child: &Child) {
        if !self.of.is_empty() {
            let reach = Reach { path: child.path, leads_to: child.leads_to() };
            self.successors.insert(child.spi(), (child.tunnel.clone(), reach));
        }
    }

    /// A child that went.
    pub(super) fn forget(&mut self, child: Spi) {
        self.successors.remove(&child);
    }

    /// Those whose place this child takes.
    fn give_way(&mut self, child: Spi) -> Vec<(Name, LeftOver)> {
        let Some((tunnel, reach)) = self.successors.get(&child) else { return Vec::new() };
        let list = self.of.get_mut(tunnel).into_iter();
        let gone = list.flat_map(|list| list.extract_if(.., move |old| old.reach.meets(reach)));
        let gone = gone.map(|old| (tunnel.clone(), old)).collect();
        self.clean();
        gone
    }

    /// One that the packet process has ended.
    fn end(&mut self, spi: Spi) -> Option<(Name, LeftOver)> {
        let (tunnel, list) = self.of.iter_mut().find(|(_, list)| list.iter().any(|old| old.spi == spi))?;
        let ended = list.extract_if(.., |old| old.spi == spi).next()?;
        let found = (tunnel.clone(), ended);
        self.clean();
        Some(found)
    }

    fn clean(&mut self) {
        self.of.retain(|_, list| !list.is_empty());
        if self.of.is_empty() {
            self.successors.clear();
        }
    }
}

impl Driver {
    /// Goes on with what stands, of what the packet process has. Addresses that the rest carries are given last.
    pub(super) fn take_stock(&mut self, children: Vec<ChildStatus>) {
        let sends: HashSet<Spi> =
            children.iter().filter(|child| child.sends).map(|child| child.spi).collect();
        let standing: Vec<_> = self.endpoint.statuses().flat_map(|ike| ike.children).collect();
        let served = &mut self.deeds.served;
        served.take_up(standing.into_iter().map(|child| {
            let sends = sends.contains(&child.inbound);
            (child, sends)
        }));
        self.deeds.left_over.take_stock(|spi| served.stands(spi), children);
        let replaced = self.deeds.left_over.replaced(|spi| sends.contains(&spi));
        replaced.into_iter().for_each(|old| self.remove(old));
        for (tunnel, list) in &self.deeds.left_over.of {
            let Some(lease) = self.lease(tunnel) else { continue };
            list.iter().for_each(|old| self.endpoint.orphan(lease, &old.reach.leased(lease)));
        }
    }

    /// This child sends from now on: what it takes the place of goes.
    pub(super) fn retire(&mut self, child: Spi) {
        for (tunnel, old) in self.deeds.left_over.give_way(child) {
            self.bury(&tunnel, &old);
            self.remove(old.spi);
        }
    }

    /// The packet process has ended this pair.
    pub(super) fn ended(&mut self, spi: Spi) {
        if let Some((tunnel, old)) = self.deeds.left_over.end(spi) {
            self.bury(&tunnel, &old);
        }
    }

    fn bury(&self, tunnel: &Name, old: &LeftOver) {
        if let Some(lease) = self.lease(tunnel) {
            self.endpoint.bury(lease, &old.reach.leased(lease));
        }
    }

    fn lease(&self, tunnel: &Name) -> Option<&Lease> {
        self.ike.policy.peer(self.peers.get(tunnel)?)?.lease.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use ravelin_contract::sa::Carrier;

    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    fn spi(number: u32) -> Spi {
        Spi::new(number).expect("not reserved")
    }

    /// A pair of tunnel `road` to this host, for this client's address.
    fn pair(number: u32, host: u8, client: u8) -> ChildStatus {
        ChildStatus {
            spi: spi(number),
            outbound_spi: spi(number),
            name: name("road"),
            tunnel: name("road"),
            path: Path {
                local: [192, 0, 2, 1].into(),
                remote: [198, 51, 100, host].into(),
                carrier: Carrier::Ip,
            },
            leads_to: vec![AddressRange::single([10, 9, 0, client].into())],
            sends: true,
            age: 0,
            received: Default::default(),
            sent: Default::default(),
        }
    }

    fn given_way(left: &mut LeftOvers, child: u32) -> Vec<u32> {
        left.give_way(spi(child)).into_iter().map(|(_, old)| old.spi.get()).collect()
    }

    #[test]
    fn a_client_that_comes_again_takes_its_own_place_and_no_other() {
        let mut left = LeftOvers::default();
        // 1001 is at the host of 2001, 1002 has the address of 2002, 2003 has nothing to do with either.
        let children = vec![
            pair(1001, 1, 11),
            pair(1002, 2, 12),
            pair(2001, 1, 21),
            pair(2002, 9, 12),
            pair(2003, 3, 23),
        ];
        left.take_stock(|one| [spi(1001), spi(1002)].contains(&one), children);
        assert_eq!(given_way(&mut left, 1001), [2001]);
        assert_eq!(given_way(&mut left, 1002), [2002]);
        assert_eq!(given_way(&mut left, 1001), [0; 0]);
        assert_eq!(left.tunnels().count(), 1);
        assert!(left.end(spi(2003)).is_some() && left.end(spi(2003)).is_none());
        assert!(left.of.is_empty() && left.successors.is_empty(), "nothing is remembered for nothing");
    }

    #[test]
    fn what_was_about_to_go_goes_where_another_stands_and_sends_for_the_same() {
        let mut left = LeftOvers::default();
        // 2001 was replaced by 1001. 1002 does not send yet, and 2003 is for another client of the same host.
        let children = vec![
            pair(1001, 1, 11),
            pair(1002, 2, 12),
            pair(2001, 1, 11),
            pair(2002, 2, 12),
            pair(2003, 1, 13),
        ];
        left.take_stock(|one| [spi(1001), spi(1002)].contains(&one), children);
        assert_eq!(left.replaced(|one| one == spi(1001)), [spi(2001)]);
        assert_eq!(given_way(&mut left, 1002), [2002]);
        assert!(left.end(spi(2003)).is_some());
    }

    #[test]
    fn a_list_that_may_be_cut_off_meets_everything() {
        let mut left = LeftOvers::default();
        let many = (0..limits::LEADS_TO as u8).map(|last| AddressRange::single([10, 8, 0, last].into()));
        let long = ChildStatus { leads_to: many.collect(), ..pair(2001, 1, 0) };
        left.take_stock(|one| one == spi(1001), vec![pair(1001, 5, 15), long]);
        assert_eq!(given_way(&mut left, 1001), [2001]);
    }
}
