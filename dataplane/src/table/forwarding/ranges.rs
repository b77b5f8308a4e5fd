//! Longest prefix match, frozen: nested prefixes flattened into ranges that do not overlap.
//!
//! A lookup is one step in a directory of the upper 16 bits and a binary search among the ranges that begin within
//! that block: nothing for most blocks, a handful of steps in a full table.

/// A path's number in the table of paths.
pub(super) type PathIndex = u32;

/// An address as a number.
pub(super) trait Key: Copy + Ord {
    /// The lowest address.
    const ZERO: Self;
    /// The upper 16 bits.
    fn block(self) -> usize;
    /// The highest address of the prefix of `length` bits that begins here.
    fn last(self, length: u8) -> Self;
    /// The address after this one.
    fn next(self) -> Option<Self>;
}

impl Key for u32 {
    const ZERO: Self = 0;
    fn block(self) -> usize {
        (self >> 16) as usize
    }
    fn last(self, length: u8) -> Self {
        self | Self::MAX.checked_shr(length.into()).unwrap_or(0)
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

impl Key for u128 {
    const ZERO: Self = 0;
    fn block(self) -> usize {
        (self >> 112) as usize
    }
    fn last(self, length: u8) -> Self {
        self | Self::MAX.checked_shr(length.into()).unwrap_or(0)
    }
    fn next(self) -> Option<Self> {
        self.checked_add(1)
    }
}

/// One prefix to be put into the table.
#[derive(Debug, Clone, Copy)]
pub(super) struct Prefix<K> {
    /// Lowest address.
    pub(super) first: K,
    /// Length in bits.
    pub(super) length: u8,
    /// Whether it hides every prefix within it that is not `first_table`: the kernel asks the local table first,
    /// whatever the lengths.
    pub(super) first_table: bool,
    /// Less is better among equal prefixes of one table.
    pub(super) metric: u32,
    /// Where it leads.
    pub(super) path: PathIndex,
}

/// Blocks of addresses that share their upper 16 bits.
const BLOCKS: usize = 1 << 16;

/// The frozen table.
#[derive(Debug)]
pub(super) struct Ranges<K> {
    /// Where each range begins; strictly ascending; the first is zero. A range ends where the next begins.
    starts: Vec<K>,
    /// Where each range leads; as many as `starts`.
    paths: Vec<PathIndex>,
    /// For each block the number of ranges that begin before it, and at the end the number of all.
    directory: Vec<u32>,
}

impl<K: Key> Ranges<K> {
    /// A table of `prefixes`; addresses outside of all lead to path 0.
    pub(super) fn build(prefixes: Vec<Prefix<K>>) -> Self {
        let mut table = Self { starts: vec![K::ZERO], paths: vec![0], directory: Vec::new() };
        table.flatten(&best_first(prefixes));
        table.directory = directory(&table.starts);
        table
    }

    /// The path of `key`.
    pub(super) fn find(&self, key: K) -> PathIndex {
        let block = key.block();
        let (from, to) = (self.directory[block] as usize, self.directory[block + 1] as usize);
        let within = self.starts[from..to].partition_point(|start| *start <= key);
        // Not below zero: the first range begins at zero, so some range begins at or before any key.
        self.paths[from + within - 1]
    }

    /// Walks the prefixes from the lowest address upwards; `open` holds those that are not over yet, the innermost last.
    fn flatten(&mut self, prefixes: &[Prefix<K>]) {
        let mut open: Vec<Prefix<K>> = Vec::new();
        for prefix in prefixes {
            while let Some(inner) = open.pop_if(|inner| inner.first.last(inner.length) < prefix.first) {
                self.close(&inner, &open);
            }
            let hidden = open.last().is_some_and(|outer| outer.first_table && !prefix.first_table);
            if !hidden {
                self.begin(prefix.first, prefix.path);
                open.push(*prefix);
            }
        }
        while let Some(inner) = open.pop() {
            self.close(&inner, &open);
        }
    }

    /// After the end of `ended`, the innermost prefix still open is in force again.
    fn close(&mut self, ended: &Prefix<K>, open: &[Prefix<K>]) {
        if let Some(after) = ended.first.last(ended.length).next() {
            self.begin(after, open.last().map_or(0, |outer| outer.path));
        }
    }

    /// From `start` on, `path` is in force, until the next call says otherwise.
    fn begin(&mut self, start: K, path: PathIndex) {
        if self.starts.last() == Some(&start) {
            self.starts.pop();
            self.paths.pop();
        }
        if self.paths.last() != Some(&path) {
            self.starts.push(start);
            self.paths.push(path);
        }
    }
}

/// The prefixes in the order of the walk: ascending, outer before inner, and of equal ones only the best.
fn best_first<K: Key>(mut prefixes: Vec<Prefix<K>>) -> Vec<Prefix<K>> {
    // Stable, so that of equal rank the earlier stays.
    prefixes.sort_by_key(|p| (p.first, p.length, !p.first_table, p.metric));
    prefixes.dedup_by_key(|p| (p.first, p.length));
    prefixes
}

fn directory<K: Key>(starts: &[K]) -> Vec<u32> {
    let mut before = vec![0u32; BLOCKS + 1];
    for start in starts {
        before[start.block() + 1] += 1;
    }
    for block in 0..BLOCKS {
        before[block + 1] += before[block];
    }
    before
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The twin: every prefix asked, the local table first, then the longest, then the best metric.
    fn scan<K: Key>(prefixes: &[Prefix<K>], key: K) -> PathIndex {
        let covers = |p: &&Prefix<K>| p.first <= key && key <= p.first.last(p.length);
        let rank = |p: &&Prefix<K>| (!p.first_table, u8::MAX - p.length, p.metric);
        prefixes.iter().filter(covers).min_by_key(rank).map_or(0, |p| p.path)
    }

    /// Prefixes near each other, so that they nest and touch, and a few anywhere.
    fn prefixes<K: Key + std::fmt::Debug + 'static>(
        width: u8,
        number: impl Fn(u128) -> K + Clone + 'static,
    ) -> impl Strategy<Value = Vec<Prefix<K>>> {
        let address = prop_oneof![0u128..=40, (0u128..=40).prop_map(|n| n << 60), any::<u128>()];
        let one = (address, 0..=width, any::<bool>(), 0u32..3);
        proptest::collection::vec(one, 0..40).prop_map(move |list| {
            let make = |((address, length, first_table, metric), path)| {
                let shift = u32::from(128 - width);
                let host = u128::MAX.checked_shr(u32::from(length)).unwrap_or(0);
                let first = number((address << shift & !host) >> shift);
                Prefix { first, length, first_table: first_table && length > 4, metric, path }
            };
            list.into_iter().zip(1..).map(make).collect()
        })
    }

    /// Addresses at which an answer can change, and some others.
    fn probes<K: Key>(prefixes: &[Prefix<K>], others: &[K]) -> Vec<K> {
        let edges = prefixes.iter().flat_map(|p| {
            let last = p.first.last(p.length);
            [Some(p.first), Some(last), last.next()]
        });
        edges.flatten().chain(others.iter().copied()).collect()
    }

    proptest! {
        #[test]
        fn finds_what_a_scan_finds_v4(list in prefixes(32, |n| n as u32), others: [u32; 8]) {
            let table = Ranges::build(list.clone());
            for key in probes(&list, &others) {
                prop_assert_eq!(table.find(key), scan(&list, key), "{:x}", key);
            }
        }

        #[test]
        fn finds_what_a_scan_finds_v6(list in prefixes(128, |n| n), others: [u128; 8]) {
            let table = Ranges::build(list.clone());
            for key in probes(&list, &others) {
                prop_assert_eq!(table.find(key), scan(&list, key), "{:x}", key);
            }
        }
    }

    #[test]
    fn nothing_leads_to_path_zero() {
        let table = Ranges::<u32>::build(Vec::new());
        assert_eq!((table.find(0), table.find(u32::MAX)), (0, 0));
    }

    #[test]
    fn neighbouring_prefixes_of_one_path_are_one_range() {
        let half = |first| Prefix { first, length: 1, first_table: false, metric: 0, path: 7 };
        let table = Ranges::<u32>::build(vec![half(0), half(1 << 31)]);
        assert_eq!(table.starts, [0]);
        assert_eq!(table.find(12345), 7);
    }
}
