//! Issuing and judging certificates, with OpenSSL, GnuTLS and Python's cryptography on the other side.

mod acme;
mod forged;
mod issued;
#[path = "../../fuzz/fuzz_targets/judge.rs"]
mod judge;
mod judges;
mod limbo;
mod pebble;
mod reasons;
mod refusals;
mod revocation;
