//! Two workers at each gateway: packets that arrive at the wrong one reach the owner of their SA, all and at once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::thread;
use std::time::Duration;

use ravelin_perf::lab::{Fetch, FileServer, Shape, marked_file, wait_until};
use ravelin_perf::two_gateways::{HTTP, TwoGateways};

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);

fn handed_off(stand: &TwoGateways) -> u64 {
    stand.a.ended("handed_off").unwrap() + stand.b.ended("handed_off").unwrap()
}

/// Mean time until a ping is answered; the best of some tries, for the machine has other work too.
fn round_trip(stand: &TwoGateways) -> Duration {
    let line = format!("ping -n -q -c 50 -i 0.03 {}", stand.sites.b.site_v4);
    let mean = || {
        let said = stand.sites.a.site.run(&line).unwrap();
        let times = said.rsplit_once(" = ").unwrap().1;
        Duration::from_secs_f64(times.split('/').nth(1).unwrap().parse::<f64>().unwrap() / 1e3)
    };
    (0..3).map(|_| mean()).min().unwrap()
}

#[test]
fn packets_at_the_wrong_worker_reach_the_owner_of_their_sa() {
    // Both SAs of the example belong to worker 1, for their SPIs are odd; all that comes from the wan comes to worker 0.
    let shape = Shape { queues: 2, router_queues: 1, ..Shape::default() };
    let stand = TwoGateways::start_in("handoff", shape).unwrap();
    stand.protect().unwrap();
    let before = handed_off(&stand);
    let report = stand.ping(stand.sites.b.site_v4, 2_000, MILLISECOND).unwrap();
    assert!(report.is_perfect(), "{report:?}");
    let report = stand.ping(stand.sites.b.site_v6, 500, MILLISECOND).unwrap();
    assert!(report.is_perfect(), "{report:?}");
    assert!(handed_off(&stand) - before >= 5_000, "requests and answers were not handed off");

    // The owner has nothing else to do, and sleeps. It must not sleep on.
    let time = round_trip(&stand);
    assert!(time < 5 * MILLISECOND, "handed-off packets wait: {time:?}");
}

#[test]
fn transfers_over_two_workers_arrive_whole() {
    const OCTETS: u64 = 20_000_000;
    let stand = TwoGateways::start_with_two_workers("workers").unwrap();
    stand.protect().unwrap();
    let directory = stand.sites.lab.make_directory("served").unwrap();
    let sum = marked_file(&directory.join("file"), OCTETS).unwrap();
    let _server = FileServer::start(&stand.sites.lab, &stand.sites.b.site, &directory, HTTP).unwrap();
    let url = stand.url("file");
    // Connections differ in their ports, by which the links choose the queue.
    thread::scope(|scope| {
        for number in 0..8 {
            let (stand, url, sum) = (&stand, &url, &sum);
            scope.spawn(move || {
                let to = stand.sites.lab.file(&format!("got-{number}"));
                let got = Fetch::new(&stand.sites.a.site, url, &to).run(MINUTE).unwrap();
                assert_eq!((got.octets, &got.sha256), (OCTETS, sum));
            });
        }
    });
    let status = stand.a.ask("status").unwrap();
    let busy: Vec<u64> = status["workers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|worker| worker["busy_ns"].as_u64().unwrap())
        .collect();
    assert!(busy.len() == 2 && busy.iter().all(|&time| time > 1_000_000), "a worker had no part: {busy:?}");
    assert!(handed_off(&stand) > 0);
    // Whoever gets no time while the other seals a thousand packets comes too late for the window, and TCP repairs that. But
    // nothing is spoiled on its way from worker to worker.
    for verdict in ["bad_icv", "bad_inner", "malformed", "no_such_sa"] {
        assert_eq!((stand.a.ended(verdict).unwrap(), stand.b.ended(verdict).unwrap()), (0, 0), "{verdict}");
    }

    stand.a.ravelin("filter default").unwrap();
    assert_eq!(stand.ping_in_vain(stand.sites.b.site_v4, 20).unwrap(), 0);
    stand.a.ravelin("filter reload").unwrap();
    wait_until("pings to pass again", MINUTE / 6, || stand.is_open()).unwrap();
}
