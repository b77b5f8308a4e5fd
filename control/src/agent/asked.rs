//! Who wants a policy in force, why, and for how long without a word.

use std::fs;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How a policy came to be applied.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "snake_case")]
pub enum Cause {
    /// `ravelin policy apply`.
    #[default]
    Apply,
    /// The first start of control with policy files.
    Start,
    /// `ravelin policy reload`, or SIGHUP.
    Reload,
    /// The files changed, and are watched.
    Watch,
    /// `ravelin policy rollback`.
    Rollback {
        /// The number of the policy that was brought back.
        to: u64,
    },
    /// The policy before it was not confirmed in time.
    NotConfirmed {
        /// The number of the policy that was brought back.
        to: u64,
    },
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Apply => f.write_str("apply"),
            Self::Start => f.write_str("start"),
            Self::Reload => f.write_str("reload"),
            Self::Watch => f.write_str("watch"),
            Self::Rollback { to } => write!(f, "rollback to {to}"),
            Self::NotConfirmed { to } => write!(f, "not confirmed, back to {to}"),
        }
    }
}

/// What somebody asks for beside the policy itself.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// How it comes.
    pub cause: Cause,
    /// Who asks, as the kernel says; `None` for control itself.
    pub uid: Option<u32>,
    /// Why.
    pub why: Option<String>,
    /// Within which time it must be confirmed, else the policy before comes back.
    pub confirm: Option<Duration>,
    /// Whether the answer tells what changed.
    pub tell_changes: bool,
}

impl Asked {
    /// Control by itself.
    pub fn by_ourselves(cause: Cause) -> Self {
        Self { cause, ..Self::default() }
    }
}

/// The name of a user of this host.
pub(super) fn user_name(uid: u32) -> Option<String> {
    name_in(&fs::read_to_string("/etc/passwd").ok()?, uid)
}

fn name_in(users: &str, uid: u32) -> Option<String> {
    let named = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    };
    users.lines().find_map(named)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_their_number() {
        let users = "root:x:0:0:root:/root:/bin/sh\nbroken\nalice:x:1000:1000::/home/alice:/bin/sh\n";
        assert_eq!(name_in(users, 1000).as_deref(), Some("alice"));
        assert_eq!(name_in(users, 0).as_deref(), Some("root"));
        assert_eq!(name_in(users, 1001), None);
    }
}
