//! The ports of one worker: the same queue of every interface, over one packet memory.

use std::io;

use super::queue::{QueueOptions, RESERVE, XdpPort};
use super::steering::{Steering, SteeringError};
use super::umem::Umem;
use crate::frame::Pool;
use crate::port::Port;

/// Fewer frames would leave nothing to receive into.
const LEAST_FRAMES: u32 = 4 * RESERVE;

/// What a worker gets.
#[derive(Debug, Clone, Copy)]
pub struct WorkerOptions {
    /// Frames of its memory, at least 512. Four times `ring_size` for each port is ample.
    pub frames: u32,
    /// Octets of a frame: 2048 or 4096. The kernel takes 256 of them, so frames of at most 1792 or 3840 octets come in.
    pub frame_size: u16,
    /// Entries of each ring, a power of two.
    pub ring_size: u32,
    /// Whether zero-copy is tried.
    pub zero_copy: bool,
}

impl Default for WorkerOptions {
    fn default() -> Self {
        Self { frames: 16_384, frame_size: 2048, ring_size: 2048, zero_copy: true }
    }
}

/// The ports of one worker and the free frames that they share.
#[derive(Debug)]
pub struct WorkerPorts {
    /// The free frames.
    pub pool: Pool,
    /// One port per interface, in the order given. Each has a descriptor to wait on.
    pub ports: Vec<XdpPort>,
}

/// Why a worker has no ports.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// Packet memory cannot be had.
    #[error("packet memory: {0}")]
    Memory(#[source] io::Error),
    /// The queue of an interface cannot be opened.
    #[error("queue {queue} of {interface}: {error}")]
    Queue {
        /// The interface.
        interface: String,
        /// The queue.
        queue: u32,
        /// What the kernel said.
        #[source]
        error: io::Error,
    },
    /// The steering program did not take the socket.
    #[error(transparent)]
    Steering(#[from] SteeringError),
}

impl WorkerPorts {
    /// Opens queue `queue` of every interface and lets their programs give it frames.
    ///
    /// Half of the frames at most wait in fill rings; the other half stays for sending and for the worker itself.
    pub fn open(
        queue: u32,
        interfaces: &mut [Steering],
        options: WorkerOptions,
    ) -> Result<Self, WorkerError> {
        if options.frames < LEAST_FRAMES {
            return Err(WorkerError::Memory(io::ErrorKind::InvalidInput.into()));
        }
        let (umem, frames) = Umem::new(options.frames, options.frame_size).map_err(WorkerError::Memory)?;
        let mut pool = Pool::new(frames);
        let share = options.frames / (2 * interfaces.len().max(1) as u32);
        let of_queue =
            QueueOptions { ring_size: options.ring_size, most_filled: share, zero_copy: options.zero_copy };
        let mut ports = Vec::with_capacity(interfaces.len());
        for steering in interfaces {
            let opened = XdpPort::open(steering.ifindex(), queue, umem, &mut pool, of_queue);
            let port = opened.map_err(|error| {
                let interface = steering.interface().to_owned();
                WorkerError::Queue { interface, queue, error }
            })?;
            if let Some(socket) = port.descriptor() {
                steering.set_socket(queue, socket)?;
            }
            ports.push(port);
        }
        Ok(Self { pool, ports })
    }
}
