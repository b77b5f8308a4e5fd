//! Cookies (RFC 7296 2.6): proof that an address can receive, without a state for it.

use std::net::IpAddr;

use super::{Prf, Random, Secret, equal};
use crate::wire::IkeSpi;

const KEY: usize = 32;
const MAC: usize = 16;

/// Secrets that cookies are made with: the present one and the one before, so that a change harms nobody under way.
pub struct CookieKeys {
    generation: u32,
    present: Secret,
    before: Option<Secret>,
}

impl CookieKeys {
    /// The first secret.
    pub fn new(random: &mut dyn Random) -> Self {
        Self { generation: 1, present: new_secret(random), before: None }
    }

    /// A new secret. To be done now and then; cookies of the last but one are worth nothing.
    pub fn rotate(&mut self, random: &mut dyn Random) {
        self.generation = self.generation.wrapping_add(1);
        self.before = Some(std::mem::replace(&mut self.present, new_secret(random)));
    }

    /// The cookie for an initiator.
    pub fn make(&self, nonce: &[u8], address: IpAddr, spi: IkeSpi) -> Vec<u8> {
        cookie(self.generation, &self.present, nonce, address, spi)
    }

    /// Whether we made `found` for this initiator, not long ago.
    pub fn verify(&self, found: &[u8], nonce: &[u8], address: IpAddr, spi: IkeSpi) -> bool {
        let present = cookie(self.generation, &self.present, nonce, address, spi);
        let earlier = self.generation.wrapping_sub(1);
        let before = self.before.as_ref().map(|secret| cookie(earlier, secret, nonce, address, spi));
        equal(&present, found) || before.is_some_and(|before| equal(&before, found))
    }
}

fn new_secret(random: &mut dyn Random) -> Secret {
    let mut octets = vec![0; KEY];
    random.fill(&mut octets);
    Secret::new(octets)
}

/// Generation, then a MAC over nonce, address and SPI, as RFC 7296 2.6 recommends. The port is left out: a NAT may change it
/// between two tries.
fn cookie(generation: u32, secret: &Secret, nonce: &[u8], address: IpAddr, spi: IkeSpi) -> Vec<u8> {
    let octets = match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    };
    let generation = generation.to_be_bytes();
    let mac = Prf::HmacSha256.mac(secret.expose(), &[&generation, &octets, &spi.to_octets(), nonce]);
    [&generation, &mac.expose()[..MAC]].concat()
}
