//! Authenticated encryption by the batch.
//!
//! Two layers, and imports run downwards only:
//!
//! - The face, which callers see: [`aead`] for AES-GCM, AES-GMAC and ChaCha20-Poly1305, [`etm`] for the
//!   suites of ESP that encrypt and then authenticate, [`nonce`] and [`iv`] for the numbers that must never
//!   repeat. It owns lengths, tags, outcomes and wiping, and is safe
//!   code but for [`Text`], whose input and output may be one place.
//! - `low`, the back ends. They know blocks and registers, nothing of packets and protocols. All of them give the
//!   same octets; which one runs is chosen once, by what the processor can do.
//!
//! A key is expanded once per SA or TLS session and wiped when dropped. Sealing and opening never allocate.
//!
//! What is absent on purpose: randomness (callers hand in seeds), short tags, unauthenticated encryption, and
//! any way to seal twice under one number.

pub mod aead;
pub mod error;
pub mod etm;
pub mod iv;
mod low;
pub mod nonce;
mod text;

pub use error::{BadTag, KeyError, LengthError};
pub use low::{BackEnd, KeyMemory, SwitchError, back_end, check_environment, key_memory};
pub use text::{TEXT_MAX, Text};
