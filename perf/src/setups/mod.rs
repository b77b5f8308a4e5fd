//! What IKE SAs cost a responder: processor time for each set-up with its end, and memory of each pair that stands.
//!
//! Three responders take turns with the same initiators: our protocol core in memory ([`core`]), our gateway with both its
//! processes ([`ours`]), and Debian's strongSwan ([`swan`]). What lingers of a set-up after the round counts too.

mod core;
mod office;
mod ours;
mod real;
pub mod report;
mod swan;
mod usage;

use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use self::core::Core;
use crate::foreign::program;
use crate::gateway::Gateway;
use crate::initiators::{Kind, Target};
use crate::lab::{Namespace, Process, Shape, Side, StrongSwan, TwoSites, check};
use real::Real;
use report::Row;
use usage::{Spent, Usage};

/// Who every responder is.
const GATEWAY: &str = "gw-b.example";
/// What all initiators share with it: the secret of `configs/site-to-site-ike`.
const SECRET: &str = "4m0OZ2cHqlw3cTnXSB9cEXAMPLEEXAMPLEEXAMPLE0Q=";
/// Traffic on the responder's side.
const INNER: &str = "10.2.0.0/24";
/// Addresses of the initiators: a gateway listens to one source only so often.
const SOURCES: u8 = 8;
/// Ample for any round.
const LIMIT: Duration = Duration::from_secs(600);
/// Seconds for which standing pairs are watched.
const WATCHED: u64 = 5;
/// After this nothing is left of an IKE SA that has ended.
const LINGER: Duration = Duration::from_secs(33);

/// How much is measured.
#[derive(Debug, Clone, clap::Args)]
pub struct Size {
    /// Rounds; each responder has its turn in each.
    #[arg(long, default_value_t = 5)]
    pub rounds: usize,
    /// Set-ups in a turn.
    #[arg(long, default_value_t = 2000)]
    pub setups: u32,
    /// Initiators under way at a time.
    #[arg(long, default_value_t = 16)]
    pub window: usize,
    /// Pairs that stand while memory is looked at; 0 for none.
    #[arg(long, default_value_t = 10_000)]
    pub pairs: u32,
    /// Kinds to be measured; all if none is named.
    #[arg(long, value_enum)]
    pub kind: Vec<Kind>,
}

/// Measures everything, and calls `tell` with each row.
pub fn run(size: &Size, mut tell: impl FnMut(&Row)) -> Result<Vec<Row>> {
    let kinds = if size.kind.is_empty() { Kind::ALL.to_vec() } else { size.kind.clone() };
    let mut rows = Vec::new();
    for kind in kinds {
        let found = measure(kind, size).with_context(|| format!("measuring {}", kind.name()))?;
        found.iter().for_each(&mut tell);
        rows.extend(found);
    }
    Ok(rows)
}

/// Time passes.
fn settled(time: Duration) {
    std::thread::sleep(time);
}

/// Everything of one kind.
struct Bench<'a> {
    kind: Kind,
    size: &'a Size,
    sites: TwoSites,
    papers: Option<PathBuf>,
}

/// One responder of a bench and what was measured of it.
struct Turn {
    real: Real,
    target: Target,
    before: Vec<Usage>,
    rounds: Vec<Vec<Spent>>,
    took: Vec<Duration>,
}

fn measure(kind: Kind, size: &Size) -> Result<Vec<Row>> {
    let sites = TwoSites::build_with("setups", Shape::default())?;
    for side in [&sites.a, &sites.b] {
        add_sources(&sites.wan, side)?;
    }
    let place = &sites.b.gateway;
    let mut gateway = Gateway::lay_out(&sites.lab, place, "gw-b", ours::EXAMPLE, ours::APPLIANCE)?;
    let papers = match kind {
        Kind::Certificate => Some(office::open(&gateway)?),
        _ => None,
    };
    if let Some(papers) = &papers {
        office::equip_swan(papers, &StrongSwan::directory(&sites.lab, &sites.a.gateway)?)?;
    }
    let bench = Bench { kind, size, papers, sites };
    let ours = ours::start(&mut gateway, kind)?;
    let swan = swan::start(&bench.sites.lab, &bench.sites.a.gateway, kind)?;
    let (_swan, theirs) = swan.unzip();
    bench.measure(ours, theirs)
}

fn sources(side: &Side) -> Vec<IpAddr> {
    let IpAddr::V4(router) = side.router_v4() else { return Vec::new() };
    let [a, b, c, first] = router.octets();
    (first..first + SOURCES).map(|last| Ipv4Addr::new(a, b, c, last).into()).collect()
}

fn add_sources(wan: &Namespace, side: &Side) -> Result<()> {
    // The first is there.
    for address in sources(side).iter().skip(1) {
        wan.run(&format!("ip address add {address}/24 dev {}", side.wan_interface()))?;
    }
    Ok(())
}

impl Bench<'_> {
    fn target(&self, side: &Side) -> Target {
        Target {
            from: sources(side),
            to: side.gateway_v4,
            gateway: GATEWAY.to_owned(),
            secret: SECRET.to_owned(),
            network: Ipv4Addr::new(10, 2, 0, 0),
            kind: self.kind,
            papers: self.papers.clone(),
        }
    }

    fn measure(&self, ours: Real, theirs: Option<Real>) -> Result<Vec<Row>> {
        let Size { rounds, setups, window, .. } = *self.size;
        let target = self.target(&self.sites.b);
        let mut core = Core::new(target.clone(), office::RESPONDER)?;
        let mut turns = vec![Turn::new(ours, target)?];
        if let Some(theirs) = theirs {
            turns.push(Turn::new(theirs, self.target(&self.sites.a))?);
        }
        core.round(setups / 10, window)?;
        for turn in &turns {
            self.load(&turn.target, setups / 10)?;
        }
        settled(LINGER);
        for turn in &mut turns {
            turn.before = turn.real.usages()?;
        }
        let mut in_memory = Vec::new();
        for _ in 0..rounds {
            in_memory.push(core.round(setups, window)?);
            for turn in &mut turns {
                let before = turn.real.usages()?;
                turn.took.push(self.load(&turn.target, setups)?);
                turn.rounds.push(turn.real.since(&before)?);
            }
        }
        settled(LINGER);
        let mut rows = vec![Row::of_core(self.kind, setups, &in_memory)];
        for turn in &turns {
            let all = turn.real.since(&turn.before)?;
            let mut row = Row::of(self.kind, &turn.real, setups, (&turn.rounds, &all), &turn.took);
            if self.size.pairs > 0 {
                (row.octets, row.standing) = self.stand(turn)?;
            }
            rows.push(row);
        }
        if turns.len() == 1 {
            rows.push(Row::absent(self.kind, "strongswan", StrongSwan::version()?));
        }
        report::compare(&mut rows);
        Ok(rows)
    }

    fn initiators(&self, target: &Target, count: u32) -> Result<Command> {
        let mut command = self.sites.wan.command(program("ravelin-initiators")?);
        for from in &target.from {
            command.args(["--from", &from.to_string()]);
        }
        command.args(["--to", &target.to.to_string(), "--gateway", &target.gateway]);
        command.args(["--secret", &target.secret, "--network", &target.network.to_string()]);
        command.args(["--kind", self.kind.word(), "--count", &count.to_string()]);
        command.args(["--window", &self.size.window.to_string(), "--seconds", "500"]);
        if let Some(papers) = &target.papers {
            command.arg("--papers").arg(papers);
        }
        Ok(command)
    }

    /// So many set-ups, each with its end; how long that took.
    fn load(&self, target: &Target, count: u32) -> Result<Duration> {
        let told = check(self.initiators(target, count)?.arg("--leave"), LIMIT)?;
        let millis = told.split_whitespace().rev().nth(1).and_then(|word| word.parse().ok());
        // The last answers are out; what follows from them is done soon.
        settled(Duration::from_millis(300));
        Ok(Duration::from_millis(millis.with_context(|| format!("no time in {told:?}"))?))
    }

    /// With [`Size::pairs`] standing: octets of each in each process, and what each process uses in a second for all of them.
    fn stand(&self, turn: &Turn) -> Result<(Vec<u64>, Vec<Duration>)> {
        let pairs = self.size.pairs;
        let before = turn.real.memory()?;
        let log = self.sites.lab.file("standing.log");
        let standing =
            Process::spawn("ravelin-initiators", &mut self.initiators(&turn.target, pairs)?, &log)?;
        standing.wait_for_line("stand after", LIMIT)?;
        settled(Duration::from_secs(2));
        let each = |(now, before): (u64, u64)| now.saturating_sub(before) / u64::from(pairs);
        let octets = turn.real.memory()?.into_iter().zip(before).map(each).collect();
        let before = turn.real.usages()?;
        settled(Duration::from_secs(WATCHED));
        let used = turn.real.since(&before)?.iter().map(|spent| spent.total() / WATCHED as u32).collect();
        Ok((octets, used))
    }
}

impl Turn {
    fn new(real: Real, target: Target) -> Result<Self> {
        Ok(Self { before: real.usages()?, real, target, rounds: Vec::new(), took: Vec::new() })
    }
}
