//! A copy of the kernel's tables, kept by the kernel's messages.
//!
//! Two things keep it honest. A message that cannot be followed exactly (routes that share prefix and metric, next hop
//! objects) only marks the routes as doubtful, and they are read again as a whole. The same happens after links and
//! addresses change, because the kernel then removes IPv4 routes without a word.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::packet_core::NLM_F_REPLACE;

use super::read::{self, Entry};
use crate::table::forwarding::view::{Address, KernelRoute, Link, Neighbour, View};

/// What the mirror needs from its keeper.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Needs {
    /// The picture has changed.
    pub(super) publication: bool,
    /// The routes must be read again.
    pub(super) routes: bool,
    /// The kernel may still be removing routes; look again a little later, too.
    pub(super) second_look: bool,
}

/// Prefix, length, table, metric: what tells routes apart.
type RouteKey = (IpAddr, u8, bool, u32);

/// The copy.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    links: BTreeMap<u32, Link>,
    /// In the kernel's order, which has primary addresses first.
    addresses: Vec<Address>,
    /// Routes of one key in the kernel's order of preference; never empty.
    routes: BTreeMap<RouteKey, Vec<KernelRoute>>,
    /// `routes` as the last view had them; `None` after they changed.
    listed: Option<Arc<Vec<KernelRoute>>>,
    neighbours: BTreeMap<(u32, IpAddr), Entry>,
    pub(super) needs: Needs,
}

impl Mirror {
    /// Takes a notification in. `flags` are those of its netlink header.
    pub(super) fn hear(&mut self, message: &RouteNetlinkMessage, flags: u16) {
        use RouteNetlinkMessage as M;
        match message {
            M::NewLink(link) => self.new_link(read::link(link)),
            M::DelLink(link) => self.lose_link(read::link(link)),
            M::NewAddress(address) => match read::address(address) {
                Some(usable) => self.new_address(usable),
                None => self.lose_address(read::bare_address(address)),
            },
            M::DelAddress(address) => self.lose_address(read::bare_address(address)),
            M::NewRoute(route) => self.new_route(read::route(route), flags & NLM_F_REPLACE != 0),
            M::DelRoute(route) => self.lose_route(read::route(route)),
            M::NewNeighbour(neighbour) => self.new_neighbour(read::neighbour(neighbour)),
            M::DelNeighbour(neighbour) => self.lose_neighbour(read::neighbour(neighbour)),
            _ => {}
        }
    }

    /// Takes in one entry of a dump; [`Self::forget`] came before the first.
    pub(super) fn read(&mut self, message: &RouteNetlinkMessage) {
        match message {
            // Of one key, the kernel lists the preferred first.
            RouteNetlinkMessage::NewRoute(route) => {
                if let Some(route) = read::route(route) {
                    self.listed = None;
                    self.routes.entry(key(&route)).or_default().push(route);
                }
            }
            other => self.hear(other, 0),
        }
    }

    /// Forgets everything, to read it again.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
        self.needs.publication = true;
    }

    /// Forgets the routes, to read them again.
    pub(super) fn forget_routes(&mut self) {
        self.routes.clear();
        self.listed = None;
        self.needs.publication = true;
    }

    /// Marks the routes as doubtful.
    pub(super) fn doubt_routes(&mut self) {
        self.needs.routes = true;
    }

    /// The interface of that name.
    pub(super) fn link_named(&self, name: &str) -> Option<u32> {
        self.links.values().find(|link| link.name == name).map(|link| link.index)
    }

    /// Whether a hint that this neighbour is in use would do the kernel good: it does not know it, gave it up, or
    /// holds it to be stale.
    pub(super) fn wants_use(&self, link: u32, address: IpAddr) -> bool {
        self.neighbours.get(&(link, address)).is_none_or(|entry| entry.wants_use)
    }

    /// The picture as it is now.
    pub(super) fn view(&mut self) -> View {
        let neighbour =
            |entry: &Entry| Some(Neighbour { link: entry.link, address: entry.address, mac: entry.mac? });
        let list = || Arc::new(self.routes.values().flatten().cloned().collect());
        View {
            links: self.links.values().cloned().collect(),
            addresses: self.addresses.clone(),
            routes: self.listed.get_or_insert_with(list).clone(),
            neighbours: self.neighbours.values().filter_map(neighbour).collect(),
        }
    }

    fn new_link(&mut self, link: Option<Link>) {
        let Some(link) = link else { return };
        let before = self.links.insert(link.index, link.clone());
        if before.as_ref() != Some(&link) {
            self.needs.publication = true;
        }
        // Also when nothing visible changed: the message may be about the carrier, which decides whether routes live.
        self.upheaval();
    }

    fn lose_link(&mut self, link: Option<Link>) {
        let Some(link) = link else { return };
        self.links.remove(&link.index);
        self.addresses.retain(|address| address.link != link.index);
        self.neighbours.retain(|(index, _), _| *index != link.index);
        self.upheaval();
    }

    fn new_address(&mut self, address: Address) {
        let same = |other: &&mut Address| other.link == address.link && other.address == address.address;
        match self.addresses.iter_mut().find(same) {
            Some(before) if *before == address => return,
            Some(before) => *before = address,
            None => self.addresses.push(address),
        }
        self.needs.publication = true;
    }

    fn lose_address(&mut self, address: Option<Address>) {
        let Some(lost) = address else { return };
        let before = self.addresses.len();
        self.addresses.retain(|address| (address.link, address.address) != (lost.link, lost.address));
        if self.addresses.len() < before {
            self.upheaval();
        }
    }

    /// Routes may have gone without a message.
    fn upheaval(&mut self) {
        self.needs = Needs { publication: true, routes: true, second_look: true };
    }

    fn new_route(&mut self, route: Option<KernelRoute>, replaces: bool) {
        let Some(route) = route else { return };
        let same_key = self.routes.entry(key(&route)).or_default();
        match same_key.as_mut_slice() {
            [] => same_key.push(route),
            [only] if *only == route => return,
            [only] if replaces => *only = route,
            _ => self.needs.routes = true,
        }
        self.listed = None;
        self.needs.publication = true;
    }

    fn lose_route(&mut self, route: Option<KernelRoute>) {
        let Some(route) = route else { return };
        match self.routes.get(&key(&route)).map(Vec::as_slice) {
            None => return,
            Some([only]) if *only == route => _ = self.routes.remove(&key(&route)),
            Some(_) => self.needs.routes = true,
        }
        self.listed = None;
        self.needs.publication = true;
    }

    fn new_neighbour(&mut self, entry: Option<Entry>) {
        let Some(entry) = entry else { return };
        let before = self.neighbours.insert((entry.link, entry.address), entry);
        // Most messages tell that a neighbour was confirmed; those change nothing for workers.
        if before.and_then(|before| before.mac) != entry.mac {
            self.needs.publication = true;
        }
    }

    fn lose_neighbour(&mut self, entry: Option<Entry>) {
        let Some(entry) = entry else { return };
        let before = self.neighbours.remove(&(entry.link, entry.address));
        if before.is_some_and(|before| before.mac.is_some()) {
            self.needs.publication = true;
        }
    }
}

fn key(route: &KernelRoute) -> RouteKey {
    (route.prefix, route.length, route.local_table, route.metric)
}

#[cfg(test)]
mod tests {
    use netlink_packet_route::AddressFamily;
    use netlink_packet_route::link::{LinkFlags, LinkMessage};
    use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage, RouteType};
    use proptest::prelude::*;
    use rtnetlink::packet_core::{NLM_F_APPEND, NLM_F_CREATE};

    use super::*;

    /// One of four prefixes with one of two metrics, through one of four gateways: small, so that routes collide.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    struct Sample {
        prefix: u8,
        metric: u32,
        gateway: u8,
    }

    impl Sample {
        fn message(self) -> RouteMessage {
            let mut message = RouteMessage::default();
            message.header.address_family = AddressFamily::Inet;
            message.header.destination_prefix_length = 24;
            message.header.table = 254;
            message.header.kind = RouteType::Unicast;
            message.attributes = vec![
                RouteAttribute::Destination(RouteAddress::Inet([10, 0, self.prefix, 0].into())),
                RouteAttribute::Priority(self.metric),
                RouteAttribute::Oif(self.link()),
                RouteAttribute::Gateway(RouteAddress::Inet([192, 0, 2, self.gateway].into())),
            ];
            message
        }

        fn route(self) -> KernelRoute {
            read::route(&self.message()).unwrap()
        }

        fn link(self) -> u32 {
            u32::from(self.gateway % 2) + 1
        }

        fn shares_key(self, other: &Self) -> bool {
            (self.prefix, self.metric) == (other.prefix, other.metric)
        }
    }

    /// What an operator or a routing daemon does.
    #[derive(Debug, Clone, Copy)]
    enum Deed {
        Add(Sample),
        Replace(Sample),
        Append(Sample),
        Delete(Sample),
        /// The kernel says that the link changed, and then drops its routes without a word.
        LinkDown(u32),
        /// The keeper of the mirror does what it needs.
        Keep,
    }

    /// The kernel's table, and the messages it sends.
    #[derive(Default)]
    struct Kernel {
        routes: Vec<Sample>,
        messages: Vec<(RouteNetlinkMessage, u16)>,
    }

    impl Kernel {
        fn doing(&mut self, deed: Deed) {
            match deed {
                Deed::Add(sample) if self.routes.iter().any(|other| other.shares_key(&sample)) => {}
                Deed::Add(sample) => self.insert(sample, NLM_F_CREATE),
                Deed::Append(sample) if self.routes.contains(&sample) => {}
                Deed::Append(sample) => self.insert(sample, NLM_F_APPEND | NLM_F_CREATE),
                Deed::Replace(sample) if self.routes.contains(&sample) => {}
                Deed::Replace(sample) => match self.routes.iter().position(|r| r.shares_key(&sample)) {
                    None => self.insert(sample, NLM_F_CREATE | NLM_F_REPLACE),
                    Some(first) => {
                        self.routes[first] = sample;
                        self.say(RouteNetlinkMessage::NewRoute(sample.message()), NLM_F_REPLACE);
                    }
                },
                Deed::Delete(sample) => {
                    if let Some(at) = self.routes.iter().position(|other| *other == sample) {
                        self.routes.remove(at);
                        self.say(RouteNetlinkMessage::DelRoute(sample.message()), 0);
                    }
                }
                Deed::LinkDown(link) => {
                    let mut message = LinkMessage::default();
                    (message.header.index, message.header.flags) = (link, LinkFlags::empty());
                    self.say(RouteNetlinkMessage::NewLink(message), 0);
                    self.routes.retain(|route| route.link() != link);
                }
                Deed::Keep => {}
            }
        }

        fn insert(&mut self, sample: Sample, flags: u16) {
            self.routes.push(sample);
            self.say(RouteNetlinkMessage::NewRoute(sample.message()), flags);
        }

        fn say(&mut self, message: RouteNetlinkMessage, flags: u16) {
            self.messages.push((message, flags));
        }

        /// Brings the mirror up to date, reading again only what it asks for.
        fn show(&mut self, mirror: &mut Mirror) {
            self.messages.drain(..).for_each(|(message, flags)| mirror.hear(&message, flags));
            if mirror.needs.routes {
                mirror.forget_routes();
                let dump = self.routes.iter().map(|sample| RouteNetlinkMessage::NewRoute(sample.message()));
                dump.for_each(|message| mirror.read(&message));
            }
            mirror.needs = Needs::default();
        }

        /// The table as a view lists it: by key, and within a key as the kernel prefers.
        fn sorted(&self) -> Vec<KernelRoute> {
            let mut routes: Vec<_> = self.routes.iter().map(|sample| sample.route()).collect();
            routes.sort_by_key(key);
            routes
        }
    }

    fn deeds() -> impl Strategy<Value = Deed> {
        let sample = (0u8..4, 0u32..2, 0u8..4).prop_map(|(prefix, metric, gateway)| Sample {
            prefix,
            metric,
            gateway,
        });
        prop_oneof![
            4 => sample.clone().prop_map(Deed::Add),
            3 => sample.clone().prop_map(Deed::Replace),
            2 => sample.clone().prop_map(Deed::Append),
            4 => sample.prop_map(Deed::Delete),
            1 => (1u32..3).prop_map(Deed::LinkDown),
            3 => Just(Deed::Keep),
        ]
    }

    proptest! {
        #[test]
        fn equals_the_kernel_whatever_is_done(deeds in proptest::collection::vec(deeds(), 0..60)) {
            let (mut kernel, mut mirror) = (Kernel::default(), Mirror::default());
            for deed in deeds {
                kernel.doing(deed);
                if matches!(deed, Deed::Keep) {
                    kernel.show(&mut mirror);
                    prop_assert_eq!(&*mirror.view().routes, &kernel.sorted());
                }
            }
            kernel.show(&mut mirror);
            prop_assert_eq!(&*mirror.view().routes, &kernel.sorted());
        }
    }

    #[test]
    fn ordinary_changes_are_followed_without_reading_again() {
        let (mut kernel, mut mirror) = (Kernel::default(), Mirror::default());
        for prefix in 0..4 {
            let sample = |gateway| Sample { prefix, metric: 0, gateway };
            let deeds = [
                Deed::Add(sample(1)),
                Deed::Replace(sample(2)),
                Deed::Delete(sample(2)),
                Deed::Add(sample(3)),
            ];
            deeds.into_iter().for_each(|deed| kernel.doing(deed));
        }
        kernel.messages.drain(..).for_each(|(message, flags)| mirror.hear(&message, flags));
        assert_eq!(mirror.needs, Needs { publication: true, ..Needs::default() });
        assert_eq!(*mirror.view().routes, kernel.sorted());
    }
}
