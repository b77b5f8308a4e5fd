//! A table for people and a file for scripts.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::real::Real;
use super::usage::Spent;
use crate::figures::{keep, median};
use crate::initiators::Kind;

/// What was measured of one responder with one kind of set-up.
#[derive(Debug, Clone)]
pub struct Row {
    kind: Kind,
    responder: &'static str,
    /// Why there are no figures.
    absent: Option<String>,
    /// Microseconds of the processor for each set-up and end, all processes.
    cost: f64,
    /// The same for each process by name.
    parts: Vec<(&'static str, f64)>,
    /// The same for each kind of thread of each process.
    threads: Vec<(String, f64)>,
    /// The median of the rounds, without what lingers.
    median: f64,
    /// The least and the greatest of the rounds.
    range: (f64, f64),
    /// Set-ups and ends in a second of real time, with the initiators on the same machine; 0 where that means nothing.
    rate: f64,
    /// Octets of each pair that stands, of each process.
    pub octets: Vec<u64>,
    /// What each process uses in a second while all pairs stand and nothing happens.
    pub standing: Vec<Duration>,
    /// Of strongSwan's cost.
    ratio: Option<f64>,
}

fn micros(time: Duration, count: f64) -> f64 {
    time.as_secs_f64() * 1e6 / count
}

impl Row {
    fn of_rounds(kind: Kind, responder: &'static str, rounds: &[f64]) -> Self {
        let least = rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let greatest = rounds.iter().copied().fold(0.0, f64::max);
        Self {
            kind,
            responder,
            absent: None,
            cost: median(rounds),
            parts: Vec::new(),
            threads: Vec::new(),
            median: median(rounds),
            range: (least, greatest),
            rate: 0.0,
            octets: Vec::new(),
            standing: Vec::new(),
            ratio: None,
        }
    }

    /// Of the protocol core alone.
    pub(super) fn of_core(kind: Kind, setups: u32, rounds: &[Duration]) -> Self {
        let rounds: Vec<f64> = rounds.iter().map(|round| micros(*round, setups.into())).collect();
        Self::of_rounds(kind, "core", &rounds)
    }

    /// Of processes. `rounds` has what each process spent in each round, `all` what it spent from the first round until nothing
    /// lingered any more.
    pub(super) fn of(
        kind: Kind,
        real: &Real,
        setups: u32,
        (rounds, all): (&[Vec<Spent>], &[Spent]),
        took: &[Duration],
    ) -> Self {
        let (each, total) = (f64::from(setups), f64::from(setups) * rounds.len() as f64);
        let costs: Vec<f64> =
            rounds.iter().map(|parts| micros(parts.iter().map(Spent::total).sum(), each)).collect();
        let mut row = Self::of_rounds(kind, real.name, &costs);
        let in_rounds: Duration = rounds.iter().flatten().map(Spent::total).sum();
        let whole: Duration = all.iter().map(Spent::total).sum();
        // Rounds are judged by their median, what lingers between and after them by its mean.
        row.cost = row.median + micros(whole.saturating_sub(in_rounds), total);
        for (part, spent) in real.parts.iter().zip(all) {
            row.parts.push((part.name, micros(spent.total(), total)));
            let threads =
                spent.0.iter().map(|(name, time)| (format!("{}: {name}", part.name), micros(*time, total)));
            row.threads.extend(threads.filter(|(_, cost)| *cost > 0.5));
        }
        let rates: Vec<f64> = took.iter().map(|time| each / time.as_secs_f64()).collect();
        row.rate = median(&rates);
        row
    }

    /// A responder that cannot do this.
    pub(super) fn absent(kind: Kind, responder: &'static str, version: String) -> Self {
        Self { absent: Some(format!("{version} has none of it")), ..Self::of_rounds(kind, responder, &[]) }
    }

    fn json(&self) -> Value {
        let named = |list: &[(String, f64)]| -> Value {
            list.iter().map(|(name, cost)| (name.clone(), json!((cost * 10.0).round() / 10.0))).collect()
        };
        let parts: Vec<_> = self.parts.iter().map(|(name, cost)| ((*name).to_owned(), *cost)).collect();
        json!({
            "kind": self.kind.word(),
            "responder": self.responder,
            "absent": self.absent,
            "us_per_setup_and_end": self.cost,
            "us_in_round_median": self.median,
            "us_in_round_range": [self.range.0, self.range.1],
            "us_by_process": named(&parts),
            "us_by_thread": named(&self.threads),
            "setups_per_s_and_core": 1e6 / self.cost,
            "setups_per_s_seen": self.rate,
            "octets_per_pair": self.octets,
            "ms_per_s_while_standing": self.standing.iter().map(|time| time.as_secs_f64() * 1e3).collect::<Vec<_>>(),
            "ratio_to_strongswan": self.ratio,
        })
    }
}

/// Sets each row's cost against strongSwan's.
pub(super) fn compare(rows: &mut [Row]) {
    let swan = rows.iter().find(|row| row.responder == "strongswan" && row.absent.is_none());
    let Some(theirs) = swan.map(|row| row.cost) else { return };
    rows.iter_mut().for_each(|row| row.ratio = Some(row.cost / theirs));
}

/// What the columns are.
pub fn head() {
    println!(
        "{:<24}{:<12}{:>10}{:>9}{:>11}{:>10}  by process; octets of a pair",
        "set-up and end", "responder", "us of CPU", "of swan", "/s and core", "/s seen"
    );
}

/// One line.
pub fn print(row: &Row) {
    print!("{:<24}{:<12}", row.kind.name(), row.responder);
    if let Some(why) = &row.absent {
        return println!("  absent: {why}");
    }
    let ratio = row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
    let seen = if row.rate > 0.0 { format!("{:.0}", row.rate) } else { "-".to_owned() };
    let parts: Vec<String> = row.parts.iter().map(|(name, cost)| format!("{name} {cost:.0} us")).collect();
    let octets: Vec<String> = row.octets.iter().map(u64::to_string).collect();
    println!(
        "{:>10.0}{:>9}{:>11.0}{:>10}  {}; {}",
        row.cost,
        ratio,
        1e6 / row.cost,
        seen,
        parts.join(", "),
        octets.join(" + ")
    );
}

/// Writes all rows; where.
pub fn write(rows: &[Row]) -> Result<PathBuf> {
    keep("ike", &rows.iter().map(Row::json).collect::<Vec<_>>())
}
