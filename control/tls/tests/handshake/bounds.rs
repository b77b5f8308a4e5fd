//! Peers that say nothing, too much, or something else; and clocks.

use std::time::Duration;

use ravelin_contract::tls_session::Version;
use ravelin_tls::settings::ClientAuth;
use ravelin_tls::{Failure, Handshake, Now, Progress};

use crate::site::{client, now, server};
use crate::{here, host};

fn waiting() -> Handshake {
    Handshake::server(&here().environment(&server("web", ClientAuth::None)), now()).expect("a server")
}

fn after(seconds: u64) -> Now {
    let now = now();
    Now { running: now.running + Duration::from_secs(seconds), unix: now.unix + seconds }
}

fn failure(mut handshake: Handshake) -> (Vec<u8>, Failure) {
    assert_eq!(handshake.progress(), Progress::Failed);
    (handshake.take_output(), handshake.finish().expect_err("failed"))
}

fn client_hello() -> Vec<u8> {
    let environment = here().environment(&client("ca", &[]));
    Handshake::client(&environment, host("host.example"), now()).expect("a client").take_output()
}

#[test]
fn silence_and_slowness_are_told_apart() {
    let mut silent = waiting();
    assert_eq!(silent.tick(after(5)), Progress::Going);
    assert_eq!(silent.tick(after(12)), Progress::Failed);
    assert_eq!(failure(silent).1.reason.code(), "silent");
    let mut slow = waiting();
    assert_eq!(slow.receive(&client_hello()[..1], after(1)), Progress::Going);
    assert_eq!(slow.tick(after(20)), Progress::Going);
    assert_eq!(slow.tick(after(32)), Progress::Failed);
    assert_eq!(failure(slow).1.reason.code(), "slow");
}

#[test]
fn a_stream_that_ends_is_a_reason_of_its_own() {
    let mut cut = waiting();
    cut.receive(&client_hello(), now());
    assert_eq!(cut.stream_ended(), Progress::Failed);
    assert_eq!(failure(cut).1.reason.code(), "closed");
}

#[test]
fn what_is_no_tls_is_quoted() {
    let mut plain = waiting();
    plain.receive(b"GET / HTTP/1.0\r\n\r\n", now());
    let (alert, failure) = failure(plain);
    assert_eq!(failure.to_string(), r#"the peer does not speak TLS: it sent "GET / HTTP/1.0\r\n\r\n""#);
    assert_eq!(alert.first(), Some(&21), "an alert goes all the same");
    assert_eq!(failure.alert_sent, alert.last().copied());
}

#[test]
fn memory_is_bounded() {
    let mut greedy = waiting();
    // A record that never ends, and then more than waits anywhere.
    greedy.receive(&[22, 3, 1, 0x40, 0, 1, 0, 0xff, 0xff], now());
    for _ in 0..200 {
        greedy.receive(&[0; 1024], now());
        if greedy.progress() == Progress::Failed {
            return;
        }
    }
    panic!("it took 200 KiB");
}

#[test]
fn every_bit_of_a_client_hello_may_be_wrong() {
    let hello = client_hello();
    let environment = here().environment(&server("web", ClientAuth::None));
    // A prime keeps it short and reaches every part.
    for bit in (0..hello.len() * 8).step_by(7) {
        let mut wrong = hello.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let mut handshake = Handshake::server(&environment, now()).expect("a server");
        let progress = handshake.receive(&wrong, now());
        assert_ne!(progress, Progress::Done);
    }
}

#[test]
fn the_wall_clock_that_is_given_counts() {
    for version in [Version::Tls12, Version::Tls13] {
        let mut ask = client("ca", &[]);
        ask.versions = vec![version];
        let (ask, answer) = (here().environment(&ask), here().environment(&server("web", ClientAuth::None)));
        let later = after(40 * 86_400);
        let mut here = Handshake::client(&ask, host("host.example"), later).expect("a client");
        let mut there = Handshake::server(&answer, later).expect("a server");
        for _ in 0..4 {
            there.receive(&here.take_output(), later);
            here.receive(&there.take_output(), later);
        }
        let (_, failure) = failure(here);
        assert_eq!(failure.reason.code(), "expired", "{failure}");
    }
}
