//! Octets as orders that are within the bounds of the contract.

use ravelin_contract::limits;
use ravelin_contract::secret::Secret;
use ravelin_contract::tls::{ConnectionId, Order};

/// Octets for the peer, as they are.
pub(super) fn octets(connection: ConnectionId, octets: &[u8]) -> impl Iterator<Item = Order> + use<'_> {
    octets.chunks(limits::TLS_FLIGHT).map(move |part| Order::Octets { connection, octets: part.to_vec() })
}

/// Octets of the peer that go back.
pub(super) fn returned(connection: ConnectionId, octets: &[u8]) -> impl Iterator<Item = Order> + use<'_> {
    octets
        .chunks(limits::TLS_CHUNK)
        .map(move |part| Order::Returned { connection, octets: Secret::new(part.to_vec()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn every_order_is_within_its_bounds_and_nothing_is_lost(text in proptest::collection::vec(any::<u8>(), 0..100_000)) {
            let connection = ConnectionId { worker: 1, slot: 2, serial: 3 };
            let mut whole = Vec::new();
            for order in octets(connection, &text) {
                prop_assert_eq!(order.check(), Ok(()));
                let Order::Octets { octets, .. } = order else { panic!("another order") };
                whole.extend(octets);
            }
            prop_assert_eq!(&whole, &text);
            whole.clear();
            for order in returned(connection, &text) {
                prop_assert_eq!(order.check(), Ok(()));
                let Order::Returned { octets, .. } = order else { panic!("another order") };
                whole.extend(octets.expose());
            }
            prop_assert_eq!(&whole, &text);
        }
    }
}
