//! `make demo` shows what it says, and nothing of it is left.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::process::Command;
use std::time::Duration;

use ravelin_perf::lab::{MOMENT, Process, check, wait_until};
use tempfile::TempDir;

const MINUTE: Duration = Duration::from_secs(60);

struct Demo {
    process: Process,
    /// What the names of its namespaces begin with.
    id: String,
    _log: TempDir,
}

impl Demo {
    fn start(arguments: &[&str]) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_ravelin-demo"));
        let log = directory.path().join("log");
        let process = Process::spawn("demo", command.args(arguments), &log).unwrap();
        let id = format!("rv-demo-{}-", process.pid().unwrap());
        Self { process, id, _log: directory }
    }

    /// Waits for its end and returns what it printed.
    fn end(&mut self) -> String {
        let status = self.process.wait(2 * MINUTE).unwrap();
        assert!(status.success(), "{}", self.process.log());
        self.process.log()
    }

    fn namespaces(&self) -> usize {
        let list = check(Command::new("ip").args(["netns", "list"]), MOMENT).unwrap();
        list.lines().filter(|line| line.starts_with(&self.id)).count()
    }
}

#[test]
fn the_demo_shows_five_things_without_colour_and_is_gone() {
    let mut demo = Demo::start(&[]);
    let shown = demo.end();
    for part in ["none answered", "in force on every worker", "SHA-256 equal", "all ESP", "What was shown"] {
        assert!(shown.contains(part), "no {part:?} in\n{shown}");
    }
    assert!(!shown.contains('\x1b'), "colour, and this is no terminal");
    assert_eq!(demo.namespaces(), 0);
}

#[test]
fn an_interrupted_demo_is_gone_too() {
    let mut demo = Demo::start(&[]);
    demo.process.wait_for_line("2. A policy is applied", MINUTE).unwrap();
    assert_eq!(demo.namespaces(), 5);
    demo.process.signal(rustix::process::Signal::INT).unwrap();
    demo.process.wait(MOMENT).unwrap();
    wait_until("the namespaces to be removed", MOMENT, || demo.namespaces() == 0).unwrap();
}

#[test]
fn a_demo_that_was_kept_stays_until_it_is_ended() {
    let mut demo = Demo::start(&["--keep"]);
    let shown = demo.end();
    assert_eq!(demo.namespaces(), 5);
    // The lines that are to be typed work.
    let line = shown.lines().find(|line| line.ends_with(" status")).unwrap();
    let status = check(Command::new("sh").args(["-c", line.trim()]), MOMENT).unwrap();
    assert!(status.contains("filters in force    policy"), "{status}");
    Demo::start(&["--end"]).end();
    assert_eq!(demo.namespaces(), 0);
}
