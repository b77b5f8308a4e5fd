//! TLS for connections that know nothing of it, as families of metrics.

use std::collections::BTreeMap;

use ravelin_contract::name::Name;

use super::family::Family;
use super::metrics::omitted;
use crate::attls::ledger::{BOUNDS, Counts, Kind, Report};

/// Most series of all rules together.
const SERIES: usize = 1000;
/// Series that each rule has beside those of its results: its histogram, states, octets and endings.
const EACH: usize = BOUNDS.len() + 3 + 2 + 2 + 6;

/// Handshakes by result, what they took, and connections, by rule; at most `room` series beside the one that tells of those left
/// out.
pub(super) fn families(report: &Report, room: usize) -> Vec<Family> {
    let kinds = by_rule(&report.handshakes);
    let most = fitting(&kinds, &report.rules, SERIES.min(room));
    let mut handshakes = Family::counter("ravelin_tls_handshakes_total", "Handshakes that ended, by result.");
    let shown = report.rules.keys().take(most).filter_map(|rule| kinds.get(rule));
    for (kind, count) in shown.flatten() {
        let Kind { rule, result, version, suite, resumed } = kind;
        let resumed = if *resumed { "true" } else { "false" };
        let labels = [
            ("rule", rule.as_str()),
            ("result", result),
            ("version", *version),
            ("suite", *suite),
            ("resumed", resumed),
        ];
        handshakes.add(&labels, **count as f64);
    }
    let mut duration = Family::histogram(
        "ravelin_tls_handshake_duration_seconds",
        "Time from the first packet to the hand-over of keys.",
    );
    let mut connections = Family::gauge("ravelin_tls_connections", "Connections that TLS is spoken for.");
    let mut octets = Family::counter(
        "ravelin_tls_octets_total",
        "Octets of applications in records, of connections that ended.",
    );
    let mut endings =
        Family::counter("ravelin_tls_endings_total", "Ends of connections that were secure, by how.");
    let bounds = BOUNDS.map(|bound| bound as f64 / 1e3);
    for (rule, counts) in report.rules.iter().take(most) {
        let name = ("rule", rule.as_str());
        duration.add_histogram(&[name], &bounds, &counts.durations, counts.took.as_secs_f64());
        connections.add(&[name, ("state", "handshake")], counts.handshaking as f64);
        connections.add(&[name, ("state", "secure")], counts.running as f64);
        octets.add(&[name, ("direction", "out")], counts.octets[0] as f64);
        octets.add(&[name, ("direction", "in")], counts.octets[1] as f64);
        for (how, count) in &counts.endings {
            endings.add(&[name, ("how", how)], *count as f64);
        }
    }
    let help = "Rules for TLS left out of the metrics.";
    let omitted = omitted("ravelin_tls_rules_omitted", help, report.rules.len(), most);
    vec![handshakes, duration, connections, octets, endings, omitted]
}

type Kinds<'a> = BTreeMap<&'a Name, Vec<(&'a Kind, &'a u64)>>;

fn by_rule(handshakes: &BTreeMap<Kind, u64>) -> Kinds<'_> {
    let mut found = Kinds::new();
    for (kind, count) in handshakes {
        found.entry(&kind.rule).or_default().push((kind, count));
    }
    found
}

/// How many rules may have series, where all together have `most`.
fn fitting(kinds: &Kinds<'_>, rules: &BTreeMap<Name, Counts>, most: usize) -> usize {
    let results = |rule: &Name| kinds.get(rule).map_or(0, Vec::len);
    let sums = rules.keys().scan(0, |sum, rule| {
        *sum += EACH + results(rule);
        Some(*sum)
    });
    sums.take_while(|sum| *sum <= most).count()
}
