//! What `ravelin test` answers, as the API gives it and the command prints it.

use serde::{Deserialize, Serialize};

/// What becomes of a packet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The packet, in words.
    pub flow: String,
    /// What was asked: `policy`, `default-no-policy`, `default-forced`, or `candidate`.
    pub filters: String,
    /// Fingerprint of the policy that was asked; none for default filters.
    pub policy: Option<String>,
    /// Each different answer with what it hangs on, in order of the deciding rules; one where nothing that was left open matters.
    pub cases: Vec<Case>,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// What it hangs on of what was left open: name and values.
    pub when: Vec<(String, String)>,
    /// `permit`, `deny`, `ipsec`, or `unknown` for a later fragment whose first must be seen.
    pub verdict: String,
    /// What happens, in plain words.
    pub effect: String,
    /// How a packet in clear ends by this lookup, as `ravelin stats` counts it; `pass` where it goes on.
    pub in_clear: String,
    /// The tunnel, where the verdict is `ipsec`.
    pub tunnel: Option<String>,
    /// Whether it is logged.
    pub logged: bool,
    /// The rule that decides; none where no rule matches.
    pub rule: Option<Citation>,
    /// Rules behind it that match too, in order; the first would decide if the deciding one were not there. Empty where the
    /// case holds for several ports, zones or ways that rules could tell apart.
    pub behind: Vec<Citation>,
    /// What rules for TLS say of the connection; none where they are not asked.
    pub tls: Option<Tls>,
}

/// A rule, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Citation {
    /// Name.
    pub name: String,
    /// Which of the simple rules that it was split into, from 1.
    pub extension: u16,
    /// File.
    pub file: Option<String>,
    /// Line, from 1.
    pub line: Option<usize>,
    /// The simple rule in words.
    pub text: String,
}

/// What rules for TLS say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tls {
    /// `none` where no rule speaks of it, `off`, `refuse`, `client` or `server`.
    pub verdict: String,
    /// What happens, in plain words.
    pub effect: String,
    /// The rule that decides.
    pub rule: Option<Citation>,
}

impl Citation {
    /// Such as `ipsec.toml:12`.
    pub fn place(&self) -> String {
        match (&self.file, self.line) {
            (Some(file), Some(line)) => format!("{file}:{line}"),
            _ => "-".to_owned(),
        }
    }
}
