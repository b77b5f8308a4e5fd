//! Properties: records cut and scattered at every boundary open to the same octets; padding and limits keep their promise.

use crate::common::{end, open, pair, seal};
use proptest::prelude::*;
use ravelin_contract::tls_session::{Role, Shape, Suite, Version};
use ravelin_crypto_accel::aead;
use ravelin_records::{ContentType, Failure, Incoming, Look, RECORD_MAX, Run, record_len};

fn suites() -> impl Strategy<Value = Suite> {
    prop::sample::select(Suite::ALL.to_vec())
}

#[test]
fn every_cut_into_two_pieces_is_the_same_record() {
    for suite in Suite::ALL {
        let data: Vec<u8> = (0..70).collect();
        let record = seal(&mut pair(suite, Shape::default()).0, &data);
        for at in 0..=record.len() {
            let pieces = [&record[..at], &record[at..], &[9; 3]];
            let look = record_len(&pieces[..1]).expect("a good header");
            let expected = match at {
                0..5 => Look::Short(5),
                _ if at < record.len() => Look::Short(record.len()),
                _ => Look::Whole(record.len()),
            };
            assert_eq!(look, expected, "{suite:?} {at}");
            let (_, mut server) = pair(suite, Shape::default());
            let mut output = [0; 200];
            assert_eq!(server.open(&pieces, &mut output), Ok(Incoming::Data(70)), "{suite:?} cut at {at}");
            assert_eq!(output[..70], data);
        }
    }
}

#[test]
fn a_record_in_single_octets_is_the_same_record() {
    for suite in Suite::ALL {
        let (mut client, mut server) = pair(suite, Shape::default());
        let data: Vec<u8> = (0..16384).map(|at| (at % 251) as u8).collect();
        let record = seal(&mut client, &data);
        let pieces: Vec<&[u8]> = record.chunks(1).collect();
        let mut output = vec![0; record.len()];
        assert_eq!(server.open(&pieces, &mut output), Ok(Incoming::Data(16384)));
        assert_eq!(output[..16384], data);
    }
}

#[test]
fn a_header_that_announces_too_much_is_refused_at_once() {
    let body = RECORD_MAX - 5;
    let header = |len: usize| [23, 3, 3, (len >> 8) as u8, len as u8];
    assert_eq!(record_len(&[&header(body)]), Ok(Look::Short(RECORD_MAX)));
    assert_eq!(record_len(&[&header(body + 1)]), Err(Failure::TooLong(body as u32 + 1)));
    // TLS 1.3 allows less (RFC 8446 5.2).
    let mut server = end(Suite::Aes128GcmSha256, Role::Server);
    let mut record = header(16384 + 257).to_vec();
    record.resize(RECORD_MAX, 0);
    assert_eq!(server.open(&[&record], &mut vec![0; RECORD_MAX]), Err(Failure::TooLong(16384 + 257)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Data in pieces of any size, sealed in any cut, through a batch, comes out whole and in order.
    #[test]
    fn a_stream_comes_out_as_it_went_in(
        suite in suites(), data in prop::collection::vec(any::<u8>(), 1..6000),
        piece in 1usize..900, record in 1usize..3000, arrival in 1usize..2000,
    ) {
        let (mut client, mut server) = pair(suite, Shape::default());
        let mut stream = Vec::new();
        for content in data.chunks(record) {
            let pieces: Vec<&[u8]> = content.chunks(piece).collect();
            let mut out = vec![0; client.record_len(content.len())];
            prop_assert_eq!(client.seal(ContentType::Data, &pieces, content.len(), &mut out), Ok(out.len()));
            stream.extend(out);
        }
        // What has arrived, in the pieces in which it came.
        let (mut arrived, mut clear) = (Vec::<&[u8]>::new(), Vec::new());
        for part in stream.chunks(arrival) {
            arrived.push(part);
            while let Look::Whole(len) = record_len(&arrived).unwrap() {
                let mut output = vec![0; len];
                let Incoming::Data(clear_len) = server.open(&arrived, &mut output).unwrap() else {
                    panic!("no data")
                };
                clear.extend_from_slice(&output[..clear_len]);
                drop_front(&mut arrived, len);
            }
        }
        prop_assert_eq!(clear, data);
        prop_assert!(arrived.is_empty());
    }

    /// What is prepared together and done in one batch is the same as one after the other.
    #[test]
    fn a_batch_is_the_same_as_one_by_one(
        suite in suites(), contents in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..400), 1..12),
    ) {
        let (mut client, mut server) = pair(suite, Shape::default());
        let (mut again, _) = pair(suite, Shape::default());
        let prepared: Vec<_> = contents.iter()
            .map(|content| client.prepare_seal(ContentType::Data, content.len()).unwrap()).collect();
        let pieces: Vec<[&[u8]; 1]> = contents.iter().map(|content| [content.as_slice()]).collect();
        let mut records: Vec<Vec<u8>> =
            prepared.iter().map(|(_, sealing)| vec![0; sealing.record_len()]).collect();
        let mut runs: Vec<Run<'_>> = contents.iter().map(|_| Run::default()).collect();
        let (nonces, sealings): (Vec<_>, Vec<_>) = prepared.into_iter().unzip();
        let mut jobs: Vec<_> = nonces.into_iter().zip(&sealings).zip(&pieces).zip(&mut runs).zip(&mut records)
            .map(|((((nonce, sealing), pieces), run), record)| {
                sealing.job(nonce, &client, pieces, run, record).expect("lengths fit")
            }).collect();
        aead::seal(&mut jobs);
        drop(jobs);
        for (content, record) in contents.iter().zip(&records) {
            prop_assert_eq!(&seal(&mut again, content), record);
        }

        let pieces: Vec<[&[u8]; 1]> = records.iter().map(|record| [record.as_slice()]).collect();
        let openings: Vec<_> =
            pieces.iter().map(|pieces| server.prepare_open(pieces).unwrap().expect("open")).collect();
        let mut outputs: Vec<Vec<u8>> = openings.iter().map(|opening| vec![0; opening.output_len()]).collect();
        let mut runs: Vec<Run<'_>> = contents.iter().map(|_| Run::default()).collect();
        let mut jobs: Vec<_> = openings.iter().zip(&pieces).zip(&mut runs).zip(&mut outputs)
            .map(|(((opening, pieces), run), output)| {
                opening.job(&server, pieces, run, output).expect("lengths fit")
            }).collect();
        aead::open(&mut jobs);
        let outcomes: Vec<_> = jobs.iter().map(|job| job.outcome()).collect();
        drop(jobs);
        for (((opening, outcome), output), content) in openings.iter().zip(outcomes).zip(&outputs).zip(&contents) {
            let expected = if content.is_empty() { Incoming::Nothing } else { Incoming::Data(content.len()) };
            prop_assert_eq!(server.finish_open(opening, outcome, output).unwrap(), expected);
            prop_assert_eq!(&output[..content.len()], content.as_slice());
        }
    }

    /// Padded records have the lengths that were chosen, fit the room that they were made for, and stay within the limit.
    #[test]
    fn padding_and_limits_hold(
        pad_to in 1u16..=512, most in 63u16..=16384, room in 0usize..3000, len in 0usize..2000,
    ) {
        let suite = Suite::Aes128GcmSha256;
        let shape = Shape { send_most: most, receive_most: most, pad_to };
        let (mut client, mut server) = pair(suite, shape);
        let len = len.min(usize::from(most));
        let record = seal(&mut client, &vec![7; len]);
        let text = record.len() - 5 - 16;
        prop_assert!(text.is_multiple_of(usize::from(pad_to)) || text == usize::from(most) + 1 || pad_to > most);
        prop_assert!(text <= usize::from(most) + 1);
        let (_, clear) = open(&mut server, &record).unwrap();
        prop_assert_eq!(clear.len() * usize::from(len > 0), len);
        let fits = client.fitting(room);
        prop_assert!(fits <= usize::from(most));
        prop_assert!(fits == 0 || client.record_len(fits) <= room);
        prop_assert!(fits == usize::from(most) || client.record_len(fits + 1) > room);
    }
}

fn drop_front(pieces: &mut Vec<&[u8]>, mut count: usize) {
    while count > 0 {
        let taken = count.min(pieces[0].len());
        pieces[0] = &pieces[0][taken..];
        count -= taken;
        if pieces[0].is_empty() {
            pieces.remove(0);
        }
    }
}

#[test]
fn a_record_beyond_the_limit_that_we_announced_is_refused() {
    for suite in Suite::ALL {
        let large = pair(suite, Shape::default()).0.record_len(101);
        let shape = Shape { receive_most: 100, ..Shape::default() };
        let (mut client, _) = pair(suite, Shape::default());
        let (_, mut server) = pair(suite, shape);
        open(&mut server, &seal(&mut client, &[1; 100])).expect("within the limit");
        let text = if suite.version() == Version::Tls13 { 102 } else { 101 };
        assert_eq!(open(&mut server, &seal(&mut client, &[1; 101])), Err(Failure::TooLong(text)));
        assert!(large > 101);
        let (mut bounded, _) = pair(suite, Shape { send_most: 100, ..Shape::default() });
        let refused = bounded.seal(ContentType::Data, &[&[0; 200]], 101, &mut [0; 400]);
        assert!(refused.is_err(), "{suite:?}");
    }
}
