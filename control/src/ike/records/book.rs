//! One file with the records of all IKE SAs, each in a slot of its own, that is overwritten when it is free again.
//!
//! A record takes one write, and forgetting one an octet: a file for each would cost more than the key exchange. A new record
//! stands before the old one is marked; of two that stand the later one counts, by a number that only grows. What a kill
//! leaves half written is at the end, and cut off, or in a slot, and refused by whoever opens its seal.

use std::collections::{BTreeMap, HashMap};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use ravelin_ike::IkeId;

/// Slots are of so many octets, or of several times as many.
const UNIT: usize = 256;
/// Octets before a record: its state, the units of its slot, its length, its number, its IKE SA.
const HEAD: usize = 24;
/// Octets of the longest record.
pub(super) const LONGEST: usize = 1 << 20;

const FREE: u8 = 0;
const TAKEN: u8 = 1;

/// A part of the file.
#[derive(Debug, Clone, Copy)]
struct Slot {
    at: u64,
    units: u16,
}

impl Slot {
    fn octets(self) -> usize {
        usize::from(self.units) * UNIT
    }
}

/// What stands before a record.
struct Head {
    taken: bool,
    units: u16,
    length: u32,
    number: u64,
    ike: IkeId,
}

impl Head {
    fn write(&self) -> [u8; HEAD] {
        let mut octets = [0; HEAD];
        octets[0] = if self.taken { TAKEN } else { FREE };
        octets[2..4].copy_from_slice(&self.units.to_be_bytes());
        octets[4..8].copy_from_slice(&self.length.to_be_bytes());
        octets[8..16].copy_from_slice(&self.number.to_be_bytes());
        octets[16..].copy_from_slice(&self.ike.0.to_be_bytes());
        octets
    }

    /// None for what cannot stand before a record.
    fn read(octets: &[u8; HEAD]) -> Option<Self> {
        let word = |at: usize| u64::from_be_bytes(std::array::from_fn(|n| octets[at + n]));
        let head = Self {
            taken: octets[0] == TAKEN,
            units: u16::from_be_bytes([octets[2], octets[3]]),
            length: u32::from_be_bytes(std::array::from_fn(|n| octets[4 + n])),
            number: word(8),
            ike: IkeId(word(16)),
        };
        let room = (usize::from(head.units) * UNIT).checked_sub(HEAD)?;
        (head.length as usize <= room.min(LONGEST)).then_some(head)
    }
}

/// The file, and what is where.
#[derive(Debug)]
pub(super) struct Book {
    file: File,
    /// Where the next new slot begins.
    end: u64,
    /// Of the record written last.
    number: u64,
    taken: HashMap<IkeId, Slot>,
    /// By their units.
    free: BTreeMap<u16, Vec<u64>>,
}

impl Book {
    /// Opens the file, or makes it.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
        let mut book = Self { file, end: 0, number: 0, taken: HashMap::new(), free: BTreeMap::new() };
        book.scan()?;
        Ok(book)
    }

    fn scan(&mut self) -> io::Result<()> {
        let length = self.file.metadata()?.len();
        let mut newest: HashMap<IkeId, u64> = HashMap::new();
        while let Some(head) = self.head(length)? {
            let slot = Slot { at: self.end, units: head.units };
            self.end += slot.octets() as u64;
            self.number = self.number.max(head.number);
            let is_newer = newest.get(&head.ike).is_none_or(|other| *other < head.number);
            if head.taken && is_newer {
                newest.insert(head.ike, head.number);
                if let Some(older) = self.taken.insert(head.ike, slot) {
                    self.release(older)?;
                }
            } else if head.taken {
                self.release(slot)?;
            } else {
                self.free.entry(slot.units).or_default().push(slot.at);
            }
        }
        self.file.set_len(self.end)
    }

    /// What stands at the end of what was read, if a whole slot does.
    fn head(&self, length: u64) -> io::Result<Option<Head>> {
        let mut octets = [0; HEAD];
        if self.end + HEAD as u64 > length {
            return Ok(None);
        }
        self.file.read_exact_at(&mut octets, self.end)?;
        let is_whole = |head: &Head| self.end + u64::from(head.units) * UNIT as u64 <= length;
        Ok(Head::read(&octets).filter(is_whole))
    }

    /// All records.
    pub(super) fn records(&self) -> io::Result<Vec<(IkeId, Vec<u8>)>> {
        let read = |(ike, slot): (&IkeId, &Slot)| {
            let mut octets = vec![0; slot.octets()];
            self.file.read_exact_at(&mut octets, slot.at)?;
            let head = octets.first_chunk().and_then(Head::read).ok_or(io::ErrorKind::InvalidData)?;
            octets.drain(..HEAD);
            octets.truncate(head.length as usize);
            Ok((*ike, octets))
        };
        self.taken.iter().map(read).collect()
    }

    /// Writes a record in place of an older one. After an error there is none.
    pub(super) fn put(&mut self, ike: IkeId, record: &[u8]) -> io::Result<()> {
        let older = self.taken.remove(&ike);
        let written = self.write(ike, record);
        older.map_or(Ok(()), |older| self.release(older))?;
        self.taken.insert(ike, written?);
        Ok(())
    }

    /// Forgets a record, if there is one.
    pub(super) fn forget(&mut self, ike: IkeId) -> io::Result<()> {
        self.taken.remove(&ike).map_or(Ok(()), |slot| self.release(slot))
    }

    fn write(&mut self, ike: IkeId, record: &[u8]) -> io::Result<Slot> {
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "the record is too long");
        let length =
            u32::try_from(record.len()).ok().filter(|_| record.len() <= LONGEST).ok_or_else(too_long)?;
        let units = u16::try_from((HEAD + record.len()).div_ceil(UNIT)).map_err(|_| too_long())?;
        let slot = self.take(units);
        self.number += 1;
        let head = Head { taken: true, units: slot.units, length, number: self.number, ike };
        let mut octets = Vec::with_capacity(slot.octets());
        octets.extend_from_slice(&head.write());
        octets.extend_from_slice(record);
        octets.resize(slot.octets(), 0);
        let written = self.file.write_all_at(&octets, slot.at);
        // No hole may stay at the end: what stands behind it would not be found.
        if written.is_err() && slot.at + slot.octets() as u64 == self.end {
            self.end = slot.at;
        }
        written.map(|()| slot)
    }

    /// A free slot with room enough, or a new one.
    fn take(&mut self, units: u16) -> Slot {
        let fitting = self.free.range_mut(units..).find_map(|(units, list)| Some((*units, list.pop()?)));
        if let Some((units, at)) = fitting {
            return Slot { at, units };
        }
        let slot = Slot { at: self.end, units };
        self.end += slot.octets() as u64;
        slot
    }

    fn release(&mut self, slot: Slot) -> io::Result<()> {
        self.file.write_all_at(&[FREE], slot.at)?;
        self.free.entry(slot.units).or_default().push(slot.at);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(book: &Book) -> Vec<(u64, Vec<u8>)> {
        let mut records: Vec<_> =
            book.records().expect("read").into_iter().map(|(ike, octets)| (ike.0, octets)).collect();
        records.sort_unstable();
        records
    }

    #[test]
    fn it_says_what_was_put_last_and_takes_no_more_room_than_at_its_greatest() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records");
        let mut book = Book::open(&path).expect("opens");
        let mut expected = BTreeMap::new();
        let mut dice = 1u64;
        for round in 0..5000u64 {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (ike, length) = (dice >> 60, (dice >> 40) as usize % 900);
            if dice >> 32 & 7 == 0 {
                book.forget(IkeId(ike)).expect("forgets");
                expected.remove(&ike);
            } else {
                let record = vec![round as u8; length];
                book.put(IkeId(ike), &record).expect("puts");
                expected.insert(ike, record);
            }
            if round % 1000 == 0 {
                book = Book::open(&path).expect("opens again");
            }
            assert_eq!(sorted(&book), expected.clone().into_iter().collect::<Vec<_>>());
        }
        assert!(path.metadata().expect("there").len() < 64 * 1024, "slots serve again");
    }

    #[test]
    fn a_kill_at_any_octet_leaves_the_old_or_the_new() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records");
        let mut book = Book::open(&path).expect("opens");
        book.put(IkeId(1), &[1; 300]).expect("puts");
        let before = std::fs::read(&path).expect("read");
        // What is appended, cut at each octet; then both that stand before the older one is marked.
        book.put(IkeId(1), &[2; 700]).expect("puts");
        let mut after = std::fs::read(&path).expect("read");
        after[0] = TAKEN;
        for cut in before.len()..=after.len() {
            std::fs::write(&path, &after[..cut]).expect("written");
            let book = Book::open(&path).expect("opens");
            let expected = if cut == after.len() { vec![2; 700] } else { vec![1; 300] };
            assert_eq!(sorted(&book), [(1, expected)], "cut at {cut}");
            assert_eq!(path.metadata().expect("there").len() % UNIT as u64, 0);
        }
    }

    #[test]
    fn what_is_no_book_is_an_empty_one_and_what_cannot_be_put_leaves_nothing_old() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("records");
        std::fs::write(&path, [0xff; 5000]).expect("written");
        let mut book = Book::open(&path).expect("opens");
        assert_eq!(sorted(&book), []);
        book.put(IkeId(1), &[1; 10]).expect("puts");
        assert!(book.put(IkeId(1), &vec![2; LONGEST + 1]).is_err());
        assert_eq!(sorted(&Book::open(&path).expect("opens")), []);
    }
}
