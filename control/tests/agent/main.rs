//! The agent against a packet process that follows a script: what it applies, keeps, brings back and takes back.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod apply;
mod confirm;
mod history;
mod told;
mod watch;
mod world;
