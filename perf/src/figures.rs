//! What benches make of what they measured.

use std::path::PathBuf;

use anyhow::Result;
use serde_json::Value;

use crate::foreign::workspace;

/// The one in the middle, of an even number the later; 0 of none.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// Writes the rows of a bench for scripts, and says where.
pub(crate) fn keep(bench: &str, rows: &[Value]) -> Result<PathBuf> {
    let path = workspace().join(format!("target/bench/{bench}.json"));
    path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
    std::fs::write(&path, serde_json::to_string_pretty(rows)? + "\n")?;
    Ok(path)
}
