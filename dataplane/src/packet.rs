//! One packet on its way: its frame, what has been found out so far, and how its journey ended.

use std::net::IpAddr;

use arrayvec::ArrayVec;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::verdict::Verdict;

use crate::frame::Frame;
use crate::wire::ip::Headers;

/// Packets that walk together. Rings give bursts of at most [`BURST`]; fragmentation and ICMP errors add to them.
pub const BATCH: usize = 64;
/// Most packets taken from one ring at once.
pub const BURST: usize = 32;

/// Number of a port: an index into the appliance's list of ports, equal in every worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PortIndex(pub u8);

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Received on a port.
    Wire,
    /// Made by us: an ICMP error, or what this host's own stack sends. Filters judge it as local traffic.
    Own,
    /// Made by us on the word of a deny rule with an ICMP answer, so filters were already asked.
    OwnExempt,
    /// Made by us in the name of one end of a connection that we end: its octets were judged when they came, so it is
    /// judged as it leaves, as forwarded traffic.
    Spliced,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Route {
    /// Not looked up, or looked up for headers that have since been replaced.
    Unknown,
    /// To this host.
    Local,
    /// Out of a port, to the link address of `next_hop`.
    Via {
        /// Egress port.
        port: PortIndex,
        /// The address to resolve: the gateway, or the destination itself when on link.
        next_hop: IpAddr,
        /// MTU of the route.
        mtu: u16,
    },
}

/// What the filters said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Not asked yet.
    Pending,
    /// May pass in clear, or inside the protected side.
    Clear,
    /// Must be sealed under an SA of this tunnel.
    Protect(TunnelId),
}

/// A packet within a batch. `frame` begins at the IP header from parsing until the link header is written.
#[derive(Debug)]
pub struct Packet {
    /// The octets.
    pub frame: Frame,
    /// What the headers at the front of `frame` say.
    pub ip: Headers,
    /// The port by which it came in (for our own packets: the port of the packet that caused it,
    /// or the one by which the host's leave).
    pub ingress: PortIndex,
    /// Received or made.
    pub origin: Origin,
    /// Position in the inbound SA table of the SA that opened it, when it came protected.
    pub opened_by: Option<u32>,
    /// Next hop.
    pub route: Route,
    /// What the filters said.
    pub decision: Decision,
    /// Whether an SA sealed it.
    pub sealed: bool,
    /// Largest packet that the path of its SA carries; `None` when only the next link counts. Of a packet that ended as
    /// too big: the largest that would have passed.
    pub outer_mtu: Option<u16>,
    /// How it ended; `None` while it travels.
    pub verdict: Option<Verdict>,
}

impl Packet {
    /// A packet at the start of its way; `frame` begins at the IP header that `ip` describes.
    pub fn new(frame: Frame, ip: Headers, ingress: PortIndex, origin: Origin) -> Self {
        Self {
            frame,
            ip,
            ingress,
            origin,
            opened_by: None,
            route: Route::Unknown,
            decision: Decision::Pending,
            sealed: false,
            outer_mtu: None,
            verdict: None,
        }
    }

    /// Ends the journey. The first verdict stays.
    pub fn end(&mut self, verdict: Verdict) {
        self.verdict.get_or_insert(verdict);
    }

    /// Whether later stages should look at it.
    pub fn travels(&self) -> bool {
        self.verdict.is_none()
    }
}

/// Packets of one breath.
#[derive(Debug, Default)]
pub struct Batch {
    /// In order of arrival; packets that a stage adds come last.
    pub packets: ArrayVec<Packet, BATCH>,
}

impl Batch {
    /// The packets still on their way.
    pub fn travelling(&mut self) -> impl Iterator<Item = &mut Packet> {
        self.packets.iter_mut().filter(|packet| packet.travels())
    }
}
