//! What a worker knows of the world: bursts of frames in, bursts of frames out.

pub mod idle;
pub mod memory;
pub mod pcap;
pub mod xdp;

use arrayvec::ArrayVec;

use crate::frame::{Frame, Pool};
use crate::packet::BURST;

/// Octets that every port leaves free before a received frame, so that a longer link header fits.
pub const HEADROOM: usize = 64;

/// One queue of one interface, or something of the same shape.
pub trait Port: Send {
    /// Appends at most the free room of `into` received frames, each beginning at its link header. Never blocks.
    /// Also takes completed transmissions back into `pool` and keeps the fill ring full from it.
    fn receive(&mut self, pool: &mut Pool, into: &mut ArrayVec<Frame, BURST>);

    /// Queues a frame that begins at its link header. Gives it back when the ring is full or the frame is empty.
    fn transmit(&mut self, frame: Frame) -> Result<(), Frame>;

    /// Makes what was queued leave: at most one system call, and none where the kernel needs no kick.
    fn flush(&mut self, pool: &mut Pool);

    /// Entries waiting and size of the receive, fill, transmit and completion rings.
    fn rings(&self) -> [(u32, u32); 4];

    /// How frames come: "af_xdp zero-copy", "af_xdp copy", "memory", "pcap".
    fn driver(&self) -> &'static str;

    /// The descriptor to wait on when idle, where there is one.
    fn descriptor(&self) -> Option<std::os::fd::BorrowedFd<'_>> {
        None
    }
}
