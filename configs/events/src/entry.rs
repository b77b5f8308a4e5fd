//! One line of the catalogue.

use tracing::Level;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Something that should work does not, and will not by itself.
    Error,
    /// Somebody should look at it.
    Warning,
    /// What happened in the course of things.
    Info,
    /// The same, as often as it happens; not told unless asked for.
    Debug,
}

/// What may be told, and what it means.
#[derive(Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name in the code.
    pub name: &'static str,
    /// Stable: runbooks and alarms may rely on it.
    pub code: &'static str,
    /// How bad.
    pub severity: Severity,
    /// Fields that may come with it. Which is empty is left out.
    pub fields: &'static [&'static str],
    /// What it says, without a full stop.
    pub says: &'static str,
    /// What it comes of.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
}

impl Severity {
    /// As `tracing` has it.
    pub const fn level(self) -> Level {
        match self {
            Self::Error => Level::ERROR,
            Self::Warning => Level::WARN,
            Self::Info => Level::INFO,
            Self::Debug => Level::DEBUG,
        }
    }

    /// As people and programs read it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
            Self::Debug => "debug",
        }
    }

    /// Its number in syslog (RFC 5424 6.2.1) and journald.
    pub const fn number(self) -> u8 {
        match self {
            Self::Error => 3,
            Self::Warning => 4,
            Self::Info => 6,
            Self::Debug => 7,
        }
    }
}

impl From<Level> for Severity {
    fn from(level: Level) -> Self {
        match level {
            Level::ERROR => Self::Error,
            Level::WARN => Self::Warning,
            Level::INFO => Self::Info,
            _ => Self::Debug,
        }
    }
}

/// A finding in an operator's files: its kind, and the one sentence that says what is wrong.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its kind.
    pub kind: &'static Entry,
    /// What is wrong, without a full stop.
    pub text: String,
}

impl Entry {
    /// A finding of this kind.
    pub fn of(&'static self, text: impl Into<String>) -> Finding {
        Finding { kind: self, text: text.into() }
    }
}

/// What is said of a value without its kind says that the value does not do.
impl From<String> for Finding {
    fn from(text: String) -> Self {
        crate::catalogue::FILE_VALUE.of(text)
    }
}

impl From<&str> for Finding {
    fn from(text: &str) -> Self {
        Self::from(text.to_owned())
    }
}

/// Asserts, while the program is compiled, that an entry lists these fields.
pub const fn lists(entry: &Entry, names: &[&str]) {
    let mut at = 0;
    while at < names.len() {
        assert!(is_listed(entry, names[at]), "the entry of this event does not list one of the fields");
        at += 1;
    }
}

const fn is_listed(entry: &Entry, name: &str) -> bool {
    let mut at = 0;
    while at < entry.fields.len() {
        if same(entry.fields[at].as_bytes(), name.as_bytes()) {
            return true;
        }
        at += 1;
    }
    false
}

const fn same(a: &[u8], b: &[u8]) -> bool {
    let mut at = 0;
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at == a.len() && at == b.len()
}
