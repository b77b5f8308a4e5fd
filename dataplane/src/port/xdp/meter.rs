//! What the kernel counts of an AF_XDP socket, read beside the worker that owns the socket.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use ravelin_contract::report::Losses;
use rustix::net::sockopt;
use rustix::net::xdp::{XdpOptionsFlags, XdpStatistics};

/// A second descriptor of a worker's socket, for questions alone. The socket lives as long as either.
#[derive(Debug)]
pub struct Meter(OwnedFd);

impl Meter {
    pub(super) fn of(socket: &impl AsFd) -> io::Result<Self> {
        Ok(Self(socket.as_fd().try_clone_to_owned()?))
    }

    /// What the kernel lost or refused so far.
    pub fn losses(&self) -> io::Result<Losses> {
        Ok(losses(&sockopt::xdp_statistics(&self.0)?))
    }

    /// Whether the driver works on packet memory itself.
    pub fn is_zero_copy(&self) -> io::Result<bool> {
        Ok(sockopt::xdp_options(&self.0)?.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY))
    }
}

/// By cause.
pub(super) fn losses(counted: &XdpStatistics) -> Losses {
    Losses {
        dropped: counted.rx_dropped,
        receive_ring_full: counted.rx_ring_full.unwrap_or(0),
        fill_ring_empty: counted.rx_fill_ring_empty_descs.unwrap_or(0),
        refused: counted.rx_invalid_descs + counted.tx_invalid_descs,
    }
}
