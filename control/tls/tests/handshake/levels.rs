//! What a server asks of clients, at every level, with every kind of client (rows A33, A34).

use ravelin_contract::tls_session::Version;
use ravelin_tls::settings::ClientAuth;
use ravelin_tls::{Failure, Handover, Peer};

use crate::site::{client, server, trust};
use crate::{here, meet};

type Ends = [Result<Handover, Failure>; 2];

fn ends(version: Version, level: ClientAuth, shows: &[&str]) -> Ends {
    let mut ask = client("ca", shows);
    ask.versions = vec![version];
    meet(&here().environment(&ask), &here().environment(&server("web", level)))
}

/// In a word: what the server made of the client.
fn verdict(ends: &Ends) -> String {
    match &ends[1] {
        Ok(handover) => match &handover.facts.peer {
            Peer::Anonymous => "anonymous".to_owned(),
            Peer::Unjudged { .. } => "unjudged".to_owned(),
            Peer::Judged { subject, identity: None, .. } => subject.clone(),
            Peer::Judged { identity: Some(identity), .. } => format!("identity {identity}"),
        },
        Err(failure) => {
            format!("{} {}", failure.reason.code(), failure.alert_sent.expect("an alert is sent"))
        }
    }
}

#[test]
fn every_level_with_every_client() {
    let levels = [
        ("none", ClientAuth::None),
        ("pass-thru", ClientAuth::PassThru),
        ("wanted", ClientAuth::Wanted(trust("ca"))),
        ("required", ClientAuth::Required(trust("ca"))),
        ("mapped", ClientAuth::Mapped(trust("ca"))),
    ];
    let none: &[&str] = &[];
    let clients = [none, &["clients/ann"], &["clients/bob"], &["web/main"]];
    let wrong_use = "wrong-usage 43";
    let expected = [
        ["anonymous"; 4],
        ["anonymous", "unjudged", "unjudged", "unjudged"],
        ["anonymous", "CN=clients/ann", "CN=clients/bob", wrong_use],
        ["no-certificate 116", "CN=clients/ann", "CN=clients/bob", wrong_use],
        ["no-certificate 116", "identity ann", "not-mapped 49", wrong_use],
    ];
    for version in [Version::Tls13, Version::Tls12] {
        for ((name, level), expected) in levels.iter().zip(expected) {
            for (shows, expected) in clients.iter().zip(expected) {
                let ends = ends(version, level.clone(), shows);
                assert_eq!(verdict(&ends), expected, "{version:?} {name} {shows:?}");
            }
        }
    }
}

#[test]
fn a_client_of_another_authority_is_not_believed() {
    // It shows its certificate though the server names another authority: by being asked without a choice.
    let mut ask = client("ca", &["strange/eve"]);
    ask.versions = vec![Version::Tls13];
    let answer = server("web", ClientAuth::PassThru);
    let [_, there] = meet(&here().environment(&ask), &here().environment(&answer));
    assert!(matches!(there.expect("unjudged").facts.peer, Peer::Unjudged { .. }));
    // Where authorities are named, it shows none.
    let answer = server("web", ClientAuth::Wanted(trust("ca")));
    let [_, there] = meet(&here().environment(&ask), &here().environment(&answer));
    assert!(matches!(there.expect("none shown").facts.peer, Peer::Anonymous));
}
