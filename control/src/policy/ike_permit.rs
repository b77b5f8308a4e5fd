//! Whether the rules let IKE itself through, for every peer that keys are negotiated with (row B16).

use ravelin_config::diagnostic::Collector;
use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_contract::rule::{Action, Direction, Fragments, Opening, Routing, Rule};
use ravelin_contract::selector::{Selector, Upper, protocol};
use ravelin_events::catalogue::{CHECK_IKE_NAT, CHECK_IKE_PERMIT};

use super::lint;
use super::model::{Keying, Model, Peer};
use super::peers::PORT;

/// Where IKE goes on behind a NAT and under MOBIKE, and where ESP in UDP comes (RFC 7296 2.23, RFC 4555 3.3).
const FLOATED: u16 = 4500;
const REMEDY: &str =
    "permit UDP ports 500 and 4500, as the rules `ike` and `ike-answers` of configs/site-to-site-ike do";

/// Tells of each peer that a tunnel uses, and that no rule lets talk IKE with us: an error. Where only port 4500 is closed
/// and the peer might need it: a warning.
pub(super) fn check(model: &Model, rules: &[Rule], notes: &Collector) {
    for peer in model.peers.iter().filter(|peer| is_used(model, peer)) {
        let closed = |port| {
            let ways = [Direction::Inbound, Direction::Outbound];
            ways.into_iter().find(|way| !may_pass(&ike(peer, *way, port), *way, rules))
        };
        let floats = peer.allow_nat || peer.force_udp || peer.mobike;
        if let Some(way) = closed(PORT) {
            notes.error(peer.place.clone(), CHECK_IKE_PERMIT.of(said(peer, PORT, way)), REMEDY);
        } else if let Some(way) = closed(FLOATED).filter(|_| floats) {
            notes.warning(peer.place.clone(), CHECK_IKE_NAT.of(said(peer, FLOATED, way)), REMEDY);
        }
    }
}

fn said(peer: &Peer, port: u16, way: Direction) -> String {
    let (name, local) = (&peer.name, peer.local);
    match way {
        Direction::Inbound => format!("no rule lets IKE of peer `{name}` come in to {local} UDP port {port}"),
        Direction::Outbound => {
            format!("no rule lets IKE go out to peer `{name}` from {local} UDP port {port}")
        }
    }
}

fn is_used(model: &Model, peer: &Peer) -> bool {
    model.tunnels.iter().any(
        |tunnel| matches!(&tunnel.keying, Keying::Negotiated(negotiated) if negotiated.peer.0 == peer.name),
    )
}

/// What goes between this port of ours and the same of the peer, without a NAT that changes it.
fn ike(peer: &Peer, way: Direction, port: u16) -> Selector {
    let local = AddressRange::single(peer.local);
    let remote = peer.remote.unwrap_or(AddressRange::all(local.family()));
    let outbound = Selector {
        source: local,
        destination: remote,
        upper: Upper::Ports {
            protocol: protocol::UDP,
            source: NumberRange::single(port),
            destination: NumberRange::single(port),
        },
    };
    match way {
        Direction::Outbound => outbound,
        Direction::Inbound => outbound.reversed(),
    }
}

/// Whether a rule permits any of it, and no earlier one denies all that the rule would permit of it.
fn may_pass(want: &Selector, way: Direction, rules: &[Rule]) -> bool {
    let concerns = |rule: &&Rule| {
        rule.direction == way && rule.routing != Routing::Routed && rule.fragments == Fragments::Any
    };
    for rule in rules.iter().filter(concerns) {
        if rule.action == Action::Permit && touches(&rule.selector, want) {
            return true;
        }
        let whole =
            Rule { selector: *want, routing: Routing::Local, opening: Opening::Allowed, ..rule.clone() };
        // A rule for one zone may be for another than the peer's.
        if rule.action != Action::Permit && rule.zone.is_none() && lint::covers(rule, &whole) {
            return false;
        }
    }
    false
}

fn touches(rule: &Selector, want: &Selector) -> bool {
    let udp = |upper: &Upper| match *upper {
        Upper::Any | Upper::Protocol(protocol::UDP) => Some((NumberRange::ALL, NumberRange::ALL)),
        Upper::Ports { protocol: protocol::UDP, source, destination } => Some((source, destination)),
        _ => None,
    };
    let meet = |a: NumberRange, b: NumberRange| a.first() <= b.last() && b.first() <= a.last();
    let ports = match (udp(&rule.upper), udp(&want.upper)) {
        (Some((a, b)), Some((c, d))) => meet(a, c) && meet(b, d),
        _ => false,
    };
    ports && rule.source.intersects(&want.source) && rule.destination.intersects(&want.destination)
}
