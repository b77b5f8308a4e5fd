//! Names of rings and labels of certificates, checked once.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Name of a ring: 1 to 64 of letters, digits, `.`, `_`, `-`, and no `.` in front. It is also a file name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RingName(String);

/// Label of a certificate in its ring (row E18): 1 to 128 printable characters, no `/`, no blank at either end.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Label(String);

/// A certificate anywhere: ring and label, written `RING/LABEL`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Place {
    /// The ring.
    pub ring: RingName,
    /// The certificate in it.
    pub label: Label,
}

impl RingName {
    /// Checks `text`.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if text.is_empty() || text.len() > 64 || text.starts_with('.') || !text.chars().all(fits) {
            return Err(Error::Name(format!(
                "{text:?} is no name of a ring; use 1 to 64 letters, digits, '.', '_', '-', and no '.' in front"
            )));
        }
        Ok(Self(text))
    }
}

impl Label {
    /// Checks `text`.
    pub fn new(text: impl Into<String>) -> Result<Self, Error> {
        let text = text.into();
        let length = text.chars().count();
        if !(1..=128).contains(&length)
            || text.contains(|c: char| c.is_control() || c == '/')
            || text.trim() != text
        {
            return Err(Error::Name(format!(
                "{text:?} is no label; use 1 to 128 printable characters, no '/', no blank at either end"
            )));
        }
        Ok(Self(text))
    }
}

macro_rules! text {
    ($name:ident) => {
        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = Error;
            fn try_from(text: String) -> Result<Self, Error> {
                Self::new(text)
            }
        }
        impl std::str::FromStr for $name {
            type Err = Error;
            fn from_str(text: &str) -> Result<Self, Error> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}
text!(RingName);
text!(Label);

impl std::str::FromStr for Place {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self, Error> {
        let (ring, label) = text
            .split_once('/')
            .ok_or_else(|| Error::Name(format!("{text:?} names no certificate; write RING/LABEL")))?;
        Ok(Self { ring: RingName::new(ring)?, label: Label::new(label)? })
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.ring, self.label)
    }
}
