//! A snapshot as the messages that install it, none longer than the contract allows.

use ravelin_contract::limits;
use ravelin_contract::message::Request;
use ravelin_contract::sa::Sa;
use ravelin_contract::snapshot::Snapshot;

/// Most SAs in one message: each may carry [`limits::SELECTORS`] selectors of some 40 octets.
const SAS: usize = 64;

/// `Begin`, the parts, `Commit`.
pub fn messages(snapshot: &Snapshot) -> Vec<Request> {
    let begin =
        Request::Begin { fingerprint: snapshot.fingerprint.clone(), log_implicit: snapshot.log_implicit };
    let mut messages = vec![begin];
    messages.extend(parts(&snapshot.zones, limits::ENTRIES, Request::Zones));
    messages.extend(parts(&snapshot.tunnels, limits::ENTRIES, Request::Tunnels));
    messages.extend(parts(&snapshot.rules, limits::ENTRIES, Request::Rules));
    messages.extend(parts::<Sa>(&snapshot.sas, SAS, Request::Sas));
    messages.push(Request::Commit);
    messages
}

fn parts<T: Clone>(all: &[T], most: usize, wrap: fn(Vec<T>) -> Request) -> impl Iterator<Item = Request> {
    all.chunks(most).map(move |part| wrap(part.to_vec()))
}
