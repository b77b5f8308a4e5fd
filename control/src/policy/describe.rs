//! Rules and SAs in one line of plain words.

use ravelin_config::service::protocol_name;
use ravelin_contract::identity::Pattern;
use ravelin_contract::rule::{Action, Direction, Discard, Fragments, Log, Opening, Routing, Rule};
use ravelin_contract::sa::{Carrier, DontFragment, Dscp, Mode, Sa, Side};
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::{Secure, TlsAction, TlsRule};
use ravelin_contract::tls_session::Role;

/// A filter without its name, such as `outbound tcp from 10.1.0.0/24 to any destination port 443: permit`.
pub fn rule(rule: &Rule, of: &Snapshot) -> String {
    let mut text = format!("{} {}", direction(rule.direction), selector(&rule.selector));
    match rule.routing {
        Routing::Local => text += ", local",
        Routing::Routed => text += ", routed",
        Routing::Either => {}
    }
    if let Some(zone) = rule.zone.and_then(|id| of.zones.get(usize::from(id.0))) {
        text += &format!(", zone {zone}");
    }
    if rule.fragments == Fragments::Only {
        text += ", fragments only";
    }
    if rule.opening == Opening::Excluded {
        text += ", opens no connection";
    }
    let whom: Vec<_> = rule
        .identities
        .iter()
        .filter_map(|id| of.identities.get(id.0 as usize))
        .map(Pattern::as_str)
        .collect();
    if !whom.is_empty() {
        text += &format!(", peer {}", whom.join(" or "));
    }
    text + ": " + &action(rule.action, of) + log(rule.log)
}

/// A rule for TLS without its name, such as `tcp from any to 10.1.0.1 destination port 992: TLS as server`.
pub fn tls_rule(rule: &TlsRule, of: &Snapshot) -> String {
    let mut text = selector(&rule.selector);
    if let Some(zone) = rule.zone.and_then(|id| of.zones.get(usize::from(id.0))) {
        text += &format!(", zone {zone}");
    }
    text + match rule.action {
        TlsAction::Pass => ": pass",
        TlsAction::Refuse => ": refuse",
        TlsAction::Secure(Secure { role: Role::Client, .. }) => ": TLS as client",
        TlsAction::Secure(Secure { role: Role::Server, .. }) => ": TLS as server",
    }
}

/// Addresses and upper layer, such as `tcp from 10.1.0.0/24 to any destination port 443`.
pub fn selector(selector: &Selector) -> String {
    let (source, destination) = (selector.source, selector.destination);
    let between = format!("from {source} to {destination}");
    match selector.upper {
        Upper::Any => format!("any {between}"),
        Upper::Protocol(protocol) => format!("{} {between}", protocol_name(protocol)),
        Upper::Ports { protocol, source, destination } => {
            let mut text = format!("{} {between}", protocol_name(protocol));
            if !source.is_all() {
                text += &format!(" source port {source}");
            }
            if !destination.is_all() {
                text += &format!(" destination port {destination}");
            }
            text
        }
        Upper::Icmp { protocol, types, codes } => {
            let text = format!("{} {between} type {types}", protocol_name(protocol));
            if codes.is_all() { text } else { format!("{text} code {codes}") }
        }
    }
}

/// What is done, such as `ipsec by site-b`.
pub fn action(action: Action, of: &Snapshot) -> String {
    match action {
        Action::Permit => "permit".to_owned(),
        Action::Deny(Discard::Silent) => "deny".to_owned(),
        Action::Deny(Discard::Icmp) => "deny with ICMP".to_owned(),
        Action::Protect(tunnel) => match of.tunnels.get(tunnel.0 as usize) {
            Some(tunnel) => format!("ipsec by {}", tunnel.name),
            None => "ipsec by a missing tunnel".to_owned(),
        },
    }
}

/// The properties of an SA, each with its name. Keys are not among them.
pub fn sa(sa: &Sa) -> Vec<(&'static str, String)> {
    let mut list = vec![
        ("SPI", sa.spi.to_string()),
        ("mode", if sa.mode == Mode::Tunnel { "tunnel" } else { "transport" }.to_owned()),
        ("endpoints", format!("{} {}", sa.local, sa.remote)),
        ("carrier", carrier(sa.carrier)),
        ("algorithm", sa.transform.name().to_owned()),
        ("extended sequence", sa.extended_sequence.to_string()),
        ("selectors", sa.selectors.iter().map(selector).collect::<Vec<_>>().join("; ")),
    ];
    match &sa.side {
        Side::Inbound(receiving) => list.push(("replay window", receiving.replay_window.to_string())),
        Side::Outbound(sending) => list.extend([
            ("DF", dont_fragment(sending.dont_fragment).to_owned()),
            (
                "DSCP",
                match sending.dscp {
                    Dscp::Copy => "copy".to_owned(),
                    Dscp::Value(value) => value.to_string(),
                },
            ),
            ("hop limit", sending.hop_limit.map_or_else(|| "copy".to_owned(), |limit| limit.to_string())),
            ("pad to", sending.pad_to.to_string()),
            ("MSS clamp", sending.clamp_mss.to_string()),
        ]),
    }
    list
}

/// `inbound` or `outbound`.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Inbound => "inbound",
        Direction::Outbound => "outbound",
    }
}

fn log(log: Log) -> &'static str {
    match log {
        Log::No => "",
        Log::Yes => ", logged",
        Log::Permitted => ", logged when permitted",
        Log::Denied => ", logged when denied",
    }
}

fn carrier(carrier: Carrier) -> String {
    match carrier {
        Carrier::Ip => "esp".to_owned(),
        Carrier::Udp { local_port, remote_port, keepalive } => {
            format!("udp {local_port} {remote_port}, keepalive {keepalive} s")
        }
    }
}

fn dont_fragment(df: DontFragment) -> &'static str {
    match df {
        DontFragment::Copy => "copy",
        DontFragment::Set => "set",
        DontFragment::Clear => "clear",
    }
}
