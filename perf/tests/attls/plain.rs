//! curl and OpenSSL at both ends, and what happens when a process of ours is killed.

use ravelin_perf::lab::{run, wait_until};

use crate::stand::{ASKED, LONG, SECOND, Stand, USUAL, assert_sealed};

#[test]
fn programs_that_know_no_tls_speak_it() {
    let stand = Stand::build("attls", USUAL);
    let capture = stand.capture();
    let _web = stand.web();
    for version in ["--tlsv1.3", "--tls-max=1.2"] {
        let version: Vec<&str> = version.split('=').collect();
        stand.assert_whole("visited", stand.visit(&version).status);
    }
    for version in ["-tls1_3", "-tls1_2"] {
        let _partner = stand.partner(&[version]);
        stand.assert_whole("asked", stand.ask().status);
        stand.assert_whole("asked", stand.ask_at(&format!("[{}]", stand.sites.b.site_v6), ASKED).status);
    }
    let mut visitor = stand.visitor(stand.sites.a.site_v6, "file", &[]);
    stand.assert_whole("visited", run(&mut visitor, LONG).unwrap().status);
    assert_sealed(&capture.stop().unwrap());
}

#[test]
fn a_running_connection_needs_no_control_and_none_is_bared_without_the_packet_process() {
    let mut stand = Stand::build("attlskill", USUAL);
    let capture = stand.capture();
    let _web = stand.web();

    let mut visit = stand.begin_slow_visit();
    let standing = stand.gateway.ravelin("attls connections").unwrap();
    assert!(standing.contains("web") && standing.contains("TLSv1.3"), "{standing}");
    stand.gateway.kill_control().unwrap();
    stand.assert_whole("visited", visit.wait(60 * SECOND).unwrap());
    stand.gateway.start_control().unwrap();
    let again = || stand.visit(&["--max-time", "5"]).status.success();
    wait_until("visits after control is back", 60 * SECOND, again).unwrap();

    let mut visit = stand.begin_slow_visit();
    stand.gateway.kill_dataplane().unwrap();
    stand.gateway.start_dataplane().unwrap();
    let status = visit.wait(LONG).unwrap();
    assert!(!status.success(), "a connection whose keys are gone went on");
    let again = || stand.visit(&["--max-time", "5"]).status.success();
    wait_until("visits after the packet process is back", 60 * SECOND, again).unwrap();
    assert_sealed(&capture.stop().unwrap());
}
