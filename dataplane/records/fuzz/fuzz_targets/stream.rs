//! A peer that knows the keys and keeps no rule: authentic contents of any type, octets of its own, in any cut.
#![no_main]

#[path = "../../tests/records/common.rs"]
mod common;

use common::{Forger, end};
use ravelin_contract::tls_session::{Role, Suite};
use ravelin_records::{Incoming, Look, record_len};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let [choice, cut, rest @ ..] = data else { return };
    let suite = Suite::ALL[usize::from(choice >> 1) % Suite::ALL.len()];
    let role = if choice & 1 == 0 { Role::Client } else { Role::Server };
    let (stream, said) = stream(&mut Forger::of(suite, role), rest);
    let mut session = end(suite, role);
    let (mut at, mut heard) = (0, Vec::new());
    loop {
        let pieces: Vec<&[u8]> = stream[at..].chunks(usize::from(*cut) + 1).collect();
        let Ok(Look::Whole(len)) = record_len(&pieces) else { break };
        let mut output = vec![0; len];
        match session.open(&pieces, &mut output) {
            Ok(Incoming::Data(clear)) => heard.extend_from_slice(&output[..clear]),
            Ok(Incoming::Again) => break,
            Ok(_) => {}
            Err(failure) => {
                assert_eq!(session.stream_ended(), Err(failure));
                assert_eq!(session.open(&pieces, &mut output), Err(failure));
                break;
            }
        }
        at += len;
    }
    assert!(said.starts_with(&heard), "data that nobody said");
});

/// Steps of a kind, a length and so many octets; beside the stream all data that is really in it.
fn stream(forger: &mut Forger, mut steps: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let (mut stream, mut said) = (Vec::new(), Vec::new());
    while let [kind, len, rest @ ..] = steps {
        let (octets, rest) = rest.split_at(usize::from(*len).min(rest.len()));
        steps = rest;
        match kind {
            // As they are.
            0 => stream.extend_from_slice(octets),
            // Authentic, with any type; in TLS 1.3 octets that end with one, or with padding.
            1 => {
                stream.extend(forger.inner(octets));
                let at = octets.iter().rposition(|octet| *octet != 0).unwrap_or(0);
                if octets.get(at) == Some(&23) {
                    said.extend_from_slice(&octets[..at]);
                }
            }
            _ => {
                let kind = 19 + kind % 6;
                stream.extend(forger.content(kind, octets));
                if kind == 23 {
                    said.extend_from_slice(octets);
                }
            }
        }
    }
    (stream, said)
}
