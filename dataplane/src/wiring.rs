//! Which port comes by which physical interface.
//!
//! A trunk is a physical interface with its rings. Its untagged traffic may be one port, and each VLAN on it another
//! (IEEE 802.1Q). What carries a tag that no port claims belongs to nobody: it is never taken for untagged traffic, so
//! a tag cannot carry a packet from one zone into another.

use crate::packet::PortIndex;
use crate::wire::ethernet::{Tag, ether_type};

/// VLAN numbers, of which 0 stands for no VLAN.
const VLANS: usize = 1 << 12;

/// Number of a trunk: an index into a worker's rings, equal in every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TrunkIndex(pub u8);

/// Where a port comes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The physical interface.
    pub trunk: TrunkIndex,
    /// VLAN number, 1 to 4094; `None` for untagged traffic.
    pub vlan: Option<u16>,
}

/// The places of all ports, fixed for the life of the process.
#[derive(Debug)]
pub struct Wiring {
    /// By [`PortIndex`].
    places: Box<[Place]>,
    /// By [`TrunkIndex`] and VLAN number, untagged traffic at 0: eight kilobytes each, so that a tag is found in one step.
    ports: Box<[[Option<PortIndex>; VLANS]]>,
}

impl Wiring {
    /// For these ports in order, with trunks numbered from 0 on. Of two ports in one place the first has it; the
    /// appliance file allows none.
    pub fn new(places: impl IntoIterator<Item = Place>) -> Self {
        let places: Box<[Place]> = places.into_iter().collect();
        let trunks = places.iter().map(|place| usize::from(place.trunk.0) + 1).max().unwrap_or(0);
        let mut ports = vec![[None; VLANS]; trunks].into_boxed_slice();
        for (number, place) in (0..).zip(&places) {
            let slot = &mut ports[usize::from(place.trunk.0)][usize::from(place.vlan.unwrap_or(0)) % VLANS];
            slot.get_or_insert(PortIndex(number));
        }
        Self { places, ports }
    }

    /// Each port a physical interface of its own, untagged.
    pub fn untagged(ports: u8) -> Self {
        Self::new((0..ports).map(|number| Place { trunk: TrunkIndex(number), vlan: None }))
    }

    /// The port to which a frame with these tags belongs, if to any. A tag for VLAN 0 only carries a priority.
    pub fn port(&self, trunk: TrunkIndex, tags: &[Tag]) -> Option<PortIndex> {
        let vlan = match tags {
            [] => 0,
            [tag] if tag.kind == ether_type::VLAN => tag.vlan(),
            _ => return None,
        };
        self.ports[usize::from(trunk.0)][usize::from(vlan)]
    }

    /// The first port of a trunk, at which frames are counted that belong to none.
    pub fn first(&self, trunk: TrunkIndex) -> PortIndex {
        let first = self.places.iter().position(|place| place.trunk == trunk);
        PortIndex(first.unwrap_or(0) as u8)
    }

    /// The trunk by which frames of `port` leave.
    pub fn trunk(&self, port: PortIndex) -> TrunkIndex {
        self.places[usize::from(port.0)].trunk
    }

    /// The tag that frames of `port` bear when they leave.
    pub fn tag(&self, port: PortIndex) -> Option<Tag> {
        let vlan = self.places[usize::from(port.0)].vlan?;
        Some(Tag { kind: ether_type::VLAN, control: vlan })
    }

    /// All ports with their trunks.
    pub fn ports(&self) -> impl Iterator<Item = (PortIndex, TrunkIndex)> {
        (0..).zip(&self.places).map(|(number, place)| (PortIndex(number), place.trunk))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn place(trunk: u8, vlan: Option<u16>) -> Place {
        Place { trunk: TrunkIndex(trunk), vlan }
    }

    fn tag(control: u16) -> Tag {
        Tag { kind: ether_type::VLAN, control }
    }

    #[test]
    fn a_tag_that_no_port_claims_belongs_to_nobody() {
        let wiring = Wiring::new([place(0, None), place(1, Some(100)), place(1, Some(200))]);
        let port = |trunk, tags: &[Tag]| wiring.port(TrunkIndex(trunk), tags).map(|port| port.0);
        assert_eq!([port(0, &[]), port(1, &[tag(100)]), port(1, &[tag(200)])], [Some(0), Some(1), Some(2)]);
        assert_eq!([port(0, &[tag(100)]), port(1, &[]), port(1, &[tag(300)])], [None; 3]);
        assert_eq!([TrunkIndex(0), TrunkIndex(1)].map(|trunk| wiring.first(trunk).0), [0, 1]);
    }

    #[test]
    fn a_priority_alone_is_no_tag_and_changes_no_tag() {
        let wiring = Wiring::new([place(0, None), place(0, Some(7))]);
        assert_eq!(wiring.port(TrunkIndex(0), &[tag(5 << 13)]), Some(PortIndex(0)));
        assert_eq!(wiring.port(TrunkIndex(0), &[tag(5 << 13 | 7)]), Some(PortIndex(1)));
    }

    #[test]
    fn service_tags_and_second_tags_are_no_tags_of_ours() {
        let wiring = Wiring::new([place(0, None), place(0, Some(7))]);
        let service = |control| Tag { kind: ether_type::SERVICE_VLAN, control };
        for tags in
            [&[service(7)][..], &[service(0)], &[tag(7), tag(7)], &[tag(0), tag(7)], &[service(1), tag(7)]]
        {
            assert_eq!(wiring.port(TrunkIndex(0), tags), None, "{tags:?}");
        }
    }

    proptest! {
        /// What leaves a port with its tag comes in at that port again, and at no other.
        #[test]
        fn out_and_in_agree(places in prop::collection::btree_set((0u8..4, prop::option::of(1u16..4095)), 1..32)) {
            let places: BTreeSet<_> = places;
            let wiring = Wiring::new(places.iter().map(|(trunk, vlan)| place(*trunk, *vlan)));
            prop_assert_eq!(wiring.ports().count(), places.len());
            for (port, trunk) in wiring.ports() {
                let tags: Vec<Tag> = wiring.tag(port).into_iter().collect();
                prop_assert_eq!(wiring.trunk(port), trunk);
                prop_assert_eq!(wiring.port(trunk, &tags), Some(port));
                prop_assert!(wiring.first(trunk).0 <= port.0);
            }
        }
    }
}
