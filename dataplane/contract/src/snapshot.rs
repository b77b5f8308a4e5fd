//! One whole consistent generation of policy, and the check that makes it so.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::address::Family;
use crate::identity::Pattern;
use crate::limits;
use crate::name::Name;
use crate::rule::{Action, FilterSettings, Rule};
use crate::sa::{Mode, Sa, Side};
use crate::tls::TlsRule;

/// A tunnel as rules see it: the name under which SAs are found.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Tunnel {
    /// The operator's name.
    pub name: Name,
}

/// Everything the workers decide by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// What the operator's files hashed to; shown in status, compared when the processes meet again.
    pub fingerprint: String,
    /// Zone names; [`crate::rule::ZoneId`] is an index.
    pub zones: Vec<Name>,
    /// Tunnels; [`crate::rule::TunnelId`] is an index.
    pub tunnels: Vec<Tunnel>,
    /// Patterns of identities; [`crate::identity::IdentityId`] is an index.
    pub identities: Vec<Pattern>,
    /// Filters in order; the first match wins, and no match is a deny.
    pub rules: Vec<Rule>,
    /// What holds for all of them.
    pub filter: FilterSettings,
    /// Security associations of both directions.
    pub sas: Vec<Sa>,
    /// TLS in order; the first match wins, and no match is a connection that passes as it is.
    pub tls: Vec<TlsRule>,
}

/// Why a snapshot cannot be installed. The index is that of the offending entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Inconsistency {
    /// More entries than [`limits`] allow.
    #[error("too many {0}: {1}, at most {2}")]
    TooMany(String, u64, u64),
    /// A policy with no rule would only deny; default filters do that (row B3).
    #[error("the policy has no filter rule")]
    Empty,
    /// A rule names a zone that is not there.
    #[error("rule {0} names zone {1}, which does not exist")]
    Zone(String, u8),
    /// A rule names a tunnel that is not there.
    #[error("rule {0} names tunnel {1}, which does not exist")]
    RuleTunnel(String, u32),
    /// A rule asks for an identity that is not there, for more than [`limits::FITTING`], or without protecting anything.
    #[error("rule {0} asks for identities that do not exist, for too many, or protects nothing")]
    RuleIdentity(String),
    /// A rule for TLS speaks of more than TCP.
    #[error("TLS rule {0} is not for TCP alone")]
    NotTcp(String),
    /// An SA names a tunnel that is not there.
    #[error("SA {0} names tunnel {1}, which does not exist")]
    SaTunnel(String, u32),
    /// Addresses of two families, or ports for a protocol without them.
    #[error("{0} has an inconsistent selector")]
    Selector(String),
    /// A key of the wrong length.
    #[error("SA {0} has a key of the wrong length")]
    Key(String),
    /// Security endpoints of two families.
    #[error("SA {0} mixes IPv4 and IPv6 endpoints")]
    Endpoints(String),
    /// The anti-replay window is not 0 and not a multiple of 64 within bounds.
    #[error("SA {0} has an anti-replay window of {1}; use 0 or a multiple of 64 from {2} to {3}")]
    Window(String, u32, u32, u32),
    /// Extended numbers need the window to find the upper half (RFC 4303 A2).
    #[error("SA {0} has extended sequence numbers but no anti-replay window")]
    ExtendedWithoutWindow(String),
    /// DSCP above 63.
    #[error("SA {0} has a DSCP above 63")]
    Dscp(String),
    /// Two inbound SAs could not be told apart.
    #[error("inbound SPI {0} for {1} stands twice")]
    DuplicateSpi(String, String),
    /// Two outbound SAs of one destination share an SPI, so they would share a key's numbers.
    #[error("outbound SPI {0} to {1} stands twice")]
    DuplicateOutbound(String, String),
}

impl Snapshot {
    /// Checks every relation between the parts. What passes can be compiled without a further question.
    pub fn check(&self) -> Result<(), Inconsistency> {
        self.check_counts()?;
        self.rules.iter().try_for_each(|rule| self.check_rule(rule))?;
        self.sas.iter().try_for_each(|sa| self.check_sa(sa))?;
        self.tls.iter().try_for_each(|rule| self.check_tls(rule))?;
        let mut seen = HashSet::new();
        for sa in &self.sas {
            let outbound = sa.is_outbound();
            let destination = if outbound { sa.remote } else { sa.local };
            if !seen.insert((outbound, destination, sa.spi)) {
                let (spi, to) = (sa.spi.to_string(), destination.to_string());
                return Err(match outbound {
                    true => Inconsistency::DuplicateOutbound(spi, to),
                    false => Inconsistency::DuplicateSpi(spi, to),
                });
            }
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), Inconsistency> {
        let counts = [
            ("zones", self.zones.len(), limits::ZONES),
            ("tunnels", self.tunnels.len(), limits::TUNNELS),
            ("identities", self.identities.len(), limits::IDENTITIES),
            ("rules", self.rules.len(), limits::RULES),
            ("SAs", self.sas.len(), limits::SAS),
            ("TLS rules", self.tls.len(), limits::TLS_RULES),
        ];
        if let Some((what, have, most)) = counts.into_iter().find(|(_, have, most)| have > most) {
            return Err(Inconsistency::TooMany(what.to_owned(), have as u64, most as u64));
        }
        if self.rules.is_empty() { Err(Inconsistency::Empty) } else { Ok(()) }
    }

    fn check_rule(&self, rule: &Rule) -> Result<(), Inconsistency> {
        let name = || rule.name.to_string();
        if let Some(zone) = rule.zone.filter(|zone| usize::from(zone.0) >= self.zones.len()) {
            return Err(Inconsistency::Zone(name(), zone.0));
        }
        if let Action::Protect(tunnel) = rule.action
            && tunnel.0 as usize >= self.tunnels.len()
        {
            return Err(Inconsistency::RuleTunnel(name(), tunnel.0));
        }
        let known = rule.identities.iter().all(|identity| (identity.0 as usize) < self.identities.len());
        let few = rule.identities.len() <= limits::FITTING;
        if !known || !few || !rule.identities.is_empty() && !matches!(rule.action, Action::Protect(_)) {
            return Err(Inconsistency::RuleIdentity(name()));
        }
        if rule.selector.is_consistent() { Ok(()) } else { Err(Inconsistency::Selector(name())) }
    }

    fn check_tls(&self, rule: &TlsRule) -> Result<(), Inconsistency> {
        if let Some(zone) = rule.zone.filter(|zone| usize::from(zone.0) >= self.zones.len()) {
            return Err(Inconsistency::Zone(rule.name.to_string(), zone.0));
        }
        if rule.is_consistent() { Ok(()) } else { Err(Inconsistency::NotTcp(rule.name.to_string())) }
    }

    fn check_sa(&self, sa: &Sa) -> Result<(), Inconsistency> {
        if sa.tunnel.0 as usize >= self.tunnels.len() {
            return Err(Inconsistency::SaTunnel(sa.name.to_string(), sa.tunnel.0));
        }
        sa.check()
    }
}

impl Sa {
    /// Checks what hangs on nothing but the SA itself.
    pub fn check(&self) -> Result<(), Inconsistency> {
        let sa = self;
        let name = || sa.name.to_string();
        if !sa.transform.has_valid_keys() {
            return Err(Inconsistency::Key(name()));
        }
        if Family::of(sa.local) != Family::of(sa.remote) {
            return Err(Inconsistency::Endpoints(name()));
        }
        if sa.selectors.len() > limits::SELECTORS {
            let (have, most) = (sa.selectors.len() as u64, limits::SELECTORS as u64);
            return Err(Inconsistency::TooMany(format!("selectors of SA {}", sa.name), have, most));
        }
        let outer = Family::of(sa.local);
        let fits = |s: &crate::selector::Selector| {
            s.is_consistent() && (sa.mode == Mode::Tunnel || s.family() == outer)
        };
        if !sa.selectors.iter().all(fits) {
            return Err(Inconsistency::Selector(name()));
        }
        match &sa.side {
            Side::Outbound(sending) => match sending.dscp {
                crate::sa::Dscp::Value(value) if value > 63 => Err(Inconsistency::Dscp(name())),
                _ => Ok(()),
            },
            Side::Inbound(receiving) => check_window(sa, receiving.replay_window),
        }
    }
}

fn check_window(sa: &Sa, window: u32) -> Result<(), Inconsistency> {
    let (min, max) = (limits::REPLAY_WINDOW_MIN, limits::REPLAY_WINDOW_MAX);
    if window == 0 {
        return match sa.extended_sequence {
            true => Err(Inconsistency::ExtendedWithoutWindow(sa.name.to_string())),
            false => Ok(()),
        };
    }
    match window.is_multiple_of(64) && (min..=max).contains(&window) {
        true => Ok(()),
        false => Err(Inconsistency::Window(sa.name.to_string(), window, min, max)),
    }
}
