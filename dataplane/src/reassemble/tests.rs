//! Any cut, order and repetition gives the packet or nothing; every frame is accounted for.

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;
use crate::frame::Pool;
use crate::packet::{Origin, PortIndex};
use crate::wire::samples::{Ip, fragment_of, join};

const CAPACITY: u16 = 2048;

/// A worker's table, its frames, and what came out.
struct Bench {
    pool: Pool,
    table: Reassembly,
    /// Octets of packets that go on.
    whole: Vec<Vec<u8>>,
    /// Verdicts in the order in which they were given.
    ended: Vec<Verdict>,
}

impl Bench {
    fn new() -> Self {
        Self {
            pool: Pool::in_memory(200, CAPACITY),
            table: Reassembly::default(),
            whole: vec![],
            ended: vec![],
        }
    }

    /// One breath with these packets.
    fn breathe(&mut self, now: Now, packets: &[Vec<u8>]) {
        let mut batch = Batch::default();
        for octets in packets {
            let Ok(headers) = ip::parse(octets) else { continue };
            let mut frame = self.pool.take().unwrap();
            frame.place(HEADROOM, octets.len()).unwrap();
            frame.bytes_mut().copy_from_slice(octets);
            batch.packets.push(Packet::new(frame, headers, PortIndex(0), Origin::Wire));
        }
        self.table.collect(&mut batch, now, |_| true);
        for packet in batch.packets {
            match packet.verdict {
                Some(verdict) => self.ended.push(verdict),
                None => self.whole.push(packet.frame.bytes().to_vec()),
            }
            self.pool.give(packet.frame);
        }
        assert_eq!(self.pool.free() as usize + self.table.held(), 200, "a frame is missing");
    }

    /// One packet after the other.
    fn feed(&mut self, packets: &[Vec<u8>]) {
        for packet in packets {
            self.breathe(Now(0), std::slice::from_ref(packet));
        }
    }

    fn count(&self, verdict: Verdict) -> usize {
        self.ended.iter().filter(|ended| **ended == verdict).count()
    }
}

fn esp(is_ipv6: bool, payload: Vec<u8>) -> Ip {
    let (source, destination) =
        if is_ipv6 { ("2001:db8::1", "2001:db8:1::2") } else { ("192.0.2.1", "198.51.100.2") };
    Ip::new(source, destination, 50, payload)
}

/// The fragment of `ip` that holds these octets.
fn fragment(ip: &Ip, id: u32, covers: Range<usize>) -> Vec<u8> {
    let more = covers.end < ip.payload.len();
    let offset = covers.start as u16;
    Ip { payload: ip.payload[covers].to_vec(), fragment: Some((id, offset, more)), ..ip.clone() }.octets()
}

/// The packet as it was before it was cut.
fn uncut(ip: &Ip, id: u32) -> Vec<u8> {
    let fragment = ip.source.is_ipv4().then_some((id, 0, false));
    Ip { fragment, ..ip.clone() }.octets()
}

/// Ranges that cover `0..length`, cut at multiples of 8.
fn cuts(length: usize, at: &[Index]) -> Vec<Range<usize>> {
    let mut edges: Vec<usize> = at.iter().map(|at| at.index(length.div_ceil(8)) * 8).collect();
    edges.extend([0, length]);
    edges.sort_unstable();
    edges.dedup();
    edges.windows(2).map(|edges| edges[0]..edges[1]).collect()
}

/// With the 160 octets that a test may add they still fit a frame.
fn payloads() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 24..1700)
}

/// Mixes `items` by `order`.
fn shuffle<T>(items: &mut [T], order: &[Index]) {
    for (at, other) in (1..items.len()).zip(order) {
        items.swap(at, other.index(at + 1));
    }
}

proptest! {
    /// However it is cut, mixed with another packet and repeated, it comes out once and as it was.
    #[test]
    fn fragments_become_what_they_were(
        is_ipv6: bool, first in payloads(), second in payloads(),
        at in prop::collection::vec(any::<Index>(), 1..12), order in prop::collection::vec(any::<Index>(), 60),
        again in prop::collection::vec(any::<(Index, Index)>(), 0..6), with_extension: bool, in_one_breath: bool,
    ) {
        let (mut first, mut second) = (esp(is_ipv6, first), esp(is_ipv6, second));
        first.options = vec![148, 4, 0, 0];
        if with_extension {
            second.extensions = vec![(60, vec![0, 0, 1, 4, 0, 0, 0, 0])];
        }
        let mut pieces = vec![];
        for (ip, id) in [(&first, 7), (&second, 8)] {
            let ranges = cuts(ip.payload.len(), &at);
            prop_assume!(ranges.len() > 1);
            pieces.extend(ranges.into_iter().map(|range| fragment(ip, id, range)));
        }
        shuffle(&mut pieces, &order);
        // A duplicate that comes before its packet is complete.
        for (what, delay) in again {
            let (what, last) = (what.index(pieces.len()), pieces.len() - 2);
            let piece = pieces[what].clone();
            if what <= last && is_before_the_ends(&pieces, what + delay.index(last - what + 1)) {
                pieces.insert(what, piece);
            }
        }
        let mut bench = Bench::new();
        if in_one_breath {
            bench.breathe(Now(0), &pieces);
        } else {
            bench.feed(&pieces);
        }
        let mut expected = [uncut(&first, 7), uncut(&second, 8)];
        expected.sort();
        bench.whole.sort();
        prop_assert_eq!(&bench.whole, &expected);
        prop_assert_eq!(bench.table.held(), 0);
        prop_assert_eq!(bench.count(Verdict::Reassembled), pieces.len() - 2);
    }

    /// With a piece that says otherwise among them: what comes out comes when the pieces so far agree and are complete,
    /// and never after two of them disagreed.
    #[test]
    fn a_conflict_never_yields_a_packet(
        is_ipv6: bool, payload in payloads(), at in prop::collection::vec(any::<Index>(), 1..12),
        order in prop::collection::vec(any::<Index>(), 30), from in any::<Index>(), units in 1usize..20, place in any::<Index>(),
        other in 0u8..3,
    ) {
        let ip = esp(is_ipv6, payload);
        let ranges = cuts(ip.payload.len(), &at);
        prop_assume!(ranges.len() > 1);
        let mut pieces: Vec<_> = ranges.iter().map(|range| fragment(&ip, 7, range.clone())).collect();
        shuffle(&mut pieces, &order);
        let start = from.index(ip.payload.len() / 8) * 8;
        let conflict = match other {
            // Other octets where some are.
            0 => {
                let range = ranges[place.index(ranges.len())].clone();
                let mut different = ip.clone();
                different.payload[range.start] ^= 1;
                fragment(&different, 7, range)
            }
            // The same octets, cut otherwise.
            1 => {
                let range = start..(start + units * 8).min(ip.payload.len());
                prop_assume!(!ranges.contains(&range) && range != (0..ip.payload.len()));
                fragment(&ip, 7, range)
            }
            // Another end.
            _ => {
                let mut longer = ip.clone();
                longer.payload.resize((ip.payload.len() / 8 + units) * 8, 0);
                fragment(&longer, 7, (longer.payload.len() - 8)..longer.payload.len())
            }
        };
        pieces.insert(place.index(pieces.len()), conflict);
        let mut bench = Bench::new();
        for count in 1..=pieces.len() {
            let so_far = &pieces[..count];
            bench.feed(&so_far[count - 1..]);
            let joined = join(so_far).filter(|_| !disagree(so_far)).map(|(_, payload)| payload);
            let out = bench.whole.first().map(|whole| whole[whole.len() - joined.as_ref().map_or(0, Vec::len)..].to_vec());
            prop_assert_eq!(&out, &joined);
            if out.is_some() {
                return Ok(());
            }
        }
        prop_assert!(bench.count(Verdict::FragmentOverlap) > 0);
    }

    /// Whatever comes, whenever: frames balance in every breath, and in the end nothing is kept.
    #[test]
    fn nothing_is_ever_lost(
        steps in prop::collection::vec(prop::collection::vec((0u32..150, 0u16..20, 1usize..20, any::<bool>(), any::<bool>()), 0..32), 1..12),
        pause in 0u64..20_000,
    ) {
        let mut bench = Bench::new();
        let mut now = Now(0);
        let mut sent = 0;
        for step in steps {
            let packets: Vec<_> = step.into_iter().map(|(id, unit, units, more, is_ipv6)| {
                Ip { fragment: Some((id, unit * 8, more)), ..esp(is_ipv6, vec![id as u8; units * 8]) }.octets()
            }).collect();
            sent += packets.len();
            bench.breathe(now, &packets);
            now = now.plus_ms(pause);
        }
        for _ in 0..3 {
            bench.breathe(now.plus_ms(TIMEOUT_IPV6_MS), &[]);
        }
        prop_assert_eq!(bench.table.held(), 0);
        prop_assert_eq!(bench.table.contexts.len(), 0);
        prop_assert_eq!(bench.ended.len() + bench.whole.len(), sent);
    }
}

/// Whether two of these fragments overlap without being the same, or one lies beyond the end that another gives.
fn disagree(pieces: &[Vec<u8>]) -> bool {
    let pieces: Vec<_> = pieces.iter().map(|piece| fragment_of(piece).unwrap()).collect();
    pieces.iter().any(|one| {
        let (start, more, _, octets) = one;
        let end = start + octets.len();
        pieces.iter().any(|other| {
            let other_end = other.0 + other.3.len();
            (*start < other_end && other.0 < end && one != other) || (!more && other_end > end)
        })
    })
}

/// Whether what is put in at `place` comes before the last fragment of either packet to arrive.
fn is_before_the_ends(pieces: &[Vec<u8>], place: usize) -> bool {
    let ids: Vec<_> = pieces.iter().map(|piece| ip::parse(piece).map(|headers| id_of(&headers))).collect();
    [7, 8]
        .into_iter()
        .all(|id| ids.iter().rposition(|other| *other == Ok(id)).is_some_and(|last| place < last))
}

fn id_of(headers: &Headers) -> u32 {
    match headers.fragment {
        Fragment::First { id } | Fragment::Later { id, .. } => id,
        Fragment::Whole => 0,
    }
}

#[test]
fn the_rest_that_does_not_come_is_not_waited_for() {
    for (is_ipv6, timeout) in [(false, TIMEOUT_IPV4_MS), (true, TIMEOUT_IPV6_MS)] {
        let ip = esp(is_ipv6, vec![1; 1000]);
        let mut bench = Bench::new();
        bench.breathe(Now(0), &[fragment(&ip, 7, 0..512)]);
        bench.breathe(Now(0).plus_ms(timeout - 1), &[]);
        assert_eq!((bench.table.held(), bench.ended.len()), (1, 0));
        bench.breathe(Now(0).plus_ms(timeout), &[fragment(&ip, 7, 512..1000)]);
        assert_eq!(bench.ended, [Verdict::FragmentTimeout]);
        assert_eq!((bench.table.held(), bench.whole.len()), (1, 0));
    }
}

#[test]
fn the_oldest_makes_room() {
    let ip = esp(false, vec![1; 1000]);
    let mut bench = Bench::new();
    for id in 0..=CONTEXTS as u32 {
        bench.breathe(Now(id.into()), &[fragment(&ip, id, 0..512)]);
    }
    assert_eq!((bench.ended.as_slice(), bench.table.held()), (&[Verdict::FragmentLimit][..], CONTEXTS));
    // The newest is still there.
    bench.breathe(Now(100), &[fragment(&ip, CONTEXTS as u32, 512..1000)]);
    assert_eq!(bench.whole, [uncut(&ip, CONTEXTS as u32)]);
}

/// Were they let in, 512 octets beyond the end would make up for the 512 that are missing before it.
#[test]
fn pieces_beyond_the_end_do_not_count() {
    let (ip, longer) = (esp(false, vec![1; 1024]), esp(false, vec![1; 1600]));
    let (last, beyond) = (fragment(&ip, 7, 512..1024), fragment(&longer, 7, 1024..1536));
    for pieces in [[last.clone(), beyond.clone()], [beyond, last]] {
        let mut bench = Bench::new();
        bench.feed(&pieces);
        bench.feed(&[fragment(&ip, 7, 0..512)]);
        assert_eq!(bench.ended, [Verdict::FragmentOverlap; 3]);
    }
}

#[test]
fn what_fits_no_frame_is_refused() {
    let mut bench = Bench::new();
    let most = usize::from(CAPACITY) - PAYLOAD_AT;
    let ip = esp(false, vec![1; most]);
    bench.feed(&[fragment(&ip, 1, 0..800), fragment(&ip, 1, 800..most)]);
    assert_eq!(bench.whole, [uncut(&ip, 1)]);
    let ip = esp(false, vec![1; most + 1]);
    bench.feed(&[fragment(&ip, 2, 800..most + 1)]);
    assert_eq!(bench.ended.last(), Some(&Verdict::FragmentLimit));
}

#[test]
fn too_many_pieces_are_refused() {
    let ip = esp(false, vec![1; 8 * (PIECES + 2)]);
    let pieces: Vec<_> = (0..PIECES + 1).map(|at| fragment(&ip, 1, at * 8..at * 8 + 8)).collect();
    let mut bench = Bench::new();
    bench.feed(&pieces);
    assert_eq!((bench.count(Verdict::FragmentLimit), bench.table.held()), (2, 0));
}

#[test]
fn congestion_on_one_piece_is_congestion_on_all() {
    let mut ip = esp(false, vec![1; 1000]);
    ip.traffic_class = 0b10;
    let mut marked = ip.clone();
    marked.traffic_class = 0b11;
    let mut bench = Bench::new();
    bench.feed(&[fragment(&ip, 7, 0..512), fragment(&marked, 7, 512..1000)]);
    assert_eq!(bench.whole, [uncut(&marked, 7)]);
}

#[test]
fn only_fragments_that_are_ours_are_taken() {
    let mut bench = Bench::new();
    let ip = esp(false, vec![1; 1000]);
    let mut batch = Batch::default();
    for octets in [ip.octets(), fragment(&ip, 7, 0..512)] {
        let mut frame = bench.pool.take().unwrap();
        frame.place(HEADROOM, octets.len()).unwrap();
        frame.bytes_mut().copy_from_slice(&octets);
        batch.packets.push(Packet::new(frame, ip::parse(&octets).unwrap(), PortIndex(0), Origin::Wire));
    }
    bench.table.collect(&mut batch, Now(0), |_| false);
    assert!(batch.packets.len() == 2 && batch.packets.iter().all(Packet::travels));
}
