//! Writes the link header, the last thing before a port takes the packet.

use std::net::IpAddr;

use ravelin_contract::verdict::Verdict;

use super::neighbour::{Ask, Neighbours};
use crate::clock::Now;
use crate::frame::{Frame, Pool};
use crate::packet::{Batch, Packet, Route};
use crate::table::forwarding::Forwarding;
use crate::wire::ethernet::{Header, ether_type};
use crate::wiring::Wiring;

/// Gives every travelling packet with a next hop its Ethernet header, with the tag of the port's VLAN where it has one. Packets whose neighbour is not known yet stay
/// behind in `neighbours`: in the batch an empty frame takes their place, ended with `Held`. Packets that waited and may
/// go now join the batch.
///
/// Must be called in every breath, also with an empty batch, because packets may be waiting.
/// Ends packets with `Held`, `NoNeighbour`, `PolicyChanged` and `NoFrame`. Leaves local packets alone.
pub fn dress(
    batch: &mut Batch,
    now: Now,
    (forwarding, wiring): (&Forwarding, &Wiring),
    pool: &mut Pool,
    neighbours: &mut Neighbours,
) {
    if neighbours.waiting() > 0 {
        neighbours.pending.release(forwarding, now, batch);
    }
    // Packets of a burst mostly have one next hop.
    let mut last: Option<(Ask, Header)> = None;
    for packet in batch.travelling() {
        let Route::Via { port, next_hop, .. } = packet.route else { continue };
        let hop = Ask { port, next_hop };
        if last.as_ref().is_none_or(|(before, _)| *before != hop) {
            last = header(hop, now, (forwarding, wiring), neighbours).map(|header| (hop, header));
        }
        match &mut last {
            Some((_, header)) => write(packet, header),
            None => hold(packet, hop, now, pool, neighbours),
        }
    }
}

/// The header of packets to `hop`; `None` when they must wait. That is also so while older ones still do: they were
/// too many for one batch, and order matters more than haste.
fn header(
    hop: Ask,
    now: Now,
    (forwarding, wiring): (&Forwarding, &Wiring),
    neighbours: &mut Neighbours,
) -> Option<Header> {
    let destination = neighbours.resolve(forwarding, hop, now)?;
    let source = forwarding.link(hop.port)?.mac;
    let in_turn = neighbours.waiting() == 0 || !neighbours.pending.waits_for(hop);
    let tags = wiring.tag(hop.port).into_iter().collect();
    in_turn.then_some(Header { destination, source, tags, ether_type: 0 })
}

fn write(packet: &mut Packet, header: &mut Header) {
    header.ether_type = match packet.ip.flow.destination {
        IpAddr::V4(_) => ether_type::IPV4,
        IpAddr::V6(_) => ether_type::IPV6,
    };
    if open_front(&mut packet.frame, header.size())
        .and_then(|()| header.write(packet.frame.bytes_mut()))
        .is_none()
    {
        packet.end(Verdict::NoFrame);
    }
}

/// Uncovers `room` octets for the header. A packet at the very front of its slot is moved; every stage leaves room, so that is
/// rare.
fn open_front(frame: &mut Frame, room: usize) -> Option<()> {
    if frame.headroom() >= room {
        return frame.grow_front(room);
    }
    let len = frame.len();
    frame.place(frame.headroom(), len + room)?;
    frame.bytes_mut().copy_within(..len, room);
    Some(())
}

/// Sets the packet aside. An empty frame goes on in its place, so that the batch still shows how its journey went.
fn hold(packet: &mut Packet, hop: Ask, now: Now, pool: &mut Pool, neighbours: &mut Neighbours) {
    let Some(empty) = pool.take() else { return packet.end(Verdict::NoFrame) };
    let mut stand_in = Packet::new(empty, packet.ip, packet.ingress, packet.origin);
    (stand_in.opened_by, stand_in.route, stand_in.decision) =
        (packet.opened_by, packet.route, packet.decision);
    stand_in.sealed = packet.sealed;
    stand_in.end(Verdict::Held);
    let held = std::mem::replace(packet, stand_in);
    if let Err(back) = neighbours.pending.hold(hop, held, now) {
        pool.give(std::mem::replace(packet, back).frame);
        packet.end(Verdict::NoNeighbour);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::forward::neighbour::{Asks, asks};
    use crate::forward::route;
    use crate::forward::samples::{Gateway, PORT_B, ip, packet_in, port_mac};
    use crate::wire::ethernet::HEADER;
    use crate::wiring::{Place, TrunkIndex};

    /// A worker reduced to routes, link headers and a wire that takes everything.
    struct Bench {
        table: Forwarding,
        wiring: Wiring,
        pool: Pool,
        neighbours: Neighbours,
        asks: Asks,
        now: Now,
    }

    /// What left a breath: frames sent, verdicts of the rest.
    type Left = (Vec<Vec<u8>>, Vec<Verdict>);

    impl Bench {
        fn new(gateway: Gateway) -> Self {
            let asks = asks();
            let neighbours = Neighbours::new(asks.clone());
            let (table, pool) = (gateway.table(), Pool::in_memory(400, 256));
            Self { table, wiring: Wiring::untagged(2), pool, neighbours, asks, now: Now::default() }
        }

        /// One breath with packets to these destinations; the first octets of each are its number.
        fn breathe(&mut self, destinations: &[(&str, u16)]) -> Left {
            let mut batch = Batch::default();
            for (destination, number) in destinations {
                let mut packet = packet_in(&mut self.pool, "10.1.0.5", destination);
                packet.frame.bytes_mut()[..2].copy_from_slice(&number.to_be_bytes());
                batch.packets.push(packet);
            }
            route::find(&mut batch, &self.table);
            dress(&mut batch, self.now, (&self.table, &self.wiring), &mut self.pool, &mut self.neighbours);
            let mut left = Left::default();
            for packet in batch.packets.drain(..) {
                match packet.verdict {
                    None => left.0.push(packet.frame.bytes().to_vec()),
                    Some(verdict) => left.1.push(verdict),
                }
                self.pool.give(packet.frame);
            }
            assert_eq!(self.pool.free() as usize + self.neighbours.waiting(), 400, "a frame was lost");
            left
        }

        fn numbers(&mut self, destinations: &[(&str, u16)]) -> Vec<u16> {
            self.breathe(destinations).0.iter().map(|frame| number(frame)).collect()
        }
    }

    fn number(frame: &[u8]) -> u16 {
        u16::from_be_bytes([frame[HEADER], frame[HEADER + 1]])
    }

    #[test]
    fn writes_the_ethernet_header() {
        let mut bench = Bench::new(Gateway::new().with_neighbour(PORT_B, "10.2.0.254", 9));
        let (sent, ended) = bench.breathe(&[("192.0.2.1", 7)]);
        assert!(ended.is_empty());
        assert_eq!(sent[0][..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(sent[0][6..12], port_mac(PORT_B));
        assert_eq!(sent[0][12..15], [0x08, 0x00, 0]);
        assert_eq!(sent[0].len(), 60 + HEADER);
    }

    #[test]
    fn writes_the_tag_of_the_ports_vlan() {
        let mut bench = Bench::new(Gateway::new().with_neighbour(PORT_B, "10.2.0.254", 9));
        let place = |vlan| Place { trunk: TrunkIndex(0), vlan };
        bench.wiring = Wiring::new([place(None), place(Some(100))]);
        let (sent, _) = bench.breathe(&[("192.0.2.1", 7)]);
        assert_eq!(sent[0][..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(sent[0][12..18], [0x81, 0x00, 0, 100, 0x08, 0x00]);
        assert_eq!(sent[0].len(), 60 + HEADER + 4);
    }

    #[test]
    fn writes_the_header_also_where_the_packet_begins_at_its_slot() {
        let mut frame = Pool::in_memory(1, 80).take().unwrap();
        frame.place(0, 60).unwrap();
        frame.bytes_mut()[0] = 0x45;
        frame.bytes_mut()[59] = 0xEE;
        open_front(&mut frame, HEADER).unwrap();
        assert_eq!((frame.len(), frame.bytes()[HEADER], frame.bytes()[73]), (74, 0x45, 0xEE));
        frame.place(0, 67).unwrap();
        assert_eq!(open_front(&mut frame, HEADER), None);
    }

    #[test]
    fn packets_wait_for_their_neighbour_and_leave_in_order() {
        let mut bench = Bench::new(Gateway::new());
        assert_eq!(bench.breathe(&[("10.2.0.9", 1), ("10.2.0.9", 2)]), (vec![], vec![Verdict::Held; 2]));
        assert_eq!(bench.asks.pop(), Some(Ask { port: PORT_B, next_hop: ip("10.2.0.9") }));
        assert_eq!(bench.asks.pop(), None, "one question for one neighbour");
        assert!(bench.numbers(&[]).is_empty());
        bench.table = Gateway::new().with_neighbour(PORT_B, "10.2.0.9", 1).table();
        assert_eq!(bench.numbers(&[("10.2.0.9", 3)]), [1, 2, 3]);
        assert_eq!(bench.neighbours.waiting(), 0);
    }

    #[test]
    fn packets_wait_a_second_and_no_longer() {
        let mut bench = Bench::new(Gateway::new());
        bench.breathe(&[("10.2.0.9", 1)]);
        bench.now = Now::default().plus_ms(999);
        assert_eq!(bench.breathe(&[]), Left::default());
        bench.now = Now::default().plus_ms(1000);
        assert_eq!(bench.breathe(&[]), (vec![], vec![Verdict::NoNeighbour]));
    }

    #[test]
    fn one_absent_neighbour_holds_sixteen_packets() {
        let mut bench = Bench::new(Gateway::new().with_neighbour(PORT_B, "10.2.0.8", 8));
        let crowd: Vec<_> = (0..20).map(|number| ("10.2.0.9", number)).collect();
        let (_, ended) = bench.breathe(&crowd);
        assert_eq!(ended[..16], [Verdict::Held; 16]);
        assert_eq!(ended[16..], [Verdict::NoNeighbour; 4]);
        assert_eq!(bench.numbers(&[("10.2.0.8", 77)]), [77], "others are not held up");
    }

    #[test]
    fn asks_again_but_not_for_every_packet() {
        let mut bench = Bench::new(Gateway::new().with_neighbour(PORT_B, "10.2.0.8", 8));
        let mut count_at = |destination, ms| {
            bench.now = Now::default().plus_ms(ms);
            bench.breathe(&[(destination, 0); 5]);
            std::iter::from_fn(|| bench.asks.pop()).count()
        };
        assert_eq!([0, 499, 500, 999, 1000].map(|ms| count_at("10.2.0.9", ms)), [1, 0, 1, 0, 1]);
        assert_eq!([2000, 6999, 7000].map(|ms| count_at("10.2.0.8", ms)), [1, 0, 1]);
    }

    #[test]
    fn a_scan_of_the_network_is_asked_slowly() {
        let mut bench = Bench::new(Gateway::new());
        for last in 2..=250 {
            bench.breathe(&[(&format!("10.2.0.{last}"), 0)]);
        }
        assert_eq!(bench.asks.len(), 64);
        assert_eq!(bench.neighbours.waiting(), 64);
    }

    proptest! {
        /// Each packet is sent once or ends once, in the order of its neighbour, whatever comes and goes.
        #[test]
        fn no_packet_is_lost_or_doubled(
            breaths in proptest::collection::vec((proptest::collection::vec(2u8..8, 0..32), any::<u8>(), 0u64..700), 1..30),
        ) {
            let mut bench = Bench::new(Gateway::new());
            let mut waiting: [VecDeque<u16>; 8] = Default::default();
            let mut last = 0;
            let (mut given, mut gone) = (0, 0);
            for (hosts, known, wait) in breaths {
                bench.now = bench.now.plus_ms(wait);
                let known = |host: &u8| known & (1 << host) != 0;
                let neighbours = (2u8..8).filter(known);
                let gateway = neighbours
                    .fold(Gateway::new(), |g, host| g.with_neighbour(PORT_B, &format!("10.2.0.{host}"), host));
                bench.table = gateway.table();
                let texts: Vec<_> = hosts.iter().map(|host| format!("10.2.0.{host}")).collect();
                let mut list = Vec::new();
                for (text, host) in texts.iter().zip(&hosts) {
                    last += 1;
                    list.push((text.as_str(), last));
                    waiting[usize::from(*host)].push_back(last);
                }
                given += list.len();
                let (sent, ended) = bench.breathe(&list);
                for frame in &sent {
                    // Packets that ended are older or younger, never between: what is sent is found further on.
                    let queue = &mut waiting[usize::from(frame[5])];
                    let at = queue.iter().position(|n| *n == number(frame));
                    prop_assert!(at.is_some(), "sent twice or out of order");
                    queue.drain(..=at.unwrap());
                }
                gone += sent.len() + ended.iter().filter(|verdict| **verdict != Verdict::Held).count();
                prop_assert_eq!(given, gone + bench.neighbours.waiting());
            }
        }
    }
}
