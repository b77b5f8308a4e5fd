//! Standard error: lines for people, or JSON lines. Whoever reads them may stop reading, so no write waits longer than a second.

use std::io;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::json;

use crate::record::Record;
use crate::sink::Sink;

/// How long a reader may keep a line waiting.
const PATIENCE: Duration = Duration::from_secs(1);
/// A pipe that says that it has room takes so much at once (PIPE_BUF).
const PIECE: usize = 4096;

/// The sink.
#[derive(Debug)]
pub(crate) struct Stderr {
    json: bool,
    /// The last line was given up half written.
    cut: bool,
}

impl Stderr {
    pub(crate) fn new(json: bool) -> Self {
        Self { json, cut: false }
    }
}

impl Sink for Stderr {
    fn put(&mut self, record: &Record) -> io::Result<()> {
        let mut line = if self.json { json_line(record) } else { text_line(record) };
        if self.cut {
            line.insert(0, '\n');
        }
        let written = write(line.as_bytes());
        self.cut = written.as_ref().err().is_some_and(|(octets, _)| self.cut || *octets > 0);
        written.map_err(|(_, error)| error)
    }
}

/// A last word of a process that ends, to standard error. Nothing is to be done where nobody takes it.
pub fn last_word(line: &str) {
    let _ = write(format!("{line}\n").as_bytes());
}

/// Without the lock of the standard library, which others would wait for. Of what failed, how many octets were written before.
fn write(line: &[u8]) -> Result<(), (usize, io::Error)> {
    let end = Instant::now() + PATIENCE;
    let mut rest = line;
    while !rest.is_empty() {
        match write_piece(rest, end) {
            Ok(octets) => rest = &rest[octets..],
            Err(error) => return Err((line.len() - rest.len(), error)),
        }
    }
    Ok(())
}

fn write_piece(rest: &[u8], end: Instant) -> io::Result<usize> {
    let stderr = io::stderr();
    let left = Timespec::try_from(end.saturating_duration_since(Instant::now())).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&left)) {
        Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::io::write(&stderr, &rest[..rest.len().min(PIECE)]) {
        Err(rustix::io::Errno::INTR) => Ok(0),
        written => Ok(written?),
    }
}

fn text_line(record: &Record) -> String {
    let level = record.severity.level();
    let code = record.code.as_ref().map_or(String::new(), |code| format!(" [{code}]"));
    format!("{} {level:>5} {}:{code} {}\n", record.time, record.target, record.line())
}

fn json_line(record: &Record) -> String {
    let mut fields = serde_json::Map::new();
    fields.insert("message".to_owned(), record.message.as_str().into());
    fields.extend(record.code.iter().map(|code| ("code".to_owned(), code.as_str().into())));
    fields.extend(record.fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let line = json!({
        "timestamp": record.time,
        "level": record.severity.level().as_str(),
        "fields": fields,
        "target": record.target,
    });
    format!("{line}\n")
}
