//! The Prometheus text: one report of the packet process as families. Names in `docs/operating.md`.

use std::collections::BTreeMap;

use prometheus::proto::{Metric, MetricFamily, MetricType};
use prometheus::{Encoder, TextEncoder};
use ravelin_contract::name::Name;
use ravelin_contract::report::{
    BREATH_BOUNDS, FilterMode, InterfaceStatus, PortStatus, RuleStatus, SaStatus, Status,
};
use ravelin_contract::verdict::Verdict;

use ravelin_rings::expiry::Expiry;

use super::family::Family;
use super::{attls, certificates, ike};
use crate::api::view;
use crate::attls::ledger;
use crate::ike::journal::Report;

/// Most names of rules, and most names of SAs, that get series of their own.
pub const NAMES: usize = 500;
/// Most series of one scrape. Where many ports and workers need theirs, fewer names get some.
pub const SERIES: usize = 5000;
/// Series that a name of a rule, one of an SA and one of a tunnel have together: packets and octets, the SA's for both
/// directions, and whether the tunnel is up.
const SERIES_A_NAME: usize = 7;

/// Series of a physical interface, at most: what it is, zero-copy, four losses, and the classes of its XDP program.
const SERIES_AN_INTERFACE: usize = 24;

/// Everything a scrape tells. `dataplane` is `None` while the packet process cannot be reached.
#[derive(Debug, Default)]
pub struct Scrape {
    /// From the packet process.
    pub dataplane: Option<Dataplane>,
    /// Policies installed since start, and attempts that failed.
    pub applied: u64,
    /// Failed attempts.
    pub failed: u64,
    /// Connections that the operator's socket turned away: too many, too slow.
    pub operator: (u64, u64),
    /// And the metrics address.
    pub scraper: (u64, u64),
    /// When certificates end, the first first.
    pub expiries: Vec<Expiry>,
    /// From IKE.
    pub ike: Report,
    /// The tunnels of the policy in force.
    pub tunnels: Vec<Name>,
    /// From TLS.
    pub tls: ledger::Report,
}

/// The packet process's report.
#[derive(Debug)]
pub struct Dataplane {
    /// Process.
    pub status: Status,
    /// Ports.
    pub ports: Vec<PortStatus>,
    /// Physical interfaces.
    pub interfaces: Vec<InterfaceStatus>,
    /// Rules in force.
    pub rules: Vec<RuleStatus>,
    /// SAs held.
    pub sas: Vec<SaStatus>,
}

impl Scrape {
    /// The text exposition format, version 0.0.4.
    pub fn encode(&self) -> Result<Vec<u8>, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.families(), &mut text)?;
        Ok(text)
    }

    fn families(&self) -> Vec<MetricFamily> {
        let mut up = Family::gauge("ravelin_dataplane_up", "Whether the packet process answers.");
        up.add(&[], f64::from(u8::from(self.dataplane.is_some())));
        let mut build = Family::gauge("ravelin_build_info", "Version of each process; always 1.");
        build.add(&[("process", "control"), ("version", env!("CARGO_PKG_VERSION"))], 1.0);
        if let Some(dataplane) = &self.dataplane {
            build.add(&[("process", "dataplane"), ("version", &dataplane.status.version)], 1.0);
        }
        let mut applied = Family::counter("ravelin_policy_applies_total", "Policies applied, by result.");
        applied.add(&[("result", "installed")], self.applied as f64);
        applied.add(&[("result", "refused")], self.failed as f64);
        let mut families: Vec<_> =
            [up, build, applied, self.turned_away(), certificates::family(&self.expiries)]
                .into_iter()
                .filter_map(Family::finish)
                .collect();
        families.extend(ike::families(&self.ike).into_iter().filter_map(Family::finish));
        // Five more tell how many names were left out.
        let room =
            |families: &[MetricFamily]| SERIES.saturating_sub(families.iter().map(series).sum::<usize>() + 5);
        if let Some(dataplane) = &self.dataplane {
            let parts = [
                state(&dataplane.status),
                workers(&dataplane.status),
                ports(&dataplane.ports),
                vec![verdicts(&dataplane.ports)],
            ];
            families.extend(parts.into_iter().flatten().filter_map(Family::finish));
            families.extend(octets(&dataplane.ports, room(&families)).finish());
            let shown = room(&families) / SERIES_AN_INTERFACE;
            families.extend(interfaces(&dataplane.interfaces, shown).into_iter().filter_map(Family::finish));
        }
        families.extend(attls::families(&self.tls, room(&families)).into_iter().filter_map(Family::finish));
        let names = NAMES.min(room(&families) / SERIES_A_NAME);
        let held = self.dataplane.as_ref().map_or(&[][..], |dataplane| &dataplane.sas);
        let mut named = ike::tunnels(&self.tunnels, held, names);
        if let Some(dataplane) = &self.dataplane {
            named.extend(rules(&dataplane.rules, names));
            named.extend(sas(&dataplane.sas, names));
        }
        families.extend(named.into_iter().filter_map(Family::finish));
        families
    }
}

impl Scrape {
    fn turned_away(&self) -> Family {
        let help = "Connections turned away: there were too many, or it took too long.";
        let mut family = Family::counter("ravelin_connections_refused_total", help);
        let contract = self.dataplane.as_ref().map(|dataplane| ("contract", dataplane.status.turned_away));
        let doors = [("control", self.operator), ("metrics", self.scraper)];
        for (door, (full, slow)) in doors.into_iter().chain(contract) {
            family.add(&[("door", door), ("reason", "full")], full as f64);
            family.add(&[("door", door), ("reason", "slow")], slow as f64);
        }
        family
    }
}

fn state(status: &Status) -> Vec<Family> {
    let mut mode = Family::gauge("ravelin_filter_mode", "Filters in force; 1 for the mode that holds.");
    for candidate in [FilterMode::Policy, FilterMode::DefaultNoPolicy, FilterMode::DefaultForced] {
        let holds = u8::from(candidate == status.mode);
        mode.add(&[("mode", view::filter_mode(candidate))], f64::from(holds));
    }
    let gauges = [
        ("ravelin_generation", "Generation of the tables in force.", status.generation as f64),
        (
            "ravelin_publish_duration_seconds",
            "Time until every worker had the last generation.",
            status.publish_us as f64 / 1e6,
        ),
        ("ravelin_rules", "Filter rules in force.", status.counts.0 as f64),
        ("ravelin_inbound_sas", "Inbound SAs in force.", status.counts.1 as f64),
        ("ravelin_outbound_sas", "Outbound SAs in force.", status.counts.2 as f64),
        ("ravelin_routes", "Routes known from the kernel.", status.routes as f64),
        ("ravelin_neighbours", "Neighbours with a link address.", status.neighbours as f64),
        ("ravelin_dataplane_uptime_seconds", "Age of the packet process.", status.uptime as f64),
    ];
    let mut families = vec![mode];
    for (name, help, value) in gauges {
        let mut family = Family::gauge(name, help);
        family.add(&[], value);
        families.push(family);
    }
    let mut lost = Family::counter("ravelin_events_lost_total", "Events lost because nobody fetched them.");
    lost.add(&[], status.events_lost as f64);
    families.push(lost);
    families
}

fn workers(status: &Status) -> Vec<Family> {
    let bounds = BREATH_BOUNDS.map(|ns| ns as f64 / 1e9);
    let mut breaths =
        Family::counter("ravelin_worker_breaths_total", "Breaths, those without work included.");
    let mut duration =
        Family::histogram("ravelin_breath_duration_seconds", "Duration of the breaths that found work.");
    let mut frames = Family::gauge("ravelin_worker_frames", "Frames of the worker's pool.");
    for worker in &status.workers {
        let core = worker.core.to_string();
        breaths.add(&[("core", &core)], worker.breaths as f64);
        duration.add_histogram(&[("core", &core)], &bounds, &worker.histogram, worker.busy_ns as f64 / 1e9);
        frames.add(&[("core", &core), ("state", "free")], worker.frames.0.into());
        frames.add(&[("core", &core), ("state", "all")], worker.frames.1.into());
    }
    vec![breaths, duration, frames]
}

fn ports(ports: &[PortStatus]) -> Vec<Family> {
    let counter = Family::counter;
    let mut received = counter("ravelin_port_receive_packets_total", "Packets received by port.");
    let mut received_bytes = counter("ravelin_port_receive_bytes_total", "Octets received by port.");
    let mut sent = counter("ravelin_port_transmit_packets_total", "Packets sent by port.");
    let mut sent_bytes = counter("ravelin_port_transmit_bytes_total", "Octets sent by port.");
    let mut fill = Family::gauge("ravelin_ring_entries", "Entries waiting in a ring.");
    let mut size = Family::gauge("ravelin_ring_size", "Size of a ring.");
    let mut info = Family::gauge("ravelin_port_info", "What a port is; always 1.");
    for port in ports {
        let name = ("port", port.name.as_str());
        received.add(&[name], port.received.0 as f64);
        received_bytes.add(&[name], port.received.1 as f64);
        sent.add(&[name], port.sent.0 as f64);
        sent_bytes.add(&[name], port.sent.1 as f64);
        for (ring, (waiting, all)) in ["receive", "fill", "transmit", "completion"].iter().zip(port.rings) {
            fill.add(&[name, ("ring", ring)], waiting.into());
            size.add(&[name, ("ring", ring)], all.into());
        }
        let side = if port.protected { "protected" } else { "unprotected" };
        info.add(&[name, ("zone", &port.zone), ("side", side), ("driver", &port.driver)], 1.0);
    }
    vec![received, received_bytes, sent, sent_bytes, fill, size, info]
}

fn verdicts(ports: &[PortStatus]) -> Family {
    let packets = Family::counter("ravelin_packets_total", "Packets by the verdict that ended their way.");
    by_verdict(packets, ports, Verdict::ALL, |(packets, _)| packets)
}

/// Of drops only where there is room for those of all ports, so that it does not hang on what has been dropped.
fn octets(ports: &[PortStatus], room: usize) -> Family {
    let bytes = Family::counter("ravelin_packet_bytes_total", "Octets by verdict.");
    let fits = ports.len() * Verdict::ALL.len() <= room;
    let told: Vec<_> = Verdict::ALL.iter().copied().filter(|verdict| fits || !verdict.is_drop()).collect();
    by_verdict(bytes, ports, &told, |(_, octets)| octets)
}

fn by_verdict(
    mut family: Family,
    ports: &[PortStatus],
    verdicts: &[Verdict],
    value: impl Fn((u64, u64)) -> u64,
) -> Family {
    for port in ports {
        let counted: BTreeMap<Verdict, (u64, u64)> =
            port.verdicts.iter().map(|&(verdict, packets, octets)| (verdict, (packets, octets))).collect();
        for verdict in verdicts {
            let drop = if verdict.is_drop() { "true" } else { "false" };
            let labels = [("port", port.name.as_str()), ("verdict", verdict.name()), ("drop", drop)];
            family.add(&labels, value(counted.get(verdict).copied().unwrap_or_default()) as f64);
        }
    }
    family
}

fn interfaces(interfaces: &[InterfaceStatus], most: usize) -> Vec<Family> {
    let mut steered =
        Family::counter("ravelin_xdp_frames_total", "Frames by what the XDP program did with them, and why.");
    let mut lost = Family::counter(
        "ravelin_socket_lost_total",
        "Frames that the kernel lost on the way to or from the workers.",
    );
    let mut zero_copy =
        Family::gauge("ravelin_interface_zero_copy", "Whether the driver works on packet memory itself.");
    let mut info = Family::gauge("ravelin_interface_info", "How the XDP program is attached; always 1.");
    for interface in interfaces.iter().take(most) {
        let name = ("interface", interface.name.as_str());
        for (class, count) in &interface.steered {
            steered.add(&[name, ("class", class)], *count as f64);
        }
        for (cause, count) in interface.losses.by_cause() {
            lost.add(&[name, ("cause", cause)], count as f64);
        }
        zero_copy.add(&[name], f64::from(u8::from(interface.zero_copy)));
        info.add(&[name, ("mode", &interface.mode)], 1.0);
    }
    let help = "Physical interfaces left out of the metrics.";
    let omitted = omitted("ravelin_interfaces_omitted", help, interfaces.len(), most);
    vec![steered, lost, zero_copy, info, omitted]
}

/// Series of a family: a histogram has one a bucket, one for the rest, its sum and its count.
fn series(family: &MetricFamily) -> usize {
    let of = |metric: &Metric| match family.get_field_type() {
        MetricType::HISTOGRAM => metric.get_histogram().get_bucket().len() + 3,
        _ => 1,
    };
    family.get_metric().iter().map(of).sum()
}

/// Packets and octets.
type Traffic = (u64, u64);

fn plus(sum: &mut Traffic, more: Traffic) {
    *sum = (sum.0 + more.0, sum.1 + more.1);
}

fn rules(rules: &[RuleStatus], most: usize) -> Vec<Family> {
    let mut sums: BTreeMap<&str, Traffic> = BTreeMap::new();
    rules.iter().for_each(|rule| plus(sums.entry(rule.rule.name.as_str()).or_default(), rule.matched));
    let mut packets = Family::counter("ravelin_rule_packets_total", "Packets that a rule decided.");
    let mut bytes = Family::counter("ravelin_rule_bytes_total", "Octets that a rule decided.");
    for (name, (count, octets)) in sums.iter().take(most) {
        packets.add(&[("rule", name)], *count as f64);
        bytes.add(&[("rule", name)], *octets as f64);
    }
    let omitted = omitted("ravelin_rules_omitted", "Rules left out of the metrics.", sums.len(), most);
    vec![packets, bytes, omitted]
}

fn sas(sas: &[SaStatus], most: usize) -> Vec<Family> {
    let mut sums: BTreeMap<&str, BTreeMap<&str, Traffic>> = BTreeMap::new();
    for sa in sas {
        let directions = sums.entry(&sa.name).or_default();
        plus(directions.entry(view::direction(sa.direction)).or_default(), sa.traffic);
    }
    let mut packets = Family::counter("ravelin_sa_packets_total", "Packets under the SAs of a connection.");
    let mut bytes = Family::counter("ravelin_sa_bytes_total", "Octets of inner packets under the SAs.");
    for (name, directions) in sums.iter().take(most) {
        for (direction, (count, octets)) in directions {
            packets.add(&[("sa", name), ("direction", direction)], *count as f64);
            bytes.add(&[("sa", name), ("direction", direction)], *octets as f64);
        }
    }
    let omitted = omitted("ravelin_sas_omitted", "Connections left out of the metrics.", sums.len(), most);
    vec![packets, bytes, omitted]
}

pub(super) fn omitted(name: &str, help: &str, have: usize, most: usize) -> Family {
    let mut family = Family::gauge(name, help);
    family.add(&[], have.saturating_sub(most) as f64);
    family
}
