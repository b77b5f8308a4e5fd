//! Our client before foreign servers.

use std::io::{Read, Write};
use std::net::Shutdown;

use ravelin_contract::tls_session::{Suite, Version};
use ravelin_tls::{Peer, Target};

use crate::foreign::{Foreign, contains, ends_near, free_port};
use crate::relay::{Carried, Manner, Story, ask};
use crate::site::client;
use crate::{file, here, pattern};

fn host() -> Target {
    Target::host("host.example").expect("a host name")
}

/// OpenSSL's server, with `web/main` unless `more` says otherwise.
fn s_server(shows: &str, more: &[&str]) -> (u16, Foreign) {
    let (port, own, ca) = (free_port(), file(shows, true), file("ca/root", false));
    let (own, ca, number) = (own.to_str().expect("text"), ca.to_str().expect("text"), port.to_string());
    let usual =
        ["s_server", "-accept", &number, "-cert", own, "-key", own, "-cert_chain", own, "-CAfile", ca];
    let server = Foreign::start("openssl", &[usual.as_slice(), more].concat());
    server.await_words("its start", |said| contains(said, b"ACCEPT"));
    (port, server)
}

fn story(carried: Carried) -> Story {
    carried.join().expect("no panic").unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn openssl_with_every_suite() {
    for suite in Suite::ALL {
        let shows = if suite.name().contains("_RSA_") { "web/rsa" } else { "web/main" };
        let (port, _server) = s_server(shows, &["-rev"]);
        let mut settings = client("ca", &[]);
        settings.suites = vec![suite];
        settings.versions = vec![suite.version()];
        let (mut clear, carried) = ask(&here().environment(&settings), host(), port, Manner::default());
        clear.write_all(b"abc def\n").expect("it listens");
        let mut heard = [0; 8];
        clear.read_exact(&mut heard).expect("an answer");
        assert_eq!(&heard, b"fed cba\n", "{suite:?}");
        clear.shutdown(Shutdown::Write).expect("a socket");
        clear.read_to_end(&mut Vec::new()).expect("the end");
        let story = story(carried);
        assert_eq!((story.facts.suite, story.cut), (suite, None));
        assert!(matches!(story.facts.peer, Peer::Judged { .. }));
        assert_eq!(story.tickets > 0, suite.version() == Version::Tls13);
    }
}

#[test]
fn openssl_changes_keys_in_the_middle_of_much() {
    let (port, mut server) = s_server("web/main", &["-tls1_3", "-naccept", "1"]);
    let manner = Manner { update_every: Some(1 << 20), ..Manner::default() };
    let (mut clear, carried) = ask(&here().environment(&client("ca", &[])), host(), port, manner);
    let half = pattern(5 << 20);
    for (command, mark) in [(b"K\n", b"done one\n"), (b"k\n", b"done two\n")] {
        // Ours goes up, theirs comes down.
        clear.write_all(&half).expect("it listens");
        clear.write_all(mark).expect("it listens");
        server.await_words("what we say", |said| ends_near(said, mark));
        server.write(&half);
        let mut heard = vec![0; half.len()];
        clear.read_exact(&mut heard).expect("what it says");
        assert!(heard == half, "octets are not what was said");
        server.write(command);
        server.await_read();
    }
    server.write(b"last words\n");
    let mut heard = [0; 11];
    clear.read_exact(&mut heard).expect("what it says");
    assert_eq!(&heard, b"last words\n");
    clear.shutdown(Shutdown::Write).expect("a socket");
    clear.read_to_end(&mut Vec::new()).expect("the end");
    let story = story(carried);
    assert_eq!((story.sent, story.received, story.cut), (2 * half.len() + 18, 2 * half.len() + 11, None));
    assert!(story.peer_updates >= 3 && story.our_updates >= 9, "{story:?}");
}

#[test]
fn sessions_of_openssl_are_taken_up_again() {
    for version in [Version::Tls13, Version::Tls12] {
        let (port, _server) = s_server("web/main", &["-rev"]);
        let mut settings = client("ca", &[]);
        settings.versions = vec![version];
        let environment = here().environment(&settings);
        let resumed: Vec<bool> = (0..3)
            .map(|_| {
                let (mut clear, carried) = ask(&environment, host(), port, Manner::default());
                clear.write_all(b"ab\n").expect("it listens");
                clear.read_exact(&mut [0; 3]).expect("an answer");
                drop(clear);
                story(carried).facts.resumed
            })
            .collect();
        assert_eq!(resumed, [false, true, true], "{version:?}");
    }
}

#[test]
fn openssl_asks_for_our_certificate() {
    for version in [Version::Tls13, Version::Tls12] {
        for shows in [None, Some("clients/ann")] {
            let (port, _server) = s_server("web/main", &["-rev", "-Verify", "2", "-verify_return_error"]);
            let mut settings = client("ca", shows.as_slice());
            settings.versions = vec![version];
            let (mut clear, carried) = ask(&here().environment(&settings), host(), port, Manner::default());
            let _ = clear.write_all(b"ab\n");
            let heard = clear.read_exact(&mut [0; 3]);
            let _ = clear.shutdown(Shutdown::Write);
            let end = carried.join().expect("no panic");
            assert_eq!(heard.is_ok(), shows.is_some(), "{version:?} {end:?}");
            match (shows, end) {
                (Some(shown), Ok(story)) => assert_eq!(story.facts.shown.as_deref(), Some(shown)),
                // A client of TLS 1.3 hears of it after the handshake (RFC 8446 4.4.2.4).
                (None, Ok(story)) => {
                    let why = story.cut.expect("an alert").to_string();
                    assert!(why.contains("certificate_required"), "{why}");
                }
                (None, Err(failure)) => assert_eq!(failure.alert_received, Some(40), "{failure}"),
                (Some(_), Err(failure)) => panic!("{failure}"),
            }
        }
    }
}

#[test]
fn gnutls_echoes() {
    let (port, own) = (free_port(), file("web/main", true));
    let (own, number) = (own.to_str().expect("text"), port.to_string());
    let arguments =
        ["--echo", "--port", &number, "--x509certfile", own, "--x509keyfile", own, "--disable-client-cert"];
    let server = Foreign::start("gnutls-serv", &arguments);
    server.await_words("its start", |said| contains(said, b"listening on"));
    for version in [Version::Tls13, Version::Tls12] {
        let mut settings = client("ca", &[]);
        settings.versions = vec![version];
        let (mut clear, carried) = ask(&here().environment(&settings), host(), port, Manner::default());
        clear.write_all(b"hello\n").expect("it listens");
        let mut heard = [0; 6];
        clear.read_exact(&mut heard).expect("an answer");
        assert_eq!(&heard, b"hello\n");
        clear.shutdown(Shutdown::Write).expect("a socket");
        clear.read_to_end(&mut Vec::new()).expect("the end");
        let story = story(carried);
        assert_eq!(story.facts.suite.version(), version);
    }
}

/// A server that says something and ends: with close_notify, or without.
const PYTHON: &str = r#"
import socket, ssl, sys
port, own, way = int(sys.argv[1]), sys.argv[2], sys.argv[3]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(own)
listener = socket.create_server(("127.0.0.1", port))
print("listening", flush=True)
raw, _ = listener.accept()
tls = context.wrap_socket(raw, server_side=True)
tls.sendall(b"hello\n")
if way == "close":
    tls.unwrap()
raw = tls.detach()
socket.socket(fileno=raw).close()
"#;

#[test]
fn an_end_of_python_is_told_from_a_cut() {
    for (way, cut) in [("close", None), ("cut", Some(ravelin_records::Failure::Truncated))] {
        let (port, own) = (free_port(), file("web/main", true));
        let arguments = ["-c", PYTHON, &port.to_string(), own.to_str().expect("text"), way];
        let server = Foreign::start("/usr/bin/python3", &arguments);
        server.await_words("its start", |said| contains(said, b"listening"));
        let (mut clear, carried) =
            ask(&here().environment(&client("ca", &[])), host(), port, Manner::default());
        let mut heard = [0; 6];
        clear.read_exact(&mut heard).expect("what it says");
        assert_eq!(&heard, b"hello\n");
        if cut.is_none() {
            assert_eq!(clear.read(&mut [0]).expect("a clean end"), 0);
        }
        drop(clear);
        assert_eq!(story(carried).cut, cut);
    }
}
