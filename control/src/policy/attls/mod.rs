//! `attls.toml`: which TCP connections we speak TLS for, and how (rows A19 to A56).
//!
//! [`parse`] takes the file into the [`model`]: rules, and actions at three levels whose [`layer`]s inherit from each other.
//! `compile` orders the rules, splits them into simple ones for the packet process, and makes of each one's layers a
//! [`Plan`], which stays here. `settings` turns layers into what `ravelin-tls` takes, `preset` holds named lists, `lint` warns.

pub(super) mod compile;
mod layer;
mod lint;
mod model;
mod parse;
mod preset;
mod settings;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use ravelin_config::source::Place;
use ravelin_contract::name::Name;
use ravelin_contract::tls_session::Role;
use ravelin_rings::verify::PeerName;
use ravelin_tls::Target;
use ravelin_tls::settings::Settings;

use crate::policy::credential::Named;

pub(super) use model::Model;
pub(super) use parse::add;

/// What control does by: the packet process gets no more than the rules themselves.
#[derive(Debug, Clone, Default)]
pub struct Attls {
    /// How TLS is spoken for connections of each rule that wants it, by the rule's name.
    pub plans: BTreeMap<Name, Arc<Plan>>,
}

/// How TLS is spoken for the connections of one rule.
#[derive(Debug)]
pub struct Plan {
    /// The rule.
    pub rule: Name,
    /// Actions that it names: group, environment and connection.
    pub actions: [Option<Name>; 3],
    /// What holds for its handshakes.
    pub settings: Settings,
    /// Whom a client asks for.
    pub asks: Asks,
    /// Whether the application's end is told of the peer in front of all data.
    pub proxy_protocol: bool,
    /// Every setting that was written, with the level that it comes from (row A32).
    pub effective: Vec<Effective>,
    /// Where the rule stands.
    pub place: Place,
    /// Where rings are named.
    pub rings: Vec<Named>,
}

/// One setting of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effective {
    /// Its key.
    pub key: &'static str,
    /// As it was written.
    pub value: String,
    /// Whose it is, such as `environment web`.
    pub from: String,
}

/// Whom a client asks for, and whom it expects (rows A47, A48).
#[derive(Debug, Clone, PartialEq)]
pub struct Asks {
    /// The host; else the address of the server.
    pub host: Option<String>,
    /// Whether the name is sent.
    pub sends: bool,
    /// Whose certificate it must be.
    pub expects: Expects,
}

/// Whose certificate a server must show.
#[derive(Debug, Clone, PartialEq)]
pub enum Expects {
    /// The host's, or the address's where no host is named.
    Asked,
    /// That of another.
    Other(PeerName),
    /// Anyone's who is believed.
    Anyone,
}

impl Plan {
    /// Which end we are.
    pub fn role(&self) -> Role {
        match self.settings.role {
            ravelin_tls::settings::Role::Client { .. } => Role::Client,
            ravelin_tls::settings::Role::Server { .. } => Role::Server,
        }
    }
}

impl Asks {
    /// Of a server at this address.
    ///
    /// # Errors
    /// The host is no host name.
    pub fn target(&self, server: IpAddr) -> Result<Target, String> {
        let mut target = match &self.host {
            Some(host) => Target::host(host)?,
            None => Target::address(server),
        };
        if !self.sends {
            target = target.unnamed(server);
        }
        Ok(match &self.expects {
            Expects::Asked => target,
            Expects::Other(name) => target.expecting(name.clone()),
            Expects::Anyone => target.unchecked(),
        })
    }
}
