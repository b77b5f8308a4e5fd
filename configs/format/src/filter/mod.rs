//! Filter rules as an operator writes them, and what the packet process gets of them.
//!
//! [`read`] takes `[[rule]]` as it stands; [`objects`] finds what rules refer to; [`compile`] splits one rule into
//! simple filters of one family, one direction and one range each (row B14), and refuses what could never match.

use ravelin_contract::name::Name;
use ravelin_contract::rule::{Discard, Log, Routing};

use crate::filter::objects::{AddressTerm, ServiceTerm};
use crate::source::Place;

pub mod compile;
pub mod objects;
pub mod read;

/// One `[[rule]]`.
#[derive(Debug, Clone)]
pub struct FilterRule {
    /// As written, or made from its position.
    pub name: Name,
    /// Which packets, by addresses and upper layer.
    pub traffic: Traffic,
    /// Which directions it is for.
    pub direction: Way,
    /// Who may open TCP connections, and where that was written.
    pub connect: (Connect, Option<Place>),
    /// Local, routed or either.
    pub routing: Routing,
    /// Zone on the far side of the crossing.
    pub zone: Option<(Name, Place)>,
    /// For fragments alone.
    pub fragments_only: bool,
    /// What to do.
    pub action: WrittenAction,
    /// What to log.
    pub log: Log,
    /// Who the peer must have proved to be, each as written; `None` for whoever it is (row B18).
    pub remote_identity: Option<Vec<(String, Place)>>,
}

/// Packets by addresses and upper layer, as written.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Where its table begins.
    pub place: Place,
    /// Source addresses; `[Any]` when not written.
    pub source: Vec<AddressTerm>,
    /// Destination addresses; `[Any]` when not written.
    pub destination: Vec<AddressTerm>,
    /// Protocols and ports; any when not written.
    pub services: Vec<ServiceTerm>,
}

/// Directions of a rule (row B9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Packets from the unprotected side.
    Inbound,
    /// Packets to the unprotected side.
    Outbound,
    /// Outbound as written, and inbound with source and destination exchanged.
    Both,
}

/// Who may open TCP connections (row B9).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connect {
    /// Only the far side.
    Inbound,
    /// Only the near side.
    Outbound,
    /// Both.
    Either,
}

/// What to do, with the tunnel still a name.
#[derive(Debug, Clone)]
pub enum WrittenAction {
    /// Pass in clear.
    Permit,
    /// Drop.
    Deny(Discard),
    /// Pass only under an SA of the tunnel with this name.
    Ipsec(Name, Place),
}
