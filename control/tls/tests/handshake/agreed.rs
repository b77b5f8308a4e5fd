//! What two ends agree on, and that what is handed over at one end is what the other end needs.

use ravelin_contract::tls_session::{Change, Role, Shape, Suite, Traffic, Version};
use ravelin_tls::settings::{ClientAuth, Group, Identity, Resumption, Role as Wanted};
use ravelin_tls::{Handover, Peer, Target};

use crate::site::{client, pick, server};
use crate::{agree, here, host, meet, meet_in_pieces};

/// Keys and numbers of both ends are the same, crosswise.
fn assert_twins([client, server]: &[Handover; 2]) {
    let (here, there) = (&client.session, &server.session);
    assert_eq!((here.role, there.role), (Role::Client, Role::Server));
    assert_eq!(here.suite, there.suite);
    assert_eq!(here.sending, there.receiving);
    // A client of TLS 1.3 has not opened the tickets yet, and they lie in what it hands over.
    let key = |traffic: &Traffic| (traffic.key.clone(), traffic.iv.clone());
    assert_eq!(key(&here.receiving), key(&there.sending));
    let tickets = there.sending.next_number - here.receiving.next_number;
    assert_eq!(tickets > 0, !client.unopened.is_empty(), "{tickets} tickets");
    assert!(server.unopened.is_empty());
}

#[test]
fn every_suite_and_group() {
    for suite in Suite::ALL {
        for group in Group::ALL {
            if suite.version() == Version::Tls12 && group == Group::X25519MlKem768 {
                continue;
            }
            let (mut ask, mut answer) = (client("ca", &[]), server("web", ClientAuth::None));
            for settings in [&mut ask, &mut answer] {
                settings.versions = vec![suite.version()];
                settings.suites = vec![suite];
                settings.groups = vec![group];
            }
            let ends = agree(&ask, &answer);
            assert_twins(&ends);
            for end in &ends {
                assert_eq!(end.session.suite, suite);
                let name = end.facts.group.as_deref().expect("a group");
                assert!(name.eq_ignore_ascii_case(&format!("{group:?}")), "{name} {group:?}");
                assert!(!end.facts.resumed);
            }
            let shown = if suite.name().contains("_RSA_") { "web/rsa" } else { "web/main" };
            assert_eq!(ends[1].facts.shown.as_deref(), Some(shown), "{suite:?}");
        }
    }
}

#[test]
fn the_modern_preset_is_secure_against_quantum_computers() {
    let [ours, theirs] = agree(&client("ca", &[]), &server("web", ClientAuth::None));
    assert_eq!(ours.session.suite, Suite::Aes256GcmSha384);
    assert_eq!(ours.facts.group.as_deref(), Some("X25519MLKEM768"));
    assert_eq!(theirs.facts.name.as_deref(), Some("host.example"));
    assert!(matches!(theirs.facts.peer, Peer::Anonymous));
    let Peer::Judged { subject, chain, .. } = ours.facts.peer else { panic!("{:?}", ours.facts) };
    assert_eq!((subject.as_str(), chain.len()), ("CN=web/main", 1));
}

#[test]
fn octets_may_come_in_any_pieces() {
    for version in [Version::Tls12, Version::Tls13] {
        let (mut ask, answer) = (client("ca", &[]), server("web", ClientAuth::None));
        ask.versions = vec![version];
        let (ask, answer) = (here().environment(&ask), here().environment(&answer));
        for piece in [1, 2, 5, 100] {
            let ends = meet_in_pieces(&ask, host("host.example"), &answer, piece);
            assert_twins(&ends.map(|end| end.expect("agreed")));
        }
    }
}

#[test]
fn keys_change_in_step() {
    let [mut here, mut there] = agree(&client("ca", &[]), &server("web", ClientAuth::None));
    let mut seen = vec![here.session.sending.key.clone(), here.session.receiving.key.clone()];
    for _ in 0..3 {
        let (sender, receiver) = (&mut here, &mut there);
        let Change::SendUnder { traffic: mine, ask_peer } = sender.keeper.send_under(true).expect("a key")
        else {
            panic!("another change")
        };
        let Change::ReceiveUnder(yours) = receiver.keeper.receive_under().expect("a key") else {
            panic!("another change")
        };
        assert_eq!((&mine, ask_peer, mine.next_number), (&yours, true, 0));
        assert!(!seen.contains(&mine.key));
        seen.push(mine.key);
        let Ok(Change::SendUnder { traffic: answer, .. }) = receiver.keeper.send_under(false) else {
            panic!("no key")
        };
        assert_eq!(sender.keeper.receive_under(), Ok(Change::ReceiveUnder(answer)));
    }
    let mut ask = client("ca", &[]);
    ask.versions = vec![Version::Tls12];
    let [mut old, _] = agree(&ask, &server("web", ClientAuth::None));
    let why = old.keeper.send_under(false).expect_err("TLS 1.2").to_string();
    assert!(why.contains("TLS 1.2"), "{why}");
}

#[test]
fn the_host_name_chooses_the_certificate() {
    let mut settings = server("web/main", ClientAuth::None);
    let identity = |at: &str, hosts: &[&str]| Identity {
        pick: pick(at),
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
    };
    let identities = vec![identity("web/rsa", &["*.wild.example"]), identity("web/main", &["host.example"])];
    settings.role = Wanted::Server { identities, strict_names: true, client_auth: ClientAuth::None };
    let (ask, answer) = (here().environment(&client("ca", &[])), here().environment(&settings));
    for (name, shown) in [("host.example", "web/main"), ("a.wild.example", "web/rsa")] {
        let [_, there] = meet_in_pieces(&ask, host(name), &answer, 1400);
        assert_eq!(there.expect("agreed").facts.shown.as_deref(), Some(shown));
    }
    // No name is not a wrong one.
    let target = Target::address([127, 0, 0, 1].into());
    let [here, there] = meet_in_pieces(&ask, target, &answer, 1400);
    here.expect("the address is in the certificate");
    assert_eq!(there.expect("agreed").facts.name, None);
    let [here, there] = meet_in_pieces(&ask, host("strange.example"), &answer, 1400);
    assert_eq!(there.expect_err("strict").to_string(), "no certificate of ours is for strange.example");
    here.expect_err("refused");
}

#[test]
fn application_protocols_are_agreed_on() {
    let (mut ask, mut answer) = (client("ca", &[]), server("web", ClientAuth::None));
    ask.alpn = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    answer.alpn = vec![b"http/1.1".to_vec()];
    for end in agree(&ask, &answer) {
        assert_eq!(end.facts.alpn.as_deref(), Some(b"http/1.1".as_slice()));
    }
}

#[test]
fn sessions_are_taken_up_again() {
    let ways = [Resumption::Tickets { count: 2, sessions: 9 }, Resumption::Cache { sessions: 64 }];
    for (version, way) in [Version::Tls12, Version::Tls13].into_iter().flat_map(|v| ways.map(|way| (v, way)))
    {
        let (mut ask, mut answer) =
            (client("ca", &["clients/ann"]), server("web", ClientAuth::Mapped(crate::site::trust("ca"))));
        ask.versions = vec![version];
        (ask.resumption, answer.resumption) = (way, way);
        let (ask, answer) = (here().environment(&ask), here().environment(&answer));
        let [first, _] = meet(&ask, &answer).map(|end| end.expect("agreed"));
        assert!(!first.facts.resumed);
        // What TLS 1.3 sends behind the handshake is for the opener of records: here its tickets stay unread, and a client
        // that has none does not resume. The joint tests go on from there.
        let [second, other] = meet(&ask, &answer).map(|end| end.expect("agreed"));
        assert_eq!(second.facts.resumed, version == Version::Tls12, "{version:?} {way:?}");
        // Who the client is is known, and was judged again.
        let Peer::Judged { identity, .. } = &other.facts.peer else { panic!("{:?}", other.facts) };
        assert_eq!(identity.as_deref(), Some("ann"));
        assert_twins(&[second, other]);
    }
    let mut ask = client("ca", &[]);
    ask.versions = vec![Version::Tls12];
    ask.resumption = Resumption::Off;
    let (ask, answer) = (here().environment(&ask), here().environment(&server("web", ClientAuth::None)));
    for _ in 0..2 {
        let [end, _] = meet(&ask, &answer);
        assert!(!end.expect("agreed").facts.resumed);
    }
}

#[test]
fn padding_is_for_tls13() {
    for (version, pad_to) in [(Version::Tls12, 1), (Version::Tls13, 64)] {
        let mut ask = client("ca", &[]);
        ask.versions = vec![version];
        ask.shape = Shape { pad_to: 64, ..Shape::default() };
        let [end, _] = agree(&ask, &server("web", ClientAuth::None));
        assert_eq!(end.session.shape.pad_to, pad_to);
    }
}
