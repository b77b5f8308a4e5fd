//! One event as every sink gets it: nothing in it can break a line, a terminal or a parser.

use std::fmt::{Debug, Write};

use ravelin_events::{Entry, Severity};
use serde_json::Value;
use tracing::Event;
use tracing::field::{Field, Visit};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// Most octets of one value; who talks to us must not choose how much we write.
const LONGEST: usize = 2048;
/// Most octets of all values together, so that a record fits a datagram.
const TOGETHER: usize = 16 * 1024;

/// One event.
#[derive(Debug, Clone, PartialEq)]
pub struct Record {
    /// When, as RFC 3339 has it, in UTC with microseconds.
    pub time: String,
    /// How bad.
    pub severity: Severity,
    /// Its code; those of other libraries have none.
    pub code: Option<String>,
    /// Which part of the program told it.
    pub target: &'static str,
    /// The sentence.
    pub message: String,
    /// All else; nothing of it is empty.
    pub fields: Vec<(&'static str, Value)>,
}

impl Record {
    /// What `event` says now.
    pub fn of(event: &Event<'_>) -> Self {
        let metadata = event.metadata();
        let mut record = Self::empty((*metadata.level()).into(), metadata.target());
        event.record(&mut Taker { record: &mut record, room: TOGETHER });
        record
    }

    /// What an entry says now.
    pub fn told(entry: &Entry, fields: &[(&'static str, Value)]) -> Self {
        let mut record = Self::empty(entry.severity, module_path!());
        record.code = Some(entry.code.to_owned());
        record.message = entry.says.to_owned();
        record.fields = fields.to_vec();
        record
    }

    fn empty(severity: Severity, target: &'static str) -> Self {
        let mut time = String::new();
        // A clock that cannot be read leaves the field empty.
        let _ = SystemTime.format_time(&mut Writer::new(&mut time));
        Self { time, severity, code: None, target, message: String::new(), fields: Vec::new() }
    }

    /// The sentence and all fields on one line, for people.
    pub fn line(&self) -> String {
        let mut line = self.message.clone();
        for (name, value) in &self.fields {
            let _ = match value {
                Value::String(text) if is_plain(text) => write!(line, " {name}={text}"),
                Value::String(text) => {
                    write!(line, " {name}=\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
                }
                other => write!(line, " {name}={other}"),
            };
        }
        line
    }
}

/// Whether text needs no quotes.
fn is_plain(text: &str) -> bool {
    !text.contains([' ', '"', '=', '\\'])
}

/// `text` with everything escaped that could end a line, move a cursor or turn the direction of writing; cut where it is too long.
pub fn clean(text: &str, most: usize) -> String {
    let mut clean = String::with_capacity(text.len().min(most));
    for c in text.chars() {
        if clean.len() >= most {
            clean.push_str("[cut]");
            break;
        }
        match is_hostile(c) {
            true => clean.extend(c.escape_default()),
            false => clean.push(c),
        }
    }
    clean
}

/// Control characters of all kinds, line ends of Unicode, and invisible characters that reorder or hide text.
fn is_hostile(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Takes the fields of an event.
struct Taker<'r> {
    record: &'r mut Record,
    room: usize,
}

impl Taker<'_> {
    fn text(&mut self, field: &Field, text: &str) {
        let text = clean(text, LONGEST.min(self.room));
        self.room = self.room.saturating_sub(text.len());
        match field.name() {
            "message" => self.record.message = text,
            "code" => self.record.code = Some(text),
            _ if text.is_empty() => {}
            name => self.record.fields.push((name, Value::String(text))),
        }
    }

    fn value(&mut self, field: &Field, value: impl Into<Value>) {
        self.record.fields.push((field.name(), value.into()));
    }
}

impl Visit for Taker<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.text(field, &format!("{value:?}"));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.value(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.value(field, value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.value(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.value(field, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_moves_a_cursor_or_ends_a_line_stays() {
        let hostile = "a\nb\r\u{1b}[2J\u{7f}\u{85}\u{2028}\u{202e}c\0\u{200b}\u{feff}\u{61c}";
        let clean = clean(hostile, 1000);
        assert_eq!(
            clean,
            "a\\nb\\r\\u{1b}[2J\\u{7f}\\u{85}\\u{2028}\\u{202e}c\\u{0}\\u{200b}\\u{feff}\\u{61c}"
        );
        assert!(!clean.chars().any(is_hostile));
    }

    #[test]
    fn what_people_are_called_stays_as_it_is() {
        for name in ["CN=Jürgen Groß,O=東京", "Ζεύς", "O=\"A, B\"", "back\\slash"] {
            assert_eq!(clean(name, 1000), name);
        }
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        assert_eq!(clean(&"é".repeat(100), 11), format!("{}[cut]", "é".repeat(6)));
    }

    #[test]
    fn a_value_cannot_pretend_to_be_another_field() {
        let mut record = Record::empty(Severity::Info, "here");
        record.message = "m".to_owned();
        record.fields = vec![("peer", "x\" code=\"y".into()), ("n", 3.into()), ("plain", "a/b:1".into())];
        assert_eq!(record.line(), r#"m peer="x\" code=\"y" n=3 plain=a/b:1"#);
        record.fields = vec![("peer", r#"x\" code="y"#.into()), ("path", r"C:\".into())];
        assert_eq!(record.line(), r#"m peer="x\\\" code=\"y" path="C:\\""#);
    }
}
