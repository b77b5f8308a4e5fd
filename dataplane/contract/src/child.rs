//! SAs that a key exchange negotiated (RFC 7296): pairs that come, are replaced and go while the policy stands.
//!
//! Control says [`Request::ChangeChildren`](crate::message::Request::ChangeChildren) with a list of [`Change`]s, which
//! come into force together or not at all. To replace a pair without losing a packet (make before break): install the
//! new one with [`Start::Receiving`] before the peer can use it, let it send when the exchange is over or when
//! [`Happening::Used`] tells that the peer does, then remove the old one.
//!
//! A pair outlives a policy that still has its tunnel, by name. It does not outlive the packet process, whose keys
//! begin at number 1: so nothing is installed twice.

use std::net::IpAddr;
use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use crate::address::{AddressRange, Family};
use crate::identity::Pattern;
use crate::limits;
use crate::name::Name;
use crate::rule::TunnelId;
use crate::sa::{Carrier, Mode, Origin, Receiving, Sa, Sending, Side, Spi, Transform};
use crate::selector::Selector;

/// One negotiated pair. It is known by the SPI under which we receive, which no other installed pair may have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// The operator's name for the connection; metric label.
    pub name: Name,
    /// A tunnel of the policy held. Rules that say `ipsec` with it lead packets here, and packets that come under it
    /// must match such a rule.
    pub tunnel: Name,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Where it runs.
    pub path: Path,
    /// Sequence numbers of 64 bits (RFC 4303 2.2.1).
    pub extended_sequence: bool,
    /// What may travel inside, as we send it: source is our side. What comes is held to the same, reversed. At least
    /// one. May be narrower than the rule; what is wider is of no use.
    pub selectors: Vec<Selector>,
    /// Under which we receive.
    pub inbound: Inbound,
    /// Under which we send.
    pub outbound: Outbound,
    /// When it ends.
    pub lifetime: Lifetime,
    /// What it does at once.
    pub start: Start,
    /// The worker that sends under it (RFC 9611): it takes this pair before those of its tunnel that name none. Others take it
    /// when there is nothing else.
    pub worker: Option<u16>,
    /// Patterns that the identity fits which the peer has proved, of those that rules ask for; at most [`limits::FITTING`].
    pub identities: Vec<Pattern>,
}

/// The receiving half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inbound {
    /// Chosen by us.
    pub spi: Spi,
    /// Algorithms and keys.
    pub transform: Transform,
    /// Window.
    pub receiving: Receiving,
}

/// The sending half.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outbound {
    /// Chosen by the peer.
    pub spi: Spi,
    /// Algorithms and keys.
    pub transform: Transform,
    /// Outer headers and padding.
    pub sending: Sending,
}

/// Between which ends ESP runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Our security endpoint.
    pub local: IpAddr,
    /// The peer's security endpoint.
    pub remote: IpAddr,
    /// Plain ESP or UDP.
    pub carrier: Carrier,
}

/// What a pair does from its installation on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Start {
    /// Receives only, until [`Change::Send`].
    Receiving,
    /// Receives and sends: what its selectors take goes under it, and no more under older pairs of the tunnel.
    Sending,
}

/// How much either direction may carry, and how long the pair may last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Lifetime {
    /// From here on it is to be replaced; told once.
    pub soft: Bounds,
    /// Here the packet process removes it by itself; told once.
    pub hard: Bounds,
}

/// Bounds; `None` for no bound. They are looked at many times a second, not at every packet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bounds {
    /// Octets of inner packets.
    pub octets: Option<NonZeroU64>,
    /// Packets.
    pub packets: Option<NonZeroU64>,
    /// Seconds since the installation.
    pub seconds: Option<NonZeroU64>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A new pair.
    Install(Box<Child>),
    /// The pair sends from now on, as the newest of its tunnel.
    Send(Spi),
    /// The pair runs elsewhere from now on: a NAT has changed the peer's port, or an end has moved (RFC 4555). Numbers,
    /// window and counts go on.
    Move {
        /// Which.
        spi: Spi,
        /// Where it runs.
        path: Path,
    },
    /// The pair goes, both directions. One that is not there is gone already.
    Remove(Spi),
    /// The peer of the pair fits these patterns from now on: other rules ask for other ones than when it was installed.
    Identify {
        /// Which.
        spi: Spi,
        /// See [`Child::identities`].
        identities: Vec<Pattern>,
    },
}

/// Why changes are not made. The SPI is that of the pair.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum ChildFault {
    /// The packet process has started anew since the keys were negotiated.
    #[error("the packet process has started anew; negotiated keys do not outlive it")]
    Restarted,
    /// More changes than one message holds.
    #[error("{0} changes in one message, at most {max}", max = limits::ENTRIES)]
    TooMany(u64),
    /// No tunnel of the policy held has the name.
    #[error("SPI {0}: the policy has no tunnel {1}")]
    Tunnel(Spi, Name),
    /// The SPI is taken.
    #[error("SPI {0} is in use")]
    Taken(Spi),
    /// More SAs than [`limits::SAS`], those of the policy included.
    #[error("{0} SAs, at most {max}", max = limits::SAS)]
    Full(u64),
    /// No such pair.
    #[error("there is no negotiated SA with SPI {0}")]
    Unknown(Spi),
    /// None, or more than [`limits::SELECTORS`].
    #[error("SPI {0} has {1} selectors; 1 to {max} are possible", max = limits::SELECTORS)]
    Selectors(Spi, u64),
    /// More than [`limits::FITTING`].
    #[error("SPI {0}: the peer fits {1} patterns of identities, at most {max}", max = limits::FITTING)]
    Identities(Spi, u64),
    /// A soft bound beyond the hard one.
    #[error("SPI {0} has a soft lifetime beyond the hard one")]
    Lifetime(Spi),
}

/// What happens to a pair, named by the SPI under which we receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happening {
    /// The peer uses a pair that does not send yet.
    Used,
    /// It comes to its end and is to be replaced. Once for each pair.
    Ageing(Bound),
    /// It has come to its end and is removed.
    Expired(Bound),
    /// It is removed because a new policy has no tunnel of its name.
    Orphaned,
    /// A packet proved authentic and newer than all before came from here. The pair still sends to where it did.
    PeerMoved {
        /// Its source.
        remote: IpAddr,
        /// Its UDP source port, where UDP carried it.
        port: Option<u16>,
    },
}

/// What a lifetime is measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Bound {
    /// Octets.
    Octets,
    /// Packets.
    Packets,
    /// Time.
    Seconds,
    /// Sequence numbers: few are left. Only ever ageing; without a number nothing is sent.
    Numbers,
}

/// One installed pair.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildStatus {
    /// Under which we receive.
    pub spi: Spi,
    /// Under which we send.
    pub outbound_spi: Spi,
    /// Connection.
    pub name: Name,
    /// Tunnel.
    pub tunnel: Name,
    /// Where it runs.
    pub path: Path,
    /// Addresses of the other side that may travel inside, each range once; those beyond the first [`limits::LEADS_TO`] are
    /// left out.
    pub leads_to: Vec<AddressRange>,
    /// Whether it sends, or only receives.
    pub sends: bool,
    /// Seconds since its installation.
    pub age: u64,
    /// Of what came.
    pub received: Usage,
    /// Of what went.
    pub sent: Usage,
}

/// How one direction was used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Inner packets.
    pub packets: u64,
    /// Octets of them.
    pub octets: u64,
    /// Milliseconds since the last, `None` when there was none. Pairs that rest are looked at rarely: it may be less by
    /// [`limits::CHILD_LOOK_MS`], or by a quarter of the rest before and at most five seconds.
    pub idle_ms: Option<u64>,
}

impl Child {
    /// By which it is known.
    pub fn spi(&self) -> Spi {
        self.inbound.spi
    }

    /// Addresses of the other side, as [`ChildStatus::leads_to`] has them.
    pub fn leads_to(&self) -> Vec<AddressRange> {
        let mut found = Vec::new();
        for selector in &self.selectors {
            if found.len() < limits::LEADS_TO && !found.contains(&selector.destination) {
                found.push(selector.destination);
            }
        }
        found
    }

    /// Its two SAs, inbound first, under the tunnel's number in this generation.
    pub fn sas(&self, tunnel: TunnelId) -> [Sa; 2] {
        let reversed = || self.selectors.iter().map(Selector::reversed).collect();
        let (inbound, outbound) = (&self.inbound, &self.outbound);
        [
            self.sa(
                tunnel,
                inbound.spi,
                &inbound.transform,
                reversed(),
                Side::Inbound(inbound.receiving.clone()),
            ),
            self.sa(
                tunnel,
                outbound.spi,
                &outbound.transform,
                self.selectors.clone(),
                Side::Outbound(outbound.sending.clone()),
            ),
        ]
    }

    fn sa(
        &self,
        tunnel: TunnelId,
        spi: Spi,
        transform: &Transform,
        selectors: Vec<Selector>,
        side: Side,
    ) -> Sa {
        Sa {
            name: self.name.clone(),
            tunnel,
            spi,
            mode: self.mode,
            local: self.path.local,
            remote: self.path.remote,
            carrier: self.path.carrier,
            transform: transform.clone(),
            extended_sequence: self.extended_sequence,
            selectors,
            origin: Origin::Ike,
            side,
        }
    }

    /// Checks what hangs on nothing but the pair itself and is not checked of every SA.
    pub fn check(&self) -> Result<(), ChildFault> {
        let selectors = self.selectors.len();
        if selectors == 0 || selectors > limits::SELECTORS {
            return Err(ChildFault::Selectors(self.spi(), selectors as u64));
        }
        if self.identities.len() > limits::FITTING {
            return Err(ChildFault::Identities(self.spi(), self.identities.len() as u64));
        }
        if self.lifetime.is_ordered() { Ok(()) } else { Err(ChildFault::Lifetime(self.spi())) }
    }
}

impl Lifetime {
    fn is_ordered(&self) -> bool {
        let ordered = |soft: Option<NonZeroU64>, hard: Option<NonZeroU64>| match (soft, hard) {
            (Some(soft), Some(hard)) => soft <= hard,
            _ => true,
        };
        let (soft, hard) = (self.soft, self.hard);
        ordered(soft.octets, hard.octets)
            && ordered(soft.packets, hard.packets)
            && ordered(soft.seconds, hard.seconds)
    }
}

impl Bounds {
    /// The first bound that is reached.
    pub fn reached(&self, octets: u64, packets: u64, seconds: u64) -> Option<Bound> {
        let over = |bound: Option<NonZeroU64>, count: u64| bound.is_some_and(|bound| count >= bound.get());
        [
            (over(self.octets, octets), Bound::Octets),
            (over(self.packets, packets), Bound::Packets),
            (over(self.seconds, seconds), Bound::Seconds),
        ]
        .into_iter()
        .find_map(|(over, bound)| over.then_some(bound))
    }
}

impl Path {
    /// Whether both ends are of one family.
    pub fn is_consistent(&self) -> bool {
        Family::of(self.local) == Family::of(self.remote)
    }
}
