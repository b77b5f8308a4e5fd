//! Follows a real kernel in network namespaces of its own, which end with the threads that live in them.
//!
//! Needs CAP_SYS_ADMIN; without it the tests fail and say so.
#![expect(unsafe_code, reason = "a thread leaves its network namespace by a call that may also do worse")]
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod host;
mod lab;
mod netns;
#[path = "../support/written.rs"]
mod written;
