//! IKE and what it brings up, as families of metrics.

use std::collections::BTreeSet;

use ravelin_contract::name::Name;
use ravelin_contract::report::SaStatus;
use ravelin_contract::rule::Direction;
use ravelin_ike::Code;

use super::family::Family;
use super::metrics::omitted;
use crate::ike::journal::Report;

/// How many there are, what they told, and what was turned away.
pub(super) fn families(report: &Report) -> Vec<Family> {
    let tally = &report.tally;
    let gauges = [
        ("ravelin_ike_sas", "IKE SAs in any state.", tally.ike_sas),
        ("ravelin_ike_half_open", "IKE SAs whose peer has not proved itself yet.", tally.half_open),
        (
            "ravelin_ike_child_sas",
            "Negotiated child SAs, those that are being replaced included.",
            tally.children,
        ),
    ];
    let mut families: Vec<_> =
        gauges.map(|(name, help, value)| counted(Family::gauge(name, help), value as f64)).into();
    let mut events = Family::counter("ravelin_ike_events_total", "What IKE told, by code.");
    for &code in Code::ALL {
        let count = report.events.get(&code).copied().unwrap_or_default();
        events.add(&[("code", code.as_str())], count as f64);
    }
    let refused = &tally.refused;
    let mut dropped = Family::counter("ravelin_ike_dropped_total", "Datagrams that IKE dropped, by why.");
    for (reason, count) in [
        ("malformed", refused.malformed),
        ("version_1", refused.version_1),
        ("unknown_spi", refused.unknown_spi),
        ("limited", refused.limited),
        ("refused", refused.refused),
        ("queue_full", report.dropped.0),
        ("strangers_full", report.dropped.1),
    ] {
        dropped.add(&[("reason", reason)], count as f64);
    }
    let cookies = Family::counter("ravelin_ike_cookies_total", "First messages answered by a cookie.");
    families.extend([events, dropped, counted(cookies, refused.cookies as f64)]);
    families
}

fn counted(mut family: Family, value: f64) -> Family {
    family.add(&[], value);
    family
}

/// Whether each tunnel of the policy has an SA to send under. Without the packet process none has.
pub(super) fn tunnels(tunnels: &[Name], sas: &[SaStatus], most: usize) -> Vec<Family> {
    let sending: BTreeSet<&str> =
        sas.iter().filter(|sa| sa.direction == Direction::Outbound).map(|sa| sa.tunnel.as_str()).collect();
    let mut up = Family::gauge("ravelin_tunnel_up", "Whether there is an SA to send under.");
    for tunnel in tunnels.iter().take(most) {
        up.add(&[("tunnel", tunnel.as_str())], f64::from(u8::from(sending.contains(tunnel.as_str()))));
    }
    vec![up, omitted("ravelin_tunnels_omitted", "Tunnels left out of the metrics.", tunnels.len(), most)]
}
