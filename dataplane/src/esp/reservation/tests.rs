//! A power cut at any step leaves a reservation that no number in use lies above.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;
use ravelin_contract::sa::Transform;
use ravelin_contract::secret::Secret;

use super::super::sequence::{Sequence, last_number};
use super::*;

fn key(octet: u8) -> Fingerprint {
    Fingerprint::of_transform(&Transform::AesGcm16 { key: Secret::new(vec![octet; 16]), salt: [0; 4] })
}

/// A disk that loses power after a given number of steps. What was not made durable may or may not be there later.
#[derive(Default)]
struct Frail {
    /// What programs see.
    seen: RefCell<HashMap<String, Vec<u8>>>,
    /// What is certain to survive: octets by name.
    durable: RefCell<HashMap<String, Vec<u8>>>,
    /// Files whose octets are durable.
    synced: RefCell<HashSet<String>>,
    steps_left: Cell<Option<u32>>,
}

impl Frail {
    fn step(&self) -> io::Result<()> {
        match self.steps_left.get() {
            Some(0) => Err(io::Error::other("no power")),
            left => {
                self.steps_left.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }

    /// Every disk that may be found when the power returns.
    fn aftermath(&self) -> Vec<Frail> {
        let seen = self.seen.borrow();
        let torn = seen.iter().map(|(name, octets)| {
            let kept = if self.synced.borrow().contains(name) { octets.len() } else { octets.len() / 2 };
            (name.clone(), octets[..kept].to_vec())
        });
        let torn: HashMap<_, _> = torn.collect();
        [seen.clone(), torn, self.durable.borrow().clone()].map(Self::found).into()
    }

    fn found(files: HashMap<String, Vec<u8>>) -> Self {
        let synced = files.keys().cloned().collect();
        let (seen, durable) = (RefCell::new(files.clone()), RefCell::new(files));
        Self { seen, durable, synced: RefCell::new(synced), steps_left: Cell::new(None) }
    }
}

impl Disk for Frail {
    fn read(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.seen.borrow().get(name).cloned())
    }

    fn write(&self, name: &str, octets: &[u8]) -> io::Result<()> {
        // The octets may be in the file although the power went before the call returned.
        self.synced.borrow_mut().remove(name);
        self.seen.borrow_mut().insert(name.into(), octets.into());
        self.step()
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.step()?;
        self.synced.borrow_mut().insert(name.into());
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.step()?;
        let octets = self.seen.borrow_mut().remove(from).unwrap();
        self.seen.borrow_mut().insert(to.into(), octets);
        let mut synced = self.synced.borrow_mut();
        if synced.remove(from) {
            synced.insert(to.into());
        } else {
            synced.remove(to);
        }
        Ok(())
    }

    fn sync_directory(&self) -> io::Result<()> {
        self.step()?;
        let seen = self.seen.borrow();
        let synced = self.synced.borrow();
        let whole = seen.iter().filter(|(name, _)| synced.contains(*name));
        *self.durable.borrow_mut() = whole.map(|(name, octets)| (name.clone(), octets.clone())).collect();
        Ok(())
    }

    fn path(&self, name: &str) -> PathBuf {
        name.into()
    }
}

/// Reserves and uses numbers as the process does, until the power goes. Returns the numbers used.
fn run(store: &Store<Frail>, reservations: u32) -> Vec<u64> {
    let mut used = Vec::new();
    let Ok(start) = store.noted(&key(1)) else { panic!("a file of ours does not read") };
    let sequence = Sequence::starting_at(start.unwrap_or(1));
    for _ in 0..reservations {
        let limit = sequence.next() + 5;
        if store.note(&key(1), limit).is_err() {
            return used;
        }
        sequence.allow_below(limit);
        // Not all of them: a crash finds numbers in hand.
        if let Ok(mut range) = sequence.take(3, last_number(false)) {
            used.extend(std::iter::from_fn(|| range.take()).map(|number| number.get()));
        }
    }
    used
}

/// Power goes at every step of a run; from every disk that may be left, a second run goes the same way; a third must
/// not use a number that one before it used.
#[test]
fn no_power_cut_repeats_a_number() {
    const STEPS: u32 = 14;
    for first_cut in 0..STEPS {
        let disk = Frail { steps_left: Cell::new(Some(first_cut)), ..Frail::default() };
        let store = Store::on(disk);
        let first = run(&store, 4);
        for (second_cut, left) in
            (0..STEPS).flat_map(|cut| store.disk.aftermath().into_iter().map(move |d| (cut, d)))
        {
            left.steps_left.set(Some(second_cut));
            let store = Store::on(left);
            let second = run(&store, 4);
            for left in store.disk.aftermath() {
                let third = run(&Store::on(left), 1);
                let all: Vec<u64> = first.iter().chain(&second).chain(&third).copied().collect();
                let distinct: HashSet<u64> = all.iter().copied().collect();
                assert_eq!(
                    distinct.len(),
                    all.len(),
                    "cuts at {first_cut}, {second_cut}: {first:?} {second:?} {third:?}"
                );
            }
        }
    }
}

/// The test above sees what it is for: without making the octets durable, a torn file appears or a number returns.
#[test]
fn the_frail_disk_is_frail() {
    let disk = Frail::default();
    disk.write("a", b"whole").unwrap();
    disk.rename("a", "b").unwrap();
    let found: Vec<_> = disk.aftermath().iter().map(|disk| disk.read("b").unwrap()).collect();
    assert_eq!(found, [Some(b"whole".to_vec()), Some(b"wh".to_vec()), None]);
}

#[test]
fn a_directory_keeps_numbers_apart_and_private() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("numbers");
    let store = Store::open(&path).unwrap();
    assert_eq!(store.noted(&key(1)).unwrap(), None);
    store.note(&key(1), 77).unwrap();
    store.note(&key(2), u64::MAX).unwrap();
    store.note(&key(1), 78).unwrap();
    let store = Store::open(&path).unwrap();
    assert_eq!((store.noted(&key(1)).unwrap(), store.noted(&key(2)).unwrap()), (Some(78), Some(u64::MAX)));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(fs::read_dir(&path).unwrap().count(), 2, "no draft stays");
}

#[test]
fn damage_is_an_error() {
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    store.note(&key(1), 123_456).unwrap();
    let file = place.path().join(key(1).to_string());
    let good = fs::read(&file).unwrap();
    for at in 0..good.len() {
        let mut bad = good.clone();
        bad[at] ^= 1;
        fs::write(&file, &bad).unwrap();
        assert!(matches!(store.noted(&key(1)), Err(Error::Damaged(_))), "octet {at}");
        fs::write(&file, &good[..at]).unwrap();
        assert!(matches!(store.noted(&key(1)), Err(Error::Damaged(_))), "cut at {at}");
    }
}

#[test]
fn no_directory_is_an_error() {
    assert!(matches!(Store::open(Path::new("/proc/nowhere/numbers")), Err(Error::Disk { .. })));
    let place = tempfile::tempdir().unwrap();
    let store = Store::open(place.path()).unwrap();
    place.close().unwrap();
    assert!(matches!(store.note(&key(1), 5), Err(Error::Disk { .. })));
}

proptest! {
    #[test]
    fn what_is_rendered_is_parsed(number: u64) {
        prop_assert_eq!(parse(render(number).as_bytes()), Some(number));
    }

    #[test]
    fn parse_never_panics(octets in prop::collection::vec(any::<u8>(), 0..60)) {
        let _ = parse(&octets);
    }
}
