//! Values as aligned columns or as JSON.

use std::io::Write;

use serde::Serialize;

use super::{Failure, Session};

/// Prints `value` as JSON, or `rows` under `heading`; columns are as wide as their widest cell.
pub(crate) fn print<T: Serialize, const N: usize>(
    session: &Session,
    value: &T,
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    if session.json {
        serde_json::to_writer_pretty(&mut out, value)?;
        writeln!(out)?;
        return Ok(());
    }
    let mut lines = vec![heading.map(str::to_owned)];
    lines.extend(rows);
    let widths: [usize; N] =
        std::array::from_fn(|column| lines.iter().map(|line| line[column].len()).max().unwrap_or(0));
    for line in &lines {
        let cells = line.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    Ok(())
}
