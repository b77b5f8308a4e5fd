//! What an operator means by `ipsec.toml`: rules, tunnels and objects of all files, names not yet looked up.

use std::net::IpAddr;

use ravelin_config::filter::objects::Objects;
use ravelin_config::filter::{FilterRule, Traffic};
use ravelin_config::source::Place;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Discard, FilterSettings};
use ravelin_contract::sa::{Carrier, Mode, Sending, Spi};

use crate::policy::algorithm::Algorithm;

/// All policy files together.
#[derive(Debug, Default)]
pub struct Model {
    /// Filters in order, file after file.
    pub rules: Vec<FilterRule>,
    /// Tunnels; no name twice.
    pub tunnels: Vec<Tunnel>,
    /// Names of tunnels that could not be read, which was told already; rules may name them without another error.
    pub broken: Vec<Name>,
    /// Named addresses and services.
    pub objects: Objects,
    /// What holds for all filters, and where that was said.
    pub filter: Option<(FilterSettings, Place)>,
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
    /// Our security endpoint; of the same family as the peer's, and another address.
    pub local: IpAddr,
    /// The peer's security endpoint.
    pub remote: IpAddr,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Plain ESP or UDP.
    pub carrier: Carrier,
    /// How outer headers are made.
    pub sending: Sending,
    /// Anti-replay window in packets; 0 or a multiple of 64, not 0 with extended numbers.
    pub replay_window: u32,
    /// Sequence numbers of 64 bits.
    pub extended_sequence: bool,
    /// What may travel inside, as our side sends it; `None` to take it from the rules.
    pub selectors: Option<Vec<Traffic>>,
    /// Keys written by hand.
    pub manual: Manual,
}

/// `[tunnel.manual]`.
#[derive(Debug, Clone)]
pub struct Manual {
    /// Algorithms of both directions.
    pub algorithm: &'static Algorithm,
    /// SPI that the peer expects, and where it was written.
    pub outbound_spi: (Spi, Place),
    /// SPI that we expect, and where it was written.
    pub inbound_spi: (Spi, Place),
    /// Entry of the file of keys, and where it was named.
    pub keys: (Name, Place),
}
