//! `[log]`: where events go.

use std::net::SocketAddr;
use std::path::PathBuf;

use ravelin_events::Severity;
use ravelin_events::catalogue::FILE_TWICE;

use crate::document::Table;
use crate::value::Value;

/// Where events go, and how many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    /// Each once; there may be none.
    pub sinks: Vec<Sink>,
    /// Whether standard error gets JSON lines.
    pub json: bool,
    /// The least severe that is told.
    pub level: Severity,
    /// Events of one code in a second; 0 is no limit.
    pub rate: u32,
    /// The socket of journald.
    pub journal: PathBuf,
    /// Where syslog collects.
    pub syslog: Collector,
    /// Number of the facility of syslog (RFC 5424 6.2.1).
    pub facility: u8,
}

/// A place for events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sink {
    /// Standard error.
    Stderr,
    /// journald, by its native protocol.
    Journald,
    /// syslog, as RFC 5424 has it.
    Syslog,
}

/// Where syslog collects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collector {
    /// A Unix datagram socket.
    Unix(PathBuf),
    /// UDP (RFC 5426).
    Udp(SocketAddr),
}

const KEYS: &[&str] = &["to", "format", "level", "rate", "journal", "syslog", "facility"];
const SINKS: [(&str, Sink); 3] =
    [("stderr", Sink::Stderr), ("journald", Sink::Journald), ("syslog", Sink::Syslog)];
const LEVELS: [(&str, Severity); 4] = [
    ("error", Severity::Error),
    ("warning", Severity::Warning),
    ("info", Severity::Info),
    ("debug", Severity::Debug),
];
/// Facilities that a program of the system may have.
const FACILITIES: [(&str, u8); 10] = [
    ("daemon", 3),
    ("authpriv", 10),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

impl Default for Log {
    fn default() -> Self {
        Self {
            sinks: vec![Sink::Stderr],
            json: false,
            level: Severity::Info,
            rate: 100,
            journal: PathBuf::from("/run/systemd/journal/socket"),
            syslog: Collector::Unix(PathBuf::from("/dev/log")),
            facility: 3,
        }
    }
}

/// `[log]` of the appliance file.
pub(super) fn read(file: &Table<'_>) -> Option<Log> {
    let default = Log::default();
    let Some(table) = file.table("log", "[log]", KEYS) else { return Some(default) };
    let sinks = table.optional("to", read_sinks);
    let json = table.optional("format", |value| value.choice(&[("text", false), ("json", true)]));
    let level = table.optional("level", |value| value.choice(&LEVELS));
    let rate = table.optional("rate", |value| value.number(0..=1_000_000));
    let journal = table.optional("journal", Value::path);
    let syslog = table.optional("syslog", read_collector);
    let facility = table.optional("facility", |value| value.choice(&FACILITIES));
    Some(Log {
        sinks: sinks?.unwrap_or(default.sinks),
        json: json?.unwrap_or(default.json),
        level: level?.unwrap_or(default.level),
        rate: rate?.map_or(default.rate, |rate| rate as u32),
        journal: journal?.unwrap_or(default.journal),
        syslog: syslog?.unwrap_or(default.syslog),
        facility: facility?.unwrap_or(default.facility),
    })
}

fn read_sinks(value: &Value<'_>) -> Option<Vec<Sink>> {
    let mut sinks = Vec::new();
    for item in value.one_or_more() {
        let sink = item.choice(&SINKS)?;
        if sinks.contains(&sink) {
            item.error(FILE_TWICE.of("the sink stands twice"), "list each sink once");
            return None;
        }
        sinks.push(sink);
    }
    (!sinks.is_empty()).then_some(sinks)
}

/// `udp:192.0.2.1:514`, or the path of a socket.
fn read_collector(value: &Value<'_>) -> Option<Collector> {
    let text = value.text()?;
    let Some(address) = text.strip_prefix("udp:") else { return value.path().map(Collector::Unix) };
    let address = address.parse().ok();
    if address.is_none() {
        let remedy =
            "write it as \"udp:192.0.2.1:514\" or \"udp:[2001:db8::1]:514\", or the path of a socket";
        value.error(format!("{text:?} is not an address with a port"), remedy);
    }
    address.map(Collector::Udp)
}
