//! Keys that were negotiated and have gone: none of them may come back, since its numbers would begin at 1 again.

use std::collections::{HashSet, VecDeque};

use super::fingerprint::Fingerprint;

/// Most keys remembered; the oldest is forgotten first. At ten thousand peers with a new key every hour these are four days.
/// At most 30 MiB are used for them.
const MOST: usize = 1 << 20;

/// Names of keys, as long as this process lives.
#[derive(Debug, Default)]
pub(super) struct Spent {
    known: HashSet<u64>,
    order: VecDeque<u64>,
}

impl Spent {
    /// This key is in use now.
    pub(super) fn note(&mut self, key: &Fingerprint) {
        let name = key.short();
        if !self.known.insert(name) {
            return;
        }
        self.order.push_back(name);
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// Whether the key was in use before. Of 2^44 fresh keys one is taken for another: it is refused, and negotiated anew.
    pub(super) fn knows(&self, key: &Fingerprint) -> bool {
        self.known.contains(&key.short())
    }
}

#[cfg(test)]
mod tests {
    use ravelin_contract::sa::Transform;
    use ravelin_contract::secret::Secret;

    use super::*;

    #[test]
    fn keys_are_remembered_and_the_oldest_forgotten_first() {
        let key = |number: u32| {
            let key = Secret::new([&number.to_be_bytes()[..], &[0; 12]].concat());
            Fingerprint::of_transform(&Transform::AesGcm16 { key, salt: [0; 4] })
        };
        let mut spent = Spent::default();
        assert!(!spent.knows(&key(0)));
        (0..MOST as u32).for_each(|number| spent.note(&key(number)));
        spent.note(&key(0));
        assert!(spent.knows(&key(0)) && spent.order.len() == MOST);
        spent.note(&key(u32::MAX));
        assert!(!spent.knows(&key(0)) && spent.knows(&key(1)) && spent.knows(&key(u32::MAX)));
        assert_eq!((spent.known.len(), spent.order.len()), (MOST, MOST));
    }
}
