//! Places for keys: memory that is not swapped, not dumped, and wiped when it is given back.
#![expect(unsafe_code, reason = "hands out places in mapped memory")]

use std::alloc::{Layout, handle_alloc_error};
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::erase::erase;
use super::slab::{self, Protection};

/// A value in key memory: a box that stays where it was made and leaves zeros when dropped.
pub(crate) struct Locked<T> {
    /// A place of the pool, which holds a valid value and belongs to us alone.
    place: NonNull<T>,
    owned: PhantomData<T>,
}

// SAFETY: it owns its value like a box; the pool's lists are behind a lock.
unsafe impl<T: Send> Send for Locked<T> {}
// SAFETY: as above; a shared `Locked` gives shared references only.
unsafe impl<T: Sync> Sync for Locked<T> {}

impl<T> Locked<T> {
    /// Where the value lies: whole cache lines, so that no two keys share one.
    const LAYOUT: Layout = {
        assert!(align_of::<T>() <= LINE && size_of::<T>() > 0 && size_of::<T>() <= slab::OCTETS);
        match Layout::from_size_align(size_of::<T>().next_multiple_of(LINE), LINE) {
            Ok(layout) => layout,
            Err(_) => panic!("LINE is a power of two"),
        }
    };

    /// Moves a value there. What the caller's stack still has of it, [`super::cleanly`] wipes.
    pub(crate) fn new(value: T) -> Self {
        let place = pool().take(Self::LAYOUT).cast::<T>();
        // SAFETY: the place is large enough and aligned for the value, and nobody else has it.
        unsafe { place.write(value) };
        Self { place, owned: PhantomData }
    }
}

impl<T> Deref for Locked<T> {
    type Target = T;

    #[inline(always)]
    fn deref(&self) -> &T {
        // SAFETY: the place holds a valid value, which lives as long as we do.
        unsafe { self.place.as_ref() }
    }
}

impl<T> DerefMut for Locked<T> {
    #[inline(always)]
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`; we are borrowed alone.
        unsafe { self.place.as_mut() }
    }
}

impl<T> Drop for Locked<T> {
    fn drop(&mut self) {
        // SAFETY: the value is valid and not used again.
        unsafe { self.place.drop_in_place() };
        let place = NonNull::slice_from_raw_parts(self.place.cast::<u8>(), Self::LAYOUT.size());
        // SAFETY: the place has that many octets, all of them written when the slab was mapped, and is ours.
        erase(unsafe { &mut *place.as_ptr() });
        pool().give_back(Self::LAYOUT, place.cast());
    }
}

/// Octets of a cache line.
const LINE: usize = 64;

/// Where the keys of this process lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeyMemory {
    /// Octets in memory that only this process can see, not even the kernel by its own map (`memfd_secret`).
    pub secret: usize,
    /// Octets in memory that is locked in RAM.
    pub locked: usize,
    /// Octets in memory that could reach a swap device, because locking was refused.
    pub unlocked: usize,
}

/// Where the keys of this process lie, and whether the system refused to lock the memory.
///
/// It grows by whole slabs and never shrinks. At least one slab is there, so the answer is good before the first key.
pub fn key_memory() -> KeyMemory {
    let mut pool = pool();
    if pool.memory == KeyMemory::default() {
        pool.rest = pool.grow();
    }
    pool.memory
}

/// Octets that are locked at most: a quarter of a million keys of AES-GCM. Beyond, keys lie in ordinary memory, and
/// [`key_memory`] tells.
const LOCKED_MOST: usize = 192 << 20;

/// All places.
struct Pool {
    /// What is left of the newest slab.
    rest: Option<NonNull<[u8]>>,
    /// Places that were given back, by size.
    classes: Vec<Class>,
    memory: KeyMemory,
}

/// Places of one size that hold no key. All their octets are zero.
struct Class {
    size: usize,
    free: Vec<NonNull<u8>>,
}

// SAFETY: the places are memory that belongs to no thread.
unsafe impl Send for Pool {}

static POOL: Mutex<Pool> = Mutex::new(Pool {
    rest: None,
    classes: Vec::new(),
    memory: KeyMemory { secret: 0, locked: 0, unlocked: 0 },
});

/// No panic leaves the lists half changed, so a poisoned lock is as good.
fn pool() -> MutexGuard<'static, Pool> {
    POOL.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Pool {
    /// A place of this many octets, all zero.
    fn take(&mut self, layout: Layout) -> NonNull<u8> {
        let size = layout.size();
        let given_back = self.classes.iter_mut().find(|class| class.size == size);
        if let Some(place) = given_back.and_then(|class| class.free.pop()) {
            return place;
        }
        let rest = self.rest.take().filter(|rest| rest.len() >= size).or_else(|| self.grow());
        let Some(rest) = rest else { handle_alloc_error(layout) };
        let place = rest.cast::<u8>();
        // SAFETY: the rest has at least that many octets.
        let behind = unsafe { place.add(size) };
        self.rest = Some(NonNull::slice_from_raw_parts(behind, rest.len() - size));
        place
    }

    /// Takes a place back, with zeros in it.
    fn give_back(&mut self, layout: Layout, place: NonNull<u8>) {
        let size = layout.size();
        match self.classes.iter_mut().find(|class| class.size == size) {
            Some(class) => class.free.push(place),
            None => self.classes.push(Class { size, free: vec![place] }),
        }
    }

    /// Another slab.
    fn grow(&mut self) -> Option<NonNull<[u8]>> {
        let KeyMemory { secret, locked, unlocked } = &mut self.memory;
        let (slab, protection) = slab::map(*secret + *locked + slab::OCTETS <= LOCKED_MOST)?;
        *match protection {
            Protection::Secret => secret,
            Protection::Locked => locked,
            Protection::Unlocked => unlocked,
        } += slab::OCTETS;
        Some(NonNull::slice_from_raw_parts(slab, slab::OCTETS))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Where a value lies, and what is there now.
    fn octets_at<T>(place: NonNull<T>) -> Vec<u8> {
        // SAFETY: slabs stay mapped and were written when they were mapped.
        unsafe { std::slice::from_raw_parts(place.as_ptr().cast(), size_of::<T>()) }.to_vec()
    }

    /// A size that no other test uses, so that no other thread takes the place meanwhile.
    type Key = [u8; 1999];

    #[test]
    fn a_dropped_value_leaves_zeros() {
        let key = Locked::new([0xa5u8; 1999]);
        let place: NonNull<Key> = key.place;
        assert_eq!(octets_at(place), [0xa5; 1999]);
        drop(key);
        assert_eq!(octets_at(place), [0; 1999]);
        let again = Locked::new([0x5au8; 1999]);
        assert_eq!(again.place, place, "places are used again");
    }

    #[test]
    fn many_values_lie_apart() {
        let values: Vec<Locked<[u64; 130]>> = (0..1000).map(|i| Locked::new([i; 130])).collect();
        for (i, value) in values.iter().enumerate() {
            assert_eq!(**value, [i as u64; 130]);
            assert_eq!(value.place.as_ptr() as usize % LINE, 0);
        }
    }

    #[test]
    fn memory_is_locked_here() {
        let memory = key_memory();
        assert!(memory.secret + memory.locked + memory.unlocked >= slab::OCTETS);
        #[cfg(not(miri))]
        assert_eq!(memory.unlocked, 0, "raise the limit on locked memory (ulimit -l)");
    }
}
