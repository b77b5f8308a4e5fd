//! Every command on a gateway that carries traffic, as a script reads it: one JSON value, with the keys that it has always had.

use ravelin_perf::two_gateways::TwoGateways;
use serde_json::Value;

/// A command, a place in its answer, and the keys there.
const ANSWERS: [(&str, &str, &str); 26] = [
    (
        "status",
        "",
        "applied crypto filters generation inbound_sas neighbours outbound_sas pid policy publish_us routes rules uptime \
         version workers",
    ),
    ("status", "/workers/0", "breaths busy_ns core frames frames_free generation"),
    (
        "stats",
        "/0",
        "driver mac mtu name received_octets received_packets sent_octets sent_packets side trunk verdicts zone",
    ),
    ("stats", "/0/verdicts/0", "drop octets packets verdict"),
    (
        "interface list",
        "/1",
        "driver mac mtu name received_octets received_packets sent_octets sent_packets side trunk verdicts zone",
    ),
    ("interface list", "/0/trunk", "lost name steered xdp zero_copy"),
    ("interface list", "/0/trunk/lost", "dropped fill_ring_empty receive_ring_full refused"),
    (
        "interface list",
        "/0/trunk/steered",
        "drop_link_multicast drop_no_socket drop_tags pass_ike pass_local pass_multicast pass_neighbour pass_not_ip ring_esp \
         ring_forward ring_fragment ring_malformed ring_protected ring_too_big ring_udp_esp",
    ),
    (
        "sa list",
        "/0",
        "algorithm bound carrier direction drops extended_sequence local mode name octets packets path_mtu remote sequence \
         spi tunnel",
    ),
    (
        "sa show site-b",
        "/1",
        "algorithm bound carrier direction drops extended_sequence local mode name octets packets path_mtu remote sequence \
         spi tunnel",
    ),
    (
        "filter list",
        "/0",
        "action destination direction extension fragments_only index log name octets opening_excluded packets \
         remote_identity routing service source zone",
    ),
    (
        "policy show",
        "/0",
        "action destination direction extension fragments_only index log name octets opening_excluded packets \
         remote_identity routing service source zone",
    ),
    ("--config ravelin.toml policy check site-to-site.toml", "", "findings held ok"),
    ("policy diff other.toml", "/0", "details kind name object"),
    ("policy apply site-to-site.toml", "", "changes fingerprint generation number took_us warnings"),
    ("policy history", "/0", "applied cause fingerprint follows number time uid user why"),
    ("policy status", "", "applied files_differ waiting"),
    ("policy show 1", "", "applied cause files fingerprint follows number time uid user why"),
    ("policy show 1", "/files/0", "name part text"),
    ("policy diff --from 1 other.toml", "/0", "details kind name object"),
    ("policy rollback 1 --confirm 1h", "", "changes fingerprint generation number took_us warnings"),
    ("policy status", "/waiting", "back_to seconds_left"),
    ("policy history", "/0", "applied cause fingerprint follows number time to uid user why"),
    ("policy confirm", "", "number"),
    ("filter default", "", "changes fingerprint generation number took_us warnings"),
    ("filter reload", "", "changes fingerprint generation number took_us warnings"),
];

#[test]
fn every_answer_has_the_keys_that_scripts_know() {
    let stand = TwoGateways::start("commands").unwrap();
    stand.protect().unwrap();
    let other = "[[rule]]\naction = \"deny\"\n";
    std::fs::write(stand.a.file("other.toml"), other).unwrap();
    for (line, place, expected) in ANSWERS {
        let answer = stand.a.ask(line).unwrap();
        let keys = match answer.pointer(place) {
            Some(Value::Object(object)) => object.keys().map(String::as_str).collect::<Vec<_>>(),
            other => panic!("{line}: {place} is {other:?} of {answer}"),
        };
        let mut sorted = keys.clone();
        sorted.sort_unstable();
        assert_eq!(sorted.join(" "), expected, "{line}: {place}");
    }
    // Figures, not only their names.
    let ports = stand.a.ask("interface list").unwrap();
    let wan = ports.as_array().unwrap().iter().find(|port| port["name"] == "wan0").unwrap();
    assert!(wan["trunk"]["steered"]["ring_esp"].as_u64().unwrap() > 0, "{wan}");
    assert_eq!(
        (wan["trunk"]["xdp"].as_str(), wan["trunk"]["zero_copy"].as_bool()),
        (Some("native"), Some(false))
    );
    assert!(stand.a.ravelin("stats").unwrap().contains("ring_esp"));
}
