//! The examples of RFC 2759 9.2 and RFC 3079 3.5.3, and whole authentications.

use super::peer::{Peer, PeerStep};
use super::*;

const SERVER_CHALLENGE: [u8; 16] = *b"[]|}{?/><,`!2&&(";
const PEER_CHALLENGE: [u8; 16] = *b"!@#$%^&*()_+:3|~";

struct Fixed;

impl Random for Fixed {
    fn fill(&mut self, out: &mut [u8]) {
        out.copy_from_slice(&SERVER_CHALLENGE);
    }
}

fn hex(octets: &[u8]) -> String {
    upper_hex(octets)
}

#[test]
fn the_steps_of_rfc_2759_and_rfc_3079() {
    let hash = NtHash::of_password("clientPass");
    assert_eq!(hex(hash.0.expose()), "44EBBA8D5312B8D611474411F56989AE");
    let challenge = challenge_hash(&PEER_CHALLENGE, &SERVER_CHALLENGE, b"User");
    assert_eq!(hex(&challenge), "D02E4386BCE91226");
    let response = nt_response(&challenge, &hash);
    assert_eq!(hex(&response), "82309ECD8D708B5EA08FAA3981CD83544233114A3D85D6DF");
    let proof = authenticator(&hash, &response, &challenge);
    assert_eq!(hex(&proof), "407A5589115FD0D6209F510FE9C04566932CDA56");
    let msk = msk(&hash, &response);
    assert_eq!(hex(&msk.expose()[16..32]), "8B7CDC149B993A1BA118CB153F56DCCB");
    assert_eq!((msk.len(), &msk.expose()[32..]), (64, &[0; 32][..]));
}

/// A peer that knows `password`, made by hand: the peer of the product is held to the same server below.
fn respond(request: &Eap<'_>, name: &[u8], password: &str) -> Eap<'static> {
    let Eap::Request { identifier, data, .. } = request else { panic!("{request:?}") };
    assert_eq!((data[0], data[4]), (CHALLENGE, 16));
    let challenge: [u8; 16] = *data[5..].first_chunk().expect("a challenge");
    let bare = name.rsplit(|octet| *octet == b'\\').next().expect("a name");
    let hashed = challenge_hash(&PEER_CHALLENGE, &challenge, bare);
    let nt = nt_response(&hashed, &NtHash::of_password(password));
    let length = (5 + VALUE + name.len()) as u16;
    let head = [&[RESPONSE, data[1]][..], &length.to_be_bytes(), &[VALUE as u8]].concat();
    let data = [&head[..], &PEER_CHALLENGE, &[0; 8], &nt, &[0], name].concat();
    Eap::Response { identifier: *identifier, kind: EapType::MsChapV2, data: data.into() }
}

fn acknowledge(request: &Eap<'_>, code: u8) -> Eap<'static> {
    Eap::Response { identifier: request.identifier(), kind: EapType::MsChapV2, data: vec![code].into() }
}

fn lookup(name: &[u8]) -> Option<NtHash> {
    (name == b"User").then(|| NtHash::of_password("clientPass"))
}

fn text(packet: &Eap<'_>) -> String {
    let Eap::Request { data, .. } = packet else { panic!("{packet:?}") };
    assert_eq!(usize::from(u16::from_be_bytes([data[2], data[3]])), data.len());
    String::from_utf8_lossy(&data[4..]).into_owned()
}

#[test]
fn a_right_password_leads_to_keys() {
    for name in [&b"User"[..], b"CORP\\User"] {
        let (state, request) = MsChapV2::start(9, "gateway", &mut Fixed);
        let Step::Continue(state, success) = state.receive(&respond(&request, name, "clientPass"), lookup)
        else {
            panic!("refused")
        };
        assert_eq!(text(&success), "S=407A5589115FD0D6209F510FE9C04566932CDA56 M=Welcome");
        assert_eq!(success.identifier(), 10);
        let Step::Accepted(accepted) = state.receive(&acknowledge(&success, SUCCESS), lookup) else {
            panic!("refused")
        };
        assert_eq!(
            (accepted.packet, accepted.who),
            (Eap::Success { identifier: 10 }, Who::Name(b"User".to_vec()))
        );
        assert_eq!(accepted.msk.len(), 64);
    }
}

/// Unknown names and wrong passwords get the same answer, and no acknowledgement changes it.
#[test]
fn a_wrong_password_and_an_unknown_name_look_alike() {
    let mut told = Vec::new();
    for (name, password) in [(&b"User"[..], "clientpass"), (b"Nobody", "clientPass")] {
        let (state, request) = MsChapV2::start(9, "gateway", &mut Fixed);
        let Step::Continue(state, failure) = state.receive(&respond(&request, name, password), lookup) else {
            panic!("no failure was told")
        };
        told.push(text(&failure));
        let Step::Refused(refused) = state.receive(&acknowledge(&failure, SUCCESS), lookup) else {
            panic!("accepted after a failure")
        };
        assert_eq!(
            refused,
            Refused { packet: Eap::Failure { identifier: 10 }, reason: Refusal::Credentials }
        );
    }
    assert_eq!(told[0], told[1]);
    assert!(told[0].starts_with("E=691 R=0 C="), "{}", told[0]);
}

/// A decoy is no password: whoever guesses it is not let in under an unknown name.
#[test]
fn the_decoy_lets_nobody_in() {
    let (state, request) = MsChapV2::start(1, "gateway", &mut Fixed);
    let Eap::Response { identifier, kind, data } = respond(&request, b"Nobody", "") else {
        panic!("a response")
    };
    let hashed = challenge_hash(&PEER_CHALLENGE, &SERVER_CHALLENGE, b"Nobody");
    let nt = nt_response(&hashed, &NtHash(Secret::new(SERVER_CHALLENGE.to_vec())));
    let mut data = data.into_owned();
    data[5 + 24..5 + 48].copy_from_slice(&nt);
    let packet = Eap::Response { identifier, kind, data: data.into() };
    let Step::Continue(_, failure) = state.receive(&packet, lookup) else { panic!("no failure was told") };
    assert!(text(&failure).starts_with("E=691"));
}

#[test]
fn packets_that_are_no_response() {
    let (_, request) = MsChapV2::start(9, "gateway", &mut Fixed);
    let Eap::Response { data: good, .. } = respond(&request, b"User", "clientPass") else {
        panic!("a response")
    };
    let packet = |data: Vec<u8>| Eap::Response { identifier: 9, kind: EapType::MsChapV2, data: data.into() };
    let refuse = |packet: Eap<'_>| match MsChapV2::start(9, "gateway", &mut Fixed).0.receive(&packet, lookup)
    {
        Step::Refused(refused) => refused.reason,
        other => panic!("{other:?}"),
    };
    for cut in 0..good.len() {
        assert_eq!(refuse(packet(good[..cut].to_vec())), Refusal::Malformed, "cut at {cut}");
    }
    for at in [0, 2, 3, 4] {
        let mut changed = good.to_vec();
        changed[at] ^= 1;
        assert_eq!(refuse(packet(changed)), Refusal::Malformed, "octet {at}");
    }
    let nak = Eap::Response { identifier: 9, kind: EapType::Nak, data: vec![13].into() };
    assert_eq!(refuse(nak), Refusal::Nak(EapType::MsChapV2));
    let late = Eap::Response { identifier: 8, kind: EapType::MsChapV2, data: good.into_owned().into() };
    assert_eq!(refuse(late), Refusal::Unexpected);
}

fn continued(step: PeerStep) -> (Peer, Eap<'static>) {
    match step {
        PeerStep::Continue(peer, packet) => (peer, packet),
        other => panic!("{other:?}"),
    }
}

struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) {
        self.0 += 1;
        out.fill(self.0);
    }
}

#[test]
fn our_peer_and_our_server_come_to_the_same_keys() {
    for name in [&b"User"[..], b"CORP\\User"] {
        let random = &mut Counting(0);
        let peer = Peer::new(name.to_vec(), NtHash::of_password("clientPass"));
        let (ask, question) = super::super::identity::AskIdentity::start(3);
        let (peer, answer) = continued(peer.receive(&question, random));
        let (told, identifier) = ask.receive(&answer).expect("a name");
        assert_eq!(told, name);
        let (server, challenge) = MsChapV2::start(identifier, "gateway", random);
        let (peer, response) = continued(peer.receive(&challenge, random));
        assert_eq!(MsChapV2::name(&response), Some(&b"User"[..]));
        let Step::Continue(server, success) = server.receive(&response, lookup) else { panic!("refused") };
        let (peer, acknowledged) = continued(peer.receive(&success, random));
        let Step::Accepted(accepted) = server.receive(&acknowledged, lookup) else { panic!("refused") };
        let PeerStep::Done(msk) = peer.receive(&accepted.packet, random) else { panic!("no keys") };
        assert_eq!(msk, accepted.msk);
    }
}

#[test]
fn our_peer_is_told_that_its_password_is_wrong() {
    let random = &mut Counting(0);
    let peer = Peer::new(b"User".to_vec(), NtHash::of_password("guess"));
    let (server, challenge) = MsChapV2::start(1, "gateway", random);
    let (peer, response) = continued(peer.receive(&challenge, random));
    let Step::Continue(server, failure) = server.receive(&response, lookup) else { panic!("nothing told") };
    let (peer, acknowledged) = continued(peer.receive(&failure, random));
    let Step::Refused(refused) = server.receive(&acknowledged, lookup) else { panic!("accepted") };
    let PeerStep::Refused(reason) = peer.receive(&refused.packet, random) else {
        panic!("keys from nothing")
    };
    assert_eq!(reason, Refusal::Credentials);
}

/// A server that does not know the password can accept, but not prove: its Success is not believed.
#[test]
fn our_peer_believes_no_server_without_the_password() {
    let random = &mut Counting(0);
    let peer = || Peer::new(b"User".to_vec(), NtHash::of_password("clientPass"));
    let (_, challenge) = MsChapV2::start(1, "gateway", random);
    for message in ["S=0000000000000000000000000000000000000000 M=Welcome", "S=", ""] {
        let (peer, _) = continued(peer().receive(&challenge, random));
        let forged = request(2, SUCCESS, 1, message.as_bytes());
        assert!(matches!(peer.receive(&forged, random), PeerStep::Refused(Refusal::Credentials)));
    }
    // Nor is a bare Success, before or after our response.
    let bare = Eap::Success { identifier: 2 };
    assert!(matches!(peer().receive(&bare, random), PeerStep::Refused(Refusal::Unexpected)));
    let (waiting, _) = continued(peer().receive(&challenge, random));
    assert!(matches!(waiting.receive(&bare, random), PeerStep::Refused(Refusal::Unexpected)));
}

#[test]
fn our_peer_says_which_method_it_speaks() {
    let request = Eap::Request { identifier: 7, kind: EapType::Tls, data: vec![0x20].into() };
    let peer = Peer::new(b"User".to_vec(), NtHash::of_password("clientPass"));
    let (_, answer) = continued(peer.receive(&request, &mut Counting(0)));
    assert_eq!(answer, Eap::Response { identifier: 7, kind: EapType::Nak, data: vec![26].into() });
}
