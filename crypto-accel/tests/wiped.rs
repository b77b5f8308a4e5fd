//! What keys leave behind: no copy anywhere in memory but where the key lives, and zeros there when it is dropped.
#![expect(unsafe_code, reason = "looks at all memory of the process")]
#![cfg(target_os = "linux")]

mod common;

use common::ALGORITHMS;
use ravelin_crypto_accel::aead::Key;
use ravelin_crypto_accel::etm::{self, Cipher, Hash};
use ravelin_crypto_accel::{BackEnd, key_memory};

/// A secret that this process has nowhere but inverted, until it is made.
struct Hidden([u8; 64]);

impl Hidden {
    fn new(seed: u8) -> Self {
        Self(std::array::from_fn(|i| {
            let i = i as u32 + 1;
            !((i.wrapping_mul(2_654_435_761).wrapping_add(u32::from(seed) * 40_503) >> 11) as u8)
        }))
    }

    /// Hands the secret itself out for a while.
    fn with<T>(&self, length: usize, work: impl FnOnce(&[u8]) -> T) -> T {
        let mut secret: Vec<u8> = self.0[..length].iter().map(|octet| !octet).collect();
        let result = work(&secret);
        secret.iter_mut().for_each(|octet| *octet = 0);
        std::hint::black_box(&secret);
        result
    }

    /// Where in writable memory 16 octets of the secret stand, from `at` on, and whether the place is locked.
    fn places(&self, at: usize) -> Vec<(String, bool)> {
        let needle: [u8; 16] = self.0[at..at + 16].try_into().expect("16 octets");
        let mut found = Vec::new();
        for area in areas() {
            // SAFETY: the system says that this memory of ours can be read; whoever writes there meanwhile does not
            // matter for octets that are only compared.
            let octets =
                unsafe { std::slice::from_raw_parts(area.start as *const u8, area.end - area.start) };
            let first = std::hint::black_box(!needle[0]);
            let starts = octets.iter().enumerate().filter(|(_, octet)| **octet == first).map(|(i, _)| i);
            let count = starts.filter(|i| is_inverted(octets.get(*i..i + 16), &needle)).count();
            found.extend((0..count).map(|_| (area.name.clone(), area.locked)));
        }
        found
    }
}

fn is_inverted(octets: Option<&[u8]>, needle: &[u8; 16]) -> bool {
    octets.is_some_and(|octets| octets.iter().zip(needle).all(|(octet, other)| *octet ^ other == 0xff))
}

/// A piece of this process's memory.
struct Area {
    start: usize,
    end: usize,
    name: String,
    locked: bool,
}

/// All memory that can be read and written.
fn areas() -> Vec<Area> {
    let maps = std::fs::read_to_string("/proc/self/smaps").expect("proc is mounted");
    let mut areas: Vec<Area> = Vec::new();
    for line in maps.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let Some((start, end)) = words[0].split_once('-') {
            let number = |digits| usize::from_str_radix(digits, 16).expect("an address");
            let (start, end) = (number(start), number(end));
            let name = format!("{} {}", words[1], words.get(5).unwrap_or(&""));
            areas.push(Area { start, end, name, locked: false });
        } else if words[0] == "VmFlags:" {
            let area = areas.last_mut().expect("flags follow their area");
            area.locked = words.contains(&"lo");
        }
    }
    areas.retain(|area| area.name.starts_with("rw") && !area.name.contains("[v"));
    areas
}

fn the_search_sees_what_is_there() {
    let hidden = Hidden::new(1);
    assert_eq!(hidden.places(0), []);
    let kept = hidden.with(32, <[u8]>::to_vec);
    assert_eq!(hidden.places(0).len(), 1, "{:?}", hidden.places(0));
    drop(std::hint::black_box(kept));
}

fn a_key_lies_in_locked_memory_alone_and_leaves_none_when_dropped() {
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            let hidden = Hidden::new(2);
            let key = hidden.with(algorithm.key_len(), |octets| {
                Key::on(back_end, algorithm, octets).expect("its length")
            });
            let places = hidden.places(0);
            let case = format!("{} {algorithm:?} {places:?}", back_end.name());
            // The portable back end may keep its round keys in an order of its own.
            assert!(!places.is_empty() || back_end.name() == "portable", "{case}");
            assert!(places.iter().all(|(_, locked)| *locked), "{case}");
            drop(std::hint::black_box(key));
            assert_eq!(hidden.places(0), [], "{case}");
        }
    }
    let memory = key_memory();
    assert_eq!(memory.unlocked, 0, "the system refused to lock memory: {memory:?}");
}

fn keys_of_encrypt_then_mac_lie_in_locked_memory_alone() {
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let hidden = Hidden::new(3);
        let key = hidden.with(16, |cipher_key| {
            let mac = vec![7; hash.key_len()];
            etm::Key::new(Cipher::AesCbc, cipher_key, hash, &mac).expect("their lengths")
        });
        let places = hidden.places(0);
        assert!(!places.is_empty() && places.iter().all(|(_, locked)| *locked), "{hash:?} {places:?}");
        drop(std::hint::black_box(key));
        assert_eq!(hidden.places(0), [], "{hash:?}");
    }
}

/// One test, so that no thread of another comes or goes while the memory of the whole process is read.
#[test]
fn keys_lie_in_locked_memory_alone_and_leave_zeros() {
    the_search_sees_what_is_there();
    a_key_lies_in_locked_memory_alone_and_leaves_none_when_dropped();
    keys_of_encrypt_then_mac_lie_in_locked_memory_alone();
}
