//! What a leg may use while it works on one event: the time, packet memory, the way out.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::counters::Counters;
use crate::frame::{Frame, Ledger, Memory};
use crate::limits::Limits;
use crate::table::Key;
use crate::time::Now;
use crate::wire::build::Header;
use crate::wire::checksum::Sum;

/// An address and a port.
pub type Endpoint = (IpAddr, u16);

/// Where a segment goes, and in whose name. As numbers, since it is copied with every segment: addresses and ports are made of
/// them where they are needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    key: Key,
    local_low: bool,
}

impl Ends {
    /// Those of this connection, seen from the lower endpoint or from the other.
    #[inline]
    pub(crate) fn new(key: Key, local_low: bool) -> Self {
        Self { key, local_low }
    }

    /// `None` when somebody writes to itself.
    pub(crate) fn between(local: Endpoint, remote: Endpoint) -> Option<Self> {
        Key::of(local, remote).map(|(key, local_low)| Self { key, local_low })
    }

    /// For whom we speak.
    #[inline]
    pub fn local(&self) -> Endpoint {
        self.key.endpoint(self.local_low)
    }

    /// Who listens.
    #[inline]
    pub fn remote(&self) -> Endpoint {
        self.key.endpoint(!self.local_low)
    }

    /// Our port and theirs.
    #[inline]
    pub(crate) fn ports(&self) -> (u16, u16) {
        self.key.ports(self.local_low)
    }

    /// The addresses' part of a checksum.
    #[inline]
    pub(crate) fn sum(&self) -> Sum {
        self.key.sum()
    }

    /// The key of the connection, and whether we speak for its lower endpoint.
    pub(crate) fn key(&self) -> (Key, bool) {
        (self.key, self.local_low)
    }
}

/// A TCP segment to be sent: the caller puts IP and link headers before it.
#[derive(Debug)]
pub struct Transmit<F> {
    /// The frame, which is to be given to `Splice::complete` when the port has done with it.
    pub frame: F,
    /// Offset of the segment in the slot.
    pub at: u16,
    /// Its length.
    pub len: u16,
    /// From and to.
    pub ends: Ends,
}

/// Everything of the splice that a leg may touch, for one event.
pub(crate) struct Turn<'a, M: Memory> {
    pub(crate) now: Now,
    pub(crate) limits: &'a Limits,
    pub(crate) memory: &'a mut M,
    pub(crate) ledger: &'a mut Ledger<M::Frame>,
    pub(crate) out: &'a mut VecDeque<Transmit<M::Frame>>,
    pub(crate) counters: &'a mut Counters,
}

impl<M: Memory> Turn<'_, M> {
    /// Writes a header before the data of `frame` and sends it. Lost silently when headroom lacks, which `Splice::new`
    /// has ruled out.
    pub(crate) fn send(
        &mut self,
        mut frame: M::Frame,
        (start, len): (u16, u16),
        header: &Header<'_>,
        ends: &Ends,
    ) {
        let at = header.write_over(frame.octets_mut(), start.into(), len.into(), ends.sum());
        self.post(frame, at, (start, len), ends);
    }

    /// Sends a segment whose header begins at `at` and whose data, from `start` on, have `len` octets.
    #[inline]
    pub(crate) fn post(&mut self, frame: M::Frame, at: Option<usize>, (start, len): (u16, u16), ends: &Ends) {
        match at {
            Some(at) => {
                let len = start + len - at as u16;
                self.out.push_back(Transmit { frame, at: at as u16, len, ends: *ends });
            }
            None => self.memory.give(frame),
        }
    }
}
