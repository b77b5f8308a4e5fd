//! `[policy]`: how many policies are kept, and whether the files are watched.

use crate::document::Table;

/// Policies that are kept where nothing is said.
const KEEP: usize = 50;

const KEYS: &[&str] = &["keep", "watch", "require_commit"];

/// What becomes of policies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// How many of those that were applied are kept, the one in force among them.
    pub keep: usize,
    /// What a change of the files does.
    pub watch: Watch,
}

/// What a change of the policy files does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Watch {
    /// Nothing.
    Off,
    /// It is told.
    Report,
    /// It is applied.
    Apply,
}

pub(super) fn read(file: &Table<'_>) -> Option<Policy> {
    let table = file.table("policy", "[policy]", KEYS);
    let get = |key| table.as_ref().and_then(|table| table.get(key));
    let keep = get("keep").map_or(Some(KEEP as u64), |value| value.number(1..=10_000));
    let flag = |key| get(key).map_or(Some(false), |value| value.flag());
    let watch = match (flag("watch")?, flag("require_commit")?) {
        (false, false) => Watch::Off,
        (true, false) => Watch::Apply,
        (true, true) => Watch::Report,
        (false, true) => {
            let remedy = "add `watch = true`, or remove it: without it nothing is applied by itself anyway";
            get("require_commit")?.error("`require_commit` speaks of files that are watched", remedy);
            return None;
        }
    };
    Some(Policy { keep: keep? as usize, watch })
}
