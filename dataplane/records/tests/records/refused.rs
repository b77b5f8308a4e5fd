//! What must be refused, and with which alert (RFC 8446 5 and 6, RFC 5246 6.2 and 7.2).

use crate::common::{Forger, end, open, pair, seal};
use proptest::prelude::*;
use ravelin_contract::tls_session::{Role, Shape, Suite, Version};
use ravelin_records::alert::Alert;
use ravelin_records::{ContentType, Failure, Incoming, Message};

const TLS13: Suite = Suite::ChaCha20Poly1305Sha256;
const TLS12: Suite = Suite::EcdheRsaAes128GcmSha256;

/// What one content leads to at a server.
fn fate(suite: Suite, kind: u8, content: &[u8]) -> Result<Incoming, Failure> {
    fate_at(suite, Role::Server, kind, content)
}

fn fate_at(suite: Suite, role: Role, kind: u8, content: &[u8]) -> Result<Incoming, Failure> {
    let record = Forger::of(suite, role).content(kind, content);
    open(&mut end(suite, role), &record).map(|(incoming, _)| incoming)
}

#[test]
fn every_bit_that_is_changed_is_seen() {
    for suite in Suite::ALL {
        let record = seal(&mut pair(suite, Shape::default()).0, b"hello");
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            changed.extend([0; 300]);
            let mut server = end(suite, Role::Server);
            let failure = open(&mut server, &changed).expect_err("not authentic");
            // Nothing is opened after it, and nothing counts as the end.
            assert_eq!(open(&mut server, &record).expect_err("ended"), failure, "{suite:?} bit {bit}");
            assert_eq!(server.stream_ended(), Err(failure));
            let alert = failure.alert().expect("the peer is told");
            let expected = match (bit / 8, suite.version()) {
                (0, _) | (1..3, Version::Tls12) => {
                    [Alert::UNEXPECTED_MESSAGE, Alert::PROTOCOL_VERSION, Alert::BAD_RECORD_MAC].as_slice()
                }
                (3..5, _) => &[Alert::BAD_RECORD_MAC, Alert::RECORD_OVERFLOW],
                _ => &[Alert::BAD_RECORD_MAC],
            };
            assert!(expected.contains(&alert), "{suite:?} bit {bit}: {alert}");
        }
    }
}

#[test]
fn records_cannot_be_repeated_left_out_or_exchanged() {
    for suite in Suite::ALL {
        let (mut client, mut server) = pair(suite, Shape::default());
        let records: Vec<_> = (0..3u8).map(|n| seal(&mut client, &[n])).collect();
        open(&mut server, &records[0]).expect("in order");
        assert_eq!(open(&mut server, &records[0]), Err(Failure::BadTag), "{suite:?} repeated");
        let mut server = end(suite, Role::Server);
        assert_eq!(open(&mut server, &records[1]), Err(Failure::BadTag), "{suite:?} left out");
    }
}

#[test]
fn tls13_takes_only_what_belongs_there() {
    let refused = |kind, content: &[u8]| fate(TLS13, kind, content).expect_err("refused");
    assert_eq!(refused(20, &[1]), Failure::UnexpectedType(20));
    assert_eq!(refused(24, b"heartbeat"), Failure::UnexpectedType(24));
    assert_eq!(refused(21, &[]), Failure::Empty(21));
    assert_eq!(refused(22, &[]), Failure::Empty(22));
    assert_eq!(refused(21, &[2]), Failure::MalformedAlert(1));
    assert_eq!(refused(21, &[1, 0, 0]), Failure::MalformedAlert(3));
    assert_eq!(refused(22, &[1, 0, 0, 0]), Failure::UnexpectedHandshake(1));
    // A ticket from a client, a request for a certificate that nobody announced to answer.
    assert_eq!(refused(22, &[4, 0, 0, 0]), Failure::UnexpectedHandshake(4));
    let request = fate_at(TLS13, Role::Client, 22, &[13, 0, 0, 0]);
    assert_eq!(request, Err(Failure::UnexpectedHandshake(13)));
    assert_eq!(refused(22, &[24, 0, 0, 1, 2]), Failure::UnknownKeyUpdate(2));
    assert_eq!(Failure::UnknownKeyUpdate(2).alert(), Some(Alert::ILLEGAL_PARAMETER));
    assert_eq!(refused(22, &[24, 0, 0, 2, 0, 0]), Failure::MalformedKeyUpdate(2));
    assert_eq!(refused(22, &[24, 0, 0, 1, 0, 24]), Failure::SpansKeys);
    let long = fate_at(TLS13, Role::Client, 22, &[4, 1, 0, 0]);
    assert_eq!(long, Err(Failure::LongHandshake(65536)));
    // Any alert but two is the end, whatever its level says.
    assert_eq!(refused(21, &[1, 42]), Failure::PeerAlert(Alert::from_code(42)));
    assert_eq!(refused(21, &[1, 42]).alert(), None);
    assert_eq!(fate(TLS13, 21, &[2, 90]), Ok(Incoming::Nothing));
    assert_eq!(fate(TLS13, 21, &[2, 0]), Ok(Incoming::Closed));
    let zeros = Forger::of(TLS13, Role::Server).inner(&[0; 40]);
    assert_eq!(open(&mut end(TLS13, Role::Server), &zeros), Err(Failure::NoContentType));
    for zeros in [0, 1, 255] {
        let padded = Forger::of(TLS13, Role::Server).inner(&[b"x\x17".as_slice(), &vec![0; zeros]].concat());
        let opened = open(&mut end(TLS13, Role::Server), &padded);
        assert_eq!(opened, Ok((Incoming::Data(1), b"x".to_vec())));
    }
    let most = Forger::of(TLS13, Role::Server).inner(&[23; 16386]);
    assert_eq!(open(&mut end(TLS13, Role::Server), &most), Err(Failure::TooLong(16386)));
}

#[test]
fn tls13_takes_no_record_in_clear() {
    for kind in [20, 21, 22, 24] {
        let mut record = vec![kind, 3, 3, 0, 30];
        record.resize(35, 1);
        let refused = open(&mut end(TLS13, Role::Server), &record);
        assert_eq!(refused, Err(Failure::UnexpectedType(kind)));
    }
    for body in 0..17u16 {
        let mut record = vec![23, 3, 3, 0, body as u8];
        record.resize(40, 1);
        assert_eq!(open(&mut end(TLS13, Role::Server), &record), Err(Failure::TooShort(body)));
    }
}

#[test]
fn tls12_takes_only_what_belongs_there() {
    let refused = |kind, content: &[u8]| fate(TLS12, kind, content).expect_err("refused");
    assert_eq!(refused(20, &[1]), Failure::UnexpectedType(20));
    assert_eq!(refused(21, &[2, 40]), Failure::PeerAlert(Alert::from_code(40)));
    assert_eq!(fate(TLS12, 21, &[1, 41]), Ok(Incoming::Nothing));
    assert_eq!(fate(TLS12, 21, &[1, 0]), Ok(Incoming::Closed));
    assert_eq!(refused(22, &[24, 0, 0, 1, 0]), Failure::UnexpectedHandshake(24));
    let renegotiate = Ok(Incoming::Messages(vec![Message::Renegotiate]));
    assert_eq!(fate(TLS12, 22, &[1, 0, 0, 2, 3, 3]), renegotiate);
    assert_eq!(fate_at(TLS12, Role::Client, 22, &[0, 0, 0, 0]), renegotiate);
    assert_eq!(fate_at(TLS12, Role::Client, 22, &[1, 0, 0, 2, 3, 3]), Err(Failure::UnexpectedHandshake(1)));
    let mut versions = Forger::of(TLS12, Role::Server).content(23, b"x");
    versions[2] = 2;
    assert_eq!(open(&mut end(TLS12, Role::Server), &versions), Err(Failure::Version(0x0302)));
}

#[test]
fn patience_has_an_end() {
    let floods: [(Suite, u8, &[u8], Failure); 5] = [
        (TLS13, 23, b"", Failure::EmptyFlood),
        (TLS12, 23, b"", Failure::EmptyFlood),
        (TLS13, 21, &[1, 90], Failure::WarningFlood),
        (TLS12, 21, &[1, 41], Failure::WarningFlood),
        (TLS12, 22, &[1, 0, 0, 2, 3, 3], Failure::WarningFlood),
    ];
    for (suite, kind, content, expected) in floods {
        let (mut forger, mut server) = (Forger::of(suite, Role::Server), end(suite, Role::Server));
        let ended = (0..40).find_map(|_| open(&mut server, &forger.content(kind, content)).err());
        assert_eq!(ended, Some(expected));
        assert_eq!(expected.alert(), Some(Alert::UNEXPECTED_MESSAGE));
    }
    // With data between them, empty records may come for ever.
    let (mut forger, mut server) = (Forger::of(TLS13, Role::Server), end(TLS13, Role::Server));
    for _ in 0..100 {
        open(&mut server, &forger.content(23, b"")).expect("an empty record");
        open(&mut server, &forger.content(23, b"x")).expect("data");
    }
}

#[test]
fn handshake_messages_come_in_parts_but_not_interrupted() {
    let ticket = [&[4, 0, 0, 9], b"ticket ab".as_slice()].concat();
    let two = [ticket.clone(), ticket.clone()].concat();
    for at in 1..two.len() {
        let (mut forger, mut client) = (Forger::of(TLS13, Role::Client), end(TLS13, Role::Client));
        let mut found = Vec::new();
        for part in [&two[..at], &two[at..]] {
            match open(&mut client, &forger.content(22, part)) {
                Ok((Incoming::Messages(messages), _)) => found.extend(messages),
                other => panic!("cut at {at}: {other:?}"),
            }
        }
        assert_eq!(found.len(), 2, "cut at {at}");
        let Message::Ticket(body) = &found[1] else { panic!("{found:?}") };
        assert_eq!(body.body(), b"ticket ab");
        // Only between two messages may something else come.
        for (kind, content) in [(23, b"x".as_slice()), (21, &[1, 0])] {
            let (mut forger, mut client) = (Forger::of(TLS13, Role::Client), end(TLS13, Role::Client));
            open(&mut client, &forger.content(22, &two[..at])).expect("a begin");
            let next = open(&mut client, &forger.content(kind, content));
            let expected = if at == ticket.len() { None } else { Some(Failure::Interrupted(kind)) };
            assert_eq!(next.err(), expected, "cut at {at}");
        }
    }
}

#[test]
fn the_end_and_a_cut_are_told_apart() {
    for suite in Suite::ALL {
        let (mut client, mut server) = pair(suite, Shape::default());
        open(&mut server, &seal(&mut client, b"bye")).expect("data");
        let mut cut = end(suite, Role::Server);
        assert_eq!(cut.stream_ended(), Err(Failure::Truncated));
        assert_eq!(Failure::Truncated.alert(), None);
        let mut record = [0; 64];
        let len = client.alert(Alert::CLOSE_NOTIFY, &mut record).expect("sealed");
        assert_eq!(open(&mut server, &record[..len]).expect("an alert").0, Incoming::Closed);
        assert_eq!(server.stream_ended(), Ok(()));
        // What follows is ignored, whatever it is (RFC 8446 6.1); our side may still speak.
        assert_eq!(open(&mut server, &record[..len]).expect("ignored").0, Incoming::Nothing);
        let refused = client.seal(ContentType::Data, &[b"x"], 1, &mut [0; 64]);
        assert_eq!(refused, Err(ravelin_records::CannotSeal::Closed));
        let answer = seal(&mut server, b"still here");
        assert_eq!(open(&mut client, &answer).expect("data").1, b"still here");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// No octets at all make data, panic, or are taken twice.
    #[test]
    fn octets_of_no_peer_are_no_data(
        suite in prop::sample::select(Suite::ALL.to_vec()), mut octets in prop::collection::vec(any::<u8>(), 0..200),
        typed in any::<bool>(),
    ) {
        if typed && octets.len() >= 5 {
            let body = (octets.len() - 5) as u16;
            octets[..5].copy_from_slice(&[23, 3, 3, (body >> 8) as u8, body as u8]);
        }
        let mut server = end(suite, Role::Server);
        prop_assert!(open(&mut server, &octets).is_err());
        prop_assert!(server.stream_ended().is_err());
    }
}
