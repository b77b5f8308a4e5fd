//! What is allowed but hardly meant.

use std::collections::HashMap;

use ravelin_config::diagnostic::Collector;
use ravelin_config::filter::FilterRule;
use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Fragments, Opening, Routing, Rule};
use ravelin_contract::selector::{Selector, Upper};
use ravelin_events::catalogue::CHECK_SHADOWED;

/// Most filters that are compared each with each; beyond, the search would take longer than anybody waits.
const COMPARED: usize = 10_000;

/// Warns of each rule all of whose filters an earlier rule takes everything from. `compiled` are the filters of
/// `written`, in order.
pub fn shadowed(written: &[FilterRule], compiled: &[Rule], notes: &Collector) {
    if compiled.len() > COMPARED {
        return;
    }
    let places: HashMap<_, _> = written.iter().map(|rule| (&rule.name, &rule.traffic.place)).collect();
    let mut begin = 0;
    for filters in compiled.chunk_by(|a, b| a.name == b.name) {
        let earlier = &compiled[..begin];
        begin += filters.len();
        let by: Option<Vec<_>> = filters.iter().map(|filter| shadow_of(filter, earlier)).collect();
        if let (Some(by), Some(place)) = (by, places.get(&filters[0].name)) {
            let message = CHECK_SHADOWED.of(format!(
                "rule `{}` never matches: {} come first",
                filters[0].name,
                listed(&by)
            ));
            notes.warning((*place).clone(), message, "remove it, or move it up");
        }
    }
}

fn shadow_of<'a>(filter: &Rule, earlier: &'a [Rule]) -> Option<&'a Name> {
    let takes = |other: &&Rule| covers(other, filter) && leaves_nothing(other, filter);
    earlier.iter().find(takes).map(|other| &other.name)
}

/// Whether a rule, which may be for some peers alone, leaves nothing for one after it that speaks of the same packets. What it
/// speaks of passes by no later rule in clear.
fn leaves_nothing(first: &Rule, then: &Rule) -> bool {
    let meant = |identity| first.identities.contains(identity);
    first.identities.is_empty()
        || then.action == Action::Permit
        || first.action == then.action && !then.identities.is_empty() && then.identities.iter().all(meant)
}

fn listed(names: &[&Name]) -> String {
    let mut names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
    names.dedup();
    let more = names.len().saturating_sub(3);
    names.truncate(3);
    let shown = names.join(", ");
    if more > 0 { format!("filters of {shown} and {more} more") } else { format!("filters of {shown}") }
}

/// Whether `a` matches every packet that `b` does, whoever they are for.
pub fn covers(a: &Rule, b: &Rule) -> bool {
    a.direction == b.direction
        && (a.routing == Routing::Either || a.routing == b.routing)
        && (a.zone.is_none() || a.zone == b.zone)
        && (a.fragments == Fragments::Any || b.fragments == Fragments::Only)
        && (a.opening == Opening::Allowed || b.opening == Opening::Excluded)
        && selector_covers(&a.selector, &b.selector)
}

/// Whether `a` selects every packet that `b` does.
pub(super) fn selector_covers(a: &Selector, b: &Selector) -> bool {
    range_covers(&a.source, &b.source)
        && range_covers(&a.destination, &b.destination)
        && upper_covers(&a.upper, &b.upper)
}

fn range_covers(a: &AddressRange, b: &AddressRange) -> bool {
    a.contains(b.first()) && a.contains(b.last())
}

/// As [`Upper::matches`], for all packets at once: a later fragment shows no ports, and matches those that ask for
/// all of them.
fn upper_covers(a: &Upper, b: &Upper) -> bool {
    let within = |outer: &NumberRange, inner: &NumberRange| {
        outer.contains(inner.first()) && outer.contains(inner.last())
    };
    match (fields(a), fields(b)) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some((p, first, second)), Some((q, third, fourth))) => {
            p == q && within(&first, &third) && within(&second, &fourth)
        }
    }
}

/// Protocol and both numbers; `None` for any.
fn fields(upper: &Upper) -> Option<(u8, NumberRange, NumberRange)> {
    match *upper {
        Upper::Any => None,
        Upper::Protocol(protocol) => Some((protocol, NumberRange::ALL, NumberRange::ALL)),
        Upper::Ports { protocol, source, destination } => Some((protocol, source, destination)),
        Upper::Icmp { protocol, types, codes } => Some((protocol, types, codes)),
    }
}
