//! A short printable name, checked once.

use serde::{Deserialize, Serialize};

use crate::limits;

/// A name of 1 to [`limits::NAME`] octets: letters, digits, `.`, `_`, `-`, `@`, `/`, `:` and no space.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// Why a text is not a [`Name`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing in it.
    #[error("a name cannot be empty")]
    Empty,
    /// Longer than [`limits::NAME`].
    #[error("a name has at most {} characters", limits::NAME)]
    TooLong,
    /// A character outside the allowed set.
    #[error("a name cannot contain {0:?}; use letters, digits and . _ - @ / :")]
    Character(char),
}

impl Name {
    /// Checks `text`.
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        if text.is_empty() {
            return Err(NameError::Empty);
        }
        if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-@/:".contains(*c))) {
            return Err(NameError::Character(bad));
        }
        if text.len() > limits::NAME {
            return Err(NameError::TooLong);
        }
        Ok(Self(text))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}
