//! The control process and the operator's command.
//!
//! The policy's way: [`policy`] (file, model, resolve, compile) -> [`agent`] (keep, install) -> [`io::dataplane`].
//! The key's way: peer -> [`ike`] or [`attls`] -> [`io::dataplane`].
//! An operator's request: `command` -> [`api`] -> [`agent`]. The figures' way: packet process -> [`report`] -> scraper.

pub mod agent;
pub mod api;
pub mod attls;
pub mod command;
pub mod daemon;
pub mod ike;
pub mod io;
pub mod policy;
pub mod report;
mod threads;
