//! A table for people and a file for scripts.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::Terminator;
use crate::figures::{keep, median};

/// What was measured of one terminator.
#[derive(Debug, Clone)]
pub struct Measured {
    name: String,
    /// By connection, each with a handshake.
    pub(super) connections: Costs,
    /// By octet on one connection.
    pub(super) octets: Costs,
    /// Octets in memory of an idle connection, by process.
    pub(super) idle: Vec<(&'static str, f64)>,
}

/// Turns with one kind of load.
#[derive(Debug, Clone, Default)]
pub(super) struct Costs {
    /// Seconds of the processor for one unit, all processes.
    all: Vec<f64>,
    /// The same by process.
    parts: Vec<(&'static str, Vec<f64>)>,
    /// Units in a second, as clients saw it.
    rates: Vec<f64>,
}

impl Costs {
    pub(super) fn push(&mut self, of: &Terminator, spent: &[Duration], took: Duration, units: f64) {
        self.all.push(spent.iter().sum::<Duration>().as_secs_f64() / units);
        self.rates.push(units / took.as_secs_f64());
        self.parts.resize_with(of.parts.len(), Default::default);
        for ((name, costs), ((own, _), spent)) in self.parts.iter_mut().zip(of.parts.iter().zip(spent)) {
            *name = *own;
            costs.push(spent.as_secs_f64() / units);
        }
    }

    fn json(&self) -> Value {
        let parts: Value =
            self.parts.iter().map(|(name, costs)| ((*name).to_owned(), json!(median(costs)))).collect();
        json!({
            "processor_s_median": median(&self.all),
            "processor_s_range": range(&self.all),
            "processor_s_by_process": parts,
            "per_s_seen_median": median(&self.rates),
        })
    }
}

fn range(values: &[f64]) -> [f64; 2] {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    [least, values.iter().copied().fold(0.0, f64::max)]
}

impl Measured {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            connections: Costs::default(),
            octets: Costs::default(),
            idle: Vec::new(),
        }
    }

    fn idle_octets(&self) -> f64 {
        self.idle.iter().map(|(_, octets)| octets).sum()
    }
}

/// The head of the table.
pub fn head() {
    println!(
        "{:<18} {:>12} {:>8} {:>12} {:>8} {:>9} {:>12}  by process: us, ms/GB, octets",
        "ends TLS", "us/handshake", "/s seen", "ms CPU/GB", "of first", "MB/s seen", "octets idle"
    );
}

/// Its rows. The first is whom the others are held against.
pub fn print(all: &[Measured]) {
    let Some(first) = all.first().map(|one| median(&one.octets.all)) else { return };
    for one in all {
        let parts = one.connections.parts.iter().zip(&one.octets.parts).zip(&one.idle);
        let parts: Vec<_> = parts
            .map(|(((name, connection), (_, octet)), (_, idle))| {
                format!("{name} {:.0}, {:.0}, {idle:.0}", median(connection) * 1e6, median(octet) * 1e12)
            })
            .collect();
        println!(
            "{:<18} {:>12.0} {:>8.0} {:>12.0} {:>8.2} {:>9.0} {:>12.0}  {}",
            one.name,
            median(&one.connections.all) * 1e6,
            median(&one.connections.rates),
            median(&one.octets.all) * 1e12,
            median(&one.octets.all) / first,
            median(&one.octets.rates) / 1e6,
            one.idle_octets(),
            parts.join("; ")
        );
    }
}

/// Writes all rows, and says where.
pub fn write(all: &[Measured]) -> Result<PathBuf> {
    let rows: Vec<_> = all
        .iter()
        .map(|one| {
            let idle: Value =
                one.idle.iter().map(|(name, octets)| ((*name).to_owned(), json!(octets))).collect();
            json!({
                "ends_tls": one.name,
                "connection": one.connections.json(),
                "octet": one.octets.json(),
                "octets_of_idle_connection": idle,
            })
        })
        .collect();
    keep("tls", &rows)
}
