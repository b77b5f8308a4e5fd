//! TLS for programs that know nothing of it, between namespaces: foreign programs at both ends, in both roles.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod ends;
mod levels;
mod long;
mod mainframe;
mod many;
mod nginx;
mod plain;
mod programs;
mod refused;
mod scan;
mod sessions;
mod stand;
