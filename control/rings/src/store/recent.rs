//! Rings that were opened before, as long as nothing in them has changed: whoever uses rings many times a second reads each once.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{Index, Rings};
use crate::Result;
use crate::name::RingName;
use crate::ring::Ring;

/// Seconds after its last change in which an index may change again and look the same to the clock of the file system.
const FRESH: i64 = 2;

/// What tells one state of an index from another. Every change of a ring puts another file in its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    device: u64,
    inode: u64,
    size: u64,
    changed: (i64, i64),
}

/// Rings as they are now, mostly out of memory.
#[derive(Debug)]
pub struct Recent {
    rings: Rings,
    fresh: i64,
    known: Mutex<BTreeMap<RingName, (Mark, Arc<Ring>)>>,
}

impl Recent {
    /// Nothing was opened yet.
    pub fn new(rings: Rings) -> Self {
        Self { rings, fresh: FRESH, known: Mutex::default() }
    }

    /// The ring as [`Rings::open`] has it. A ring on a token or in a bundle, or with connections into others, is read each time.
    pub fn open(&self, name: &RingName) -> Result<Arc<Ring>> {
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = self.mark(name);
        if let Some((then, ring)) = known().get(name)
            && Some(*then) == mark
        {
            return Ok(Arc::clone(ring));
        }
        let ring = Arc::new(self.rings.open(name)?);
        // Only what did not change while it was read.
        match mark
            .filter(|mark| is_whole(&ring) && self.mark(name) == Some(*mark) && !mark.is_younger(self.fresh))
        {
            Some(mark) => drop(known().insert(name.clone(), (mark, Arc::clone(&ring)))),
            None => drop(known().remove(name)),
        }
        Ok(ring)
    }

    /// The ring as it was when it was opened last, if that is remembered. It may have changed since: see [`Self::is_now`].
    pub fn last(&self, name: &RingName) -> Option<Arc<Ring>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(name).map(|(_, ring)| Arc::clone(ring))
    }

    /// Whether this is the ring as it is now. Reads no file: at most the ring has to be opened again.
    pub fn is_now(&self, ring: &Arc<Ring>) -> bool {
        let then = {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            known.get(&ring.name).filter(|(_, known)| Arc::ptr_eq(known, ring)).map(|(mark, _)| *mark)
        };
        then.is_some() && then == self.mark(&ring.name)
    }

    fn mark(&self, name: &RingName) -> Option<Mark> {
        let found = std::fs::metadata(Index::path(&self.rings.folder(name))).ok()?;
        let changed = (found.ctime(), found.ctime_nsec());
        Some(Mark { device: found.dev(), inode: found.ino(), size: found.size(), changed })
    }
}

impl Mark {
    fn is_younger(&self, seconds: i64) -> bool {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        i64::try_from(now).is_ok_and(|now| now - self.changed.0 < seconds)
    }
}

/// Whether its index tells of every change: its files are written once, and none lie elsewhere.
fn is_whole(ring: &Ring) -> bool {
    ring.store == "directory" && ring.entries.iter().all(|entry| entry.connected.is_none())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::{Access, Owner};
    use crate::passphrase::Source;
    use crate::store::{NewRing, StoreKind};

    fn one(rings: &Rings) -> RingName {
        let name = RingName::new("one".to_owned()).expect("a name");
        let (owner, access) = (Owner::User(0), Access::default());
        let new = NewRing { owner, access, store: StoreKind::Directory, passphrase: Source::stash() };
        rings.create(&name, new).expect("a ring");
        name
    }

    #[test]
    fn a_ring_is_read_once_and_again_when_it_changes() {
        let folder = tempfile::tempdir().expect("a folder");
        let rings = Rings::at(folder.path());
        let name = one(&rings);
        let young = Recent { fresh: i64::MAX, ..Recent::new(rings.clone()) };
        let twice = [young.open(&name), young.open(&name)].map(|ring| ring.expect("opens"));
        assert!(!Arc::ptr_eq(&twice[0], &twice[1]), "what has just changed may change again unseen");

        let recent = Recent { fresh: 0, ..Recent::new(rings.clone()) };
        let old = recent.open(&name).expect("opens");
        assert!(Arc::ptr_eq(&old, &recent.open(&name).expect("opens")));
        assert!(recent.is_now(&old) && recent.last(&name).is_some_and(|last| Arc::ptr_eq(&last, &old)));
        rings.change(&name, |_| Ok(())).expect("changes");
        assert!(!recent.is_now(&old), "it has changed, and nobody opened it since");
        let new = recent.open(&name).expect("opens");
        assert!(new.generation > old.generation);
        assert!(recent.is_now(&new) && !recent.is_now(&old));
        rings.delete(&name).expect("goes");
        assert!(!recent.is_now(&new));
        assert!(recent.open(&name).is_err(), "what is gone is not remembered");
    }
}
