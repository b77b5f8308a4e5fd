//! What is refused, by us and by foreign programs: which alert goes over the wire, and what the reason says.

use ravelin_contract::tls_session::{Suite, Version};
use ravelin_tls::settings::ClientAuth;
use ravelin_tls::{Failure, Target};

use crate::foreign::{Foreign, contains, free_port};
use crate::relay::{Manner, ask, serve};
use crate::site::{client, server};
use crate::{echo, file, here};

/// Our client before OpenSSL's server: our reason, and what the server says of our alert.
fn we_refuse(target: Target, shows: &str, version: Version, more: &[&str]) -> (Failure, String) {
    let (port, own) = (free_port(), file(shows, true));
    let (own, number) = (own.to_str().expect("text"), port.to_string());
    let usual =
        ["s_server", "-accept", &number, "-cert", own, "-key", own, "-cert_chain", own, "-naccept", "1"];
    let server = Foreign::start("openssl", &[usual.as_slice(), more].concat());
    server.await_words("its start", |said| contains(said, b"ACCEPT"));
    let mut settings = client("ca", &[]);
    settings.versions = vec![version];
    settings.suites.retain(|suite| *suite != Suite::Aes256GcmSha384);
    let (_clear, carried) = ask(&here().environment(&settings), target, port, Manner::default());
    let failure = carried.join().expect("no panic").expect_err("refused");
    server.await_words("our alert, or its own", |said| {
        contains(said, b"alert") || contains(said, b"no shared")
    });
    (failure, server.words())
}

fn host(name: &str) -> Target {
    Target::host(name).expect("a host name")
}

#[test]
fn we_refuse_servers_of_openssl() {
    let stories = [
        ("wrong.example", "web/main", "wrong-name", 42, "alert bad certificate"),
        ("host.example", "late/main", "expired", 45, "alert certificate expired"),
        ("host.example", "strange/main", "untrusted", 48, "alert unknown ca"),
        ("host.example", "clients/ann", "wrong-usage", 43, "alert unsupported certificate"),
    ];
    for version in [Version::Tls13, Version::Tls12] {
        for (name, shows, code, alert, words) in stories {
            let (failure, said) = we_refuse(host(name), shows, version, &[]);
            assert_eq!((failure.reason.code(), failure.alert_sent), (code, Some(alert)), "{failure}");
            assert!(said.contains(words), "{shows}: {said}");
        }
    }
}

#[test]
fn openssl_has_no_suite_of_ours() {
    for (version, more) in [
        (Version::Tls13, ["-tls1_3", "-ciphersuites", "TLS_AES_256_GCM_SHA384"]),
        (Version::Tls12, ["-tls1_2", "-cipher", "ECDHE-RSA-AES128-GCM-SHA256"]),
    ] {
        let (failure, said) = we_refuse(host("host.example"), "web/main", version, &more);
        assert_eq!((failure.reason.code(), failure.alert_received), ("refused", Some(40)), "{said}");
        assert!(failure.to_string().contains("AES_128_GCM"), "{failure}");
    }
}

/// OpenSSL's client before our server: our reason, and what it says.
fn s_client(shows: &str, more: &[&str]) -> (Failure, String) {
    let settings = server(shows, ClientAuth::None);
    let (port, stories) = serve(&here().environment(&settings), echo(), Manner::default(), 1);
    let (ca, address) = (file("ca/root", false), format!("127.0.0.1:{port}"));
    let usual =
        ["s_client", "-connect", &address, "-CAfile", ca.to_str().expect("text"), "-verify_return_error"];
    let (_, words) = Foreign::start("openssl", &[usual.as_slice(), more].concat()).end();
    let story = stories.join().expect("no panic").remove(0);
    (story.expect_err("refused"), words)
}

#[test]
fn openssl_refuses_us_and_we_say_why() {
    for version in ["-tls1_3", "-tls1_2"] {
        for (shows, alert, words) in
            [("strange/main", 48, "does not trust"), ("late/main", 45, "does not accept")]
        {
            let (failure, said) = s_client(shows, &[version]);
            assert_eq!(failure.alert_received, Some(alert), "{failure} {said}");
            assert!(failure.to_string().contains(words), "{failure}");
        }
    }
}

#[test]
fn clients_of_openssl_that_lack_our_lists() {
    let suite = ["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256:AES128-GCM-SHA256"];
    let (failure, said) = s_client("web/main", &suite);
    assert_eq!((failure.reason.code(), failure.alert_sent), ("no-common-suite", Some(40)), "{failure}");
    assert!(said.contains("alert handshake failure"), "{said}");
    assert!(failure.to_string().contains("TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256"), "{failure}");

    let (failure, said) = s_client("web/main", &["-groups", "X448"]);
    assert_eq!((failure.reason.code(), failure.alert_sent), ("no-common-group", Some(40)), "{failure}");
    assert!(
        said.contains("alert handshake failure") && failure.to_string().contains("X448"),
        "{failure} {said}"
    );
}

#[test]
fn a_client_without_tls_is_quoted() {
    let (port, stories) =
        serve(&here().environment(&server("web", ClientAuth::None)), echo(), Manner::default(), 1);
    let url = format!("http://127.0.0.1:{port}/");
    let (good, _) = Foreign::start("curl", &["-sS", "--http0.9", "--max-time", "50", &url]).end();
    let failure = stories.join().expect("no panic").remove(0).expect_err("refused");
    assert!(failure.to_string().contains("\"GET / HTTP/1.1"), "{failure} {good}");
}
