//! The policy by linear scan: what [`crate::filters`] must answer, in as few words as possible.

use ravelin_contract::rule::{Action, FilterSettings, Fragments, Log, Opening, Routing, Rule};

use crate::filters::{Ask, Match, Peer, Query};

/// The first rule that matches decides; none is a deny (row B13). One that is for other peers lets the next decide, but not
/// that the packet passes in clear, nor that no rule speaks of it (row B18).
pub fn lookup(rules: &[Rule], settings: &FilterSettings, query: &Query, peer: Ask<'_>) -> Match {
    let speaks = |rule: &Rule| matches(rule, query);
    let first = rules.iter().position(speaks);
    let meant = rules.iter().position(|rule| speaks(rule) && who(rule, peer) == Peer::Meant);
    let decides = |index: usize| rules.get(index).is_some_and(|rule| rule.action != Action::Permit);
    let position = if meant.is_some_and(decides) { meant } else { first };
    match position.and_then(|index| Some((index, rules.get(index)?))) {
        Some((index, rule)) => Match {
            index: Some(index as u32),
            action: rule.action,
            log: if settings.log { rule.log } else { Log::No },
            peer: who(rule, peer),
        },
        None => Match {
            index: None,
            action: Action::Deny(settings.implicit_discard),
            log: if settings.log && settings.log_implicit { Log::Yes } else { Log::No },
            peer: Peer::Meant,
        },
    }
}

fn who(rule: &Rule, peer: Ask<'_>) -> Peer {
    match rule.action {
        Action::Protect(tunnel) if !rule.identities.is_empty() => peer(tunnel, &rule.identities),
        _ => Peer::Meant,
    }
}

/// Whether the answer is the same whatever the ports (or ICMP type and code) of a packet without them really are, and whoever
/// the peer is that would have it then.
pub fn is_decided_without_ports(rules: &[Rule], query: &Query, peer: Ask<'_>) -> bool {
    let could = |rule: &Rule| {
        let mut portless = rule.clone();
        portless.selector.upper = match rule.selector.upper {
            ravelin_contract::selector::Upper::Ports { protocol, .. }
            | ravelin_contract::selector::Upper::Icmp { protocol, .. } => {
                ravelin_contract::selector::Upper::Protocol(protocol)
            }
            other => other,
        };
        matches(&portless, query)
    };
    let meant = |rule: &Rule| matches(rule, query) && who(rule, peer) == Peer::Meant;
    rules.iter().position(could) == rules.iter().position(meant)
}

fn matches(rule: &Rule, query: &Query) -> bool {
    rule.direction == query.direction
        && rule.selector.matches(&query.flow)
        && match rule.routing {
            Routing::Local => query.local,
            Routing::Routed => !query.local,
            Routing::Either => true,
        }
        && rule.zone.is_none_or(|zone| query.zone == Some(zone))
        && (rule.fragments == Fragments::Any || query.fragment)
        && (rule.opening == Opening::Allowed || !query.opens_tcp)
}
