//! TLS record protection: TLS 1.3 (RFC 8446 5) and the AEAD suites of TLS 1.2 (RFC 5246 6.2, RFC 5288, RFC 7905).
//!
//! A [`Session`] is made from what control hands over ([`ravelin_contract::tls_session`]). It has no I/O, no clock and no
//! dice: octets come in where they lie, and go out where the caller says. The way of what is received:
//!
//! 1. [`record_len`] says whether a whole record lies at the front of the stream, or how many octets are missing. The
//!    stream may lie in as many pieces as it came in; the caller keeps them until the record is whole.
//! 2. [`Session::prepare_open`] checks its header and takes its number, [`Opening::job`] makes an [`OpenJob`] of it, and
//!    [`open`] does many jobs of many sessions in one batch.
//! 3. [`Session::finish_open`] says what it was: clear octets, messages, the end. [`Session::open`] does all for one record.
//!
//! The way of what is sent: [`Session::prepare_seal`] takes a number, [`Sealing::job`] makes a [`SealJob`] of it, [`seal`]
//! does the batch; [`Session::seal`] does it for one record.
//!
//! Read on in this order: [`alert`], [`failure`], `header`, `scatter`, `protection`, `opener`, `content`, `handshake`,
//! `sealer`, `session`.
//!
//! [`OpenJob`]: ravelin_crypto_accel::aead::OpenJob
//! [`SealJob`]: ravelin_crypto_accel::aead::SealJob
//! [`open`]: ravelin_crypto_accel::aead::open
//! [`seal`]: ravelin_crypto_accel::aead::seal

pub mod alert;
mod content;
pub mod failure;
mod handshake;
mod header;
mod opener;
mod protection;
mod scatter;
mod sealer;
mod session;

pub use content::Incoming;
pub use failure::{CannotSeal, Failure};
pub use handshake::Message;
pub use header::{CONTENT_MAX, ContentType, HEADER_LEN, Look, RECORD_MAX, record_len};
pub use opener::Opening;
pub use protection::KeyFault;
pub use scatter::{PIECES, Run};
pub use sealer::Sealing;
pub use session::Session;
