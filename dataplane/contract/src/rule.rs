//! One compiled filter rule. The policy compiler has split whatever the operator wrote into these (row B14).

use serde::{Deserialize, Serialize};

use crate::identity::IdentityId;
use crate::name::Name;
use crate::selector::Selector;

/// Number of a zone within one generation; an index into [`crate::snapshot::Snapshot::zones`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ZoneId(pub u8);

/// Number of a tunnel within one generation; an index into [`crate::snapshot::Snapshot::tunnels`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TunnelId(pub u32);

/// Which way a packet crosses the boundary between the protected and the unprotected side (RFC 4301 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Direction {
    /// From an unprotected port, or out of an SA, towards us or the protected side.
    Inbound,
    /// From the protected side or this host towards an unprotected port.
    Outbound,
}

/// Whether the packet's end is this host (row B10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Routing {
    /// To or from this host.
    Local,
    /// Forwarded.
    Routed,
    /// Both.
    Either,
}

/// Which fragments a rule speaks of (row B10).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Fragments {
    /// Whole packets and fragments alike.
    Any,
    /// Only packets that are a fragment.
    Only,
}

/// Whether a TCP segment that opens a connection (SYN without ACK) may match (row B9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Opening {
    /// Connections may be opened in this direction.
    Allowed,
    /// The rule does not match a segment that opens a connection.
    Excluded,
}

/// What happens on deny (row B7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Discard {
    /// Nothing is said.
    Silent,
    /// ICMP "administratively prohibited", rate limited.
    Icmp,
}

/// The three actions of row B5.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Action {
    /// Pass in clear.
    Permit,
    /// Drop.
    Deny(Discard),
    /// Pass only under an SA of this tunnel, never in clear.
    Protect(TunnelId),
}

/// Which matches are written to the log (row B6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Log {
    /// None.
    No,
    /// All.
    Yes,
    /// Only packets that passed.
    Permitted,
    /// Only packets that were dropped.
    Denied,
}

/// What holds for all filters of a policy (row B3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FilterSettings {
    /// Whether anything is logged at all; off, no rule's [`Log`] counts, nor `log_implicit`.
    pub log: bool,
    /// Whether implicit denies are logged.
    pub log_implicit: bool,
    /// What happens on the implicit deny.
    pub implicit_discard: Discard,
    /// Whether an ESP packet to us must itself be permitted, by an inbound lookup with the zone of its port, before it
    /// is opened (row B15). What was inside is looked up in any case.
    pub pre_decap: bool,
}

impl Default for FilterSettings {
    /// Rules log as they say, implicit denies are silent in every sense, ESP needs no rule.
    fn default() -> Self {
        Self { log: true, log_implicit: false, implicit_discard: Discard::Silent, pre_decap: false }
    }
}

/// One filter: first match in order wins.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Rule {
    /// The name that the operator wrote, or `SYSDEFAULTRULE.n` (row B24).
    pub name: Name,
    /// Which of the simple filters that `name` was split into, from 1 (row B14).
    pub extension: u16,
    /// Inbound or outbound; a bidirectional rule became two.
    pub direction: Direction,
    /// Addresses and upper layer.
    pub selector: Selector,
    /// Local, routed or either.
    pub routing: Routing,
    /// Zone of the port on the unprotected side of the crossing: ingress when inbound, egress when outbound.
    pub zone: Option<ZoneId>,
    /// Fragments.
    pub fragments: Fragments,
    /// TCP connection opening.
    pub opening: Opening,
    /// What to do.
    pub action: Action,
    /// What to log.
    pub log: Log,
    /// For SAs of the action's tunnel whose peer proved to be one of these (row B18); empty: whoever it is. What comes or
    /// would go otherwise is asked of the next rules, but none of them lets it pass in clear.
    pub identities: Vec<IdentityId>,
}
