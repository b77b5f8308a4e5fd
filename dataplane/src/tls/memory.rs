//! Packet memory of the worker as the splice sees it.

use ravelin_splice as splice;

use crate::frame::{Frame, Pool};

/// A frame of which the splice uses the whole slot.
#[derive(Debug)]
pub(super) struct Slot(pub(super) Frame);

impl splice::Frame for Slot {
    fn slot(&self) -> u32 {
        self.0.slot()
    }

    fn octets(&self) -> &[u8] {
        self.0.whole()
    }

    fn octets_mut(&mut self) -> &mut [u8] {
        self.0.whole_mut()
    }
}

/// The frames of the worker.
#[derive(Debug)]
pub(super) struct Slots<'a>(pub(super) &'a mut Pool);

impl splice::Memory for Slots<'_> {
    type Frame = Slot;

    fn take(&mut self) -> Option<Slot> {
        self.0.take().map(Slot)
    }

    fn give(&mut self, slot: Slot) {
        self.0.give(slot.0);
    }

    fn free(&self) -> u32 {
        self.0.free()
    }

    fn slots(&self) -> u32 {
        self.0.total()
    }
}
