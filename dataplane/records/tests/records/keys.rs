//! Changes of keys both ways, and how much a key may do (RFC 8446 4.6.3, 5.5).

use crate::common::{Forger, end, handed, open, pair, seal, traffic};
use ravelin_contract::secret::Secret;
use ravelin_contract::tls_session::*;
use ravelin_records::{CannotSeal, ContentType, Failure, Incoming, Message, Session as Records};

const TLS13: [Suite; 3] = [Suite::Aes128GcmSha256, Suite::Aes256GcmSha384, Suite::ChaCha20Poly1305Sha256];

fn send_under(session: &mut Records, traffic: Traffic, ask_peer: bool) -> Vec<u8> {
    let mut record = vec![0; 64];
    let change = Change::SendUnder { traffic, ask_peer };
    let len = session.change(&change, &mut record).expect("sealed");
    record.truncate(len);
    record
}

#[test]
fn both_sides_change_their_keys() {
    for suite in TLS13 {
        let (mut client, mut server) = pair(suite, Shape::default());
        let (mine, yours) = (traffic(suite, 11, 0), traffic(suite, 12, 0));
        let before = seal(&mut client, b"old");
        let update = send_under(&mut client, mine.clone(), true);
        let after = seal(&mut client, b"new");
        open(&mut server, &before).expect("data");
        let (came, _) = open(&mut server, &update).expect("a message");
        assert_eq!(came, Incoming::Messages(vec![Message::KeyUpdate { answer: true }]));
        // Nothing is opened or said before the keys are there.
        assert!(server.awaits_key() && server.owes_update());
        assert_eq!(open(&mut server, &after).expect("not yet").0, Incoming::Again);
        let refused = server.seal(ContentType::Data, &[b"x"], 1, &mut [0; 64]);
        assert_eq!(refused, Err(CannotSeal::UpdateOwed));
        let change = Change::ReceiveUnder(mine);
        assert_eq!(server.change(&change, &mut []), Ok(0));
        assert_eq!(open(&mut server, &after).expect("data").1, b"new");
        let answer = send_under(&mut server, yours.clone(), false);
        let (came, _) = open(&mut client, &answer).expect("a message");
        assert_eq!(came, Incoming::Messages(vec![Message::KeyUpdate { answer: false }]));
        assert!(!client.owes_update() && !server.owes_update());
        client.change(&Change::ReceiveUnder(yours), &mut []).expect("a key");
        assert_eq!(open(&mut client, &seal(&mut server, b"done")).expect("data").1, b"done");
    }
}

#[test]
fn what_was_prepared_before_the_key_changed_is_prepared_again() {
    let suite = Suite::Aes256GcmSha384;
    let (mut client, mut server) = pair(suite, Shape::default());
    let next = traffic(suite, 11, 0);
    let stream =
        [seal(&mut client, b"one"), send_under(&mut client, next.clone(), false), seal(&mut client, b"two")];
    // All three in one batch: the third is opened under the wrong key, and that is nobody's fault.
    let pieces: Vec<[&[u8]; 1]> = stream.iter().map(|record| [record.as_slice()]).collect();
    let openings: Vec<_> =
        pieces.iter().map(|pieces| server.prepare_open(pieces).unwrap().unwrap()).collect();
    let mut fates = Vec::new();
    for (opening, pieces) in openings.iter().zip(&pieces) {
        let (mut run, mut output) = (ravelin_records::Run::default(), vec![0; opening.output_len()]);
        let mut jobs = [opening.job(&server, pieces, &mut run, &mut output).expect("lengths fit")];
        ravelin_crypto_accel::aead::open(&mut jobs);
        let outcome = jobs[0].outcome();
        fates.push(server.finish_open(opening, outcome, &output).expect("no failure"));
    }
    assert_eq!(fates[0], Incoming::Data(3));
    assert_eq!(fates[2], Incoming::Again);
    assert!(server.prepare_open(&pieces[2]).expect("no failure").is_none());
    server.change(&Change::ReceiveUnder(next), &mut []).expect("a key");
    assert_eq!(open(&mut server, &stream[2]).expect("data").1, b"two");
}

#[test]
fn records_finished_out_of_order_end_the_connection() {
    let suite = Suite::Aes128GcmSha256;
    let (mut client, mut server) = pair(suite, Shape::default());
    let records = [seal(&mut client, b"one"), seal(&mut client, b"two")];
    let openings: Vec<_> = records.iter().map(|r| server.prepare_open(&[r]).unwrap().unwrap()).collect();
    assert_eq!(server.finish_open(&openings[1], Ok(()), &[0; 64]), Err(Failure::OutOfOrder));
}

#[test]
fn tls12_has_no_such_thing() {
    let suite = Suite::EcdheRsaAes128GcmSha256;
    let mut client = end(suite, Role::Client);
    for change in [
        Change::ReceiveUnder(traffic(suite, 9, 0)),
        Change::SendUnder { traffic: traffic(suite, 9, 0), ask_peer: false },
    ] {
        let refused = client.change(&change, &mut [0; 64]).expect_err("refused");
        assert!(refused.to_string().contains("TLS 1.2"), "{refused}");
    }
    assert!(!client.take_update_due());
}

#[test]
fn a_key_that_does_not_fit_changes_nothing() {
    let suite = Suite::Aes128GcmSha256;
    let (mut client, mut server) = pair(suite, Shape::default());
    let wrong = Traffic { key: Secret::new(vec![1; 32]), ..traffic(suite, 9, 0) };
    let refused = client.change(&Change::SendUnder { traffic: wrong.clone(), ask_peer: true }, &mut [0; 64]);
    assert!(matches!(refused, Err(CannotSeal::Key(_))), "{refused:?}");
    assert!(server.change(&Change::ReceiveUnder(wrong), &mut []).is_err());
    open(&mut server, &seal(&mut client, b"as before")).expect("data");
}

/// A session whose next record to send, and to receive, has this number.
fn at(suite: Suite, number: u64) -> (Records, Forger) {
    let mut session = handed(suite, Role::Client, Shape::default());
    session.sending.next_number = number;
    session.receiving.next_number = number;
    let forger = Forger::under(suite, &session.receiving);
    (Records::new(session).expect("keys"), forger)
}

#[test]
fn a_key_is_not_used_beyond_its_limit() {
    for suite in Suite::ALL.into_iter().filter(|suite| suite.aead() != Aead::ChaCha20Poly1305) {
        let hard = 1u64 << 24;
        let (mut session, _) = at(suite, hard - 2);
        let tls13 = suite.version() == Version::Tls13;
        assert_eq!((session.take_update_due(), session.take_update_due()), (tls13, false), "told once");
        seal(&mut session, b"last but one");
        seal(&mut session, b"last");
        let refused = session.seal(ContentType::Data, &[b"x"], 1, &mut [0; 64]);
        assert_eq!(refused, Err(CannotSeal::KeySpent), "{suite:?}");
        // Not even an alert goes out.
        assert!(session.alert(ravelin_records::alert::Alert::CLOSE_NOTIFY, &mut [0; 64]).is_err());
    }
}

#[test]
fn another_key_is_asked_for_before_the_limit() {
    for suite in TLS13 {
        let hard = if suite.aead() == Aead::ChaCha20Poly1305 { 1 << 62 } else { 1u64 << 24 };
        let soft = hard - (1 << 20);
        let (mut session, _) = at(suite, soft - 1);
        assert!(!session.take_update_due());
        seal(&mut session, b"x");
        assert!(session.take_update_due() && !session.take_update_due());
        send_under(&mut session, traffic(suite, 9, 0), true);
        assert!(!session.take_update_due());
        // The same for what the peer has sent under its key.
        let (mut session, mut forger) = at(suite, soft - 1);
        open(&mut session, &forger.content(23, b"x")).expect("data");
        assert!(session.take_update_due() && !session.take_update_due());
    }
}

#[test]
fn numbers_of_the_peer_have_an_end() {
    let (mut session, mut forger) = at(Suite::ChaCha20Poly1305Sha256, u64::MAX - 2);
    open(&mut session, &forger.content(23, b"x")).expect("data");
    open(&mut session, &forger.content(23, b"y")).expect("data");
    let record = [&[23, 3, 3, 0, 40], [0; 40].as_slice()].concat();
    assert_eq!(open(&mut session, &record), Err(Failure::NumbersSpent));
}

#[test]
fn the_first_number_is_the_one_handed_over() {
    for suite in Suite::ALL {
        let (mut session, mut forger) = at(suite, 77);
        open(&mut session, &forger.content(23, b"x")).expect("the 78th record");
        // Two ends with other numbers do not understand each other.
        let (mut other, _) = at(suite, 78);
        let record = forger.content(23, b"y");
        assert_eq!(open(&mut session, &record).expect("data").1, b"y");
        assert!(open(&mut other, &record).is_ok());
        assert!(open(&mut at(suite, 80).0, &record).is_err());
    }
}

/// Between any two records, on either side or both.
#[test]
fn keys_that_rested_are_the_same_keys() {
    for suite in Suite::ALL {
        let (mut client, mut server) = pair(suite, Shape::default());
        for number in 0..16u8 {
            let data = [number; 100];
            if number & 1 != 0 {
                client.rest();
            }
            let record = seal(&mut client, &data);
            if number & 2 != 0 {
                client.rest();
                server.rest();
            }
            assert_eq!(open(&mut server, &record).expect("data").1, data, "{suite:?}");
            if number & 4 != 0 {
                server.rest();
                server.rest();
            }
            let answer = seal(&mut server, &data);
            assert_eq!(open(&mut client, &answer).expect("data").1, data, "{suite:?}");
        }
    }
}
