//! Key rings: certificates by label, private keys behind one narrow door, and what makes a chain believed.
//!
//! A [`store::Rings`] is a directory of rings. [`store::Rings::open`] gives a snapshot, the [`ring::Ring`];
//! [`store::Rings::change`] is the only way to alter one. Private keys stay inside: whoever needs one asks the
//! [`signer::Signer`], which looks at the caller's [`access::Caller`] first.

pub mod access;
pub mod acme;
mod beside;
pub mod certificate;
pub mod error;
pub mod expiry;
pub mod export;
pub mod format;
pub mod io;
pub mod issue;
pub mod key;
pub mod map;
pub mod name;
pub mod passphrase;
pub mod revocation;
pub mod ring;
pub mod scheme;
pub mod signer;
pub mod store;
pub mod verify;

pub use error::Error;

/// What everything here gives back.
pub type Result<T> = std::result::Result<T, Error>;
