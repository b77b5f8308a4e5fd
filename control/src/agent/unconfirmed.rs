//! The time within which a policy must be confirmed. It is measured by a clock that nobody sets and that goes on while the machine
//! sleeps; a restart of the machine ends it.

use std::fs;
use std::io;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A policy that is in force for now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unconfirmed {
    /// The number of the policy to go back to; none before it means the default filters.
    pub back_to: Option<u64>,
    /// Which run of the kernel the deadline is of.
    boot: String,
    /// Milliseconds after the kernel's start.
    deadline_ms: u64,
}

impl Unconfirmed {
    /// One whose time begins now.
    ///
    /// # Errors
    /// The kernel does not say which run it is.
    pub fn within(limit: Duration, back_to: Option<u64>) -> io::Result<Self> {
        let limit = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
        Ok(Self { back_to, boot: boot()?, deadline_ms: now_ms().saturating_add(limit) })
    }

    /// The time that is left; `None` when it is over.
    pub fn left(&self) -> Option<Duration> {
        // Who cannot know must not wait for ever.
        if boot().ok()? != self.boot {
            return None;
        }
        let left = self.deadline_ms.checked_sub(now_ms())?;
        (left > 0).then(|| Duration::from_millis(left))
    }
}

fn boot() -> io::Result<String> {
    Ok(fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned())
}

fn now_ms() -> u64 {
    let now = clock_gettime(ClockId::Boottime);
    now.tv_sec as u64 * 1000 + now.tv_nsec as u64 / 1_000_000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_over_at_the_deadline_and_after_a_restart_of_the_machine() {
        let hour = Duration::from_secs(3600);
        let waiting = Unconfirmed::within(hour, Some(3)).unwrap();
        let left = waiting.left().unwrap();
        assert!(left <= hour && left > hour / 2, "{left:?}");
        assert_eq!(Unconfirmed::within(Duration::ZERO, None).unwrap().left(), None);
        let other_run = Unconfirmed { boot: "another".to_owned(), ..waiting };
        assert_eq!(other_run.left(), None);
    }
}
