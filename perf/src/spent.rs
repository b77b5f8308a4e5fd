//! What a process has had of the machine: memory, and the processor with all threads that ever were.

use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};

/// The kernel tells of time in these (`USER_HZ`, which is 100 on every Linux).
const TICK: Duration = Duration::from_millis(10);

/// Octets in memory.
pub fn resident(pid: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("a line VmRSS")?;
    let number: u64 = line.split_whitespace().next().context("a number")?.parse()?;
    Ok(number * 1024)
}

/// Time on the processor, in the kernel too, of its threads and of those that have ended; to 10 ms.
pub fn processor(pid: u32) -> Result<Duration> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, in brackets, may hold anything.
    let (_, fields) = text.rsplit_once(')').context("the name of a process")?;
    // proc_pid_stat(5): utime and stime are the fields 14 and 15, and the name is the second.
    let times = fields.split_whitespace().skip(11).take(2).map(str::parse::<u32>);
    let ticks: u32 = times.sum::<Result<u32, _>>()?;
    Ok(TICK * ticks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_thread_used_is_known_after_its_end() {
        let own = std::process::id();
        let before = processor(own).expect("a time");
        let begun = std::time::Instant::now();
        let turn = move || while processor(own).is_ok_and(|now| now < before + 5 * TICK) {};
        std::thread::spawn(turn).join().expect("it ends");
        let after = processor(own).expect("a time");
        assert!(after >= before + 5 * TICK && after - before <= 2 * begun.elapsed() + 5 * TICK);
        assert!(resident(own).expect("memory") > 100_000);
    }
}
