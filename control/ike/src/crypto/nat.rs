//! NAT detection (RFC 7296 2.23): hashes that a NAT on the way makes untrue.

use std::net::SocketAddr;

use aws_lc_rs::digest;

use crate::wire::IkeSpi;

/// `SHA-1(SPIi | SPIr | address | port)`. SHA-1 is what the standard says; nothing secret hangs on it.
pub fn detection_hash(initiator: IkeSpi, responder: IkeSpi, address: SocketAddr) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(&initiator.to_octets());
    context.update(&responder.to_octets());
    match address {
        SocketAddr::V4(v4) => context.update(&v4.ip().octets()),
        SocketAddr::V6(v6) => context.update(&v6.ip().octets()),
    }
    context.update(&address.port().to_be_bytes());
    let mut hash = [0; 20];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// The hash by which CERTREQ names an authority: SHA-1 over its SubjectPublicKeyInfo (RFC 7296 3.7).
pub fn authority_hash(spki: &[u8]) -> [u8; 20] {
    let mut hash = [0; 20];
    hash.copy_from_slice(digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, spki).as_ref());
    hash
}
