//! Rules for TLS that are allowed but hardly meant (row A25).

use ravelin_config::diagnostic::Collector;
use ravelin_contract::address::NumberRange;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_contract::tls::TlsRule;
use ravelin_events::catalogue::{CHECK_OVERLAP, CHECK_SHADOWED};

use super::model::Rule;
use crate::policy::lint::selector_covers;

/// Most simple rules that are compared each with each.
const COMPARED: usize = 5000;

/// Warns of rules that never match, and of equal priorities that only a name tells apart. `split` are the simple rules of
/// `written`, in order.
pub(super) fn check(written: &[&Rule], split: &[TlsRule], notes: &Collector) {
    if split.len() > COMPARED {
        return;
    }
    let parts: Vec<&[TlsRule]> = split.chunk_by(|a, b| a.name == b.name).collect();
    for (at, (rule, part)) in written.iter().zip(&parts).enumerate() {
        let earlier = parts[..at].concat();
        if part.iter().all(|one| earlier.iter().any(|first| covers(first, one))) {
            let message = CHECK_SHADOWED.of(format!("rule `{}` never matches: others come first", rule.name));
            notes.warning(rule.place.clone(), message, "remove it, or give it a higher priority");
            continue;
        }
        let Some((priority, place)) = &rule.priority else { continue };
        for (other, others) in written[..at].iter().zip(&parts) {
            let equal = other.priority.as_ref().is_some_and(|(other, _)| other == priority);
            if equal && part.iter().any(|one| others.iter().any(|other| meet(one, other))) {
                let message = format!(
                    "rules `{}` and `{}` have one priority and speak of the same connections; the first of the names decides",
                    other.name, rule.name
                );
                notes.warning(place.clone(), CHECK_OVERLAP.of(message), "give them different priorities");
            }
        }
    }
}

fn covers(a: &TlsRule, b: &TlsRule) -> bool {
    (a.zone.is_none() || a.zone == b.zone) && selector_covers(&a.selector, &b.selector)
}

/// Whether any connection fits both.
fn meet(a: &TlsRule, b: &TlsRule) -> bool {
    let zones = a.zone.is_none() || b.zone.is_none() || a.zone == b.zone;
    let (a, b) = (&a.selector, &b.selector);
    let [(source, destination), (other_source, other_destination)] = [ports(a), ports(b)];
    zones
        && a.source.intersects(&b.source)
        && a.destination.intersects(&b.destination)
        && common(source, other_source)
        && common(destination, other_destination)
}

fn ports(selector: &Selector) -> (NumberRange, NumberRange) {
    match selector.upper {
        Upper::Ports { source, destination, .. } => (source, destination),
        _ => (NumberRange::ALL, NumberRange::ALL),
    }
}

fn common(a: NumberRange, b: NumberRange) -> bool {
    a.first() <= b.last() && b.first() <= a.last()
}
