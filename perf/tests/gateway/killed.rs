//! The agent killed at each step of an apply: both processes hold the old policy whole or the new one whole, and flows say so.
//!
//! `kill_at.py` kills a real control process before a system call, or in the middle of a write, in front of a real packet process
//! that carries packets. `RAVELIN_KILLS` says at how many steps, spread over the whole apply.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::fmt::Write;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ravelin_perf::foreign::script;
use ravelin_perf::gateway::Gateway;
use ravelin_perf::lab::{MOMENT, Namespace, Process, TwoSites, wait_until};
use rustix::process::Signal;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

const MINUTE: Duration = Duration::from_secs(60);
/// How long a connection that nobody answers is waited for.
const ANSWER: Duration = Duration::from_millis(500);
const POINTS: u64 = 12;
/// Rules that the packet process needs a while for.
const LARGE: usize = 15_000;

/// Ports of site b. By which of the two policies a connection to them passes.
const FLOWS: [(u16, Edition); 6] = [
    // Filters.
    (7001, Edition::Old),
    (7002, Edition::New),
    // Ports that are refused in clear by `attls.toml`.
    (7003, Edition::Old),
    (7004, Edition::New),
    // Into a tunnel whose far end has no keys.
    (7005, Edition::Old),
    (7006, Edition::New),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Edition {
    Old,
    New,
}

impl Edition {
    fn other(self) -> Self {
        match self {
            Self::Old => Self::New,
            Self::New => Self::Old,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::New => "new",
        }
    }

    /// With so many rules besides that nothing meets.
    fn ipsec(self, rules: usize) -> String {
        let [clear, sealed, open] = match self {
            Self::Old => [7001, 7006, 7005],
            Self::New => [7002, 7005, 7006],
        };
        let mut text = format!("# {}\n", self.name());
        let mut rule = |name: &str, ports: &[u16], action: &str| {
            writeln!(
                text,
                "[[rule]]\nname = \"{name}\"\nsource = \"10.1.0.0/24\"\ndestination = \"10.2.0.0/24\"\nprotocol = \"tcp\"\n\
                 destination_port = {ports:?}\n{action}\n"
            )
            .unwrap();
        };
        rule("clear", &[clear, open, 7003, 7004], "action = \"permit\"");
        rule("sealed", &[sealed], "action = \"ipsec\"\ntunnel = \"site-b\"");
        for number in 0..rules {
            let (high, low) = (number / 250, number % 250);
            let address = match self {
                Self::Old => format!("10.{}.{high}.{low}", 100),
                Self::New => format!("10.{}.{high}.{low}", 101),
            };
            writeln!(text, "[[rule]]\nname = \"{}-{number}\"\nsource = \"{address}\"\naction = \"deny\"\nrouting = \"routed\"\n", self.name())
                .unwrap();
        }
        text + "[[tunnel]]\nname = \"site-b\"\nlocal = \"192.0.2.1\"\nremote = \"198.51.100.1\"\n\
                [tunnel.manual]\nalgorithm = \"aes256-gcm16\"\noutbound_spi = 0x1001\ninbound_spi = 0x2001\nkeys = \"site-b\"\n"
    }

    fn attls(self) -> String {
        let refused = if self == Self::Old { 7004 } else { 7003 };
        format!("# {}\nsecure_ports = [{refused}]\n", self.name())
    }
}

/// Servers at site b, until it is dropped.
struct Servers(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);

impl Servers {
    fn start(at: &Namespace) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let serve = |port: u16| {
            let (at, over) = (at.clone(), Arc::clone(&over));
            thread::spawn(move || {
                enter(&at);
                let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
                listener.set_nonblocking(true).unwrap();
                while !over.load(Ordering::Relaxed) {
                    drop(listener.accept());
                    thread::sleep(Duration::from_millis(10));
                }
            })
        };
        let threads = FLOWS.map(|(port, _)| serve(port)).into();
        Self(over, threads)
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
        self.1.drain(..).for_each(|thread| drop(thread.join()));
    }
}

/// This thread, and no other, is in the namespace from now on.
fn enter(namespace: &Namespace) {
    let file = fs::File::open(namespace.path()).unwrap();
    move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
}

struct Stand {
    // Ends before the namespaces do.
    gateway: Gateway,
    _servers: Servers,
    sites: TwoSites,
}

/// What the tracer saw.
enum Seen {
    Killed(String),
    Steps(Vec<(u64, String, String)>),
}

impl Stand {
    fn start(label: &str, rules: usize) -> Self {
        let sites = TwoSites::build(label).unwrap();
        // In clear at the far side: what gateway a lets out arrives.
        sites.b.gateway.forward(true).unwrap();
        let more = "[workers]\ncount = 1\n";
        let mut gateway =
            Gateway::lay_out(&sites.lab, &sites.a.gateway, "gw-a", "site-to-site/gw-a", more).unwrap();
        gateway.start().unwrap();
        for edition in [Edition::Old, Edition::New] {
            fs::write(gateway.file(&format!("{}-ipsec.toml", edition.name())), edition.ipsec(rules)).unwrap();
            fs::write(gateway.file(&format!("{}-attls.toml", edition.name())), edition.attls()).unwrap();
        }
        let servers = Servers::start(&sites.b.site);
        Self { gateway, _servers: servers, sites }
    }

    fn apply(&self, edition: Edition) -> bool {
        self.apply_with(edition, "--why test")
    }

    fn apply_with(&self, edition: Edition, more: &str) -> bool {
        let name = edition.name();
        let line = format!("policy apply {name}-ipsec.toml --attls {name}-attls.toml {more}");
        self.gateway.try_command(&line).unwrap().status.success()
    }

    /// What `policy status` says that is left to confirm, in seconds.
    fn left(&self) -> Option<u64> {
        self.gateway.ask("policy status").unwrap()["waiting"]["seconds_left"].as_u64()
    }

    /// Applies a policy while the tracer counts, or kills control at a step.
    fn apply_traced(&mut self, edition: Edition, step: &str) -> Seen {
        let pid = self.gateway.control().unwrap().pid().unwrap();
        let mut tracer = script(|python| std::process::Command::new(python), "kill_at.py").unwrap();
        let armed_by = format!("{}-ipsec.toml", edition.name());
        tracer.args([&pid.to_string(), step, &armed_by]);
        let log = self.sites.lab.file("kill_at.log");
        let mut tracer = Process::spawn("kill_at.py", &mut tracer, &log).unwrap();
        tracer.wait_for_line("attached", MOMENT).unwrap();
        // When control is killed, the tracer ends by itself.
        if self.apply(edition) {
            tracer.signal(Signal::TERM).unwrap();
        }
        tracer.wait(MOMENT).unwrap();
        let said = tracer.log();
        let last = said.lines().rev().find(|line| line.starts_with("killed"));
        match last {
            Some(line) => Seen::Killed(line.to_owned()),
            None => Seen::Steps(steps(&said)),
        }
    }

    /// Which policy both processes hold, once control has settled.
    fn held(&self) -> Edition {
        let mut status = serde_json::Value::Null;
        let agree = || {
            status = self.gateway.ask("status").unwrap_or_default();
            status["applied"].is_string()
        };
        wait_until("control to hold a policy", MINUTE, agree).unwrap();
        // Asked once more: the first answer may have been gathered while it settled.
        let status = self.gateway.ask("status").unwrap();
        assert_eq!(status["policy"], status["applied"], "what is enforced is not what control holds");
        assert_eq!(status["filters"], "policy");
        let standing = self.gateway.ask("policy status").unwrap();
        assert_eq!(standing["applied"]["fingerprint"], status["applied"]);
        let kept = self.gateway.ask(&format!("policy show {}", standing["applied"]["number"])).unwrap();
        let text = |part: &str| {
            let files = kept["files"].as_array().unwrap();
            files.iter().find(|file| file["part"] == part).unwrap()["text"].as_str().unwrap().to_owned()
        };
        let edition = if text("policy").starts_with("# old") { Edition::Old } else { Edition::New };
        let file = |part: &str| {
            fs::read_to_string(self.gateway.file(&format!("{}-{part}.toml", edition.name()))).unwrap()
        };
        assert!(
            text("policy") == file("ipsec") && text("attls") == file("attls"),
            "the files of {edition:?} are not whole"
        );
        edition
    }

    /// Every flow that passes by this policy alone does; no other ever does.
    fn behaves_as(&self, edition: Edition) {
        let begun = Instant::now();
        let mut missing: Vec<u16> =
            FLOWS.iter().filter(|(_, by)| *by == edition).map(|(port, _)| *port).collect();
        let mut rounds = 0;
        while !missing.is_empty() || rounds == 0 {
            assert!(begun.elapsed() < MINUTE, "{missing:?} do not pass by the {edition:?} policy");
            let passed = self.passing();
            let wrong: Vec<_> =
                FLOWS.iter().filter(|(port, by)| *by != edition && passed.contains(port)).collect();
            assert!(wrong.is_empty(), "{wrong:?} pass by the {edition:?} policy");
            missing.retain(|port| !passed.contains(port));
            rounds += 1;
        }
        self.is_explained_as(edition);
    }

    /// Control says the same of the filters.
    fn is_explained_as(&self, edition: Edition) {
        for (port, by) in &FLOWS[..2] {
            let answer =
                self.gateway.ravelin(&format!("test 10.1.0.2 10.2.0.2 tcp 40000 {port} out")).unwrap();
            let permits = answer.contains("clear");
            assert_eq!(permits, *by == edition, "{port}: {answer}");
        }
    }

    /// Ports of site b that a connection from site a reaches now.
    fn passing(&self) -> Vec<u16> {
        let connect = |port: u16| {
            let (from, to) = (self.sites.a.site.clone(), SocketAddr::new(self.sites.b.site_v4, port));
            thread::spawn(move || {
                enter(&from);
                TcpStream::connect_timeout(&to, ANSWER).is_ok().then_some(port)
            })
        };
        let tries = FLOWS.map(|(port, _)| connect(port));
        tries.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
    }

    /// Control starts again, after whatever end.
    fn restart(&mut self) {
        self.gateway.kill_control().unwrap();
        self.gateway.start_control().unwrap();
    }
}

/// The steps that the tracer printed: number, call, and what it is about.
fn steps(said: &str) -> Vec<(u64, String, String)> {
    let step = |line: &str| {
        let mut words = line.strip_prefix("step ")?.splitn(3, ' ');
        Some((words.next()?.parse().ok()?, words.next()?.to_owned(), words.next()?.to_owned()))
    };
    said.lines().filter_map(step).collect()
}

#[test]
fn an_agent_killed_at_any_step_of_an_apply_leaves_the_old_policy_or_the_new_whole() {
    let points = std::env::var("RAVELIN_KILLS").map_or(POINTS, |points| points.parse().unwrap());
    let mut stand = Stand::start("killed", 600);
    assert!(stand.apply(Edition::New));
    stand.behaves_as(Edition::New);
    let Seen::Steps(steps) = stand.apply_traced(Edition::Old, "0") else { panic!("killed by nobody") };
    stand.behaves_as(Edition::Old);
    // The last one that changes what is kept.
    let changes =
        |call: &str| ["fsync", "rename", "unlink", "rmdir"].iter().any(|name| call.starts_with(name));
    let last = steps.iter().rev().find(|(_, call, _)| changes(call)).unwrap().0;
    assert!(last > 20, "an apply has more steps than {last}");

    let (mut kills, mut outcomes, mut now) = (0, [0, 0], Edition::Old);
    for point in 0..points {
        let step = 1 + point * (last - 1) / (points - 1).max(1);
        let seen = stand.apply_traced(now.other(), &step.to_string());
        stand.restart();
        let held = stand.held();
        let how = match seen {
            Seen::Killed(how) => how,
            Seen::Steps(_) => format!("not reached: step {step}"),
        };
        println!("{how}: {held:?}, was {now:?}");
        kills += u64::from(how.starts_with("killed"));
        outcomes[usize::from(held != now)] += 1;
        stand.behaves_as(held);
        now = held;
    }
    println!(
        "{kills} kills in {last} steps: the old policy {} times, the new one {} times",
        outcomes[0], outcomes[1]
    );
    assert!(kills * 10 >= points * 8, "only {kills} of {points} steps were reached");
    assert!(outcomes[0] > 0 && outcomes[1] > 0, "{outcomes:?}");
}

/// Control is killed while the packet process works on its commit, and the next control asks what is held before that is done. When
/// it did not wait, the two went on with different policies.
#[test]
fn a_commit_that_outlives_its_asker_is_waited_for_by_the_next_control() {
    let mut stand = Stand::start("outlives", LARGE);
    assert!(stand.apply(Edition::New));
    let mut now = Edition::New;
    for _ in 0..2 {
        let Seen::Killed(how) = stand.apply_traced(now.other(), "commit") else { panic!("nobody waited") };
        stand.restart();
        let held = stand.held();
        println!("{how}: {held:?}, was {now:?}");
        // What comes into force late would show now.
        stand.behaves_as(held);
        thread::sleep(Duration::from_secs(2));
        assert_eq!(stand.held(), held);
        now = held;
    }
}

#[test]
fn what_nobody_confirms_goes_though_control_is_killed_meanwhile() {
    let mut stand = Stand::start("unconfirmed", 300);
    assert!(stand.apply(Edition::Old));
    assert!(stand.apply_with(Edition::New, "--confirm 12s"));
    assert!(!stand.apply(Edition::Old), "another while one waits");
    // Within the time: the new one is still there, and still goes.
    stand.restart();
    let held = stand.held();
    if stand.left().is_some_and(|left| left > 0) {
        assert_eq!(held, Edition::New);
    }
    wait_until("the time to be over", MINUTE, || stand.left().is_none()).unwrap();
    assert_eq!(stand.held(), Edition::Old);
    stand.behaves_as(Edition::Old);

    // After the time: the packet process goes on with the new one until control is back, and then never again.
    assert!(stand.apply_with(Edition::New, "--confirm 2s"));
    stand.gateway.kill_control().unwrap();
    thread::sleep(Duration::from_secs(3));
    stand.gateway.start_control().unwrap();
    assert_eq!(stand.held(), Edition::Old);
    stand.behaves_as(Edition::Old);
    let history = stand.gateway.ask("policy history").unwrap();
    let causes: Vec<&str> =
        history.as_array().unwrap().iter().map(|past| past["cause"].as_str().unwrap()).collect();
    assert_eq!(causes, ["not_confirmed", "apply", "not_confirmed", "apply", "apply"]);

    // With a word it stays.
    assert!(stand.apply_with(Edition::New, "--confirm 1h"));
    stand.gateway.ravelin("policy confirm").unwrap();
    stand.restart();
    assert_eq!((stand.held(), stand.left()), (Edition::New, None));
    stand.behaves_as(Edition::New);
}
