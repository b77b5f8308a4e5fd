//! What ends in a refusal: the alert that goes, the alert that comes, and the reason in plain words.

use ravelin_contract::tls_session::{Suite, Version};
use ravelin_rings::access::Owner;
use ravelin_rings::issue::Profile;
use ravelin_rings::key::KeyKind;
use ravelin_rings::verify::PeerName;
use ravelin_tls::settings::{ClientAuth, Group, Settings};
use ravelin_tls::{Environment, Failure, Target};

use crate::site::{Site, client, server};
use crate::{here, host, meet, meet_in_pieces};

/// Both ends' failures, client first.
fn clash(target: Target, ask: &Settings, answer: &Settings) -> [Failure; 2] {
    let (ask, answer) = (here().environment(ask), here().environment(answer));
    meet_in_pieces(&ask, target, &answer, 1400).map(|end| end.expect_err("refused"))
}

/// The client refuses with this alert, which the server of TLS 1.2 hears as such; one of TLS 1.3, too.
fn client_refuses(target: Target, shows: &str, code: &str, alert: u8) -> String {
    let mut words = String::new();
    for version in [Version::Tls13, Version::Tls12] {
        let mut ask = client("ca", &[]);
        ask.versions = vec![version];
        let [here, there] = clash(target.clone(), &ask, &server(shows, ClientAuth::None));
        assert_eq!(here.reason.code(), code, "{here}");
        assert_eq!(here.alert_sent, Some(alert), "{here}");
        assert_eq!(there.alert_received, Some(alert), "{there}");
        assert_eq!(there.reason.code(), "refused");
        words = here.to_string();
    }
    words
}

#[test]
fn certificates_that_are_not_believed() {
    let right = || host("host.example");
    let words = client_refuses(host("wrong.example"), "web", "wrong-name", 42);
    assert!(words.contains("not for wrong.example; it is for host.example"), "{words}");
    let words = client_refuses(Target::address([127, 0, 0, 9].into()), "web", "wrong-name", 42);
    assert!(words.contains("127.0.0.9"), "{words}");
    let words = client_refuses(right(), "late", "expired", 45);
    assert!(words.contains("CN=late/main"), "{words}");
    let words = client_refuses(right(), "strange/main", "broken-chain", 48);
    assert!(words.contains("CN=other/root"), "{words}");
    client_refuses(right(), "clients/ann", "wrong-usage", 43);
}

#[test]
fn the_name_that_is_checked_may_be_another() {
    let (ask, answer) =
        (here().environment(&client("ca", &[])), here().environment(&server("web", ClientAuth::None)));
    let good = [
        host("wrong.example").expecting(PeerName::Dns("host.example".to_owned())),
        host("wrong.example").unchecked(),
        host("host.example").unnamed([192, 0, 2, 1].into()),
    ];
    for target in good {
        let [here, _] = meet_in_pieces(&ask, target.clone(), &answer, 1400);
        here.unwrap_or_else(|failure| panic!("{target:?}: {failure}"));
    }
    assert!(Target::host("127.0.0.1").is_err() && Target::host("a b").is_err());
}

#[test]
fn lists_that_do_not_meet() {
    let base = || (client("ca", &[]), server("web", ClientAuth::None));
    let (mut ask, mut answer) = base();
    (ask.suites, answer.suites) = (vec![Suite::Aes128GcmSha256], vec![Suite::Aes256GcmSha384]);
    (ask.versions, answer.versions) = (vec![Version::Tls13], vec![Version::Tls13]);
    let [here, there] = clash(host("host.example"), &ask, &answer);
    assert_eq!((there.reason.code(), there.alert_sent), ("no-common-suite", Some(40)));
    let words = there.to_string();
    assert!(words.contains("TLS_AES_128_GCM_SHA256") && words.contains("TLS_AES_256_GCM_SHA384"), "{words}");
    assert_eq!(here.alert_received, Some(40));
    assert!(here.to_string().contains("TLS_AES_128_GCM_SHA256"), "{here}");

    let (mut ask, mut answer) = base();
    (ask.groups, answer.groups) = (vec![Group::Secp256r1], vec![Group::X25519]);
    let [here, there] = clash(host("host.example"), &ask, &answer);
    assert_eq!((there.reason.code(), there.alert_sent), ("no-common-group", Some(40)));
    assert!(
        there.to_string().contains("secp256r1") && here.to_string().contains("Secp256r1"),
        "{there} {here}"
    );

    let (mut ask, mut answer) = base();
    (ask.versions, answer.versions) = (vec![Version::Tls12], vec![Version::Tls13]);
    let [here, there] = clash(host("host.example"), &ask, &answer);
    assert_eq!((there.reason.code(), there.alert_sent), ("no-common-version", Some(70)));
    assert!(here.to_string().contains("TLSv1.2"), "{here}");

    let (mut ask, mut answer) = base();
    (ask.alpn, answer.alpn) = (vec![b"h2".to_vec()], vec![b"tn3270".to_vec()]);
    let [here, there] = clash(host("host.example"), &ask, &answer);
    assert_eq!((there.reason.code(), there.alert_sent), ("no-common-alpn", Some(120)));
    assert_eq!(there.to_string(), "no common application protocol: the peer has h2; we have tn3270");
    assert!(here.to_string().contains("h2"), "{here}");

    let (mut ask, answer) = base();
    ask.schemes = vec![ravelin_rings::scheme::Scheme::Ed25519];
    let [_, there] = clash(host("host.example"), &ask, &answer);
    assert_eq!(there.reason.code(), "no-identity", "{there}");
}

#[test]
fn a_ring_that_does_not_list_the_caller_signs_nothing() {
    let site = Site::new();
    site.ring("host", Owner::Host);
    site.certify("host/main", "ca/root", KeyKind::P256, &["dns:host.example"], Profile::Server, (0, 30));
    let ends =
        meet(&site.environment(&client("ca", &[])), &site.environment(&server("host", ClientAuth::None)));
    let [_, there] = ends.map(|end| end.expect_err("refused"));
    assert_eq!(there.reason.code(), "signing");
    assert!(there.to_string().contains("uid"), "{there}");
}

#[test]
fn settings_that_make_no_environment() {
    let refused =
        |settings: &Settings| Environment::new(settings, &here().doors).expect_err("refused").to_string();
    let base = || server("web", ClientAuth::None);
    assert!(refused(&server("ca/nobody", ClientAuth::None)).contains("nobody"));
    assert!(refused(&client("web", &[])).contains("no trust anchor"));
    assert!(refused(&server("other", ClientAuth::None)).contains("no certificate of ours"));
    let mut settings = base();
    settings.suites = vec![Suite::Aes128GcmSha256];
    assert!(refused(&settings).contains("no cipher suite is of TLSv1.2"));
    let spoils: [fn(&mut Settings); 3] =
        [|s| s.versions.clear(), |s| s.groups.clear(), |s| s.schemes.clear()];
    for empty in spoils {
        let mut settings = base();
        empty(&mut settings);
        assert!(refused(&settings).contains("name at least one"));
    }
}
