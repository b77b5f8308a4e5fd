//! A responder that runs as processes of its own.

use anyhow::Result;

use super::usage::{Spent, Usage};
use crate::spent::resident;

/// One of its processes.
#[derive(Debug)]
pub(super) struct Part {
    /// For the table.
    pub(super) name: &'static str,
    /// Its process id.
    pub(super) pid: u32,
}

/// The responder.
#[derive(Debug)]
pub(super) struct Real {
    /// For the table.
    pub(super) name: &'static str,
    /// Its processes, the one that does IKE first.
    pub(super) parts: Vec<Part>,
}

impl Real {
    /// What each process has used so far.
    pub(super) fn usages(&self) -> Result<Vec<Usage>> {
        self.parts.iter().map(|part| Usage::of(part.pid)).collect()
    }

    /// What each has used since.
    pub(super) fn since(&self, before: &[Usage]) -> Result<Vec<Spent>> {
        Ok(self.usages()?.iter().zip(before).map(|(now, before)| now.since(before)).collect())
    }

    /// Octets in memory of each process.
    pub(super) fn memory(&self) -> Result<Vec<u64>> {
        self.parts.iter().map(|part| resident(part.pid)).collect()
    }
}
