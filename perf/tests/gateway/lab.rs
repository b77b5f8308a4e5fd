//! The lab itself: it carries traffic, it sees traffic, and it goes away whatever happens.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ravelin_perf::foreign;
use ravelin_perf::lab::pcap::Kind;
use ravelin_perf::lab::{
    Capture, End, Fetch, FileServer, Lab, Link, MARK, MOMENT, Ping, PingReport, Process, TwoSites, check,
    marked_file, run, wait_until,
};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn ping(sites: &TwoSites, count: u32, v6: bool) -> PingReport {
    let target = if v6 { sites.b.site_v6 } else { sites.b.site_v4 };
    Ping::start(&sites.lab, &sites.a.site, target, count, MILLISECOND).unwrap().report().unwrap()
}

fn namespaces_of(id: &str) -> usize {
    let list = check(Command::new("ip").args(["netns", "list"]), MOMENT).unwrap();
    list.lines().filter(|line| line.starts_with(&format!("{id}-"))).count()
}

/// The lab's id is the last part of its directory.
fn id_of(directory: &Path) -> String {
    directory.file_name().unwrap().to_str().unwrap().to_owned()
}

fn assert_gone(directory: &Path) {
    assert_eq!(namespaces_of(&id_of(directory)), 0);
    assert!(!directory.exists());
}

#[test]
fn without_forwarding_nothing_crosses() {
    let sites = TwoSites::build("shut").unwrap();
    for to in [sites.b.site_v4, sites.b.site_v6] {
        let ping = Ping::start_in_vain(&sites.lab, &sites.a.site, to, 3, MILLISECOND).unwrap();
        assert_eq!(ping.report().unwrap().received, 0);
    }
}

/// The control experiment for every test that says "no cleartext": when the kernels forward, the same capture is full of it.
#[test]
fn in_clear_everything_arrives_and_the_capture_shows_it() {
    let sites = TwoSites::build("clear").unwrap();
    sites.forward_in_clear(true).unwrap();
    let octets = 10_000_000;
    let sum = marked_file(&sites.lab.file("file"), octets).unwrap();
    let _server = FileServer::start(&sites.lab, &sites.b.site, sites.lab.directory(), 8080).unwrap();
    let capture = Capture::start(&sites.lab, &sites.wan, "to-b", "wan").unwrap();

    assert!(ping(&sites, 100, false).is_perfect());
    assert!(ping(&sites, 100, true).is_perfect());
    for host in [sites.b.site_v4.to_string(), format!("[{}]", sites.b.site_v6)] {
        let url = format!("http://{host}:8080/file");
        let got = Fetch::new(&sites.a.site, &url, &sites.lab.file("got")).run(MINUTE).unwrap();
        assert_eq!((got.octets, &got.sha256), (octets, &sum));
    }

    let captured = capture.stop().unwrap().packets;
    // 100 pings and answers, two families; and 10 MB in segments of 1,448 or 1,428 octets, twice.
    assert!(captured.count_containing(MARK) >= 400 + 2 * 6_900);
    assert!(captured.count(Kind::Other) >= 400 + 2 * 6_900);
    assert_eq!(captured.count(Kind::Esp), 0);
}

#[test]
fn a_replayed_capture_is_on_the_wire_again() {
    let sites = TwoSites::build("replay").unwrap();
    sites.forward_in_clear(true).unwrap();
    let first = Capture::start_sent(&sites.lab, &sites.wan, "to-b", "first", "icmp").unwrap();
    assert!(ping(&sites, 200, false).is_perfect());
    let first = first.stop().unwrap();
    let frames = first.packets.frames().count();
    assert_eq!(frames, 200);

    let second = Capture::start_sent(&sites.lab, &sites.wan, "to-b", "second", "icmp").unwrap();
    let mut replay = foreign::script(|python| sites.wan.command(python), "replay.py").unwrap();
    let sent = check(replay.arg(&first.file).args(["to-b", "20000"]), Duration::from_secs(30)).unwrap();
    assert_eq!(sent.trim(), frames.to_string());
    assert_eq!(second.stop().unwrap().packets.frames().count(), frames);
}

#[test]
fn links_have_the_mtu_queues_and_offloads_asked_for() {
    let lab = Lab::new("links").unwrap();
    let (one, other) = (lab.namespace("one").unwrap(), lab.namespace("other").unwrap());
    let end = End::new(&one, "left").mac("02:00:00:00:00:01").address("10.0.0.1/24").queues(2);
    Link::between(end, End::new(&other, "right").address("10.0.0.2/24")).mtu(9000).create().unwrap();

    let shown = one.run("ip -details link show left").unwrap();
    for part in ["mtu 9000", "02:00:00:00:00:01", "qdisc pfifo", "numtxqueues 2", "numrxqueues 2"] {
        assert!(shown.contains(part), "{part} in {shown}");
    }
    let offloads = other.run("ethtool -k right").unwrap();
    for part in ["tx-checksumming: off", "tcp-segmentation-offload: off", "generic-receive-offload: off"] {
        assert!(offloads.contains(part), "{part} in {offloads}");
    }
    one.run("ping -c 1 -W 2 -s 8900 -M do 10.0.0.2").unwrap();
}

#[test]
fn a_bpf_file_system_is_seen_from_inside_and_goes_with_the_lab() {
    let lab = Lab::new("bpf").unwrap();
    let inside = lab.namespace("inside").unwrap();
    let mount = lab.bpf_file_system("bpf").unwrap();
    let shown = check(inside.command("stat").args(["-f", "-c", "%T"]).arg(&mount), MOMENT).unwrap();
    assert_eq!(shown.trim(), "bpf_fs");
    let directory = lab.directory().to_owned();
    drop(lab);
    assert_gone(&directory);
    assert!(!fs::read_to_string("/proc/mounts").unwrap().contains(directory.to_str().unwrap()));
}

#[test]
fn a_lab_is_removed_after_a_panic_with_its_programs() {
    let mut directory = None;
    let mut pid = None;
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        let lab = Lab::new("panic").unwrap();
        directory = Some(lab.directory().to_owned());
        let inside = lab.namespace("inside").unwrap();
        // Nobody holds this one: only the janitor can find it.
        let orphan = check(inside.command("sh").args(["-c", "sleep 600 >/dev/null 2>&1 & echo $!"]), MOMENT);
        pid = Some(orphan.unwrap().trim().to_owned());
        assert_eq!(namespaces_of(&id_of(lab.directory())), 1);
        panic!("on purpose");
    }));
    assert!(panicked.is_err());
    assert_gone(&directory.unwrap());
    assert_ended(&pid.unwrap());
}

fn assert_ended(pid: &str) {
    let status = format!("/proc/{pid}/status");
    let ended = || fs::read_to_string(&status).map_or(true, |status| status.contains("State:\tZ"));
    wait_until("the program to end", MOMENT, ended).unwrap();
}

/// Not a test: what the next one kills. It prints its directory and waits.
#[test]
#[ignore = "started by a_lab_is_removed_when_its_process_is_killed"]
fn a_lab_to_be_killed() {
    let lab = Lab::new("killed").unwrap();
    let _inside = lab.namespace("inside").unwrap();
    println!("\nlab {}", lab.directory().display());
    // Whoever started the tests may have had SIGINT ignored: then this is what ends it.
    std::thread::sleep(Duration::from_secs(20));
}

#[test]
fn a_lab_is_removed_when_its_process_is_killed() {
    for signal in ["KILL", "TERM", "INT"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "lab::a_lab_to_be_killed", "--ignored", "--nocapture"]);
        let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines().map(Result::unwrap);
        let directory = lines.find_map(|line| line.strip_prefix("lab ").map(str::to_owned)).unwrap();
        let directory = Path::new(&directory);
        assert_eq!(namespaces_of(&id_of(directory)), 1);

        check(Command::new("kill").args(["-s", signal, &process.id().to_string()]), MOMENT).unwrap();
        process.wait().unwrap();
        wait_until("the lab to be removed", MOMENT, || !directory.exists()).unwrap();
        assert_gone(directory);
    }
}

#[test]
fn a_kept_lab_stays_until_it_is_removed() {
    let lab = Lab::new("kept").unwrap();
    let _inside = lab.namespace("inside").unwrap();
    let directory = lab.keep().unwrap();
    // A lab whose process lives is not swept; so this shows only that `keep` dismissed the janitor.
    let _other = Lab::new("other").unwrap();
    assert_eq!(namespaces_of(&id_of(&directory)), 1);
    assert!(Lab::remove_kept("kept").unwrap() >= 1);
    assert_gone(&directory);
}

/// What a killed janitor leaves is removed by the next lab, unless it was kept.
#[test]
fn labs_of_dead_processes_are_swept() {
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let id = format!("rv-stale-{}-0", dead.id());
    let directory = Path::new("/var/lib/ravelin-lab").join(&id);
    fs::create_dir_all(&directory).unwrap();
    check(Command::new("ip").args(["netns", "add", &format!("{id}-inside")]), MOMENT).unwrap();
    fs::write(directory.join("kept"), "").unwrap();

    drop(Lab::new("sweep").unwrap());
    assert_eq!(namespaces_of(&id), 1, "kept");
    fs::remove_file(directory.join("kept")).unwrap();
    drop(Lab::new("sweep").unwrap());
    assert_gone(&directory);
}

#[test]
fn a_program_that_ends_is_not_waited_for() {
    let lab = Lab::new("ends").unwrap();
    let begin = Instant::now();
    let mut command = Command::new("sh");
    let process = Process::spawn("short", command.args(["-c", "echo so it ends"]), &lab.file("log")).unwrap();
    let error = process.wait_for_line("never printed", Duration::from_secs(30)).unwrap_err();
    assert!(format!("{error:#}").contains("so it ends"), "{error:#}");
    assert!(begin.elapsed() < Duration::from_secs(10));
    assert!(!process.is_running());
}

#[test]
fn a_program_that_does_not_end_is_killed_in_time() {
    let lab = Lab::new("hangs").unwrap();
    let begin = Instant::now();
    assert!(run(Command::new("sleep").arg("60"), Duration::from_millis(100)).is_err());
    let mut command = Command::new("sleep");
    let mut process = Process::spawn("sleep", command.arg("60"), &lab.file("log")).unwrap();
    let pid = process.pid().unwrap().to_string();
    assert!(process.wait(Duration::from_millis(100)).is_err());
    assert_ended(&pid);
    assert!(begin.elapsed() < Duration::from_secs(10));
}
