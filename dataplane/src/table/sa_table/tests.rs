//! Both lookups against a scan, before and after changes.

use ravelin_contract::address::AddressRange;
use ravelin_contract::selector::Upper;

use super::*;

const ENDS: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];

fn end(number: u32) -> IpAddr {
    ENDS[number as usize % ENDS.len()].parse().unwrap()
}

/// SA `n` has the SPI `spi(n)`, ends at `end(n)` and is its own number.
fn inbound(count: u32, spi: impl Fn(u32) -> u32) -> SaTable<u32, u32> {
    let entry = |n| InboundEntry {
        spi: spi(n),
        destination: end(n),
        tunnel: TunnelId(n),
        identities: Arc::default(),
        sa: Arc::new(n),
    };
    SaTable::new((0..count).map(entry).collect(), Vec::new())
}

fn finds_exactly(table: &SaTable<u32, u32>, count: u32, spi: impl Fn(u32) -> u32) {
    for n in 0..count {
        let (at, sa) = table.find_inbound(spi(n), end(n)).unwrap();
        assert_eq!((*sa, table.inbound(at), table.inbound_tunnel(at)), (n, Some(&n), Some(TunnelId(n))));
        assert!(table.find_inbound(spi(n), end(n + 1)).is_none(), "SPI of SA {n} at another end");
    }
    assert!(table.longest_probe() <= LONGEST_PROBE);
}

#[test]
fn every_sa_is_found_by_spi_and_end_whatever_their_number() {
    for count in [0, 1, 8, 9, 1000] {
        finds_exactly(&inbound(count, |n| 256 + n), count, |n| 256 + n);
    }
}

#[test]
fn a_million_sas_stay_within_four_cache_lines() {
    let orderly = |n| 256 + n;
    let scattered = |n: u32| 256 + n.wrapping_mul(0x9E37_79B1) % 0xFFFF_FE00;
    finds_exactly(&inbound(1_000_000, orderly), 1_000_000, orderly);
    finds_exactly(&inbound(1_000_000, scattered), 1_000_000, scattered);
}

#[test]
fn one_spi_may_stand_for_each_end_and_equal_keys_do_no_harm() {
    let table = inbound(3, |_| 4096);
    for n in 0..3 {
        assert_eq!(table.find_inbound(4096, end(n)).map(|(_, sa)| *sa), Some(n));
    }
    let same = |n| InboundEntry {
        spi: 300,
        destination: end(0),
        tunnel: TunnelId(0),
        identities: Arc::default(),
        sa: Arc::new(n),
    };
    let table: SaTable<u32, u32> = SaTable::new((0..200).map(same).collect(), Vec::new());
    assert!(table.find_inbound(300, end(0)).is_some());
    assert!(table.find_inbound(301, end(0)).is_none());
}

fn flow(destination: &str) -> FlowKey {
    let source = if destination.contains(':') { "2001:db8::9" } else { "10.0.0.1" };
    FlowKey {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: 17,
        upper: Some((1, 2)),
    }
}

fn to(destination: &str, length: u8) -> Vec<Selector> {
    let destination = AddressRange::prefix(destination.parse().unwrap(), length).unwrap();
    let source = AddressRange::all(destination.family());
    vec![Selector { source, destination, upper: Upper::Any }]
}

fn outbound(tunnel: u32, selectors: Vec<Selector>, sa: u32) -> OutboundEntry<u32> {
    let destination = IpAddr::from([192, 0, 2, 1]);
    OutboundEntry {
        spi: 1000 + sa,
        destination,
        tunnel: TunnelId(tunnel),
        selectors: selectors.into(),
        worker: None,
        identities: Arc::default(),
        sa: Arc::new(sa),
    }
}

#[test]
fn a_worker_takes_its_own_sa_then_a_shared_one_then_any() {
    let bound = |worker, tunnel, sa| OutboundEntry { worker, ..outbound(tunnel, to("10.1.0.0", 16), sa) };
    let list = [
        bound(Some(2), 0, 1),
        bound(Some(0), 0, 2),
        bound(None, 0, 3),
        bound(Some(0), 0, 4),
        bound(Some(1), 1, 5),
        bound(None, 2, 6),
        bound(None, 2, 7),
    ];
    let mut grown = SaTable::<u32, u32>::default();
    list.iter().for_each(|entry| grown.add_outbound(entry.clone()));
    for mut table in [SaTable::new(Vec::new(), list.to_vec()), grown] {
        let sa = |table: &SaTable<u32, u32>, tunnel, worker| {
            table.outbound(TunnelId(tunnel), worker, &flow("10.1.1.1")).copied()
        };
        assert_eq!([0, 1, 2, 3].map(|worker| sa(&table, 0, worker)), [Some(4), Some(3), Some(1), Some(3)]);
        assert_eq!(
            [0, 1, 2].map(|worker| sa(&table, 1, worker)),
            [Some(5); 3],
            "no packet is dropped for its core"
        );
        assert_eq!([0, 7].map(|worker| sa(&table, 2, worker)), [Some(7); 2]);
        assert_eq!(table.outbound(TunnelId(0), 0, &flow("10.2.1.1")), None);
        let before = table.clone();
        table.remove_outbound(&list[3]);
        assert_eq!([0, 1, 2].map(|worker| sa(&table, 0, worker)), [Some(2), Some(3), Some(1)]);
        table.remove_outbound(&list[2]);
        assert_eq!([0, 1, 2].map(|worker| sa(&table, 0, worker)), [Some(2), Some(2), Some(1)]);
        table.remove_outbound(&list[1]);
        table.remove_outbound(&list[0]);
        assert_eq!(sa(&table, 0, 0), None, "all are gone");
        assert_eq!(sa(&before, 0, 0), Some(4), "the generation before keeps them");
    }
}

#[test]
fn the_newest_sa_that_may_carry_the_packet_is_taken() {
    let list = vec![
        outbound(2, Vec::new(), 20),
        outbound(0, to("10.1.0.0", 16), 1),
        outbound(0, to("10.1.1.0", 24), 2),
        outbound(0, to("10.1.0.0", 16), 3),
        outbound(0, to("2001:db8::", 32), 4),
        outbound(2, Vec::new(), 21),
    ];
    let table: SaTable<u32, u32> = SaTable::new(Vec::new(), list);
    let sa = |tunnel, destination| table.outbound(TunnelId(tunnel), 0, &flow(destination)).copied();
    assert_eq!(sa(0, "10.1.1.1"), Some(3));
    assert_eq!(sa(0, "10.2.1.1"), None);
    assert_eq!(sa(0, "2001:db8::5"), Some(4));
    assert_eq!(sa(1, "10.1.1.1"), None);
    assert_eq!(sa(2, "10.1.1.1"), Some(21));
    assert_eq!(sa(3, "10.1.1.1"), None);
    let quoted = |spi, end: u8| table.find_outbound(spi, [192, 0, 2, end].into()).copied();
    assert_eq!((quoted(1003, 1), quoted(1020, 1)), (Some(3), Some(20)));
    assert_eq!((quoted(1003, 2), quoted(5, 1)), (None, None));
}

#[test]
fn a_tunnel_with_many_sas_answers_like_a_scan() {
    let narrow = |n: u32| match n % 7 {
        0 => to("2001:db8::", (n % 128) as u8),
        1 => to("10.0.0.0", 8 + (n % 24) as u8),
        _ => to(&format!("10.0.{}.{}", n / 256, n % 256), 24 + (n % 9) as u8),
    };
    let mut list: Vec<_> = (0..2000).map(|n| outbound(1, narrow(n), n)).collect();
    list.push(outbound(0, Vec::new(), 9999));
    let model: Vec<_> = (0..2000).map(narrow).collect();
    let table: SaTable<u32, u32> = SaTable::new(Vec::new(), list);
    for n in 0..2000u32 {
        let destination = match n % 3 {
            0 => format!("2001:db8::{n:x}"),
            _ => format!("10.0.{}.{}", n / 256, n % 256),
        };
        let flow = flow(&destination);
        let newest = (0..2000).rev().find(|m| model[*m].iter().any(|s| s.matches(&flow)));
        assert_eq!(table.outbound(TunnelId(1), 1, &flow).copied(), newest.map(|m| m as u32), "{destination}");
    }
}

/// What a table must say, by scanning.
#[derive(Debug, Clone, Default)]
struct Model {
    inbound: Vec<InboundEntry<u32>>,
    /// The newest last.
    outbound: Vec<OutboundEntry<u32>>,
}

impl Model {
    fn change(&mut self, table: &mut SaTable<u32, u32>, step: (u8, u32)) {
        let (what, number) = step;
        let pick = |len: usize| number as usize % len.max(1);
        match what {
            0 | 1 => {
                let spi = 256 + number % 700;
                let entry = InboundEntry {
                    spi,
                    destination: end(number),
                    tunnel: TunnelId(9),
                    identities: Arc::default(),
                    sa: Arc::new(number),
                };
                if self.inbound.iter().all(|other| other.key() != entry.key()) {
                    table.add_inbound(entry.clone());
                    self.inbound.push(entry);
                }
            }
            2 if !self.inbound.is_empty() => {
                let entry = self.inbound.swap_remove(pick(self.inbound.len()));
                table.remove_inbound(&entry);
            }
            3..=5 => {
                let selectors = match number % 5 {
                    0 => Vec::new(),
                    1 => to("10.0.0.0", 8 + (number % 24) as u8),
                    2 => to("2001:db8::", (number % 128) as u8),
                    _ => to(&format!("10.0.{}.{}", number % 3, number % 256), 28 + (number % 5) as u8),
                };
                let entry = outbound(number % 3 * 100, selectors, number);
                table.add_outbound(entry.clone());
                self.outbound.push(entry);
            }
            6 | 7 if !self.outbound.is_empty() => {
                let entry = self.outbound.remove(pick(self.outbound.len()));
                table.remove_outbound(&entry);
            }
            8 if !self.outbound.is_empty() => {
                let place = pick(self.outbound.len());
                let old = self.outbound[place].clone();
                let new = OutboundEntry { destination: end(number), sa: Arc::new(number), ..old.clone() };
                table.replace_outbound(&old, new.clone());
                self.outbound[place] = new;
            }
            _ => {}
        }
    }

    fn agrees(&self, table: &SaTable<u32, u32>) {
        assert_eq!(table.counts(), (self.inbound.len(), self.outbound.len()));
        for entry in &self.inbound {
            let (at, sa) = table.find_inbound(entry.spi, entry.destination).unwrap();
            assert_eq!((sa, table.inbound_tunnel(at)), (&*entry.sa, Some(entry.tunnel)));
        }
        assert!(table.find_inbound(255, end(0)).is_none());
        for entry in &self.outbound {
            assert!(table.find_outbound(entry.spi, entry.destination).is_some());
        }
        for (tunnel, last) in
            (0..4).flat_map(|tunnel| (0..40).map(move |last| (tunnel * 100, last * 7 % 256)))
        {
            for destination in [format!("10.0.{}.{last}", last % 3), format!("2001:db8::{last}")] {
                let flow = flow(&destination);
                let may = |entry: &&OutboundEntry<u32>| {
                    entry.tunnel.0 == tunnel
                        && (entry.selectors.is_empty()
                            || entry.selectors.iter().any(|one| one.matches(&flow)))
                };
                let newest = self.outbound.iter().rev().find(may).map(|entry| &*entry.sa);
                assert_eq!(table.outbound(TunnelId(tunnel), 2, &flow), newest, "{destination} by {tunnel}");
            }
        }
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Every generation says what a scan of its SAs says, also after the next ones were made from it.
    #[test]
    fn changed_tables_answer_like_a_scan(
        rounds in proptest::collection::vec(proptest::collection::vec((0u8..9, 0u32..100_000), 0..200), 1..6),
    ) {
        let mut generations = vec![(Model::default(), SaTable::default())];
        for steps in rounds {
            let (mut model, mut table) = generations.last().unwrap().clone();
            steps.into_iter().for_each(|step| model.change(&mut table, step));
            generations.push((model, table));
        }
        generations.iter().for_each(|(model, table)| model.agrees(table));
    }
}

/// Lines that were full once are left again, and what had spilled out of them is still found.
#[test]
fn an_index_stays_whole_while_it_is_filled_and_emptied() {
    let entry = |n: u32| InboundEntry {
        spi: 256 + n,
        destination: end(n),
        tunnel: TunnelId(n),
        identities: Arc::default(),
        sa: Arc::new(n),
    };
    let mut table: SaTable<u32, u32> = SaTable::default();
    for round in 0..4 {
        let all: Vec<_> = (round * 1000..round * 1000 + 5000).map(entry).collect();
        all.iter().for_each(|entry| table.add_inbound(entry.clone()));
        for (n, gone) in all.iter().enumerate() {
            table.remove_inbound(gone);
            if n % 100 == 0 {
                let rest = &all[n + 1..];
                assert!(rest.iter().all(|entry| table.find_inbound(entry.spi, entry.destination).is_some()));
            }
            assert!(table.find_inbound(gone.spi, gone.destination).is_none());
        }
        assert_eq!(table.counts(), (0, 0));
    }
    assert!(table.longest_probe() <= LONGEST_PROBE);
}
