//! The Prometheus text of made-up reports.

use ravelin_contract::name::Name;
use ravelin_contract::report::{
    BREATH_BOUNDS, FilterMode, InterfaceStatus, Losses, PortStatus, SaStatus, Status, WorkerStatus,
};
use ravelin_contract::rule::Direction;
use ravelin_contract::sa::{Carrier, Mode};
use ravelin_contract::verdict::Verdict;
use ravelin_control::attls::ledger;
use ravelin_control::ike::journal::{Report, Tally};
use ravelin_control::report::metrics::{Dataplane, SERIES, Scrape};
use ravelin_ike::{Code, Counters};

fn worker(core: u32) -> WorkerStatus {
    let mut histogram = vec![0; BREATH_BOUNDS.len() + 1];
    (histogram[0], histogram[16]) = (3, 1);
    WorkerStatus { core, generation: 2, breaths: 9, histogram, busy_ns: 1_500_000_000, frames: (7, 8) }
}

fn port(name: &str) -> PortStatus {
    PortStatus {
        name: name.to_owned(),
        trunk: name.to_owned(),
        zone: "lan".to_owned(),
        protected: true,
        ifindex: 1,
        mac: [2, 0, 0, 0, 0, 1],
        mtu: 1500,
        driver: "memory".to_owned(),
        received: (5, 500),
        sent: (4, 400),
        verdicts: vec![(Verdict::Forwarded, 4, 400), (Verdict::Denied, 1, 100)],
        rings: [(1, 64); 4],
    }
}

fn interface(name: &str) -> InterfaceStatus {
    let classes = ["pass_ike", "ring_esp", "drop_tags"].map(|class| (class.to_owned(), 6));
    let more = (3..15).map(|number| (format!("ring_{number}"), 0));
    InterfaceStatus {
        name: name.to_owned(),
        mode: "native".to_owned(),
        steered: classes.into_iter().chain(more).collect(),
        zero_copy: true,
        losses: Losses { dropped: 1, receive_ring_full: 2, fill_ring_empty: 3, refused: 0 },
    }
}

fn sa(name: &str, direction: Direction, packets: u64) -> SaStatus {
    SaStatus {
        name: name.to_owned(),
        tunnel: "t".to_owned(),
        direction,
        spi: 256,
        endpoints: ([192, 0, 2, 1].into(), [192, 0, 2, 2].into()),
        mode: Mode::Tunnel,
        carrier: Carrier::Ip,
        algorithm: "aes128-gcm16".to_owned(),
        extended_sequence: false,
        traffic: (packets, packets * 100),
        sequence: 1,
        bound: 64,
        drops: vec![],
        path_mtu: None,
    }
}

fn text(workers: u32, ports: Vec<PortStatus>, sas: Vec<SaStatus>) -> String {
    text_with(workers, ports, sas, tls(1))
}

fn text_with(workers: u32, ports: Vec<PortStatus>, sas: Vec<SaStatus>, tls: ledger::Report) -> String {
    let status = Status {
        version: "1.2.3".to_owned(),
        pid: 1,
        uptime: 60,
        mode: FilterMode::Policy,
        generation: 2,
        policy: None,
        counts: (0, 1, 1),
        publish_us: 250,
        crypto: "portable".to_owned(),
        workers: (0..workers).map(worker).collect(),
        routes: 3,
        neighbours: 2,
        events_lost: 1,
        turned_away: (7, 8),
    };
    let interfaces = ports.iter().map(|port| interface(&port.name)).collect();
    let dataplane = Some(Dataplane { status, ports, interfaces, rules: vec![], sas });
    let refused = Counters { malformed: 8, ..Counters::default() };
    let ike = Report {
        tally: Tally { ike_sas: 3, half_open: 1, children: 4, refused },
        events: [(Code::NoProposal, 5)].into(),
        dropped: (6, 7),
    };
    let tunnels = ["t", "u"].map(|name| Name::new(name).expect("a name")).into();
    let scrape = Scrape {
        dataplane,
        applied: 2,
        failed: 1,
        operator: (3, 4),
        scraper: (5, 6),
        expiries: vec![],
        ike,
        tunnels,
        tls,
    };
    String::from_utf8(scrape.encode().unwrap_or_default()).unwrap_or_default()
}

/// Rules at which something happened, the first by the name of `tn`.
fn tls(count: usize) -> ledger::Report {
    let mut report = ledger::Report::default();
    for number in 0..count {
        let name = if number == 0 { "tn".to_owned() } else { format!("tn{number}") };
        let rule = Name::new(name).expect("a name");
        let (result, version, suite) = ("done".to_owned(), "TLSv1.3", "TLS_AES_128_GCM_SHA256");
        let done = ledger::Kind { rule: rule.clone(), result, version, suite, resumed: true };
        let result = "silent".to_owned();
        let failed = ledger::Kind { result, version: "", suite: "", resumed: false, ..done.clone() };
        let mut counts = ledger::Counts { handshaking: 2, running: 3, octets: [4, 5], ..Default::default() };
        (counts.durations[1], counts.took) = (9, std::time::Duration::from_millis(18));
        counts.endings.insert("reset".to_owned(), 6);
        report.handshakes.extend([(done, 9), (failed, 7)]);
        report.rules.insert(rule, counts);
    }
    report
}

fn series(text: &str) -> Vec<&str> {
    text.lines().filter(|line| !line.starts_with('#')).collect()
}

fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|have| have == line), "{line} is not in\n{text}");
}

#[test]
fn counts_appear_under_their_labels() {
    let sas =
        vec![sa("a", Direction::Inbound, 1), sa("a", Direction::Inbound, 2), sa("a", Direction::Outbound, 7)];
    let text = text(1, vec![port("lan0")], sas);
    for line in [
        "ravelin_dataplane_up 1",
        "ravelin_policy_applies_total{result=\"installed\"} 2",
        "ravelin_tls_handshakes_total{rule=\"tn\",result=\"done\",version=\"TLSv1.3\",suite=\"TLS_AES_128_GCM_SHA256\",resumed=\"true\"} 9",
        "ravelin_tls_handshakes_total{rule=\"tn\",result=\"silent\",version=\"\",suite=\"\",resumed=\"false\"} 7",
        "ravelin_tls_handshake_duration_seconds_bucket{rule=\"tn\",le=\"0.002\"} 9",
        "ravelin_tls_connections{rule=\"tn\",state=\"secure\"} 3",
        "ravelin_tls_octets_total{rule=\"tn\",direction=\"in\"} 5",
        "ravelin_tls_endings_total{rule=\"tn\",how=\"reset\"} 6",
        "ravelin_policy_applies_total{result=\"refused\"} 1",
        "ravelin_filter_mode{mode=\"policy\"} 1",
        "ravelin_filter_mode{mode=\"default-forced\"} 0",
        "ravelin_publish_duration_seconds 0.00025",
        "ravelin_port_receive_packets_total{port=\"lan0\"} 5",
        "ravelin_packets_total{port=\"lan0\",verdict=\"denied\",drop=\"true\"} 1",
        "ravelin_packets_total{port=\"lan0\",verdict=\"no_sa\",drop=\"true\"} 0",
        "ravelin_sa_packets_total{sa=\"a\",direction=\"inbound\"} 3",
        "ravelin_sa_bytes_total{sa=\"a\",direction=\"outbound\"} 700",
        "ravelin_breath_duration_seconds_bucket{core=\"0\",le=\"0.00000025\"} 3",
        "ravelin_breath_duration_seconds_bucket{core=\"0\",le=\"+Inf\"} 4",
        "ravelin_breath_duration_seconds_sum{core=\"0\"} 1.5",
        "ravelin_breath_duration_seconds_count{core=\"0\"} 4",
        "ravelin_sas_omitted 0",
        "ravelin_connections_refused_total{door=\"metrics\",reason=\"slow\"} 6",
        "ravelin_connections_refused_total{door=\"contract\",reason=\"full\"} 7",
        "ravelin_xdp_frames_total{interface=\"lan0\",class=\"ring_esp\"} 6",
        "ravelin_socket_lost_total{interface=\"lan0\",cause=\"receive_ring_full\"} 2",
        "ravelin_interface_zero_copy{interface=\"lan0\"} 1",
        "ravelin_interface_info{interface=\"lan0\",mode=\"native\"} 1",
        "ravelin_interfaces_omitted 0",
        "ravelin_ike_half_open 1",
        "ravelin_ike_events_total{code=\"ike.no_proposal\"} 5",
        "ravelin_ike_events_total{code=\"ike.up\"} 0",
        "ravelin_ike_dropped_total{reason=\"malformed\"} 8",
        "ravelin_ike_dropped_total{reason=\"strangers_full\"} 7",
        "ravelin_tunnel_up{tunnel=\"t\"} 1",
        "ravelin_tunnel_up{tunnel=\"u\"} 0",
    ] {
        assert_has(&text, line);
    }
}

#[test]
fn names_follow_the_conventions_and_every_family_has_help() {
    let text = text(2, vec![port("lan0"), port("wan0")], vec![sa("a", Direction::Inbound, 1)]);
    let types: Vec<(&str, &str)> =
        text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
    assert!(types.len() > 20);
    for (name, kind) in types {
        assert!(name.starts_with("ravelin_"), "{name}");
        assert_eq!(name.ends_with("_total"), kind == "counter", "{name} is a {kind}");
        assert!(text.contains(&format!("# HELP {name} ")), "{name}");
    }
    let all = series(&text);
    let names: std::collections::BTreeSet<_> = all.iter().filter_map(|line| line.rsplit_once(' ')).collect();
    assert_eq!(names.len(), all.len(), "no series stands twice");
}

#[test]
fn a_label_cannot_break_out_of_its_quotes() {
    let text = text(1, vec![port("a\"b\\c")], vec![]);
    assert_has(&text, "ravelin_port_receive_packets_total{port=\"a\\\"b\\\\c\"} 5");
}

#[test]
fn no_gateway_has_more_series_than_the_bound() {
    let many: Vec<SaStatus> = (0..2000)
        .flat_map(|number| {
            [Direction::Inbound, Direction::Outbound].map(|d| sa(&format!("sa-{number:04}"), d, 1))
        })
        .collect();
    let ports = |count| (0..count).map(|number| port(&format!("port{number}"))).collect();
    for (workers, count, omitted) in [(2, 2, Some(1500)), (16, 16, None), (64, 32, None)] {
        let crowded = text_with(workers, ports(count), many.clone(), tls(500));
        let text = text(workers, ports(count), many.clone());
        let have = [&text, &crowded].map(|text| series(text).len());
        assert!(have.iter().all(|have| *have <= SERIES), "{have:?} series, {workers} workers, {count} ports");
        assert!(crowded.contains("ravelin_tls_rules_omitted 4"), "hundreds of rules are left out");
        if let Some(omitted) = omitted {
            assert_has(&text, &format!("ravelin_sas_omitted {omitted}"));
        }
    }
}

#[test]
fn without_the_packet_process_only_that_is_told_and_no_tunnel_is_up() {
    let scrape = Scrape { tunnels: vec![Name::new("t").unwrap()], ..Scrape::default() };
    let text = String::from_utf8(scrape.encode().unwrap_or_default()).unwrap_or_default();
    assert_has(&text, "ravelin_dataplane_up 0");
    assert_has(&text, "ravelin_tunnel_up{tunnel=\"t\"} 0");
    let of_ike = series(&text).iter().filter(|line| line.starts_with("ravelin_ike_")).count();
    assert_eq!(series(&text).len(), 11 + of_ike);
}
