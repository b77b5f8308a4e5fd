//! One short text that differs when two policies do.

use ravelin_contract::codec;
use ravelin_contract::snapshot::Snapshot;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// SHA-256 over everything that the packet process gets, keys included: a change of keys alone must be seen. Keys have
/// at least 128 random bits, so nobody finds them from the fingerprint.
pub fn of(snapshot: &Snapshot) -> String {
    let mut hash = Sha256::new();
    add_all(&mut hash, &snapshot.zones);
    add_all(&mut hash, &snapshot.tunnels);
    add_all(&mut hash, &snapshot.identities);
    add_all(&mut hash, &snapshot.rules);
    add_all(&mut hash, &snapshot.sas);
    add_all(&mut hash, &[snapshot.filter]);
    add_all(&mut hash, &snapshot.tls);
    hash.finalize().iter().map(|octet| format!("{octet:02x}")).collect()
}

/// Counts and lengths go in front, so that no two lists of entries have the same octets.
fn add_all<T: Serialize>(hash: &mut Sha256, entries: &[T]) {
    hash.update((entries.len() as u64).to_be_bytes());
    for entry in entries {
        // No entry comes near the limit of a message; one that does would be refused when it is sent.
        let octets = codec::encode(entry).unwrap_or_default();
        hash.update((octets.len() as u64).to_be_bytes());
        hash.update(&*octets);
    }
}
