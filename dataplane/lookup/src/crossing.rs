//! Which crossings of the boundary a packet makes, and so which lookups it needs (RFC 4301 3.1, 5.1, 5.2).
//!
//! | from | to | inbound | outbound |
//! |---|---|---|---|
//! | unprotected port, or out of an SA | protected port or this host | yes | no |
//! | unprotected port, or out of an SA | unprotected port | yes, first | yes |
//! | protected port | any port | no | yes |
//! | protected port | this host | yes | no |
//! | this host | unprotected port | no | yes |
//! | this host | protected port | no | no |
//! | our splice, for one end of a connection | unprotected port | no | yes, as forwarded |
//! | our splice | protected port or this host | no | no |

use ravelin_contract::rule::{TunnelId, ZoneId};
use ravelin_contract::selector::FlowKey;

/// What a packet shows of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shown {
    /// Addresses and upper layer; ports of a later fragment only if they are known.
    pub flow: FlowKey,
    /// Whether it is a fragment.
    pub fragment: bool,
    /// Whether it opens a TCP connection.
    pub opens_tcp: bool,
}

/// A port, as filters see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Port {
    /// Its zone.
    pub zone: Option<ZoneId>,
    /// Whether the far side is trusted with cleartext.
    pub protected: bool,
}

/// Where a packet comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum From {
    /// A port.
    Port(Port),
    /// This host.
    Host,
    /// Our splice, for one end of a connection.
    Splice,
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum To {
    /// A port.
    Port(Port),
    /// This host.
    Host,
    /// Nobody knows.
    Nowhere,
}

/// Everything that decides what filters say of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Crossing {
    /// What it shows.
    pub shown: Shown,
    /// The tunnel of the SA that brought it; `None` when it came in clear.
    pub came_by: Option<TunnelId>,
    /// The inbound lookup, if one is due.
    pub inbound: Option<Side>,
    /// The outbound lookup, if one is due.
    pub outbound: Option<Side>,
}

/// The part of a lookup that hangs on where the packet crosses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Side {
    /// Of the ingress port when inbound, of the egress port when outbound.
    pub zone: Option<ZoneId>,
    /// Whether this host is the packet's end.
    pub local: bool,
}

impl Crossing {
    /// The crossings on the way from one place to another, out of an SA of the tunnel `came_by` or in clear.
    #[inline]
    pub fn between(shown: Shown, from: From, to: To, came_by: Option<TunnelId>) -> Self {
        let ingress = match from {
            From::Port(port) => Some(port),
            From::Host | From::Splice => None,
        };
        let egress = match to {
            To::Port(port) => Some(port),
            To::Host | To::Nowhere => None,
        };
        let to_us = to == To::Host;
        let outside = came_by.is_some() || ingress.is_some_and(|port| !port.protected);
        // To the protected side nothing is asked of what this host sends, and of what was looked up as it came.
        let asked = outside || ingress.is_none();
        Self {
            shown,
            came_by,
            inbound: ingress.filter(|_| outside || to_us).map(|port| Side { zone: port.zone, local: to_us }),
            outbound: egress
                .filter(|port| !port.protected || !asked)
                .map(|port| Side { zone: port.zone, local: from == From::Host }),
        }
    }
}
