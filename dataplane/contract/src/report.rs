//! What the packet process tells of itself: counts, tables, state. Folded over workers when asked.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::identity::Pattern;
use crate::limits;
use crate::rule::Direction;
use crate::verdict::Verdict;

/// Which filters are in force (rows B20 to B24).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum FilterMode {
    /// Policy that control installed.
    Policy,
    /// Default filters, because no policy has been installed.
    DefaultNoPolicy,
    /// Default filters, because the operator switched to them.
    DefaultForced,
}

/// Upper bounds of the breath histogram in nanoseconds; a last bucket holds the rest.
pub const BREATH_BOUNDS: [u64; 16] = [
    250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 512_000, 1_024_000,
    4_096_000, 16_384_000, 65_536_000,
];

/// State of the whole process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// Seconds since start.
    pub uptime: u64,
    /// Filters in force.
    pub mode: FilterMode,
    /// Generation in force, counted since start.
    pub generation: u64,
    /// Fingerprint of the policy held, in force or not.
    pub policy: Option<String>,
    /// Rules, inbound SAs and outbound SAs in force.
    pub counts: (u64, u64, u64),
    /// How long the last publication took until every worker had it, in microseconds.
    pub publish_us: u64,
    /// Cryptographic back end in use.
    pub crypto: String,
    /// Workers.
    pub workers: Vec<WorkerStatus>,
    /// Routes and neighbours known.
    pub routes: u64,
    /// Neighbours with a link address.
    pub neighbours: u64,
    /// Events lost because control did not fetch them.
    pub events_lost: u64,
    /// Connections to the contract socket that were turned away: too many, too slow.
    pub turned_away: (u64, u64),
}

/// One worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerStatus {
    /// Core it is pinned to.
    pub core: u32,
    /// Generation it works with.
    pub generation: u64,
    /// Breaths since start.
    pub breaths: u64,
    /// Breaths that found work, by duration: one count per bound of [`BREATH_BOUNDS`] and one for the rest.
    pub histogram: Vec<u64>,
    /// Sum of those durations in nanoseconds.
    pub busy_ns: u64,
    /// Free frames of its pool, and all frames.
    pub frames: (u32, u32),
}

/// One port.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortStatus {
    /// Interface name.
    pub name: String,
    /// The physical interface that carries it, as in [`InterfaceStatus::name`]; itself when it is no VLAN.
    pub trunk: String,
    /// Zone name.
    pub zone: String,
    /// Whether the far side is trusted with cleartext.
    pub protected: bool,
    /// Kernel interface index.
    pub ifindex: u32,
    /// MAC address.
    pub mac: [u8; 6],
    /// MTU.
    pub mtu: u32,
    /// How frames come: "af_xdp zero-copy", "af_xdp copy", "memory", "pcap".
    pub driver: String,
    /// Packets and octets received.
    pub received: (u64, u64),
    /// Packets and octets sent.
    pub sent: (u64, u64),
    /// Packets and octets by verdict, where not zero. The port is the one they came in by.
    pub verdicts: Vec<(Verdict, u64, u64)>,
    /// Entries waiting in the rings, and their size: receive, fill, transmit, completion.
    pub rings: [(u32, u32); 4],
}

/// One physical interface: what its XDP program did with frames, and what the kernel lost on the way to the workers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceStatus {
    /// Interface name.
    pub name: String,
    /// How the XDP program is attached: "native" or "generic"; empty while it is not.
    pub mode: String,
    /// Frames by class since the program was first loaded. The class names action and cause, such as `pass_ike`.
    pub steered: Vec<(String, u64)>,
    /// Whether the driver works on packet memory itself, for every worker.
    pub zero_copy: bool,
    /// Over all workers.
    pub losses: Losses,
}

/// What the kernel did not deliver or send, by cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Losses {
    /// Received frames longer than a frame of ours, or lost in the kernel's hands for another reason.
    pub dropped: u64,
    /// Received frames for which the receive ring had no room.
    pub receive_ring_full: u64,
    /// Times that a frame came in while no free frame was there.
    pub fill_ring_empty: u64,
    /// Descriptors of ours that the kernel refused. Not zero: a defect, and a lost frame each.
    pub refused: u64,
}

impl Losses {
    /// Each with its name, as in metrics.
    pub fn by_cause(&self) -> [(&'static str, u64); 4] {
        [
            ("dropped", self.dropped),
            ("receive_ring_full", self.receive_ring_full),
            ("fill_ring_empty", self.fill_ring_empty),
            ("refused", self.refused),
        ]
    }
}

impl std::ops::AddAssign for Losses {
    fn add_assign(&mut self, more: Self) {
        self.dropped += more.dropped;
        self.receive_ring_full += more.receive_ring_full;
        self.fill_ring_empty += more.fill_ring_empty;
        self.refused += more.refused;
    }
}

/// One rule with its matches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleStatus {
    /// Position in the table.
    pub index: u32,
    /// The rule itself.
    pub rule: crate::rule::Rule,
    /// Packets and octets that it decided.
    pub matched: (u64, u64),
    /// The first patterns of the identities that it is for; at most [`RuleStatus::WHOM`].
    pub whom: Vec<Pattern>,
}

impl RuleStatus {
    /// Patterns that are told of one rule, so that [`limits::ENTRIES`] rules fit a message.
    pub const WHOM: usize = 4;
}

const _: () = assert!(
    limits::ENTRIES * (RuleStatus::WHOM * (limits::IDENTITY + 8) + limits::FITTING * 5 + 512)
        <= limits::MESSAGE
);

/// One SA without its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaStatus {
    /// Connection name.
    pub name: String,
    /// Tunnel name.
    pub tunnel: String,
    /// Direction.
    pub direction: Direction,
    /// SPI.
    pub spi: u32,
    /// Security endpoints: local, remote.
    pub endpoints: (IpAddr, IpAddr),
    /// `tunnel` or `transport`.
    pub mode: crate::sa::Mode,
    /// Plain ESP or UDP.
    pub carrier: crate::sa::Carrier,
    /// Algorithm name.
    pub algorithm: String,
    /// Whether sequence numbers have 64 bits.
    pub extended_sequence: bool,
    /// Packets and octets (of the inner packets).
    pub traffic: (u64, u64),
    /// Outbound: next sequence number. Inbound: highest accepted.
    pub sequence: u64,
    /// Outbound: numbers below this are reserved. Inbound: size of the window.
    pub bound: u64,
    /// Drops by verdict.
    pub drops: Vec<(Verdict, u64)>,
    /// Path MTU in force, outbound.
    pub path_mtu: Option<u32>,
}
