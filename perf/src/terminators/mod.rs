//! What TLS costs whoever ends it for a server in clear: our gateway, and nginx, HAProxy and stunnel in its place.
//!
//! Clients on the wan, the terminator on a gateway, the server behind it. Ours ends TCP and TLS in passing, under the server's own
//! address; the others listen themselves, over the kernel's TCP. Figures are processor time of the terminator's processes, with
//! what the kernel does for them in their own calls, and what clients saw.

pub mod load;
mod ours;
mod report;
mod theirs;

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::foreign::program;
use crate::gateway::Gateway;
use crate::lab::{Namespace, Process, TwoSites, check, wait_until};
use crate::spent::{processor, resident};
pub use report::{Measured, head, print, write};

/// Where the servers in clear listen.
const CLEAR: u16 = 8443;
/// In every certificate.
const NAME: &str = "web.example";
/// Ample for any round.
const LIMIT: Duration = Duration::from_secs(600);

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Size {
    /// Rounds; everybody has a turn in each.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Connections in a turn, each with a handshake.
    #[arg(long, default_value_t = 1500)]
    pub connections: u32,
    /// Octets that a turn fetches on one connection.
    #[arg(long, default_value_t = 200_000_000)]
    pub octets: u64,
    /// Connections that stand while memory is looked at.
    #[arg(long, default_value_t = 1000)]
    pub idle: u32,
}

/// Who ends TLS.
struct Terminator {
    name: String,
    /// Names of its processes.
    parts: Vec<(&'static str, u32)>,
    at: SocketAddr,
}

impl Terminator {
    fn each<T>(&self, look: impl Fn(u32) -> Result<T>) -> Result<Vec<T>> {
        self.parts.iter().map(|(_, pid)| look(*pid)).collect()
    }
}

/// Everything that runs.
struct Bench {
    size: Size,
    terminators: Vec<Terminator>,
    gateway: Gateway,
    _processes: Vec<Process>,
    sites: TwoSites,
}

/// Measures everybody. Whoever is not there is told to `absent`.
pub fn run(size: &Size, mut absent: impl FnMut(&str, &anyhow::Error)) -> Result<Vec<Measured>> {
    let sites = TwoSites::build("tlsbench")?;
    let (ours, gateway) = ours::start(&sites)?;
    let papers = ours::papers(&gateway)?;
    let mut bench =
        Bench { size: size.clone(), terminators: vec![ours], gateway, _processes: Vec::new(), sites };
    bench.serve()?;
    for other in theirs::OTHERS {
        match other.start(&bench.sites, &papers) {
            Ok((terminator, process)) => {
                bench.terminators.push(terminator);
                bench._processes.push(process);
            }
            Err(error) => absent(other.name, &error),
        }
    }
    bench.measure()
}

/// Waits until somebody listens there.
fn wait_for_port(from: &Namespace, at: SocketAddr) -> Result<()> {
    let (host, port) = (at.ip(), at.port());
    let open = || from.run(&format!("bash -c exec</dev/tcp/{host}/{port}")).is_ok();
    wait_until(&format!("a listener at {at}"), Duration::from_secs(20), open)
}

impl Bench {
    /// The servers in clear, on both sites.
    fn serve(&mut self) -> Result<()> {
        for side in [&self.sites.a, &self.sites.b] {
            let mut command = side.site.command(program("ravelin-tls-load")?);
            command.arg("serve").arg(SocketAddr::new(side.site_v4, CLEAR).to_string());
            let log = self.sites.lab.file(&format!("server-{}.log", side.letter));
            let process = Process::spawn("server", &mut command, &log)?;
            process.wait_for_line("serving", Duration::from_secs(20))?;
            self._processes.push(process);
        }
        Ok(())
    }

    fn measure(&self) -> Result<Vec<Measured>> {
        let mut all: Vec<_> = self.terminators.iter().map(|one| Measured::new(&one.name)).collect();
        // First: later there is memory that earlier connections left.
        for (terminator, measured) in self.terminators.iter().zip(&mut all) {
            measured.idle = self.idle(terminator).with_context(|| terminator.name.clone())?;
        }
        for _ in 0..self.size.rounds {
            for (terminator, measured) in self.terminators.iter().zip(&mut all) {
                let count = self.size.connections.to_string();
                let (spent, took) = self.turn(terminator, "connect", &["--count", &count])?;
                measured.connections.push(terminator, &spent, took, self.size.connections.into());
            }
            for (terminator, measured) in self.terminators.iter().zip(&mut all) {
                let octets = self.size.octets.to_string();
                let (spent, took) = self.turn(terminator, "fetch", &["--octets", &octets])?;
                measured.octets.push(terminator, &spent, took, self.size.octets as f64);
            }
        }
        Ok(all)
    }

    fn load(&self, terminator: &Terminator, what: &str, more: &[&str]) -> Result<std::process::Command> {
        let mut command = self.sites.wan.command(program("ravelin-tls-load")?);
        command.args([what, "--to", &terminator.at.to_string(), "--name", NAME, "--root"]);
        command.arg(self.gateway.file("root.pem")).args(more);
        Ok(command)
    }

    /// What each process spent on a load, and how long that took by the clients' clock.
    fn turn(&self, of: &Terminator, what: &str, more: &[&str]) -> Result<(Vec<Duration>, Duration)> {
        let before = of.each(processor)?;
        let said = check(&mut self.load(of, what, more)?, LIMIT).with_context(|| of.name.clone())?;
        let after = of.each(processor)?;
        let took = Duration::from_micros(said.trim().parse().context("a time")?);
        Ok((after.iter().zip(&before).map(|(after, before)| *after - *before).collect(), took))
    }

    /// Octets in memory for each connection that stands, by process.
    fn idle(&self, of: &Terminator) -> Result<Vec<(&'static str, f64)>> {
        let before = of.each(resident)?;
        let count = self.size.idle.to_string();
        let log = self.sites.lab.file("idle.log");
        let mut standing = Process::spawn("idle", &mut self.load(of, "stand", &["--count", &count])?, &log)?;
        standing.wait_for_line(&format!("{count} stand"), LIMIT)?;
        let after = of.each(resident)?;
        standing.kill()?;
        ensure!(after.len() == of.parts.len(), "a process is missing");
        let grown = after.iter().zip(&before).map(|(after, before)| *after as f64 - *before as f64);
        let each = grown.map(|octets| octets / f64::from(self.size.idle));
        Ok(of.parts.iter().map(|(name, _)| *name).zip(each).collect())
    }
}
