//! First messages that are not even read: in a flood each costs no more than a look at its header.

use super::Endpoint;
use crate::input::Path;
use crate::time::Time;
use crate::wire::{ExchangeType, PayloadType};

/// Octets of the initiator's SPI, of the responder's, and where first payload, exchange and flags stand (RFC 7296 3.1).
const INITIATOR: std::ops::Range<usize> = 0..8;
const RESPONDER: std::ops::Range<usize> = 8..16;
const FIRST_PAYLOAD: usize = 16;
const EXCHANGE: usize = 18;
const FLAGS: usize = 19;
/// The flag of a response.
const RESPONSE: u8 = 0x20;

impl Endpoint {
    /// While there are so many strangers that no more cookies are given out, whoever shows none is turned away. A cookie
    /// stands first in its message (RFC 7296 2.6). Who repeats what was admitted before is known.
    pub(super) fn is_turned_away_unread(&mut self, now: Time, path: Path, bytes: &[u8]) -> bool {
        let Some(&spi) = bytes.get(INITIATOR).and_then(|octets| octets.first_chunk()) else { return false };
        let is_first = bytes.get(RESPONDER).is_some_and(|spi| spi == [0; 8])
            && bytes.get(FLAGS).is_some_and(|flags| flags & RESPONSE == 0)
            && bytes.get(EXCHANGE) == Some(&ExchangeType::IkeSaInit.into())
            && bytes.get(FIRST_PAYLOAD) != Some(&PayloadType::Notify.into());
        is_first
            && self.load.is_flooded(now, &self.policy.limits)
            && !self.strangers.contains_key(&(path.remote, u64::from_be_bytes(spi)))
    }
}
