//! Foreign clients before our server.

use ravelin_contract::tls_session::{Suite, Version};
use ravelin_tls::Peer;
use ravelin_tls::settings::{ClientAuth, Group, Resumption};

use crate::foreign::{Foreign, contains, ends_near};
use crate::relay::{Manner, serve};
use crate::site::{server, trust};
use crate::{echo, file, here, pattern, web};

/// OpenSSL's name of a suite of TLS 1.2.
fn openssl_name(suite: Suite) -> String {
    let name = suite.name().replace("TLS_", "").replace("WITH_AES_", "AES").replace("WITH_", "");
    name.replace("_POLY1305_SHA256", "_POLY1305")
        .replace("AES128_", "AES128-")
        .replace("AES256_", "AES256-")
        .replace('_', "-")
}

fn s_client(port: u16, more: &[&str]) -> Foreign {
    let (ca, address) = (file("ca/root", false), format!("127.0.0.1:{port}"));
    let usual =
        ["s_client", "-connect", &address, "-servername", "host.example", "-verify_hostname", "host.example"];
    let believing = ["-CAfile", ca.to_str().expect("text"), "-verify_return_error"];
    Foreign::start("openssl", &[&usual, believing.as_slice(), more].concat())
}

#[test]
fn openssl_with_every_suite() {
    let (port, stories) =
        serve(&here().environment(&server("web", ClientAuth::None)), echo(), Manner::default(), 9);
    for suite in Suite::ALL {
        let name = openssl_name(suite);
        let mut client = match suite.version() {
            Version::Tls13 => s_client(port, &["-tls1_3", "-ciphersuites", suite.name()]),
            Version::Tls12 => s_client(port, &["-tls1_2", "-cipher", &name]),
        };
        client.write(b"hello, gateway\n");
        client.await_words("the echo", |said| contains(said, b"\nhello, gateway\n"));
        client.write(b"Q\n");
        let (_, words) = client.end();
        assert!(words.contains("Verify return code: 0 (ok)"), "{suite:?}: {words}");
    }
    let stories = stories.join().expect("no panic");
    for (suite, story) in Suite::ALL.into_iter().zip(stories) {
        let story = story.unwrap_or_else(|failure| panic!("{suite:?}: {failure}"));
        assert_eq!((story.facts.suite, story.sent, story.received), (suite, 15, 15));
        assert_eq!((story.cut, story.facts.name.as_deref()), (None, Some("host.example")), "{suite:?}");
    }
}

#[test]
fn openssl_changes_keys_in_the_middle_of_much() {
    let half = pattern(5 << 20);
    let manner = Manner { update_every: Some(1 << 20), ..Manner::default() };
    let (port, stories) = serve(&here().environment(&server("web", ClientAuth::None)), echo(), manner, 1);
    let mut client = s_client(port, &["-tls1_3"]);
    client.await_words("the handshake", |said| contains(said, b"Verify return code: 0"));
    for (command, mark) in [(b"K\n", b"done one\n"), (b"k\n", b"done two\n")] {
        client.write(&half);
        client.write(mark);
        // Only a line that comes alone is a command.
        client.await_words("the echo", |said| ends_near(said, mark));
        client.write(command);
        client.await_words("the change", |said| ends_near(said, b"KEYUPDATE"));
    }
    client.write(b"last words\n");
    client.await_words("the last words", |said| ends_near(said, b"last words"));
    client.write(b"Q\n");
    let (_, words) = client.end();
    let said = std::str::from_utf8(&half).expect("text");
    assert!(words.contains(said), "the echo is not what was said");
    let story = stories.join().expect("no panic").remove(0).expect("agreed");
    let total = 2 * half.len() + 9 + 9 + 11;
    assert_eq!((story.sent, story.received, story.cut), (total, total, None));
    assert!(story.peer_updates >= 3 && story.our_updates >= 9, "{story:?}");
}

#[test]
fn curl_fetches_ten_megabytes() {
    const BODY: usize = 10 << 20;
    let mut settings = server("web", ClientAuth::None);
    settings.alpn = vec![b"http/1.1".to_vec()];
    let (port, stories) = serve(&here().environment(&settings), web(BODY), Manner::default(), 2);
    let ca = file("ca/root", false);
    for version in ["1.3", "1.2"] {
        let (resolve, url) =
            (format!("host.example:{port}:127.0.0.1"), format!("https://host.example:{port}/"));
        let tls = format!("--tlsv{version}");
        let ca = ca.to_str().expect("text");
        let curl = Foreign::start(
            "curl",
            &["-sS", "--cacert", ca, "--resolve", &resolve, &tls, "--tls-max", version, &url],
        );
        let (good, words) = curl.end();
        assert!(good && words.as_bytes() == pattern(BODY), "curl said {} octets", words.len());
    }
    for story in stories.join().expect("no panic") {
        let story = story.expect("agreed");
        assert_eq!((story.facts.alpn.as_deref(), story.cut), (Some(b"http/1.1".as_slice()), None));
        assert!(story.sent > BODY);
    }
}

#[test]
fn gnutls_in_both_versions() {
    let (port, stories) =
        serve(&here().environment(&server("web", ClientAuth::None)), echo(), Manner::default(), 2);
    let (ca, number) = (file("ca/root", false), port.to_string());
    for (version, only) in
        [("TLS1.3", "NORMAL:-VERS-ALL:+VERS-TLS1.3"), ("TLS1.2", "NORMAL:-VERS-ALL:+VERS-TLS1.2")]
    {
        let ca = ca.to_str().expect("text");
        let names = ["--sni-hostname", "host.example", "--verify-hostname", "host.example"];
        let place = ["--x509cafile", ca, "--priority", only, "--port", &number, "127.0.0.1"];
        let mut client = Foreign::start("gnutls-cli", &[names.as_slice(), &place].concat());
        client.await_words("the handshake", |said| contains(said, b"Handshake was completed"));
        client.write(b"hello, gateway\n");
        client.await_words("the echo", |said| contains(said, b"hello, gateway\n"));
        client.end_input();
        let (good, words) = client.end();
        assert!(good && words.contains(version), "{words}");
    }
    for story in stories.join().expect("no panic") {
        let story = story.expect("agreed");
        assert_eq!((story.sent, story.received, story.cut), (15, 15, None));
    }
}

/// What Python's client does: it connects so many times with the session of before, says something, and closes.
const PYTHON: &str = r#"
import socket, ssl, sys
port, ca, own, version, times, end = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4], int(sys.argv[5]), sys.argv[6]
context = ssl.create_default_context(cafile=ca)
context.minimum_version = context.maximum_version = getattr(ssl.TLSVersion, version)
context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF
if own: context.load_cert_chain(own)
session = None
for _ in range(times):
    try:
        raw = socket.create_connection(("127.0.0.1", port), timeout=60)
        tls = context.wrap_socket(raw, server_hostname="host.example", session=session, suppress_ragged_eofs=False)
        tls.sendall(b"hello\n")
        heard = tls.recv(100)
        session = tls.session
        print("heard", heard, "reused", tls.session_reused, flush=True)
        if end == "listen":
            print("and then", tls.recv(100), flush=True)
        tls.unwrap().close()
    except ssl.SSLError as error:
        print("refused", error.reason, flush=True)
    except OSError as error:
        print("cut", error, flush=True)
"#;

fn python(port: u16, shows: Option<&str>, version: &str, times: usize, end: &str) -> String {
    let (ca, own) = (file("ca/root", false), shows.map(|at| file(at, true)));
    let own = own.as_ref().map_or("", |path| path.to_str().expect("text"));
    let (port, times) = (port.to_string(), times.to_string());
    let arguments = ["-c", PYTHON, &port, ca.to_str().expect("text"), own, version, &times, end];
    let (good, words) = Foreign::start("/usr/bin/python3", &arguments).end();
    assert!(good, "{words}");
    words
}

#[test]
fn python_at_every_level_of_client_authentication() {
    let clients = [None, Some("clients/ann"), Some("clients/bob"), Some("strange/eve")];
    let levels = [
        ("none", ClientAuth::None, ["anonymous"; 4]),
        ("pass-thru", ClientAuth::PassThru, ["anonymous", "unjudged", "unjudged", "unjudged"]),
        ("wanted", ClientAuth::Wanted(trust("ca")), ["anonymous", "believed", "believed", "untrusted"]),
        (
            "required",
            ClientAuth::Required(trust("ca")),
            ["no-certificate", "believed", "believed", "untrusted"],
        ),
        ("mapped", ClientAuth::Mapped(trust("ca")), ["no-certificate", "ann", "not-mapped", "untrusted"]),
    ];
    for (name, level, expected) in levels {
        let (port, stories) = serve(&here().environment(&server("web", level)), echo(), Manner::default(), 8);
        let mut heard = Vec::new();
        for version in ["TLSv1_3", "TLSv1_2"] {
            heard.extend(clients.map(|shows| python(port, shows, version, 1, "close")));
        }
        let stories = stories.join().expect("no panic");
        for (at, (story, heard)) in stories.into_iter().zip(heard).enumerate() {
            let verdict = match &story {
                Err(failure) => failure.reason.code().to_owned(),
                Ok(story) => match &story.facts.peer {
                    Peer::Anonymous => "anonymous".to_owned(),
                    Peer::Unjudged { .. } => "unjudged".to_owned(),
                    Peer::Judged { identity, .. } => identity.clone().unwrap_or("believed".to_owned()),
                },
            };
            assert_eq!(verdict, expected[at % 4], "{name} {at}: {heard} {story:?}");
            assert_eq!(heard.contains("heard b'hello"), story.is_ok(), "{name} {at}: {heard}");
        }
    }
}

#[test]
fn python_takes_sessions_up_again() {
    for way in [Resumption::Tickets { count: 2, sessions: 9 }, Resumption::Cache { sessions: 64 }] {
        let mut settings = server("web", ClientAuth::Required(trust("ca")));
        settings.resumption = way;
        let (port, stories) = serve(&here().environment(&settings), echo(), Manner::default(), 6);
        for version in ["TLSv1_3", "TLSv1_2"] {
            let words = python(port, Some("clients/ann"), version, 3, "close");
            assert_eq!(words.matches("reused True").count(), 2, "{way:?} {version}: {words}");
        }
        let resumed: Vec<bool> = stories
            .join()
            .expect("no panic")
            .into_iter()
            .map(|story| story.expect("agreed").facts.resumed)
            .collect();
        assert_eq!(resumed, [false, true, true, false, true, true], "{way:?}");
    }
}

#[test]
fn python_tells_an_end_from_a_cut() {
    let manner = Manner { cut_after: Some(6), ..Manner::default() };
    let (port, stories) = serve(&here().environment(&server("web", ClientAuth::None)), echo(), manner, 2);
    for version in ["TLSv1_3", "TLSv1_2"] {
        let words = python(port, None, version, 1, "listen");
        assert!(words.contains("heard b'hello") && words.contains("refused UNEXPECTED_EOF"), "{words}");
    }
    drop(stories.join().expect("no panic"));
}

#[test]
fn groups_of_openssl() {
    let groups = [("X25519", Group::X25519), ("P-256", Group::Secp256r1), ("P-384", Group::Secp384r1)];
    let (port, stories) =
        serve(&here().environment(&server("web", ClientAuth::None)), echo(), Manner::default(), 3);
    for (name, _) in groups {
        let mut client = s_client(port, &["-tls1_3", "-groups", name]);
        client.await_words("the handshake", |said| contains(said, b"Verify return code: 0"));
        client.write(b"Q\n");
        client.end();
    }
    for ((name, group), story) in groups.into_iter().zip(stories.join().expect("no panic")) {
        let agreed = story.expect("agreed").facts.group.expect("a group");
        assert!(agreed.eq_ignore_ascii_case(&format!("{group:?}")), "{name}: {agreed}");
    }
}
