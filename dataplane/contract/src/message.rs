//! What travels on the socket. Control asks, the packet process answers, one answer per request, in order.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::child::{Change, ChildFault, ChildStatus, Happening};
use crate::identity::Pattern;
use crate::name::Name;
use crate::report::{InterfaceStatus, PortStatus, RuleStatus, SaStatus, Status};
use crate::rule::{Action, FilterSettings, Rule};
use crate::sa::{Sa, Spi};
use crate::selector::FlowKey;
use crate::snapshot::{Inconsistency, Tunnel};
use crate::tls::{Notice, Order, TlsRule};
use crate::verdict::Verdict;

/// From control.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// First on every connection.
    Hello {
        /// [`crate::VERSION`] of the sender.
        version: u16,
    },
    /// Begins a snapshot; drops one begun before on this connection. Nothing takes effect before `Commit`.
    Begin {
        /// See [`crate::snapshot::Snapshot::fingerprint`].
        fingerprint: String,
        /// See [`crate::snapshot::Snapshot::filter`].
        filter: FilterSettings,
    },
    /// More zones, at most [`crate::limits::ENTRIES`] a message; so for the next four.
    Zones(Vec<Name>),
    /// More tunnels.
    Tunnels(Vec<Tunnel>),
    /// More rules.
    Rules(Vec<Rule>),
    /// More SAs.
    Sas(Vec<Sa>),
    /// More rules for TLS.
    TlsRules(Vec<TlsRule>),
    /// Installs what was sent since `Begin`, whole or not at all.
    Commit,
    /// Switches every worker to the default filters and remembers it over restarts (row B22).
    UseDefaultFilters,
    /// Back to the policy held.
    UsePolicy,
    /// Asks for [`Reply::Status`].
    Status,
    /// Asks for [`Reply::Ports`].
    Ports,
    /// Asks for rules from position `from` on.
    ListRules {
        /// First position.
        from: u32,
    },
    /// Asks for SAs from position `from` on.
    ListSas {
        /// First position.
        from: u32,
    },
    /// Asks for events that wait, at most [`crate::limits::ENTRIES`].
    TakeEvents,
    /// Changes negotiated SAs: all of these in their order, in one generation, or none. At most
    /// [`crate::limits::ENTRIES`].
    ChangeChildren {
        /// From [`Reply::Hello`], as it was when the keys were negotiated.
        incarnation: u64,
        /// What to do.
        changes: Vec<Change>,
    },
    /// Asks for these negotiated SAs, at most [`crate::limits::ENTRIES`]. Those that are not there are left out.
    Children(Vec<Spi>),
    /// Asks for negotiated SAs in the order of their SPIs. None in the answer means the end.
    ListChildren {
        /// The last one seen.
        after: Option<Spi>,
    },
    /// Asks for [`Reply::Interfaces`].
    Interfaces,
    /// Asks for notices of TLS connections, at most [`crate::limits::ENTRIES`]. Answered as soon as there are some, after
    /// `wait_ms` at the latest, which is at most [`crate::limits::TLS_WAIT_MS`].
    TakeTlsNotices {
        /// Milliseconds.
        wait_ms: u32,
    },
    /// What TLS connections are to do, in order; at most [`crate::limits::TLS_ORDERS`]. Those for connections that have ended
    /// meanwhile are left out.
    TlsOrders(Vec<Order>),
    /// More patterns of identities of the snapshot that was begun, at most [`crate::limits::ENTRIES`].
    Identities(Vec<Pattern>),
}

/// From the packet process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reply {
    /// Answer to `Hello`.
    Hello {
        /// [`crate::VERSION`] of the packet process.
        version: u16,
        /// Changes with every start of the process, so that control knows that it must send everything again.
        incarnation: u64,
        /// Fingerprint of the policy held, if any.
        policy: Option<String>,
    },
    /// Done, nothing to tell.
    Done,
    /// In force on every worker.
    InForce {
        /// The new generation.
        generation: u64,
        /// Microseconds from the decision until the last worker had it.
        took_us: u64,
    },
    /// Not done; what was in force stays in force.
    Refused(Refusal),
    /// Answer to `Status`.
    Status(Box<Status>),
    /// Answer to `Ports`.
    Ports(Vec<PortStatus>),
    /// Answer to `ListRules`.
    Rules {
        /// Consecutive from the asked position.
        rules: Vec<RuleStatus>,
        /// Where to go on, or `None` at the end.
        next: Option<u32>,
    },
    /// Answer to `ListSas`.
    Sas {
        /// Consecutive from the asked position.
        sas: Vec<SaStatus>,
        /// Where to go on, or `None` at the end.
        next: Option<u32>,
    },
    /// Answer to `TakeEvents`.
    Events(Vec<Event>),
    /// Answer to `Children` and `ListChildren`, at most [`crate::limits::ENTRIES`].
    Children(Vec<ChildStatus>),
    /// Answer to `Interfaces`.
    Interfaces(Vec<InterfaceStatus>),
    /// Answer to `TakeTlsNotices`.
    TlsNotices(Vec<Notice>),
}

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refusal {
    /// The other side speaks another version.
    #[error("the packet process speaks version {0} of the contract")]
    Version(u16),
    /// A request out of order, such as `Commit` without `Begin`.
    #[error("request out of order: {0}")]
    OutOfOrder(String),
    /// The snapshot contradicts itself.
    #[error("{0}")]
    Inconsistent(#[from] Inconsistency),
    /// The appliance lacks something that the snapshot needs, such as a zone.
    #[error("{0}")]
    Unenforceable(String),
    /// A counter-based algorithm with a manual key, and no safe sequence numbers (design: numbers that never repeat).
    #[error("SA {name}: sequence numbers cannot be reserved: {reason}")]
    NotReservable {
        /// The SA.
        name: String,
        /// What the disk said.
        reason: String,
    },
    /// A worker did not take the generation in time.
    #[error("{0}")]
    NotInForce(String),
    /// `UsePolicy` without one.
    #[error("no policy has been installed")]
    NoPolicy,
    /// An order for a TLS connection cannot be carried out; none of those with it was.
    #[error("order for a TLS connection: {0}")]
    TlsOrder(String),
    /// Negotiated SAs cannot be changed so.
    #[error("{0}")]
    Child(#[from] ChildFault),
}

/// Something that control should hear of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Event {
    /// A rule with a log flag, or the implicit deny, decided a packet (row B77).
    FilterMatch {
        /// Microseconds since the epoch.
        time: u64,
        /// Name and extension; `None` for the implicit deny.
        rule: Option<(Name, u16)>,
        /// What the rule said; `None` for the implicit deny.
        action: Option<Action>,
        /// How it ended.
        verdict: Verdict,
        /// The packet.
        flow: FlowKey,
        /// Port it came in by.
        port: String,
        /// Octets of the IP packet.
        length: u32,
        /// Whether it is a fragment.
        fragment: bool,
        /// Matches that were not reported since the last, because of the rate limit.
        suppressed: u32,
    },
    /// An outbound packet found no SA for its tunnel.
    Acquire {
        /// Tunnel name.
        tunnel: Name,
        /// The packet.
        flow: FlowKey,
    },
    /// An SA has used up its numbers, or its reservation could not be renewed.
    SequenceEnding {
        /// SA name.
        name: Name,
        /// SPI.
        spi: u32,
        /// In plain words.
        reason: String,
    },
    /// Something happened to a negotiated SA.
    Child {
        /// Under which we receive.
        spi: Spi,
        /// Connection.
        name: Name,
        /// What.
        happening: Happening,
    },
    /// An ESP packet to us names an SPI that we do not have. Anybody can send such a one; at most one a second is told
    /// for each sender.
    UnknownSpi {
        /// As on the wire, reserved values too.
        spi: u32,
        /// Its destination.
        local: IpAddr,
        /// Its source.
        remote: IpAddr,
        /// Its UDP source and destination port, where UDP carried it.
        ports: Option<(u16, u16)>,
    },
}
