//! Whole log-ins against a rustls client, by both versions of TLS, and those that must fail.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::server::WebPkiClientVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConnection, RootCertStore, SupportedProtocolVersion};

use super::flight::{FLIGHT, FRAGMENT, LENGTH_INCLUDED, MORE_FRAGMENTS};
use super::*;
use crate::crypto::SystemRandom;
use crate::eap::server::{Need, Server, Turn};
use crate::input::Answer;
use crate::policy::{EapMethod, Revocation, Trust};

type Identity = (CertificateDer<'static>, PrivateKeyDer<'static>);

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(vec![]).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("an authority")
}

fn identity(authority: &CertifiedIssuer<'static, KeyPair>, name: &str) -> Identity {
    let key = KeyPair::generate().expect("a key");
    let params = CertificateParams::new(vec![name.to_owned()]).expect("parameters");
    let certificate = params.signed_by(&key, authority).expect("a certificate");
    (certificate.der().clone(), PrivatePkcs8KeyDer::from(key.serialize_der()).into())
}

fn roots(authority: &CertifiedIssuer<'static, KeyPair>) -> Arc<RootCertStore> {
    let mut store = RootCertStore::empty();
    store.add(authority.der().clone()).expect("a root");
    Arc::new(store)
}

fn server(
    authority: &CertifiedIssuer<'static, KeyPair>,
    trusted: &CertifiedIssuer<'static, KeyPair>,
) -> Arc<ServerConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let verifier =
        WebPkiClientVerifier::builder_with_provider(roots(trusted), provider).build().expect("a verifier");
    let (certificate, key) = identity(authority, "gateway.example");
    let shown =
        CertifiedKey::from_der(vec![certificate], key, &aws_lc_rs::default_provider()).expect("a key");
    config(Arc::new(SingleCertAndKey::from(shown)), verifier).expect("a configuration")
}

fn client(
    authority: &CertifiedIssuer<'static, KeyPair>,
    identity: Option<Identity>,
    version: &'static SupportedProtocolVersion,
) -> ClientConnection {
    let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[version])
        .expect("a version")
        .with_root_certificates(roots(authority));
    let config = match identity {
        Some((certificate, key)) => {
            builder.with_client_auth_cert(vec![certificate], key).expect("an identity")
        }
        None => builder.with_no_client_auth(),
    };
    let name = ServerName::try_from("gateway.example").expect("a name");
    ClientConnection::new(Arc::new(config), name).expect("a client")
}

fn answer(identifier: u8, data: Vec<u8>) -> Eap<'static> {
    Eap::Response { identifier, kind: EapType::Tls, data: data.into() }
}

/// Plays the client until the server has decided; its flights go out in pieces of `piece` octets.
fn log_in(
    mut tls: ClientConnection,
    server: Arc<ServerConfig>,
    piece: usize,
) -> (Step<EapTls>, ClientConnection) {
    let (mut state, mut request) = EapTls::start(200, server).expect("starts");
    let (mut flight, mut incoming): (Vec<u8>, Vec<u8>) = (Vec::new(), Vec::new());
    for _ in 0..100 {
        let Eap::Request { identifier, data, .. } = &request else { panic!("{request:?}") };
        let rest = if data[0] & LENGTH_INCLUDED != 0 { &data[5..] } else { &data[1..] };
        assert!(rest.len() <= FRAGMENT);
        incoming.extend_from_slice(rest);
        if flight.is_empty() && data[0] & MORE_FRAGMENTS == 0 {
            let mut rest = &std::mem::take(&mut incoming)[..];
            while !rest.is_empty() {
                tls.read_tls(&mut rest).expect("reads");
                // A refused server or an alert: what is still to be said is said.
                let _ = tls.process_new_packets();
            }
            while tls.wants_write() {
                tls.write_tls(&mut flight).expect("writes");
            }
        }
        let sent: Vec<u8> = flight.drain(..flight.len().min(piece)).collect();
        let flags = if flight.is_empty() { 0 } else { MORE_FRAGMENTS };
        match state.receive(&answer(*identifier, [&[flags][..], &sent].concat())) {
            Step::Continue(next, packet) => (state, request) = (next, packet),
            end => return (end, tls),
        }
    }
    panic!("no end after 100 packets")
}

#[test]
fn both_versions_lead_to_the_same_keys_on_both_sides() {
    let authority = authority();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for piece in [90, 1_400] {
            let carol = identity(&authority, "carol.example");
            let certificate = carol.0.to_vec();
            let peer = client(&authority, Some(carol), version);
            let (end, tls) = log_in(peer, server(&authority, &authority), piece);
            let Step::Accepted(accepted) = end else { panic!("{:?}: {end:?}", version.version) };
            assert_eq!(accepted.who, Who::Certificates(vec![certificate]));
            let mut theirs = [0; 128];
            match version.version {
                ProtocolVersion::TLSv1_3 => {
                    tls.export_keying_material(&mut theirs, b"EXPORTER_EAP_TLS_Key_Material", Some(&[13]))
                }
                _ => tls.export_keying_material(&mut theirs, b"client EAP encryption", None),
            }
            .expect("keys");
            assert_eq!(accepted.msk.expose(), &theirs[..64]);
        }
    }
}

#[test]
fn peers_without_a_certificate_that_is_believed_are_refused() {
    let (authority, other) = (authority(), authority());
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        for identity in [None, Some(identity(&other, "carol.example"))] {
            let peer = client(&authority, identity, version);
            let (end, _) = log_in(peer, server(&authority, &authority), 1_400);
            let Step::Refused(refused) = end else { panic!("{:?}: {end:?}", version.version) };
            assert!(matches!(refused.packet, Eap::Failure { .. }));
            assert_eq!(refused.reason, Refusal::Credentials);
        }
    }
}

#[test]
fn packets_that_are_no_tls() {
    let authority = authority();
    let config = server(&authority, &authority);
    let refuse =
        |data: Vec<u8>| match EapTls::start(1, config.clone()).expect("starts").0.receive(&answer(1, data)) {
            Step::Refused(refused) => refused.reason,
            other => panic!("{other:?}"),
        };
    assert_eq!(refuse(vec![]), Refusal::Malformed);
    assert_eq!(refuse(vec![0]), Refusal::Malformed, "an acknowledgement of nothing");
    assert_eq!(refuse(vec![START]), Refusal::Malformed);
    assert_eq!(refuse(vec![LENGTH_INCLUDED, 0, 0, 0]), Refusal::Malformed);
    assert_eq!(refuse(vec![LENGTH_INCLUDED, 0, 2, 0, 0, 1]), Refusal::Malformed, "more than a flight");
    assert_eq!(refuse(vec![LENGTH_INCLUDED, 0, 0, 0, 1, 1, 2]), Refusal::Malformed, "more than was said");
}

/// Pieces that say that more will come, for ever.
#[test]
fn a_flight_without_end_is_refused() {
    let authority = authority();
    let (mut state, mut request) = EapTls::start(1, server(&authority, &authority)).expect("starts");
    for count in 0.. {
        let piece = [&[MORE_FRAGMENTS][..], &[22; 4_000]].concat();
        match state.receive(&answer(request.identifier(), piece)) {
            Step::Continue(next, packet) => (state, request) = (next, packet),
            Step::Refused(refused) => {
                assert_eq!(refused.reason, Refusal::Malformed);
                assert!(count * 4_000 <= FLIGHT, "kept {count} pieces");
                return;
            }
            other => panic!("{other:?}"),
        }
    }
}

/// The client's answer to one packet.
fn step(tls: &mut ClientConnection, incoming: &mut Vec<u8>, request: &Eap<'_>) -> Eap<'static> {
    let Eap::Request { identifier, data, .. } = request else { panic!("{request:?}") };
    incoming.extend_from_slice(if data[0] & LENGTH_INCLUDED != 0 { &data[5..] } else { &data[1..] });
    let mut flight = vec![0];
    if data[0] & MORE_FRAGMENTS == 0 {
        let mut rest = &std::mem::take(incoming)[..];
        while !rest.is_empty() {
            tls.read_tls(&mut rest).expect("reads");
            tls.process_new_packets().expect("a server to be believed");
        }
        while tls.wants_write() {
            tls.write_tls(&mut flight).expect("writes");
        }
    }
    answer(*identifier, flight)
}

#[test]
fn a_client_that_refuses_passwords_shows_a_certificate_which_counts_once_it_is_judged() {
    let authority = authority();
    for believed in [true, false] {
        let (certificate, key) = identity(&authority, "gateway.example");
        let provider = aws_lc_rs::default_provider();
        let shown = CertifiedKey::from_der(vec![certificate], key, &provider).expect("a key");
        let shown = Arc::new(SingleCertAndKey::from(shown));
        let settings = config(shown, Arc::new(Possession::default())).expect("a configuration");
        let erin = identity(&authority, "erin.example");
        let chain = vec![erin.0.to_vec()];
        let mut tls = client(&authority, Some(erin), &rustls::version::TLS13);
        let trust =
            Trust { authorities: vec!["ca".into()], revocation: Revocation::Off, schemes: Vec::new() };
        let methods = vec![EapMethod::MsChapV2, EapMethod::Tls(trust.clone())];
        let dice = &mut SystemRandom;

        let (state, ask) = Server::start("gateway.example".into(), methods, dice);
        let say = |packet: &Eap<'_>, kind, data: &[u8]| Eap::Response {
            identifier: packet.identifier(),
            kind,
            data: data.to_vec().into(),
        };
        let turn = state.receive(say(&ask, EapType::Identity, b"erin.example"), dice);
        let Turn::Send(state, challenge) = turn else { panic!("{turn:?}") };
        let turn = state.receive(say(&challenge, EapType::Nak, &[EapType::Tls.into()]), dice);
        let Turn::Need(waiting, Need::Tls) = turn else { panic!("{turn:?}") };
        let mut turn = waiting.answer(Answer::Tls(settings), dice);
        let mut incoming = Vec::new();
        let (waiting, need) = loop {
            turn = match turn {
                Turn::Send(state, request) => state.receive(step(&mut tls, &mut incoming, &request), dice),
                Turn::Need(waiting, need) => break (waiting, need),
                other => panic!("{other:?}"),
            };
        };
        assert_eq!(need, Need::Judgement { chain, name: "erin.example".into(), trust });
        let judgement = match believed {
            true => Answer::Trusted { public_key: Vec::new(), good_for: None },
            false => Answer::Refused("it was revoked".into()),
        };
        match waiting.answer(judgement, dice) {
            Turn::Accepted { user, msk, .. } if believed => {
                let mut theirs = [0; 128];
                tls.export_keying_material(&mut theirs, b"EXPORTER_EAP_TLS_Key_Material", Some(&[13]))
                    .expect("keys");
                assert_eq!((&*user, msk.expose()), ("erin.example", &theirs[..64]));
            }
            Turn::Refused { packet: Eap::Failure { .. }, why, .. } if !believed => {
                assert_eq!(why, "it was revoked");
            }
            other => panic!("{other:?}"),
        }
    }
}
