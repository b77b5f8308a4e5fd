//! What `ravelin test` asks about: one packet, as far as the operator says it. What is left open may be anything.

use std::net::IpAddr;
use std::str::FromStr;

use ravelin_config::service;
use ravelin_config::similar::did_you_mean;
use ravelin_contract::address::Family;
use ravelin_contract::name::Name;
use ravelin_contract::rule::Direction;
use ravelin_contract::selector::protocol;
use serde::{Deserialize, Serialize};

/// Which way the packet crosses the boundary.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// From an unprotected port, or out of an SA.
    Inbound,
    /// Towards an unprotected port.
    Outbound,
}

/// Where the packet ends or begins on our side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Routing {
    /// At this host.
    Local,
    /// Behind it.
    Routed,
}

/// Whether the packet is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Piece {
    /// It is.
    #[default]
    Whole,
    /// The first fragment, which shows its ports.
    First,
    /// A later fragment whose first was not seen.
    Later,
}

/// One packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Question {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// Upper-layer protocol.
    pub protocol: u8,
    /// Source port, or ICMP type; any when left out.
    #[serde(default)]
    pub first: Option<u16>,
    /// Destination port, or ICMP code; any when left out.
    #[serde(default)]
    pub second: Option<u16>,
    /// Inbound or outbound.
    pub direction: Way,
    /// Zone of the port on the unprotected side; any when left out.
    #[serde(default)]
    pub zone: Option<Name>,
    /// Whether this host is its end; both when left out.
    #[serde(default)]
    pub routing: Option<Routing>,
    /// Zone of the port that leads to who connects, for rules of TLS; any when left out.
    #[serde(default)]
    pub client_zone: Option<Name>,
    /// Whole, or a fragment.
    #[serde(default)]
    pub piece: Piece,
    /// TCP: a segment of a connection that stands, in place of the one that opens it.
    #[serde(default)]
    pub established: bool,
}

/// Why there is nothing to ask.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}; {remedy}")]
pub struct Mistake {
    /// What is wrong.
    pub message: String,
    /// What to write.
    pub remedy: String,
}

fn mistake<T>(message: impl Into<String>, remedy: impl Into<String>) -> Result<T, Mistake> {
    Err(Mistake { message: message.into(), remedy: remedy.into() })
}

/// The words of a packet, as `ravelin test` and `[[expect]]` take them.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    /// Source address.
    pub source: &'a str,
    /// Destination address.
    pub destination: &'a str,
    /// Name or number.
    pub protocol: &'a str,
    /// Source port or ICMP type.
    pub first: Option<&'a str>,
    /// Destination port or ICMP code.
    pub second: Option<&'a str>,
    /// `in` or `out`, also in full.
    pub direction: &'a str,
}

impl Words<'_> {
    /// The packet that they speak of, with all else left open.
    ///
    /// # Errors
    /// A word means nothing, or two of them do not fit together.
    pub fn question(&self) -> Result<Question, Mistake> {
        let protocol = read_protocol(self.protocol)?;
        let field = |text: Option<&str>, which| match text {
            None | Some("any" | "*") => Ok(None),
            Some(text) => read_field(text, protocol, which).map(Some),
        };
        let question = Question {
            source: read_address(self.source)?,
            destination: read_address(self.destination)?,
            protocol,
            first: field(self.first, Field::First)?,
            second: field(self.second, Field::Second)?,
            direction: self.direction.parse()?,
            zone: None,
            routing: None,
            client_zone: None,
            piece: Piece::Whole,
            established: false,
        };
        question.check()?;
        Ok(question)
    }
}

impl FromStr for Way {
    type Err = Mistake;

    fn from_str(text: &str) -> Result<Self, Mistake> {
        match text {
            "in" | "inbound" => Ok(Self::Inbound),
            "out" | "outbound" => Ok(Self::Outbound),
            other => mistake(format!("{other:?} is no direction"), "write in or out"),
        }
    }
}

impl Way {
    /// As rules have it.
    pub fn direction(self) -> Direction {
        match self {
            Self::Inbound => Direction::Inbound,
            Self::Outbound => Direction::Outbound,
        }
    }
}

impl Question {
    /// Whether the parts fit together.
    ///
    /// # Errors
    /// What does not.
    pub fn check(&self) -> Result<(), Mistake> {
        if Family::of(self.source) != Family::of(self.destination) {
            return mistake("source and destination mix IPv4 and IPv6", "write two addresses of one family");
        }
        let named = self.first.is_some() || self.second.is_some();
        if named && !self.has_fields() {
            let name = service::protocol_name(self.protocol);
            return mistake(format!("protocol {name} has no ports"), "leave them out");
        }
        let most = if protocol::is_icmp(self.protocol) { 255 } else { u16::MAX };
        if self.first.max(self.second).is_some_and(|field| field > most) {
            return mistake("an ICMP type or code is above 255", "write a number from 0 to 255");
        }
        if self.established && self.protocol != protocol::TCP {
            return mistake("only a segment of TCP can be of a connection that stands", "ask without it");
        }
        if self.piece == Piece::Later && named {
            return mistake("a later fragment shows no ports", "leave them out");
        }
        Ok(())
    }

    /// Whether the protocol shows ports, or type and code.
    pub fn has_fields(&self) -> bool {
        protocol::has_ports(self.protocol) || protocol::is_icmp(self.protocol)
    }
}

/// Such as `10.1.0.5 -> 10.2.0.7 tcp 40000 -> 443 outbound`.
impl std::fmt::Display for Question {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (source, destination) = (self.source, self.destination);
        write!(f, "{source} -> {destination} {}", service::protocol_name(self.protocol))?;
        let shown = |field: Option<u16>| field.map_or_else(|| "any".to_owned(), |field| field.to_string());
        let (first, second) = (shown(self.first), shown(self.second));
        if self.piece == Piece::Later {
            f.write_str(" later fragment")?;
        } else if protocol::is_icmp(self.protocol) {
            write!(f, " type {first} code {second}")?;
        } else if self.has_fields() {
            write!(f, " {first} -> {second}")?;
        }
        f.write_str(match self.direction {
            Way::Inbound => " inbound",
            Way::Outbound => " outbound",
        })?;
        if self.piece == Piece::First {
            f.write_str(", first fragment")?;
        }
        if self.established {
            f.write_str(", of a connection that stands")?;
        }
        if let Some(zone) = &self.zone {
            write!(f, ", zone {zone}")?;
        }
        match self.routing {
            Some(Routing::Local) => f.write_str(", local"),
            Some(Routing::Routed) => f.write_str(", routed"),
            None => Ok(()),
        }
    }
}

fn read_address(text: &str) -> Result<IpAddr, Mistake> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    match bare.parse() {
        Ok(address) => Ok(address),
        Err(_) => mistake(
            format!("{text:?} is not an IP address"),
            "write one address such as 192.0.2.1 or 2001:db8::1",
        ),
    }
}

fn read_protocol(text: &str) -> Result<u8, Mistake> {
    let lower = text.to_ascii_lowercase();
    match lower.parse().ok().or_else(|| service::protocol_number(&lower)) {
        Some(number) => Ok(number),
        None => {
            let remedy = "write a name such as tcp, or the protocol's number";
            mistake(
                format!("{text:?} is not a protocol"),
                did_you_mean(&lower, service::protocol_names(), remedy),
            )
        }
    }
}

/// Of the two that a protocol shows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Field {
    First,
    Second,
}

fn read_field(text: &str, protocol: u8, which: Field) -> Result<u16, Mistake> {
    let icmp = protocol::is_icmp(protocol);
    let named = match which {
        Field::First if icmp => service::icmp_type(text, protocol),
        Field::Second if icmp => service::icmp_code(text, protocol),
        _ => None,
    };
    match (text.parse().ok().or(named), icmp) {
        (Some(number), _) => Ok(number),
        (None, true) => {
            let remedy = "write a number from 0 to 255, a name such as echo-request, or any";
            mistake(format!("{text:?} is no type or code of ICMP"), remedy)
        }
        (None, false) => mistake(format!("{text:?} is not a port"), "write a number from 0 to 65535, or any"),
    }
}
