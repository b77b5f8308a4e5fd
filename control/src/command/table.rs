//! Values as aligned columns or as JSON.

use std::io::Write;

use serde::Serialize;

use super::{Failure, Session};

/// Prints one JSON value.
pub(crate) fn print_json<T: Serialize>(value: &T) -> std::io::Result<()> {
    let mut text = serde_json::to_string_pretty(value)?;
    text.push('\n');
    std::io::stdout().lock().write_all(text.as_bytes())
}

/// Prints `value` as JSON, or `rows` under `heading`; columns are as wide as their widest cell.
pub(crate) fn print<T: Serialize, const N: usize>(
    session: &Session,
    value: &T,
    heading: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
) -> Result<(), Failure> {
    if session.json {
        return Ok(print_json(value)?);
    }
    let mut out = std::io::stdout().lock();
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
