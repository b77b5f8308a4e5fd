//! [`XdpPort`]: one queue of one interface as a [`Port`].

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use arrayvec::ArrayVec;
use ravelin_contract::report::Losses;

use super::meter::{self, Meter};
use super::socket::Socket;
use super::umem::Umem;
use crate::frame::{Frame, Pool};
use crate::packet::{BATCH, BURST};
use crate::port::Port;

/// Free frames that a port leaves in the pool for the worker's own needs: ESP, fragments, ICMP errors.
pub(super) const RESERVE: u32 = 2 * BATCH as u32;

/// How a queue is opened.
#[derive(Debug, Clone, Copy)]
pub struct QueueOptions {
    /// Entries of each of the four rings, a power of two.
    pub ring_size: u32,
    /// Most free frames that wait in the fill ring, at most `ring_size`.
    pub most_filled: u32,
    /// Whether zero-copy is tried.
    pub zero_copy: bool,
}

/// A receive and transmit queue by AF_XDP.
///
/// A frame to transmit may begin anywhere in its slot.
#[derive(Debug)]
pub struct XdpPort {
    socket: Socket,
    /// "af_xdp zero-copy" or "af_xdp copy".
    driver: &'static str,
    /// See [`QueueOptions::most_filled`].
    most_filled: u32,
    /// Frames that the kernel holds by the fill and receive rings.
    filled: u32,
    /// System calls made to tell the kernel of frames to send.
    transmit_kicks: u64,
    /// System calls made to tell the kernel of free frames.
    fill_kicks: u64,
}

impl XdpPort {
    /// Opens queue `queue` of the interface and lends it free frames of `pool`, which are frames of `umem`.
    pub fn open(
        ifindex: u32,
        queue: u32,
        umem: &'static Umem,
        pool: &mut Pool,
        options: QueueOptions,
    ) -> io::Result<Self> {
        let socket = Socket::open(ifindex, queue, umem, options.ring_size, options.zero_copy)?;
        let driver = if socket.is_zero_copy()? { "af_xdp zero-copy" } else { "af_xdp copy" };
        let most_filled = options.most_filled.min(options.ring_size);
        let mut port = Self { socket, driver, most_filled, filled: 0, transmit_kicks: 0, fill_kicks: 0 };
        port.refill(pool);
        Ok(port)
    }

    /// System calls made so far: kicks to send, kicks for free frames.
    pub fn kicks(&self) -> (u64, u64) {
        (self.transmit_kicks, self.fill_kicks)
    }

    /// What the kernel lost or refused so far.
    pub fn losses(&self) -> io::Result<Losses> {
        Ok(meter::losses(&self.socket.statistics()?))
    }

    /// For questions about this queue while a worker has it.
    pub fn meter(&self) -> io::Result<Meter> {
        Meter::of(&self.socket)
    }

    fn take_back_sent(&mut self, pool: &mut Pool) {
        while let Some(frame) = self.socket.completed() {
            pool.give(frame);
        }
        self.socket.release_completed();
    }

    fn refill(&mut self, pool: &mut Pool) {
        while self.filled < self.most_filled
            && pool.free() > RESERVE
            && let Some(frame) = pool.take()
        {
            if let Err(frame) = self.socket.fill(frame) {
                pool.give(frame);
                break;
            }
            self.filled += 1;
        }
        self.socket.publish_fill();
        if self.socket.wants_fill_kick() {
            self.socket.kick_fill();
            self.fill_kicks += 1;
        }
    }
}

impl Port for XdpPort {
    fn receive(&mut self, pool: &mut Pool, into: &mut ArrayVec<Frame, BURST>) {
        self.take_back_sent(pool);
        while !into.is_full()
            && let Some(frame) = self.socket.receive()
        {
            self.filled -= 1;
            into.push(frame);
        }
        self.socket.release_received();
        self.refill(pool);
    }

    fn transmit(&mut self, frame: Frame) -> Result<(), Frame> {
        if frame.is_empty() {
            return Err(frame);
        }
        self.socket.transmit(frame)
    }

    fn flush(&mut self, pool: &mut Pool) {
        self.socket.publish_transmit();
        if self.socket.wants_transmit_kick() {
            self.socket.kick_transmit();
            self.transmit_kicks += 1;
        }
        self.take_back_sent(pool);
    }

    fn rings(&self) -> [(u32, u32); 4] {
        self.socket.rings()
    }

    fn driver(&self) -> &'static str {
        self.driver
    }

    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        Some(self.socket.as_fd())
    }
}
