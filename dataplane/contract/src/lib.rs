//! What the control process may say to the packet process, and what it hears back.
//!
//! No I/O, no unsafe, no cryptography. Read in this order: [`limits`], [`address`], [`selector`], [`identity`], [`rule`],
//! [`secret`], [`sa`], [`child`], [`tls_session`],
//! [`tls`], [`snapshot`], [`verdict`], [`report`], [`message`], [`codec`].

pub mod address;
pub mod child;
pub mod codec;
pub mod identity;
pub mod limits;
pub mod message;
pub mod name;
pub mod report;
pub mod rule;
pub mod sa;
pub mod secret;
pub mod selector;
pub mod snapshot;
pub mod tls;
pub mod tls_session;
pub mod verdict;

/// Version of the messages. Both sides refuse to talk when it differs.
pub const VERSION: u16 = 7;
