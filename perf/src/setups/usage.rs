//! What a process has had of the processor, thread by thread.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// Processor time of the threads that a process has, as the scheduler accounts for it.
#[derive(Debug, Clone, Default)]
pub(super) struct Usage(BTreeMap<u32, (String, Duration)>);

/// What was used between two looks, by the names of threads.
#[derive(Debug, Clone, Default)]
pub(super) struct Spent(pub(super) BTreeMap<String, Duration>);

impl Usage {
    /// Of a process, now.
    pub(super) fn of(pid: u32) -> Result<Self> {
        let mut threads = BTreeMap::new();
        for entry in fs::read_dir(format!("/proc/{pid}/task"))?.flatten() {
            // A thread may end meanwhile.
            let Ok(name) = fs::read_to_string(entry.path().join("comm")) else { continue };
            let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
            let number = entry.file_name().to_string_lossy().parse().context("the number of a thread")?;
            let time = text.split_whitespace().next().and_then(|first| first.parse().ok());
            let time = Duration::from_nanos(time.context("schedstat begins with a number")?);
            threads.insert(number, (without_number(name.trim()).to_owned(), time));
        }
        Ok(Self(threads))
    }

    /// What was used since an earlier look. Threads that ended meanwhile are left out.
    pub(super) fn since(&self, before: &Self) -> Spent {
        let mut spent = BTreeMap::new();
        for (number, (name, time)) in &self.0 {
            let earlier = before.0.get(number).map_or(Duration::ZERO, |(_, time)| *time);
            *spent.entry(name.clone()).or_default() += time.saturating_sub(earlier);
        }
        Spent(spent)
    }
}

impl Spent {
    /// Of all threads.
    pub(super) fn total(&self) -> Duration {
        self.0.values().sum()
    }
}

/// Threads of a kind count together.
fn without_number(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ' || c == '-')
}

/// What this thread has had of the processor.
pub(super) fn of_this_thread() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}
