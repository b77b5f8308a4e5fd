//! One frozen generation of everything that workers look things up in.
//!
//! A worker takes a generation at the start of a breath ([`publish`]) and reads it without a lock. What changes with
//! packets (counters, windows, sequence numbers) sits behind `Arc`s that live on from generation to generation.

pub mod forwarding;
pub(crate) mod mix;
pub mod policy;
pub mod publish;
mod rule_counters;
pub mod sa_table;
mod sync;

use std::sync::Arc;

use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::ZoneId;

use crate::esp::sa::{InboundSa, OutboundSa};
use crate::packet::PortIndex;
use forwarding::Forwarding;
use policy::Policy;

/// The table of the SAs that workers use.
pub type SaTable = sa_table::SaTable<InboundSa, OutboundSa>;

/// One generation.
#[derive(Debug)]
pub struct Tables {
    /// Counted from 1 since the start of the process; grows with every publication.
    pub generation: u64,
    /// Which filters `policy` holds.
    pub mode: FilterMode,
    /// Filters in force.
    pub policy: Arc<Policy>,
    /// SAs in force; none while default filters are (row B23).
    pub sas: Arc<SaTable>,
    /// UDP ports of ours that carry ESP, besides 4500. Few.
    pub encapsulation_ports: Arc<[u16]>,
    /// Routes, neighbours and own addresses.
    pub forwarding: Arc<Forwarding>,
    /// Ports by [`PortIndex`].
    pub ports: Arc<[PortInfo]>,
}

impl Tables {
    /// The port, where there is one of that number.
    pub fn port(&self, index: PortIndex) -> Option<&PortInfo> {
        self.ports.get(usize::from(index.0))
    }
}

/// What workers need to know of a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortInfo {
    /// Interface name.
    pub name: String,
    /// Kernel interface index.
    pub ifindex: u32,
    /// MAC address.
    pub mac: [u8; 6],
    /// MTU in octets, without the link header.
    pub mtu: u16,
    /// Its zone in this generation's policy; `None` when the policy does not know `zone_name`.
    pub zone: Option<ZoneId>,
    /// Its zone as the appliance's file names it.
    pub zone_name: String,
    /// Whether the far side is trusted with cleartext (the LAN side, RFC 4301 3.1).
    pub protected: bool,
}
