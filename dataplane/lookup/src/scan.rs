//! The policy by linear scan: what [`crate::filters`] must answer, in as few words as possible.

use ravelin_contract::rule::{Action, FilterSettings, Fragments, Log, Opening, Routing, Rule};

use crate::filters::{Match, Query};

/// The first rule that matches decides; none is a deny (row B13).
pub fn lookup(rules: &[Rule], settings: &FilterSettings, query: &Query) -> Match {
    let position = rules.iter().position(|rule| matches(rule, query));
    match position.and_then(|index| Some((index, rules.get(index)?))) {
        Some((index, rule)) => Match {
            index: Some(index as u32),
            action: rule.action,
            log: if settings.log { rule.log } else { Log::No },
        },
        None => Match {
            index: None,
            action: Action::Deny(settings.implicit_discard),
            log: if settings.log && settings.log_implicit { Log::Yes } else { Log::No },
        },
    }
}

/// Whether the answer is the same whatever the ports (or ICMP type and code) of a packet without them really are.
pub fn is_decided_without_ports(rules: &[Rule], query: &Query) -> bool {
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
    rules.iter().position(could) == rules.iter().position(|rule| matches(rule, query))
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
