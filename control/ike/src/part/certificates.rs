//! Certificates: which we ask for, and what we may sign by (RFC 7296 3.7, RFC 7427 4).

use crate::crypto::SignatureScheme;
use crate::policy::{Demand, Peer, Policy, Proof};
use crate::wire::{CertificateRequest, Payload, limits};

/// The request for certificates from whoever of these peers it turns out to be. Authorities that are not known, or too many
/// of them, make it a request for any: it is a hint, and what comes is judged all the same.
pub(crate) fn request<'a>(
    policy: &Policy,
    peers: impl IntoIterator<Item = &'a Peer>,
) -> Option<Payload<'static>> {
    let demands = peers.into_iter().filter_map(|peer| match &peer.demand {
        Demand::Certificate(trust) => Some(&trust.authorities),
        _ => None,
    });
    let mut names = demands.flatten().peekable();
    names.peek()?;
    let known: Option<Vec<_>> = names.map(|name| policy.authorities.get(name)).collect();
    let mut hashes: Vec<[u8; 20]> = known.unwrap_or_default().into_iter().flatten().copied().collect();
    hashes.sort_unstable();
    hashes.dedup();
    if hashes.len() > limits::AUTHORITIES / 20 {
        hashes.clear();
    }
    Some(Payload::CertificateRequest(CertificateRequest::x509(&hashes)))
}

/// What policy lets us sign by and the peer can verify; `Err` says why it is nothing.
pub(crate) fn schemes(peer: &Peer, hashes: &[u16]) -> Result<Vec<SignatureScheme>, &'static str> {
    let Proof::Key { schemes, .. } = &peer.proof else { return Ok(Vec::new()) };
    if hashes.is_empty() {
        return Err("the peer takes no signatures by RFC 7427");
    }
    let known = |scheme: &SignatureScheme| hashes.contains(&scheme.hash().into());
    let schemes: Vec<_> = schemes.iter().copied().filter(known).collect();
    match schemes.is_empty() {
        true => Err("the peer knows none of the hashes that policy lets us sign by"),
        false => Ok(schemes),
    }
}
