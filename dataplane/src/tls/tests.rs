//! The way of octets through one connection, with the record layer of a peer at its other end.

use proptest::prelude::*;
use ravelin_contract::limits;
use ravelin_contract::secret::Secret;
use ravelin_contract::tls::{Answer, ConnectionId, Ending, Notice, Secure, Truncation};
use ravelin_contract::tls_session as handed;
use ravelin_contract::tls_session::{Change, Happening, Role, Shape, Suite, Traffic};
use ravelin_records::alert::Alert;
use ravelin_records::{ContentType, Failure, Incoming, RECORD_MAX, Session};
use ravelin_splice::{Finish, Relay, Side, Way};

use super::connection::Connection;
use super::relay::Records;
use super::standing::{Standing, Stay};
use crate::clock::Now;

/// We are the server, so the peer is who sent the first SYN.
const FROM_PEER: Way = Way { flow: 1, from: Side::Client };
const TO_PEER: Way = Way { flow: 1, from: Side::Server };
const BUFFERS: usize = 2;

fn traffic(seed: u8) -> Traffic {
    Traffic { key: Secret::new(vec![seed; 16]), iv: Secret::new(vec![seed; 12]), next_number: 0 }
}

fn session(role: Role, sending: u8, receiving: u8) -> Session {
    let (sending, receiving) = (traffic(sending), traffic(receiving));
    let suite = Suite::Aes128GcmSha256;
    Session::new(handed::Session { suite, role, sending, receiving, shape: Shape::default() }).unwrap()
}

/// A connection in its handshake, and the peer's end.
struct Bench {
    records: Records,
    peer: Session,
}

impl Bench {
    fn in_handshake(truncation: Truncation) -> Self {
        let mut records = Records::new(2, BUFFERS);
        let id = ConnectionId { worker: 0, slot: 1, serial: 9 };
        let secure = Secure { role: Role::Server, patience_ms: 1_000, truncation, answer: Answer::AtOnce };
        records.admit(1, Connection::new(id, secure, Now(0), Stay::begin(&Standing::new(1), 0)));
        Self { records, peer: session(Role::Client, 1, 2) }
    }

    fn running() -> Self {
        let mut bench = Self::in_handshake(Truncation::Reset);
        bench.run(&[]);
        bench
    }

    fn run(&mut self, preface: &[u8]) {
        self.connection().run(session(Role::Server, 2, 1), preface.to_vec());
    }

    fn connection(&mut self) -> &mut Connection {
        self.records.connection(1).expect("the connection")
    }

    /// A record of the peer.
    fn record(&mut self, content: &[u8]) -> Vec<u8> {
        let mut record = vec![0; RECORD_MAX];
        let len = self.peer.seal(ContentType::Data, &[content], content.len(), &mut record).unwrap();
        record.truncate(len);
        record
    }

    /// All that comes out one way for an input, with so much room at a time.
    fn pass(&mut self, way: Way, mut input: &[u8], room: usize) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let mut output = vec![0; room];
            let passed = self.records.pass(way, input, &mut output).unwrap();
            input = &input[passed.taken..];
            all.extend_from_slice(&output[..passed.given]);
            if passed.taken == 0 && passed.given == 0 {
                assert!(input.is_empty() || !self.records.owes(way), "it owes and gives nothing");
                return all;
            }
        }
    }

    fn notices(&mut self) -> Vec<Notice> {
        self.records.notices.drain(..).collect()
    }

    /// What the peer makes of octets: the contents of records.
    fn read(&mut self, mut octets: &[u8]) -> Result<Vec<u8>, Failure> {
        let mut all = Vec::new();
        while let ravelin_records::Look::Whole(len) = ravelin_records::record_len(&[octets]).unwrap() {
            let mut output = vec![0; RECORD_MAX];
            if let Incoming::Data(count) = self.peer.open(&[&octets[..len]], &mut output)? {
                all.extend_from_slice(&output[..count]);
            }
            octets = &octets[len..];
        }
        assert!(octets.is_empty(), "half a record");
        Ok(all)
    }

    /// Ends it; all buffers are back then.
    fn ending(mut self) -> (Ending, [u64; 2]) {
        self.records.close(1);
        let last = self.notices().pop();
        assert_eq!(self.records.free_buffers(), BUFFERS);
        match last {
            Some(Notice::Ended { ending, octets, .. }) => (ending, octets),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_handshake_gets_no_more_at_a_time_than_finds_room_when_it_comes_back() {
    let mut bench = Bench::in_handshake(Truncation::Reset);
    let octets = vec![7; 3 * limits::TLS_WINDOW];
    assert_eq!(bench.pass(FROM_PEER, &octets, 1_000), Vec::<u8>::new());
    let sizes: Vec<usize> = bench.notices().iter().map(size).collect();
    assert_eq!(sizes, [limits::TLS_CHUNK; 8]);
    bench.connection().taken(100);
    bench.pass(FROM_PEER, &octets, 1_000);
    assert_eq!(bench.notices().iter().map(size).collect::<Vec<_>>(), [100]);
}

fn size(notice: &Notice) -> usize {
    match notice {
        Notice::Octets { octets, .. } => octets.len(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_a_handshake_did_not_use_comes_before_what_came_later() {
    let mut bench = Bench::in_handshake(Truncation::Reset);
    let (first, second) = (bench.record(b"early "), bench.record(b"late"));
    bench.pass(FROM_PEER, &first, 1_000);
    bench.connection().send(b"flight");
    bench.run(b"PROXY ");
    assert_eq!(bench.pass(TO_PEER, b"", 4), b"flight");
    assert_eq!(bench.pass(FROM_PEER, &second, 1_000), b"PROXY ", "what is with control comes first");
    let (begin, end) = first.split_at(10);
    bench.connection().take_back(&Secret::new(begin.to_vec()));
    assert_eq!(bench.pass(FROM_PEER, &second, 1_000), b"");
    bench.connection().take_back(&Secret::new(end.to_vec()));
    assert_eq!(bench.pass(FROM_PEER, &second, 1_000), b"early late");
    assert_eq!(bench.ending(), (Ending::Reset, [0, 10]));
}

#[test]
fn the_application_waits_for_keys_and_so_does_its_end() {
    let mut bench = Bench::in_handshake(Truncation::Reset);
    assert_eq!(bench.pass(TO_PEER, b"secret", 1_000), b"", "nothing goes out before there are keys");
    assert_eq!(bench.records.finish(TO_PEER, &mut [0; 100]).unwrap(), Finish::Wait);
    bench.run(&[]);
    let sealed = bench.pass(TO_PEER, b"secret", 1_000);
    assert_eq!(bench.read(&sealed).unwrap(), b"secret");
}

#[test]
fn close_notify_ends_one_way_and_the_other_goes_on() {
    let mut bench = Bench::running();
    let mut alert = vec![0; 100];
    let len = bench.peer.alert(Alert::CLOSE_NOTIFY, &mut alert).unwrap();
    bench.pass(FROM_PEER, &alert[..len], 1_000);
    assert!(bench.records.has_ended(FROM_PEER));
    assert_eq!(bench.records.finish(FROM_PEER, &mut [0; 100]).unwrap(), Finish::Done);
    let sealed = bench.pass(TO_PEER, b"still", 1_000);
    assert_eq!(bench.read(&sealed).unwrap(), b"still");
    let mut last = vec![0; 100];
    let Finish::More(len) = bench.records.finish(TO_PEER, &mut last).unwrap() else { panic!("no alert") };
    assert_eq!(bench.records.finish(TO_PEER, &mut [0; 100]).unwrap(), Finish::Done);
    bench.read(&last[..len]).unwrap();
    assert!(bench.peer.peer_has_closed());
    // TCP waits for another minute, control does not.
    let told = bench.notices();
    assert!(matches!(told[..], [Notice::Ended { ending: Ending::Closed, octets: [5, 0], .. }]), "{told:?}");
    bench.records.close(1);
    assert_eq!(bench.notices(), [], "it is told once");
    assert_eq!(bench.records.free_buffers(), BUFFERS);
}

#[test]
fn a_stream_that_is_cut_off_is_an_end_only_where_policy_says_so() {
    for truncation in [Truncation::Reset, Truncation::Accept] {
        let mut bench = Bench::in_handshake(truncation);
        bench.run(&[]);
        let record = bench.record(b"whole");
        bench.pass(FROM_PEER, &record, 1_000);
        let state = bench.records.finish(FROM_PEER, &mut [0; 100]).unwrap();
        let accepted = truncation == Truncation::Accept;
        assert_eq!(state, if accepted { Finish::Done } else { Finish::Wait });
        assert_eq!(bench.records.doomed, if accepted { vec![] } else { vec![1] });
    }
}

#[test]
fn half_a_record_at_the_end_is_never_an_end() {
    let mut bench = Bench::in_handshake(Truncation::Accept);
    bench.run(&[]);
    let record = bench.record(b"whole");
    bench.pass(FROM_PEER, &record[..record.len() - 1], 1_000);
    assert_eq!(bench.records.finish(FROM_PEER, &mut [0; 100]).unwrap(), Finish::Wait);
    assert_eq!(bench.records.doomed, [1]);
    assert!(matches!(bench.ending().0, Ending::Failed(_)));
}

#[test]
fn a_forged_record_ends_the_connection_with_an_alert() {
    let mut bench = Bench::running();
    let mut record = bench.record(b"good");
    record[7] ^= 1;
    assert_eq!(bench.pass(FROM_PEER, &record, 1_000), b"");
    assert_eq!(bench.records.doomed, [1]);
    let alert = bench.pass(TO_PEER, b"not sent", 1_000);
    assert_eq!(bench.read(&alert), Err(Failure::PeerAlert(Alert::BAD_RECORD_MAC)));
    assert!(matches!(bench.ending().0, Ending::Failed(_)));
}

#[test]
fn after_a_key_update_of_the_peer_nothing_is_opened_before_the_next_key() {
    let mut bench = Bench::running();
    let mut update = vec![0; 100];
    let next = Change::SendUnder { traffic: traffic(3), ask_peer: true };
    let len = bench.peer.change(&next, &mut update).unwrap();
    update.truncate(len);
    update.extend(bench.record(b"under the next key"));
    assert_eq!(bench.pass(FROM_PEER, &update, 1_000), b"");
    let happened = bench.notices();
    let [Notice::Happened { happening: Happening::PeerUpdated { answer: true }, .. }] = happened[..] else {
        panic!("{happened:?}")
    };
    assert_eq!(bench.pass(TO_PEER, b"waits", 1_000), b"", "we owe an update first");
    bench.connection().change(&Change::ReceiveUnder(traffic(3)));
    assert_eq!(bench.pass(FROM_PEER, &update[len..], 1_000), b"under the next key");
    bench.connection().change(&Change::SendUnder { traffic: traffic(4), ask_peer: false });
    let sealed = bench.pass(TO_PEER, b"goes", 1_000);
    let (message, data) = sealed.split_at(sealed.len() - 4 - 22);
    bench.read(message).unwrap();
    bench.peer.change(&Change::ReceiveUnder(traffic(4)), &mut []).unwrap();
    assert_eq!(bench.read(data).unwrap(), b"goes");
}

#[test]
fn a_connection_that_finds_no_buffer_goes_on_when_there_is_one() {
    let mut bench = Bench::running();
    let held: Vec<_> = (0..BUFFERS).map(|_| bench.records.take_buffer(0).unwrap()).collect();
    let record = bench.record(&[5; 5_000]);
    assert_eq!(bench.pass(FROM_PEER, &record, 1_000), b"");
    assert_eq!(bench.records.next_waiting(), None);
    held.into_iter().for_each(|buffer| bench.records.give_buffer(buffer));
    assert_eq!(bench.records.next_waiting(), Some(1));
    assert_eq!(bench.pass(FROM_PEER, &record, 1_000), [5; 5_000]);
}

proptest! {
    /// However records and segments are cut.
    #[test]
    fn every_octet_of_the_peer_arrives_once(
        contents in prop::collection::vec(0usize..16_384, 1..6),
        cuts in prop::collection::vec(1usize..3_000, 1..20),
        room in 300usize..3_000,
    ) {
        let mut bench = Bench::running();
        let (mut sent, mut stream) = (Vec::new(), Vec::new());
        for (number, len) in contents.into_iter().enumerate() {
            let content: Vec<u8> = (0..len).map(|at| (at * 7 + number) as u8).collect();
            stream.extend(bench.record(&content));
            sent.extend(content);
        }
        let (mut came, mut rest, mut cuts) = (Vec::new(), &stream[..], cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (segment, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            came.extend(bench.pass(FROM_PEER, segment, room));
            rest = after;
        }
        prop_assert!(came == sent, "{} of {} octets", came.len(), sent.len());
        let octets = sent.len() as u64;
        prop_assert_eq!(bench.ending(), (Ending::Reset, [0, octets]));
    }

    #[test]
    fn every_octet_of_the_application_arrives_once(
        inputs in prop::collection::vec(1usize..3_000, 1..20),
        room in 256usize..3_000,
    ) {
        let mut bench = Bench::running();
        let (mut sent, mut stream) = (Vec::new(), Vec::new());
        for len in inputs {
            let input: Vec<u8> = (0..len).map(|at| (at * 3 + len) as u8).collect();
            stream.extend(bench.pass(TO_PEER, &input, room));
            sent.extend(input);
        }
        let came = bench.read(&stream).unwrap();
        prop_assert!(came == sent);
    }
}
