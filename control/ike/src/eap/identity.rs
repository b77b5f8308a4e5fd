//! EAP-Identity (RFC 3748 5.1): asks the peer for a name, which proves nothing.

use crate::wire::{Eap, EapType, limits};

use super::{Refusal, Refused, response};

/// Waits for the name.
#[derive(Debug)]
pub struct AskIdentity {
    identifier: u8,
}

impl AskIdentity {
    /// Asks.
    pub fn start(identifier: u8) -> (Self, Eap<'static>) {
        let request = Eap::Request { identifier, kind: EapType::Identity, data: Vec::new().into() };
        (Self { identifier }, request)
    }

    /// The name, and the identifier for the method's first request.
    pub fn receive(self, packet: &Eap<'_>) -> Result<(Vec<u8>, u8), Refused> {
        let name = response(packet, self.identifier, EapType::Identity)?;
        if name.is_empty() || name.len() > limits::IDENTITY {
            return Err(Refused::new(self.identifier, Refusal::Malformed));
        }
        Ok((name.to_vec(), self.identifier.wrapping_add(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(identifier: u8, kind: EapType, data: &'static [u8]) -> Eap<'static> {
        Eap::Response { identifier, kind, data: data.into() }
    }

    #[test]
    fn a_name_is_taken_from_the_response_that_was_due() {
        let (state, request) = AskIdentity::start(255);
        assert_eq!(request.identifier(), 255);
        let found = state.receive(&answer(255, EapType::Identity, b"carol"));
        assert_eq!(found, Ok((b"carol".to_vec(), 0)));
    }

    #[test]
    fn anything_else_is_refused() {
        for (packet, reason) in [
            (answer(2, EapType::Identity, b"carol"), Refusal::Unexpected),
            (answer(1, EapType::MsChapV2, b"carol"), Refusal::Unexpected),
            (answer(1, EapType::Nak, b"\x1a"), Refusal::Nak(EapType::Identity)),
            (answer(1, EapType::Identity, b""), Refusal::Malformed),
            (Eap::Success { identifier: 1 }, Refusal::Unexpected),
        ] {
            let refused = AskIdentity::start(1).0.receive(&packet).expect_err("refused");
            assert_eq!(refused, Refused { packet: Eap::Failure { identifier: 1 }, reason });
        }
    }
}
