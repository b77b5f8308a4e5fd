//! TLS handshakes without I/O: bytes, time and certificates come in, bytes and at the end the keys of the records go out.
//!
//! The way of a connection:
//!
//! 1. Settings of policy ([`settings::Settings`]) and the key rings make an [`Environment`], once for many connections.
//! 2. A [`Handshake`] is begun in it. It eats what the peer sends ([`Handshake::receive`]), and what is to be sent is taken
//!    from it ([`Handshake::take_output`]). rustls does the protocol; private keys stay behind the door of the rings.
//! 3. [`Handshake::finish`] gives the [`Handover`]: the keys as a message of the contract, what is agreed, and the [`Keeper`],
//!    which makes later keys and stores tickets. Or the [`Failure`], in plain words.
//!
//! Read on in this order: [`settings`], [`environment`], `provider`, `identity`, `signing`, `judge`, `scope`, `stream`,
//! [`handshake`], [`handover`], [`failure`].
//!
//! The dice are rustls': its provider takes none from outside. Signing may wait for a token, so handshakes run on threads
//! that may wait.

pub mod environment;
pub mod failure;
pub mod handover;
pub mod handshake;
mod identity;
mod judge;
mod provider;
mod scope;
pub mod settings;
mod signing;
mod stream;

pub use environment::{Doors, Environment};
pub use failure::{Failure, Reason};
pub use handover::{Facts, Handover, Keeper, Peer};
pub use handshake::{Handshake, Now, Progress, Target};
