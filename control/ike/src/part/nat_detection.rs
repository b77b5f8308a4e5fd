//! Is there a NAT between us, and on which side (RFC 7296 2.23).

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::crypto::nat::detection_hash;
use crate::wire::IkeSpi;

/// Where NATs were found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Nat {
    /// Our address is changed on the way.
    pub here: bool,
    /// The peer's address is changed on the way.
    pub there: bool,
}

impl Nat {
    /// Whether there is any.
    pub fn is_any(self) -> bool {
        self.here || self.there
    }

    /// Compares what the peer says of both ends with what we see. `sources` may be several: the peer does not know
    /// which of its addresses it sends from. Without any notification the peer knows nothing of NATs: `None`.
    pub(crate) fn detect(
        spis: (u64, u64),
        (local, remote): (SocketAddr, SocketAddr),
        sources: &[&[u8]],
        destinations: &[&[u8]],
    ) -> Option<Self> {
        if sources.is_empty() || destinations.is_empty() {
            return None;
        }
        let remote = hash(spis, remote);
        let local = hash(spis, local);
        Some(Self { here: !destinations.contains(&&local[..]), there: !sources.contains(&&remote[..]) })
    }
}

/// The hash that both notifications carry.
pub(crate) fn hash((initiator, responder): (u64, u64), end: SocketAddr) -> [u8; 20] {
    detection_hash(IkeSpi(initiator), IkeSpi(responder), end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_end_is_seen_on_the_right_side() {
        let here: SocketAddr = "192.0.2.1:500".parse().expect("an address");
        let there: SocketAddr = "198.51.100.1:500".parse().expect("an address");
        let mapped: SocketAddr = "203.0.113.9:31000".parse().expect("an address");
        let spis = (1, 0);
        let (at_here, at_there) = (hash(spis, here), hash(spis, there));
        let detect = |local, remote| Nat::detect(spis, (local, remote), &[&at_there], &[&at_here]);
        assert_eq!(detect(here, there), Some(Nat { here: false, there: false }));
        assert_eq!(detect(here, mapped), Some(Nat { here: false, there: true }));
        assert_eq!(detect(mapped, there), Some(Nat { here: true, there: false }));
        assert_eq!(Nat::detect(spis, (here, there), &[], &[]), None);
    }
}
