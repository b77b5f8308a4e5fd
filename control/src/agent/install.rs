//! A snapshot as the messages that install it, none longer than the contract allows.

use ravelin_contract::message::Request;
use ravelin_contract::sa::Sa;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::{codec, limits};

/// `Begin`, the parts, `Commit`.
pub fn messages(snapshot: &Snapshot) -> Vec<Request> {
    let begin = Request::Begin { fingerprint: snapshot.fingerprint.clone(), filter: snapshot.filter };
    let mut messages = vec![begin];
    messages.extend(parts(&snapshot.zones, limits::ENTRIES, Request::Zones));
    messages.extend(parts(&snapshot.tunnels, limits::ENTRIES, Request::Tunnels));
    messages.extend(parts(&snapshot.identities, limits::ENTRIES, Request::Identities));
    messages.extend(parts(&snapshot.rules, limits::ENTRIES, Request::Rules));
    messages.extend(sas(&snapshot.sas));
    messages.extend(parts(&snapshot.tls, limits::ENTRIES, Request::TlsRules));
    messages.push(Request::Commit);
    messages
}

fn parts<T: Clone>(all: &[T], most: usize, wrap: fn(Vec<T>) -> Request) -> impl Iterator<Item = Request> {
    all.chunks(most).map(move |part| wrap(part.to_vec()))
}

/// One SA may carry [`limits::SELECTORS`] selectors of some 80 octets, so here octets count.
fn sas(all: &[Sa]) -> impl Iterator<Item = Request> {
    let mut octets = 0;
    // A part ends where the next SA would not fit. One that fits no message is refused when it is sent.
    let parts = all.chunk_by(move |before, next| {
        let size = |sa: &Sa| codec::encode(sa).map_or(limits::MESSAGE, |text| text.len());
        octets += size(before);
        let fits = octets + size(next) <= limits::MESSAGE / 2;
        octets = if fits { octets } else { 0 };
        fits
    });
    parts.flat_map(|part| part.chunks(limits::ENTRIES)).map(|part| Request::Sas(part.to_vec()))
}
