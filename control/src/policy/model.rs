//! What an operator means by `ipsec.toml`: rules, tunnels and objects of all files, names not yet looked up.

use std::net::IpAddr;
use std::time::Duration;

use ravelin_config::filter::objects::Objects;
use ravelin_config::filter::{FilterRule, Traffic};
use ravelin_config::source::Place;
use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Discard, FilterSettings};
use ravelin_contract::sa::{Carrier, Mode, Sending, Spi};
use ravelin_ike::policy::{
    EspOffer, Identity, IdentityPattern, IkeOffer, Lifetime, Narrowing, PerResource, Start,
};

use crate::policy::algorithm::Algorithm;
use crate::policy::attls;
use crate::policy::credential::Proofs;
use crate::policy::ike_settings::IkeSettings;
use crate::policy::road::Pool;

/// All policy files together.
#[derive(Debug, Default)]
pub struct Model {
    /// Filters in order, file after file.
    pub rules: Vec<FilterRule>,
    /// IKE peers; no name twice.
    pub peers: Vec<Peer>,
    /// Names of peers that could not be read, which was told already.
    pub broken_peers: Vec<Name>,
    /// Pools of addresses; no name twice.
    pub pools: Vec<Pool>,
    /// Names of pools that could not be read, which was told already.
    pub broken_pools: Vec<Name>,
    /// Tunnels; no name twice.
    pub tunnels: Vec<Tunnel>,
    /// Names of tunnels that could not be read, which was told already; rules may name them without another error.
    pub broken: Vec<Name>,
    /// Named addresses and services.
    pub objects: Objects,
    /// What holds for all filters, and where that was said.
    pub filter: Option<(FilterSettings, Place)>,
    /// What holds for all peers, and where that was said.
    pub ike: Option<(IkeSettings, Place)>,
    /// Rules for TLS.
    pub(super) attls: attls::Model,
}

/// What holds where no `[filter]` says otherwise: implicit denies are logged, so that nobody searches long.
pub const FILTER: FilterSettings =
    FilterSettings { log: true, log_implicit: true, implicit_discard: Discard::Silent, pre_decap: false };

/// One `[[tunnel]]`.
#[derive(Debug, Clone)]
pub struct Tunnel {
    /// What rules call it.
    pub name: Name,
    /// Where its table begins.
    pub place: Place,
    /// Tunnel or transport.
    pub mode: Mode,
    /// How outer headers are made.
    pub sending: Sending,
    /// Anti-replay window in packets; 0 or a multiple of 64, not 0 with extended numbers.
    pub replay_window: u32,
    /// Sequence numbers of 64 bits; `None` where nothing is written.
    pub extended_sequence: Option<bool>,
    /// What may travel inside, as our side sends it; `None` to take it from the rules.
    pub selectors: Option<Vec<Traffic>>,
    /// Where its keys come from.
    pub keying: Keying,
}

/// Where the keys of a tunnel come from.
#[derive(Debug, Clone)]
pub enum Keying {
    /// They are written by hand.
    Manual(Manual),
    /// IKEv2 agrees on them with a peer.
    Negotiated(Negotiated),
}

/// `[tunnel.manual]`.
#[derive(Debug, Clone)]
pub struct Manual {
    /// Our security endpoint; of the same family as the peer's, and another address.
    pub local: IpAddr,
    /// The peer's security endpoint.
    pub remote: IpAddr,
    /// Plain ESP or UDP.
    pub carrier: Carrier,
    /// Algorithms of both directions.
    pub algorithm: &'static Algorithm,
    /// SPI that the peer expects, and where it was written.
    pub outbound_spi: (Spi, Place),
    /// SPI that we expect, and where it was written.
    pub inbound_spi: (Spi, Place),
    /// Entry of the file of keys, and where it was named.
    pub keys: (Name, Place),
}

/// A tunnel whose keys IKEv2 agrees on: what the peer may agree to (rows B31, B32, B34, B35, B39, B40).
#[derive(Debug, Clone)]
pub struct Negotiated {
    /// With whom, and where it was named.
    pub peer: (Name, Place),
    /// Algorithms.
    pub offer: EspOffer,
    /// Who begins; `None` for what fits the peer.
    pub start: Option<Start>,
    /// What a packet on demand brings up.
    pub narrowing: Narrowing,
    /// When keys are renewed.
    pub lifetime: Lifetime,
    /// SAs for each worker core (RFC 9611).
    pub per_core: PerResource,
}

/// One `[[peer]]` (rows B27 to B30, B37, B38).
#[derive(Debug, Clone)]
pub struct Peer {
    /// What tunnels call it.
    pub name: Name,
    /// Where its table begins.
    pub place: Place,
    /// Our address.
    pub local: IpAddr,
    /// Where the peer may be; `None` for anywhere.
    pub remote: Option<AddressRange>,
    /// Who we are.
    pub local_identity: Identity,
    /// Who the peer may be.
    pub remote_identity: IdentityPattern,
    /// How both sides prove themselves.
    pub proofs: Proofs,
    /// Post-quantum pre-shared key.
    pub ppk: Option<Ppk>,
    /// Where clients' addresses come from, and where it was named.
    pub pool: Option<(Name, Place)>,
    /// Algorithms of the IKE SA.
    pub offer: IkeOffer,
    /// When its keys are renewed.
    pub lifetime: Lifetime,
    /// When everything is proved again.
    pub reauthenticate: Option<Duration>,
    /// Silence after which the peer is asked whether it lives.
    pub liveness: Option<Duration>,
    /// Whether a NAT on the way is accepted.
    pub allow_nat: bool,
    /// ESP in UDP even without a NAT.
    pub force_udp: bool,
    /// Whether addresses may change (RFC 4555).
    pub mobike: bool,
    /// Whether a second IKE SA of the same identity replaces the first.
    pub unique: bool,
}

/// `ppk` of a `[[peer]]`: a key that is mixed into all others, against quantum computers (RFC 8784).
#[derive(Debug, Clone)]
pub struct Ppk {
    /// PPK_ID, of the fixed kind.
    pub id: String,
    /// Entry of the file of keys, and where it was named.
    pub key: (Name, Place),
    /// Whether a peer without it is refused.
    pub required: bool,
}
