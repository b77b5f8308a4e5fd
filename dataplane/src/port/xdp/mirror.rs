//! Maps of the steering program of which only the keys matter, written by differences.

use std::collections::HashSet;
use std::hash::Hash;

use aya::maps::lpm_trie::Key;
use aya::maps::{HashMap, LpmTrie, Map, MapData, MapError};
use aya::{Ebpf, Pod};

use super::steering::SteeringError;

/// `BPF_ANY`: insert or replace.
pub(super) const ANY: u64 = 0;

/// A set of keys.
pub(super) type Exact<K> = Mirror<HashMap<MapData, K, u8>, K>;
/// A set of prefixes of addresses of type `A`, as (length, address).
pub(super) type Prefixes<A> = Mirror<LpmTrie<MapData, A, u8>, (u32, A)>;

/// A map with what it holds, so that only differences are written.
#[derive(Debug)]
pub(super) struct Mirror<M, K> {
    name: &'static str,
    map: M,
    /// The keys of `map`.
    present: HashSet<K>,
}

impl<M: KeySet<K> + TryFrom<Map, Error = MapError>, K: Copy + Eq + Hash> Mirror<M, K> {
    pub(super) fn take(program: &mut Ebpf, name: &'static str) -> Result<Self, SteeringError> {
        let map: M = take(program, name)?;
        let present = map.all().map_err(|error| SteeringError::Map(name, error))?;
        Ok(Self { name, map, present })
    }

    /// Makes `wanted` the content: first what is new goes in, then what is old goes out, so that a key in both is
    /// never missing.
    pub(super) fn set(&mut self, wanted: HashSet<K>) -> Result<(), SteeringError> {
        let old = self.present.difference(&wanted).copied().collect();
        self.change(wanted, old)
    }

    /// Puts these in, then takes those out.
    pub(super) fn change(&mut self, come: HashSet<K>, gone: HashSet<K>) -> Result<(), SteeringError> {
        let failed = |error| SteeringError::Map(self.name, error);
        for key in come {
            if !self.present.contains(&key) {
                self.map.put(key).map_err(failed)?;
                self.present.insert(key);
            }
        }
        for key in gone {
            if self.present.contains(&key) {
                self.map.delete(key).map_err(failed)?;
                self.present.remove(&key);
            }
        }
        Ok(())
    }
}

/// A map of which only the keys matter.
pub(super) trait KeySet<K> {
    fn all(&self) -> Result<HashSet<K>, MapError>;
    fn put(&mut self, key: K) -> Result<(), MapError>;
    fn delete(&mut self, key: K) -> Result<(), MapError>;
}

impl<K: Pod + Eq + Hash> KeySet<K> for HashMap<MapData, K, u8> {
    fn all(&self) -> Result<HashSet<K>, MapError> {
        self.keys().collect()
    }

    fn put(&mut self, key: K) -> Result<(), MapError> {
        self.insert(key, 1, ANY)
    }

    fn delete(&mut self, key: K) -> Result<(), MapError> {
        self.remove(&key)
    }
}

impl<A: Pod + Eq + Hash> KeySet<(u32, A)> for LpmTrie<MapData, A, u8> {
    fn all(&self) -> Result<HashSet<(u32, A)>, MapError> {
        self.keys().map(|key| key.map(|key| (key.prefix_len(), key.data()))).collect()
    }

    fn put(&mut self, (length, address): (u32, A)) -> Result<(), MapError> {
        self.insert(&Key::new(length, address), 1, ANY)
    }

    fn delete(&mut self, (length, address): (u32, A)) -> Result<(), MapError> {
        self.remove(&Key::new(length, address))
    }
}

/// A map of a loaded program.
pub(super) fn take<M: TryFrom<Map, Error = MapError>>(
    program: &mut Ebpf,
    name: &'static str,
) -> Result<M, SteeringError> {
    let map = program.take_map(name).ok_or(SteeringError::Layout(name))?;
    M::try_from(map).map_err(|_| SteeringError::Layout(name))
}
