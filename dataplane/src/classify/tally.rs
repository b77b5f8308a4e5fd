//! Matches of one batch, added to the rules' counters once per run of packets that one rule decided.

use ravelin_lookup::judge::{Finding, Judgement};

use crate::table::Tables;

/// The runs in progress, one per direction.
#[derive(Debug, Default)]
pub(super) struct Tally {
    inbound: Run,
    outbound: Run,
}

/// Packets in a row that one rule decided.
#[derive(Debug, Default)]
struct Run {
    rule: Option<u32>,
    packets: u64,
    octets: u64,
}

impl Tally {
    /// Adds one packet of `octets`.
    pub(super) fn add(&mut self, tables: &Tables, worker: usize, judgement: &Judgement, octets: u16) {
        self.inbound.add(tables, worker, judgement.inbound, octets);
        self.outbound.add(tables, worker, judgement.outbound, octets);
    }

    /// Writes what is left.
    pub(super) fn finish(mut self, tables: &Tables, worker: usize) {
        self.inbound.flush(tables, worker);
        self.outbound.flush(tables, worker);
    }
}

impl Run {
    fn add(&mut self, tables: &Tables, worker: usize, finding: Finding, octets: u16) {
        let rule = finding.rule();
        if rule != self.rule {
            self.flush(tables, worker);
            self.rule = rule;
        }
        self.packets += 1;
        self.octets += u64::from(octets);
    }

    fn flush(&mut self, tables: &Tables, worker: usize) {
        if let Some(rule) = self.rule {
            tables.policy.count(worker, rule, self.packets, self.octets);
        }
        (self.packets, self.octets) = (0, 0);
    }
}
