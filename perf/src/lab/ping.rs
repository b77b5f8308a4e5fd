//! Pings, counted.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};

use super::http::MARK;
use super::process::Process;
use super::{Lab, Namespace};

/// A running ping.
#[derive(Debug)]
pub struct Ping {
    process: Process,
    /// When it has ended by itself, answered or not.
    limit: Duration,
}

/// What ping said at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PingReport {
    /// Echo requests sent.
    pub sent: u32,
    /// Answers received, without duplicates.
    pub received: u32,
    /// Answers received more than once.
    pub duplicates: u32,
}

impl Ping {
    /// Starts pings, one each `interval`, whose payload carries [`super::MARK`]. It ends when `count` are answered; for each that
    /// is not answered it sends another, until its time is over.
    pub fn start(lab: &Lab, from: &Namespace, to: IpAddr, count: u32, interval: Duration) -> Result<Self> {
        let limit = limit(count, interval);
        Self::spawn(lab, from, to, (count, interval), ["-w", &limit.as_secs().to_string()])
    }

    /// Starts exactly `count` pings of which no answer is expected; an answer may come up to a second after the last.
    pub fn start_in_vain(
        lab: &Lab,
        from: &Namespace,
        to: IpAddr,
        count: u32,
        interval: Duration,
    ) -> Result<Self> {
        Self::spawn(lab, from, to, (count, interval), ["-W", "1"])
    }

    fn spawn(
        lab: &Lab,
        from: &Namespace,
        to: IpAddr,
        (count, interval): (u32, Duration),
        end: [&str; 2],
    ) -> Result<Self> {
        let pattern: String = MARK.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut command = from.command("ping");
        command.args(["-n", "-q", "-p", &pattern, "-c", &count.to_string()]);
        command.args(["-i", &interval.as_secs_f64().to_string()]).args(end);
        let log = lab.file(&format!("ping-{to}.log"));
        let process = Process::spawn("ping", command.arg(to.to_string()), &log)?;
        Ok(Self { process, limit: limit(count, interval) })
    }

    /// Waits for its end. Losses are not an error here.
    pub fn report(mut self) -> Result<PingReport> {
        self.process.wait(self.limit + Duration::from_secs(5))?;
        let log = self.process.log();
        PingReport::parse(&log).with_context(|| format!("no summary in what ping said:\n{log}"))
    }
}

/// Ample for so many pings. Unanswered, ping keeps no interval shorter than 10 ms, and its clock is coarse.
fn limit(count: u32, interval: Duration) -> Duration {
    interval * count + Duration::from_secs(5) + Duration::from_millis(1) * count
}

impl PingReport {
    /// Every request answered, and once.
    pub fn is_perfect(&self) -> bool {
        self.sent > 0 && self.received == self.sent && self.duplicates == 0
    }

    fn parse(log: &str) -> Option<Self> {
        let summary = log.lines().find(|line| line.contains("packets transmitted"))?;
        let number = |after: &str| {
            let part = summary.split(", ").find(|part| part.ends_with(after))?;
            part.trim_start_matches('+').split(' ').next()?.parse().ok()
        };
        Some(Self {
            sent: number("packets transmitted")?,
            received: number("received")?,
            duplicates: number("duplicates").unwrap_or(0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_is_read() {
        let log = "PING 10.1.0.1\n\n5 packets transmitted, 4 received, +2 duplicates, +1 errors, 20% packet loss, time 9ms\n";
        let report = PingReport::parse(log).unwrap();
        assert_eq!(report, PingReport { sent: 5, received: 4, duplicates: 2 });
        assert!(!report.is_perfect());
        let log = "3 packets transmitted, 3 received, 0% packet loss, time 2ms";
        assert!(PingReport::parse(log).unwrap().is_perfect());
        assert_eq!(PingReport::parse("ping: unknown host"), None);
    }
}
