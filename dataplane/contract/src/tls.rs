//! TLS for connections whose ends know nothing of it: which of them the packet process ends, and what passes between the
//! processes until their keys are handed over, and afterwards.
//!
//! ```text
//!   packet process                                   control
//!   Notice::Opened, Notice::Octets   ------------>   handshake
//!                                    <------------   Order::Octets, Order::Taken
//!                                    <------------   Order::Run (keys), then Order::Returned
//!   Notice::Happened                 ------------>   next keys, tickets
//!                                    <------------   Order::Change
//!   Notice::Ended
//! ```
//!
//! While a handshake runs, octets of the peer go to control. It says with [`Order::Taken`] which of them the handshake has
//! used; at most [`limits::TLS_WINDOW`] are on their way, so what comes back with [`Order::Returned`] always finds room. The
//! orders for one connection are carried out in their order.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::name::Name;
use crate::rule::ZoneId;
use crate::secret::Secret;
use crate::selector::{Selector, Upper, protocol};
use crate::tls_session::{Change, Happening, Role, Session};

/// One compiled rule; the first that matches a connection decides. Rules speak of connections that filters let pass.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TlsRule {
    /// The name that the operator wrote.
    pub name: Name,
    /// Which of the simple rules that `name` was split into, from 1.
    pub extension: u16,
    /// The source is who sends the first SYN. Its upper layer is TCP, or TCP with ports.
    pub selector: Selector,
    /// Zone of the port that leads to who sends the first SYN.
    pub zone: Option<ZoneId>,
    /// What becomes of the connection.
    pub action: TlsAction,
}

impl TlsRule {
    /// Whether its selector speaks of TCP alone.
    pub fn is_consistent(&self) -> bool {
        let tcp = match self.selector.upper {
            Upper::Protocol(protocol) | Upper::Ports { protocol, .. } => protocol == protocol::TCP,
            Upper::Any | Upper::Icmp { .. } => false,
        };
        tcp && self.selector.is_consistent()
    }
}

/// What becomes of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TlsAction {
    /// It passes as it is, as if no rule matched.
    Pass,
    /// It is refused with a reset.
    Refuse,
    /// We speak TLS in the name of one of its ends.
    Secure(Secure),
}

/// How we speak TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Secure {
    /// Client: in the name of who connects. Server: in the name of who is connected to.
    pub role: Role,
    /// Milliseconds until keys must be there; then both ends are reset. A bound for the case that control is gone, which has
    /// finer limits of its own.
    pub patience_ms: u32,
    /// What a stream of the peer means that ends without close_notify (RFC 8446 6.1).
    pub truncation: Truncation,
    /// When who connects is told that the server has answered.
    pub answer: Answer,
}

/// When who connects is told that the server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Answer {
    /// As soon as it has.
    AtOnce,
    /// When the handshake with it is done, so that one that fails is a connection that was refused (row A5). Only where we
    /// speak for who connects.
    AfterHandshake,
}

/// A stream that ends without close_notify.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Truncation {
    /// An attack: both ends are reset.
    Reset,
    /// An end like any other, for peers that never say it.
    Accept,
}

/// One connection of one worker. Never used twice in the life of a packet process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionId {
    /// The worker.
    pub worker: u16,
    /// Its place there, which is used again.
    pub slot: u32,
    /// Tells connections of one place apart.
    pub serial: u32,
}

/// From the packet process, in the order in which it came about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Notice {
    /// TCP stands at the peer's end at least; the handshake may begin.
    Opened {
        /// The connection.
        connection: ConnectionId,
        /// Name and extension of its rule.
        rule: (Name, u16),
        /// See [`crate::snapshot::Snapshot::fingerprint`]: the policy whose rule it is.
        fingerprint: String,
        /// Who sent the first SYN.
        client: SocketAddr,
        /// For whom it was.
        server: SocketAddr,
        /// Which end of the handshake we are.
        role: Role,
    },
    /// What the peer sent, for the handshake; at most [`limits::TLS_CHUNK`] octets.
    Octets {
        /// The connection.
        connection: ConnectionId,
        /// In their order.
        octets: Vec<u8>,
    },
    /// The peer's stream has ended within the handshake.
    StreamEnded {
        /// The connection.
        connection: ConnectionId,
    },
    /// Something that control must deal with.
    Happened {
        /// The connection.
        connection: ConnectionId,
        /// What.
        happening: Happening,
    },
    /// The connection is over; nothing more is said of it.
    Ended {
        /// The connection.
        connection: ConnectionId,
        /// How.
        ending: Ending,
        /// Octets of the application that went out in records, and that came in by them.
        octets: [u64; 2],
    },
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Both ends were done.
    Closed,
    /// One of the ends, or the path, broke it off.
    Reset,
    /// Control had said so.
    Ordered,
    /// Keys did not come in time.
    TimedOut,
    /// The peer sent a fatal alert of this number.
    Alert(u8),
    /// The peer's records could not be carried on, in words.
    Failed(String),
}

/// From control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Goes to the peer as it is: messages of the handshake, or an alert. At most [`limits::TLS_FLIGHT`] octets.
    Octets {
        /// The connection.
        connection: ConnectionId,
        /// In their order.
        octets: Vec<u8>,
    },
    /// The handshake has used so many more octets of the peer.
    Taken {
        /// The connection.
        connection: ConnectionId,
        /// How many.
        count: u32,
    },
    /// The handshake is done: from now on the packet process seals and opens.
    Run {
        /// The connection.
        connection: ConnectionId,
        /// Keys and record numbers.
        session: Box<Session>,
        /// Goes to the application's end in clear, before anything else: a header of the PROXY protocol. At most
        /// [`limits::TLS_CHUNK`] octets.
        preface: Vec<u8>,
    },
    /// Octets of the peer that the handshake has not used, in their order; only after [`Order::Run`].
    Returned {
        /// The connection.
        connection: ConnectionId,
        /// At most [`limits::TLS_CHUNK`] octets.
        octets: Secret,
    },
    /// New keys.
    Change {
        /// The connection.
        connection: ConnectionId,
        /// Which.
        change: Change,
    },
    /// It is over: both ends are reset, once what was ordered before has been sent.
    End {
        /// The connection.
        connection: ConnectionId,
    },
}

impl Order {
    /// The connection that it is for.
    pub fn connection(&self) -> ConnectionId {
        match self {
            Self::Octets { connection, .. }
            | Self::Taken { connection, .. }
            | Self::Run { connection, .. }
            | Self::Returned { connection, .. }
            | Self::Change { connection, .. }
            | Self::End { connection } => *connection,
        }
    }

    /// Whether nothing in it is longer than it may be, and keys fit together.
    ///
    /// # Errors
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let bounded = |have: usize, most: usize| match have <= most {
            true => Ok(()),
            false => Err(format!("{have} octets in one order; at most {most} are possible")),
        };
        match self {
            Self::Octets { octets, .. } => bounded(octets.len(), limits::TLS_FLIGHT),
            Self::Returned { octets, .. } => bounded(octets.len(), limits::TLS_CHUNK),
            Self::Run { session, preface, .. } => {
                bounded(preface.len(), limits::TLS_CHUNK)?;
                session.check().map_err(|fault| fault.to_string())
            }
            Self::Taken { .. } | Self::Change { .. } | Self::End { .. } => Ok(()),
        }
    }
}
