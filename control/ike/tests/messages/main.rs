//! Messages of IKE as octets: written, read, sealed, recorded from others, and meant to hurt.

mod captures_of_others;
#[path = "../common/hex.rs"]
mod hex;
mod hostile;
mod round_trip;
mod sealed;
