//! One AF_XDP socket: its four rings, and the frames that the kernel holds by them.
//!
//! fill: free frames for the kernel to receive into; receive: the same frames with a packet; transmit: frames to send;
//! completion: the same frames when they are sent.
#![expect(
    unsafe_code,
    reason = "the kernel gives lent frames back by their addresses; one socket option rustix lacks"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING, XDP_UMEM_PGOFF_COMPLETION_RING,
    XDP_UMEM_PGOFF_FILL_RING, XdpMmapOffsets, XdpOptionsFlags, XdpRingOffset, XdpStatistics,
};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, bind, recv, send, socket_with, sockopt,
};

use super::mapping::Mapping;
use super::ring::{Consumer, Descriptor, Producer};
use super::umem::Umem;
use crate::frame::Frame;

/// How long a queue may stay taken by the socket of a process that has just been killed.
const PATIENCE: Duration = Duration::from_secs(2);
/// Frames that one kick may send in copy mode, where the ring is that long; the kernel's own value is 32.
const KICK_BUDGET: u32 = 256;
/// `XDP_MAX_TX_SKB_BUDGET` of linux/if_xdp.h.
const MAX_TX_SKB_BUDGET: libc::c_int = 9;

/// A bound socket.
#[derive(Debug)]
pub(super) struct Socket {
    // The rings come first, so that they are unmapped before the socket is closed: a mapping that outlives the
    // descriptor keeps the queue taken.
    fill: Producer<u64>,
    completion: Consumer<u64>,
    receive: Consumer<Descriptor>,
    transmit: Producer<Descriptor>,
    umem: &'static Umem,
    fd: OwnedFd,
}

impl Socket {
    /// Binds to a queue with four rings of `size` entries each (a power of two), zero-copy where the driver can and
    /// `zero_copy` allows, else copying.
    pub(super) fn open(
        ifindex: u32,
        queue: u32,
        umem: &'static Umem,
        size: u32,
        zero_copy: bool,
    ) -> io::Result<Self> {
        let wakeup = SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        let try_mode = |mode| Self::open_when_free(ifindex, queue, umem, size, wakeup | mode);
        let zero_copied = zero_copy.then(|| try_mode(SocketAddrXdpFlags::XDP_ZEROCOPY));
        match zero_copied {
            Some(Ok(socket)) => Ok(socket),
            // Any refusal of zero-copy leads to copy mode, which says what else is wrong.
            Some(Err(_)) | None => try_mode(SocketAddrXdpFlags::XDP_COPY),
        }
    }

    fn open_when_free(
        ifindex: u32,
        queue: u32,
        umem: &'static Umem,
        size: u32,
        flags: SocketAddrXdpFlags,
    ) -> io::Result<Self> {
        let began = Instant::now();
        loop {
            let socket = Self::new(umem, size)?;
            match bind(&socket.fd, &SocketAddrXdp::new(flags, ifindex, queue)) {
                Ok(()) => return Ok(socket),
                Err(Errno::BUSY) if began.elapsed() < PATIENCE => sleep(Duration::from_millis(10)),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// A socket with memory and rings, not yet bound.
    fn new(umem: &'static Umem, size: u32) -> io::Result<Self> {
        let fd = socket_with(AddressFamily::XDP, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        sockopt::set_xdp_umem_reg(&fd, umem.registration())?;
        sockopt::set_xdp_umem_fill_ring_size(&fd, size)?;
        sockopt::set_xdp_umem_completion_ring_size(&fd, size)?;
        sockopt::set_xdp_rx_ring_size(&fd, size)?;
        sockopt::set_xdp_tx_ring_size(&fd, size)?;
        raise_kick_budget(fd.as_fd(), KICK_BUDGET.min(size));
        let XdpMmapOffsets { rx, tx, fr, cr } = sockopt::xdp_mmap_offsets(&fd)?;
        let map =
            |offset: &XdpRingOffset, entry, page| map_ring(fd.as_fd(), offset, size as usize * entry, page);
        let (word, descriptor) = (size_of::<u64>(), size_of::<Descriptor>());
        let lost = || io::Error::other("the kernel's ring offsets lie outside the ring");
        Ok(Self {
            fill: Producer::new(&map(&fr, word, XDP_UMEM_PGOFF_FILL_RING)?, &fr, size).ok_or_else(lost)?,
            completion: Consumer::new(&map(&cr, word, XDP_UMEM_PGOFF_COMPLETION_RING)?, &cr, size)
                .ok_or_else(lost)?,
            receive: Consumer::new(&map(&rx, descriptor, XDP_PGOFF_RX_RING)?, &rx, size).ok_or_else(lost)?,
            transmit: Producer::new(&map(&tx, descriptor, XDP_PGOFF_TX_RING)?, &tx, size).ok_or_else(lost)?,
            umem,
            fd,
        })
    }

    /// Lends a free frame to receive into. Gives it back when the ring is full. Seen after `publish_fill`.
    pub(super) fn fill(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.fill.room() == 0 {
            return Err(frame);
        }
        self.fill.push(self.umem.lend(frame).address);
        Ok(())
    }

    /// Shows the kernel what was filled.
    pub(super) fn publish_fill(&mut self) {
        self.fill.publish();
    }

    /// The next received frame.
    pub(super) fn receive(&mut self) -> Option<Frame> {
        let received = self.receive.pop()?;
        // SAFETY: what comes out of the receive ring is a frame that went in by the fill ring, once.
        unsafe { self.umem.reclaim(received.address, received.length) }
    }

    /// Gives the places of received frames back to the kernel.
    pub(super) fn release_received(&mut self) {
        self.receive.release();
    }

    /// Lends a frame to send; it has a packet. Gives it back when the ring is full. Seen after `publish_transmit`.
    pub(super) fn transmit(&mut self, frame: Frame) -> Result<(), Frame> {
        if self.transmit.room() == 0 {
            return Err(frame);
        }
        self.transmit.push(self.umem.lend(frame));
        Ok(())
    }

    /// Shows the kernel what is to be sent.
    pub(super) fn publish_transmit(&mut self) {
        self.transmit.publish();
    }

    /// The next frame that was sent.
    pub(super) fn completed(&mut self) -> Option<Frame> {
        let address = self.completion.pop()?;
        // SAFETY: what comes out of the completion ring is a frame that went in by the transmit ring, once.
        unsafe { self.umem.reclaim(address, 0) }
    }

    /// Gives the places of completed frames back to the kernel.
    pub(super) fn release_completed(&mut self) {
        self.completion.release();
    }

    /// Whether frames wait to be sent of which the kernel must be told.
    pub(super) fn wants_transmit_kick(&self) -> bool {
        self.transmit.waiting() > 0 && self.transmit.wants_kick()
    }

    /// Whether the kernel waits for free frames and must be told of them.
    pub(super) fn wants_fill_kick(&self) -> bool {
        self.fill.wants_kick()
    }

    /// Tells the kernel to send: one system call. A full device or a link that is down is no error: frames wait.
    pub(super) fn kick_transmit(&self) {
        let _ = send(&self.fd, &[], SendFlags::DONTWAIT);
    }

    /// Tells the kernel of free frames: one system call.
    pub(super) fn kick_fill(&self) {
        let _ = recv(&self.fd, &mut [0u8; 0], RecvFlags::DONTWAIT);
    }

    /// Entries waiting and size of the receive, fill, transmit and completion rings.
    pub(super) fn rings(&self) -> [(u32, u32); 4] {
        [
            (self.receive.waiting(), self.receive.size()),
            (self.fill.waiting(), self.fill.size()),
            (self.transmit.waiting(), self.transmit.size()),
            (self.completion.waiting(), self.completion.size()),
        ]
    }

    /// Whether the driver works on packet memory itself.
    pub(super) fn is_zero_copy(&self) -> io::Result<bool> {
        Ok(sockopt::xdp_options(&self.fd)?.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
    }

    /// What the kernel dropped or refused since the socket was bound.
    pub(super) fn statistics(&self) -> io::Result<XdpStatistics> {
        Ok(sockopt::xdp_statistics(&self.fd)?)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Maps a ring whose entries take `octets`.
fn map_ring(
    fd: BorrowedFd<'_>,
    offset: &XdpRingOffset,
    octets: usize,
    page: u64,
) -> io::Result<Arc<Mapping>> {
    Ok(Arc::new(Mapping::new(fd, offset.desc as usize + octets, page)?))
}

/// Lets one kick send a whole batch. Kernels that do not know the option send 32 and the rest at the next kick.
fn raise_kick_budget(fd: BorrowedFd<'_>, budget: u32) {
    let size = size_of_val(&budget) as libc::socklen_t;
    // SAFETY: the option's value is a u32, which lives through the call.
    unsafe {
        libc::setsockopt(fd.as_raw_fd(), libc::SOL_XDP, MAX_TX_SKB_BUDGET, (&raw const budget).cast(), size)
    };
}
