//! The gateway watched by foreign tools: a Prometheus server, promtool, strace.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use ravelin_perf::foreign::tool;
use ravelin_perf::gateway::METRICS;
use ravelin_perf::lab::{Fetch, FileServer, MOMENT, Process, check, marked_file, run, wait_until};
use ravelin_perf::two_gateways::{HTTP, TwoGateways};
use rustix::process::Signal;

const SECOND: Duration = Duration::from_secs(1);
const PROMETHEUS: &str = "127.0.0.1:9090";

#[test]
fn a_prometheus_server_scrapes_it_and_promtool_finds_nothing_to_say() {
    let stand = TwoGateways::start("scrape").unwrap();
    stand.protect().unwrap();
    let text = stand.sites.lab.file("metrics.txt");
    fs::write(&text, stand.a.scrape().unwrap()).unwrap();
    let mut promtool = Command::new("sh");
    promtool.args(["-c", "exec \"$0\" check metrics < \"$1\""]);
    let said = run(promtool.arg(tool("prometheus", "promtool").unwrap()).arg(&text), MOMENT).unwrap();
    assert!(said.status.success() && (said.stdout + &said.stderr).is_empty(), "promtool complains");

    let _prometheus = start_prometheus(&stand);
    assert!(stand.ping(stand.sites.b.site_v4, 100, Duration::from_millis(1)).unwrap().is_perfect());
    let sealed = || query(&stand, "sum(ravelin_packets_total{verdict=\"protected\"})");
    wait_until("Prometheus to have the pings", 15 * SECOND, || sealed().is_some_and(|n| n >= 100.0)).unwrap();
    assert_eq!(query(&stand, "up"), Some(1.0));
    let steered = "sum(ravelin_xdp_frames_total{interface=\"wan0\",class=\"ring_esp\"})";
    assert!(query(&stand, steered).is_some_and(|n| n >= 100.0));
    assert_eq!(query(&stand, "count(ravelin_interface_zero_copy)"), Some(2.0));
    assert_eq!(query(&stand, "sum(ravelin_socket_lost_total{cause=\"refused\"})"), Some(0.0));
    assert_eq!(query(&stand, "count(ravelin_build_info)"), Some(2.0));
    assert!(query(&stand, "count({job=\"ravelin\"})").unwrap() < 5_000.0);
}

fn start_prometheus(stand: &TwoGateways) -> Process {
    let lab = &stand.sites.lab;
    let config = lab.file("prometheus.yml");
    let job = format!("  - job_name: ravelin\n    static_configs: [{{ targets: ['{METRICS}'] }}]\n");
    fs::write(&config, format!("global: {{ scrape_interval: 1s }}\nscrape_configs:\n{job}")).unwrap();
    let mut command = stand.a.namespace().command(tool("prometheus", "prometheus").unwrap());
    command.arg(format!("--config.file={}", config.display()));
    command.arg(format!("--storage.tsdb.path={}", lab.file("tsdb").display()));
    command.arg(format!("--web.listen-address={PROMETHEUS}"));
    let process = Process::spawn("prometheus", &mut command, &lab.file("prometheus.log")).unwrap();
    process.wait_for_line("Server is ready", 30 * SECOND).unwrap();
    process
}

/// The value of a query that has one result.
fn query(stand: &TwoGateways, expression: &str) -> Option<f64> {
    let mut curl = stand.a.namespace().command("curl");
    curl.args(["--silent", "--fail", "--noproxy", "*", "--max-time", "5", "--get", "--data-urlencode"]);
    curl.arg(format!("query={expression}")).arg(format!("http://{PROMETHEUS}/api/v1/query"));
    let answer: serde_json::Value = serde_json::from_str(&check(&mut curl, MOMENT).unwrap()).unwrap();
    answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
}

/// System calls with which the rings are kicked and waited for.
const KICKS: &[&str] = &["sendto", "recvfrom", "poll", "ppoll"];

/// Most other system calls of the worker in the whole time: it is woken by bell for new tables, which come rarely.
const OTHERS: u64 = 100;

/// The worker's thread and no other, during a transfer.
#[test]
fn packets_cost_no_system_call_beyond_the_ring_kicks() {
    const OCTETS: u64 = 30_000_000;
    let mut stand = TwoGateways::start("syscalls").unwrap();
    stand.protect().unwrap();
    let directory = stand.sites.lab.make_directory("served").unwrap();
    marked_file(&directory.join("file"), OCTETS).unwrap();
    let _server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
    let worker = thread_of(stand.a.dataplane().unwrap().pid().unwrap(), "worker-0");
    let table = stand.sites.lab.file("strace.txt");
    let mut command = Command::new("strace");
    command.args(["-c", "-p", &worker, "-o"]).arg(&table);
    let mut strace = Process::spawn("strace", &mut command, &stand.sites.lab.file("strace.log")).unwrap();
    strace.wait_for_line("attached", MOMENT).unwrap();

    let carried = || stand.a.ended("protected").unwrap() + stand.a.ended("forwarded").unwrap();
    let before = carried();
    let (url, to) = (stand.url("file"), stand.sites.lab.file("got"));
    let got = Fetch::new(&stand.sites.a.site, &url, &to).run(60 * SECOND).unwrap();
    let packets = carried() - before;
    strace.signal(Signal::INT).unwrap();
    strace.wait(MOMENT).unwrap();

    assert!(got.octets == OCTETS && packets > 20_000, "too few packets to say anything: {packets}");
    let text = fs::read_to_string(&table).unwrap();
    let (kicks, others): (Vec<_>, Vec<_>) =
        syscalls(&text).into_iter().partition(|(name, _)| KICKS.contains(&name.as_str()));
    let sum = |counts: &[(String, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
    assert!(sum(&kicks) > 0, "strace saw no kick:\n{text}");
    assert!(sum(&kicks) < packets, "{packets} packets, and more system calls than that:\n{text}");
    assert!(
        sum(&others) < OTHERS,
        "{} system calls besides kicks for {packets} packets:\n{text}",
        sum(&others)
    );
}

/// The thread of this name.
fn thread_of(process: u32, name: &str) -> String {
    let threads = fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|entry| entry.unwrap());
    let named = |path: &Path| fs::read_to_string(path.join("comm")).unwrap().trim() == name;
    let thread = threads.map(|entry| entry.path()).find(|path| named(path)).unwrap();
    thread.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Names and counts of the table of `strace -c`: `% time, seconds, usecs/call, calls, [errors,] syscall`.
fn syscalls(table: &str) -> Vec<(String, u64)> {
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let name = *cells.last()?;
        (name != "total").then_some((name.to_owned(), cells.get(3)?.parse().ok()?))
    };
    table.lines().filter_map(row).collect()
}
