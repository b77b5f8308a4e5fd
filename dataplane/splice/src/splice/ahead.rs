//! Looks at memory before it is needed: the connections of a burst lie anywhere among thousands, and memory answers many
//! questions in the time of one, if they are asked together.
//!
//! There are only reads here, whose outcome nobody waits for. What is found is not kept: it may change before its turn.

use std::hint::black_box;

use super::{OPENING, Splice};
use crate::frame::{Frame, NONE};
use crate::relay::Relay;
use crate::table::Key;
use crate::turn::Endpoint;

/// Segments that are looked at together.
const TOGETHER: usize = 64;
/// Connections between the one that works and the one that is looked at.
const DISTANCE: usize = 4;

impl<F: Frame, R: Relay> Splice<F, R> {
    /// Looks at the connections of a burst that [`Splice::receive`] is about to take in: from whom each segment is, and for
    /// whom.
    pub fn look_ahead(&self, burst: impl IntoIterator<Item = (Endpoint, Endpoint)>) {
        let (mut hashes, mut count, mut latest) = ([0; TOGETHER], 0, None);
        for (from, to) in burst.into_iter().take(TOGETHER) {
            if let Some((key, _)) = Key::of(from, to)
                && latest.replace(key) != Some(key)
            {
                hashes[count] = key.hash(self.shared.limits.secret);
                count += 1;
            }
        }
        let mut found = [NONE; TOGETHER];
        for (index, hash) in found.iter_mut().zip(&hashes[..count]) {
            *index = self.table.glance(*hash);
        }
        found[..count].iter().for_each(|index| self.look_at(*index));
    }

    /// Looks at a connection that has its turn soon.
    pub(super) fn look_ahead_of(&self, turns: &[u32], at: usize) {
        if let Some(index) = turns.get(at + DISTANCE) {
            self.look_at(*index);
            self.relay.look_ahead(*index);
        }
    }

    fn look_at(&self, index: u32) {
        if index < OPENING
            && let Some(Some(flow)) = self.flows.get(index as usize)
        {
            black_box(flow.glance() ^ self.wheel.glance(index));
        }
    }
}
