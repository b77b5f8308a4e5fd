//! Standard error: lines for people, or JSON lines.

use std::io::{self, Write};

use serde_json::json;

use crate::record::Record;
use crate::sink::Sink;

/// The sink.
#[derive(Debug)]
pub(crate) struct Stderr {
    json: bool,
}

impl Stderr {
    pub(crate) fn new(json: bool) -> Self {
        Self { json }
    }
}

impl Sink for Stderr {
    fn put(&mut self, record: &Record) -> io::Result<()> {
        let line = if self.json { json_line(record) } else { text_line(record) };
        io::stderr().lock().write_all(line.as_bytes())
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
