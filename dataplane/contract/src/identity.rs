//! Patterns of identities that rules ask for (row B18). What they mean only control knows; here they are names.

use serde::{Deserialize, Serialize};

use crate::limits;

/// Number of a pattern within one generation; an index into [`crate::snapshot::Snapshot::identities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct IdentityId(pub u32);

/// A pattern as control writes it, such as `*@example.org`: the same text means the same peers in every generation. 1 to
/// [`limits::IDENTITY`] octets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Pattern(Box<str>);

/// The text is empty or longer than [`limits::IDENTITY`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a pattern of identities has 1 to {max} octets", max = limits::IDENTITY)]
pub struct PatternError;

impl Pattern {
    /// Checks `text`.
    pub fn new(text: impl Into<Box<str>>) -> Result<Self, PatternError> {
        let text = text.into();
        if (1..=limits::IDENTITY).contains(&text.len()) { Ok(Self(text)) } else { Err(PatternError) }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;
    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::new(text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.0.into()
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
