//! Policies of other programs as files of ours: text in, `attls.toml` and `ipsec.toml` out, with a report that says of each
//! statement what became of it.
//!
//! What cannot be said in our files never opens anything: a rule that protects or denies and cannot be expressed becomes one that
//! refuses at least all that it was for, and a rule that lets pass is left out ([decision 0030](../../docs/decisions/0030-importers.md)).

mod name;
pub mod nftables;
pub mod pagent;
pub mod report;
pub mod stunnel;
pub mod swanctl;
mod write;

pub use report::{Fate, Imported, Item, Output, Report};
