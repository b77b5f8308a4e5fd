//! Exchanges between two strongSwan daemons, recorded with the keys that they derived: the judge of parsing, key schedule,
//! decryption, reassembly, identities' proofs and child keys, octet by octet. `captures/capture.py` made them.

use std::collections::VecDeque;
use std::path::Path;

use crate::hex::hex;
use ravelin_contract::sa;
use ravelin_ike::crypto::auth::{self, SignaturePolicy};
use ravelin_ike::crypto::{
    ChildSuite, IkeSuite, PublicKey, Random, Secret, SignatureScheme, SignedOctets, SuiteError, nat,
};
use ravelin_ike::fragment::{Progress, Reassembly};
use ravelin_ike::keymat::{ChildKeys, IkeKeys, Nonces, Spis};
use ravelin_ike::sealed::{OpeningKey, Plain, SealingKey, Side};
use ravelin_ike::wire::{
    Content, DigitalSignature, ExchangeType, Header, Identity, IkeSpi, Message, NotifyType, Payload,
    PayloadType, ProposalSpi, SecurityAssociation,
};

/// One recorded run.
struct Capture {
    /// Who sent it (`a` began), and its octets.
    datagrams: Vec<(char, Vec<u8>)>,
    ports: Vec<(u16, u16)>,
    /// Keys in the order in which `a` derived them.
    keys: VecDeque<(String, Vec<u8>)>,
    /// How both sides prove themselves.
    proof: auth::Proof,
    psk: Option<Secret>,
    spki: Vec<(char, Vec<u8>)>,
}

/// What strongSwan chooses for a key of this kind.
fn proof(method: &str) -> auth::Proof {
    auth::Proof::Signature(match method {
        "psk" => return auth::Proof::SharedKey,
        "rsa" => SignatureScheme::RsaPkcs1Sha256,
        "rsapss" => SignatureScheme::RsaPssSha256,
        "p256" => SignatureScheme::EcdsaSha256,
        "p384" => SignatureScheme::EcdsaSha384,
        "ed25519" => SignatureScheme::Ed25519,
        other => panic!("{other} is no method"),
    })
}

impl Capture {
    fn read(name: &str) -> Self {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures").join(name).with_extension("txt");
        let text =
            std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut capture = Self {
            datagrams: vec![],
            ports: vec![],
            keys: VecDeque::new(),
            proof: auth::Proof::SharedKey,
            psk: None,
            spki: vec![],
        };
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let words: Vec<&str> = line.split(' ').collect();
            match words[..] {
                ["datagram", side, source, target, octets] => {
                    capture.datagrams.push((side.chars().next().expect("a side"), hex(octets)));
                    capture.ports.push((source.parse().expect("a port"), target.parse().expect("a port")));
                }
                ["psk", octets] => capture.psk = Some(Secret::new(hex(octets))),
                ["spki_a", octets] => capture.spki.push(('a', hex(octets))),
                ["spki_b", octets] => capture.spki.push(('b', hex(octets))),
                ["auth", method] => capture.proof = proof(method),
                ["ike" | "esp", _] => {}
                [key, octets] => capture.keys.push_back((key.to_owned(), hex(octets))),
                _ => panic!("{name}: cannot read {line}"),
            }
        }
        capture
    }

    /// The next key of the log, which must be this one.
    fn key(&mut self, name: &str) -> Vec<u8> {
        let (found, octets) = self.keys.pop_front().expect("another key");
        assert_eq!(found, name);
        octets
    }

    fn check_key(&mut self, name: &str, ours: &[u8]) {
        assert_eq!(self.key(name), ours, "{name}");
    }

    /// Holds our seven keys to theirs.
    fn check_ike_keys(&mut self, suite: &IkeSuite, ours: &IkeKeys) {
        self.key("skeyseed");
        self.check_key("sk_d", ours.d.expose());
        if suite.integrity.is_some() {
            self.check_key("sk_ai", ours.ai.expose());
            self.check_key("sk_ar", ours.ar.expose());
        }
        self.check_key("sk_ei", ours.ei.expose());
        self.check_key("sk_er", ours.er.expose());
        self.check_key("sk_pi", ours.pi.expose());
        self.check_key("sk_pr", ours.pr.expose());
    }

    /// Holds the keys of a child to theirs.
    fn check_child_keys(&mut self, keys: &ChildKeys) {
        let both = [("initiator", octets(&keys.from_initiator)), ("responder", octets(&keys.from_responder))];
        for (who, (encryption, _)) in &both {
            self.check_key(&format!("encryption_{who}_key"), encryption);
        }
        for (who, (_, integrity)) in &both {
            if let Some(integrity) = integrity {
                self.check_key(&format!("integrity_{who}_key"), integrity);
            }
        }
    }
}

fn octets(transform: &sa::Transform) -> (Vec<u8>, Option<Vec<u8>>) {
    match transform {
        sa::Transform::AesGcm16 { key, salt } | sa::Transform::ChaCha20Poly1305 { key, salt } => {
            ([key.expose(), salt].concat(), None)
        }
        sa::Transform::AesCbc { key, integrity } => {
            (key.expose().to_vec(), Some(integrity.key.expose().to_vec()))
        }
        other => panic!("{other:?} is in no capture"),
    }
}

fn nonce<'a>(payloads: &'a [Payload<'_>]) -> &'a [u8] {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.octets()),
        _ => None,
    });
    found.expect("a nonce")
}

fn sa<'a>(payloads: &'a [Payload<'_>]) -> &'a SecurityAssociation {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::SecurityAssociation(sa) => Some(sa),
        _ => None,
    });
    found.expect("an SA payload")
}

fn identity<'a>(payloads: &'a [Payload<'a>], kind: PayloadType) -> &'a Identity<'a> {
    let found = payloads.iter().find_map(|payload| match payload {
        Payload::IdInitiator(id) | Payload::IdResponder(id) if payload.kind() == kind => Some(id),
        _ => None,
    });
    found.expect("an identity")
}

/// Parses, and holds the writer to what came: what is in clear must come out octet by octet.
fn parse(datagram: &[u8]) -> Message<'_> {
    let message = Message::parse(datagram).unwrap_or_else(|error| panic!("{error}"));
    if message.sealed.is_none() {
        assert_eq!(Message::write(&message.header, &message.payloads).expect("writes"), datagram);
    }
    message
}

/// An IKE SA of the capture as both sides' keys open it.
struct Opened {
    suite: IkeSuite,
    keys: IkeKeys,
    spis: Spis,
    openers: [(Side, OpeningKey); 2],
}

impl Opened {
    fn new(suite: IkeSuite, keys: IkeKeys, spis: Spis) -> Self {
        let opener = |side| (side, OpeningKey::new(&suite, &keys, side).expect("keys fit"));
        let openers = [opener(Side::Initiator), opener(Side::Responder)];
        Self { suite, keys, spis, openers }
    }

    fn open(&self, message: &Message<'_>) -> Plain {
        let side = if message.header.from_initiator { Side::Initiator } else { Side::Responder };
        let (_, opener) = self.openers.iter().find(|(whose, _)| *whose == side).expect("two sides");
        let (_, other) = self.openers.iter().find(|(whose, _)| *whose != side).expect("two sides");
        let sealed = message.sealed.expect("an encrypted payload");
        assert!(other.open(&sealed).is_err(), "the other direction's key opens it too");
        opener.open(&sealed).expect("opens")
    }
}

/// The exchanges after the first, decrypted: header and chain, in the order they came, fragments put together.
fn opened_exchanges(capture: &Capture, sas: &[Opened]) -> Vec<(usize, Header, Plain)> {
    let mut exchanges = Vec::new();
    let mut parts = std::collections::HashMap::new();
    for (_, datagram) in &capture.datagrams[2..] {
        let message = parse(datagram);
        let Some(index) = sas.iter().position(|sa| sa.spis.initiator == message.header.initiator_spi) else {
            continue;
        };
        let plain = sas[index].open(&message);
        let header = message.header;
        let whole = match message.sealed.and_then(|sealed| sealed.fragment) {
            None => Some(plain),
            Some(number) => {
                let key = (header.initiator_spi, header.message_id, header.response);
                let parts: &mut Reassembly = parts.entry(key).or_default();
                match parts.add(number, plain).expect("a new fragment") {
                    Progress::Waiting => None,
                    Progress::Whole(plain) => Some(plain),
                }
            }
        };
        exchanges.extend(whole.map(|plain| (index, header, plain)));
    }
    exchanges
}

/// Follows one capture from the first datagram to the last.
fn follow(name: &str, suite: &str, child: &str) -> Capture {
    let mut capture = Capture::read(name);
    let first = follow_init(&mut capture, suite);
    let second_spis = follow_auth_and_rekey(&mut capture, &first, child);
    follow_successor(&mut capture, &first, second_spis, suite);
    assert_eq!(capture.keys, VecDeque::new(), "the log has keys that nothing here derived");
    capture
}

fn follow_init(capture: &mut Capture, suite: &str) -> Opened {
    let datagrams = capture.datagrams.clone();
    let (request, response) = (parse(&datagrams[0].1), parse(&datagrams[1].1));
    assert_eq!(request.header.exchange, ExchangeType::IkeSaInit);
    assert!(request.header.from_initiator && !request.header.response);
    assert!(!response.header.from_initiator && response.header.response);
    let spis = Spis { initiator: request.header.initiator_spi, responder: response.header.responder_spi };
    check_nat_detection(&request, capture.ports[0].1);
    let chosen = IkeSuite::from_proposal(&sa(&response.payloads).proposals[0]).expect("a suite");
    assert_eq!(chosen.to_string(), suite);
    assert_eq!(sa(&request.payloads).to_string(), format!("IKE:{suite}"));
    let nonces = Nonces { initiator: nonce(&request.payloads), responder: nonce(&response.payloads) };
    let shared = Secret::new(capture.key("shared_diffie_hellman"));
    let keys = IkeKeys::initial(&chosen, nonces, spis, &shared);
    capture.check_ike_keys(&chosen, &keys);
    Opened::new(chosen, keys, spis)
}

/// The daemons force UDP encapsulation by a false hash of the source; that of the destination is true.
fn check_nat_detection(request: &Message<'_>, port: u16) {
    let expected =
        nat::detection_hash(request.header.initiator_spi, IkeSpi::ZERO, ([192, 0, 2, 2], port).into());
    let found = request.payloads.iter().find_map(|payload| match payload {
        Payload::Notify(notify) if notify.kind == NotifyType::NatDetectionDestinationIp => {
            notify.content().ok()
        }
        _ => None,
    });
    assert_eq!(found, Some(Content::NatDetectionDestination(expected)));
}

/// IKE_AUTH, the rekeyed child; returns the SPIs of the next IKE SA.
fn follow_auth_and_rekey(capture: &mut Capture, first: &Opened, child: &str) -> Spis {
    let exchanges = opened_exchanges(capture, std::slice::from_ref(first));
    let of =
        |kind| exchanges.iter().filter(move |(_, header, _)| header.exchange == kind).collect::<Vec<_>>();
    let auth = of(ExchangeType::IkeAuth);
    let [(_, _, request), (_, _, response)] = auth[..] else { panic!("one IKE_AUTH exchange") };
    let (request, response) = (request.payloads().expect("a chain"), response.payloads().expect("a chain"));
    check_proofs(capture, first, &request, &response);
    let suite = ChildSuite::from_proposal(&sa(&response).proposals[0]).expect("a suite");
    let datagrams = capture.datagrams.clone();
    let (init, answer) = (parse(&datagrams[0].1).payloads, parse(&datagrams[1].1).payloads);
    let nonces = Nonces { initiator: nonce(&init), responder: nonce(&answer) };
    let keys = ChildKeys::derive(first.suite.prf, &first.keys.d, &suite, nonces, &[]).expect("keys");
    capture.check_child_keys(&keys);

    let creations = of(ExchangeType::CreateChildSa);
    let [(_, _, request), (_, _, response), (_, _, ike_request), (_, _, ike_response)] = creations[..] else {
        panic!("two CREATE_CHILD_SA exchanges")
    };
    let (request, response) = (request.payloads().expect("a chain"), response.payloads().expect("a chain"));
    let suite = ChildSuite::from_proposal(&sa(&response).proposals[0]).expect("a suite");
    assert_eq!(suite.to_string(), child);
    let nonces = Nonces { initiator: nonce(&request), responder: nonce(&response) };
    let shared = [Secret::new(capture.key("dh"))];
    let keys = ChildKeys::derive(first.suite.prf, &first.keys.d, &suite, nonces, &shared).expect("keys");
    capture.check_child_keys(&keys);

    let spi = |plain: &Plain| match sa(&plain.payloads().expect("a chain")).proposals[0].spi {
        ProposalSpi::Ike(spi) => spi,
        other => panic!("{other:?} rekeys no IKE SA"),
    };
    Spis { initiator: spi(ike_request), responder: spi(ike_response) }
}

fn check_proofs(capture: &Capture, first: &Opened, request: &[Payload<'_>], response: &[Payload<'_>]) {
    let (init, answer) = (&capture.datagrams[0].1, &capture.datagrams[1].1);
    let (ni, nr) = (parse(init).payloads, parse(answer).payloads);
    let prf = first.suite.prf;
    let initiator = identity(request, PayloadType::IdInitiator);
    let responder = identity(response, PayloadType::IdResponder);
    assert_eq!((initiator.to_string(), responder.to_string()), ("a.example".into(), "b.example".into()));
    let sides = [
        ('a', request, SignedOctets::new(prf, init, nonce(&nr), first.keys.pi.expose(), &initiator.body())),
        (
            'b',
            response,
            SignedOctets::new(prf, answer, nonce(&ni), first.keys.pr.expose(), &responder.body()),
        ),
    ];
    for (side, payloads, octets) in sides {
        let proof = payloads.iter().find_map(|payload| match payload {
            Payload::Authentication(proof) => Some(proof.clone()),
            _ => None,
        });
        let mut proof = proof.expect("an AUTH payload");
        let proved = check_proof(capture, first, side, &proof, &octets).expect("believed");
        assert_eq!(proved, capture.proof, "side {side}");
        if let auth::Proof::Signature(scheme) = proved {
            let theirs = DigitalSignature::parse(&proof.data).expect("a signature").algorithm.to_vec();
            assert_eq!(theirs, scheme.algorithm_identifier(), "{scheme} has another name there");
        }
        let last = proof.data.len() - 1;
        proof.data.to_mut()[last] ^= 1;
        assert_eq!(check_proof(capture, first, side, &proof, &octets), Err(auth::AuthError::Wrong));
    }
}

fn check_proof(
    capture: &Capture,
    first: &Opened,
    side: char,
    proof: &ravelin_ike::wire::Authentication<'_>,
    octets: &SignedOctets,
) -> Result<auth::Proof, auth::AuthError> {
    if let Some(psk) = &capture.psk {
        return auth::verify_shared_key(proof, first.suite.prf, psk, octets);
    }
    let (_, spki) = capture.spki.iter().find(|(whose, _)| *whose == side).expect("a key");
    let key = PublicKey::from_spki(spki).expect("a public key");
    let policy = SignaturePolicy { schemes: SignatureScheme::ALL.to_vec(), fixed_ecdsa: false };
    auth::verify_signature(proof, &key, &policy, octets)
}

/// The IKE SA after the rekey: its keys, and that they open what came under it.
fn follow_successor(capture: &mut Capture, first: &Opened, spis: Spis, suite: &str) {
    let exchanges = opened_exchanges(capture, std::slice::from_ref(first));
    let mut rekey =
        exchanges.iter().filter(|(_, header, _)| header.exchange == ExchangeType::CreateChildSa).skip(2);
    let (request, response) = (&rekey.next().expect("a request").2, &rekey.next().expect("a response").2);
    let (request, response) = (request.payloads().expect("a chain"), response.payloads().expect("a chain"));
    let chosen = IkeSuite::from_proposal(&sa(&response).proposals[0]).expect("a suite");
    assert_eq!(chosen.to_string(), suite);
    let nonces = Nonces { initiator: nonce(&request), responder: nonce(&response) };
    let shared = [Secret::new(capture.key("shared_diffie_hellman"))];
    let keys = first.keys.successor(first.suite.prf, &chosen, nonces, spis, &shared);
    capture.check_ike_keys(&chosen, &keys);
    let second = Opened::new(chosen, keys, spis);
    let exchanges = opened_exchanges(capture, std::slice::from_ref(&second));
    assert!(exchanges.len() >= 2, "the new IKE SA carried nothing");
    let deleted = exchanges.iter().any(|(_, _, plain)| {
        plain.payloads().expect("a chain").iter().any(|payload| payload.kind() == PayloadType::Delete)
    });
    assert!(deleted, "its end was not seen");
    reseal(&second, &exchanges);
}

/// What we seal in their place has their length and is opened with their keys.
fn reseal(sa: &Opened, exchanges: &[(usize, Header, Plain)]) {
    struct Ones;
    impl Random for Ones {
        fn fill(&mut self, out: &mut [u8]) {
            out.fill(1);
        }
    }
    for (_, header, plain) in exchanges {
        let side = if header.from_initiator { Side::Initiator } else { Side::Responder };
        let mut key = SealingKey::new(&sa.suite, &sa.keys, side, 1 << 40).expect("keys fit");
        let datagram = key.seal(header, plain, &mut Ones).expect("seals");
        assert_eq!(sa.open(&parse(&datagram)), *plain);
    }
}

#[test]
fn psk_with_aes_gcm_256_and_x25519() {
    let suite = "AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE_25519";
    follow("psk_gcm256_x25519", suite, "AES_GCM_16_256/CURVE_25519/NO_EXT_SEQ");
}

#[test]
fn psk_with_aes_cbc_128_and_modp_2048() {
    let suite = "AES_CBC_128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_2048";
    follow("psk_cbc128_modp2048", suite, "AES_CBC_128/HMAC_SHA2_256_128/MODP_2048/NO_EXT_SEQ");
}

#[test]
fn psk_with_aes_cbc_192_and_modp_4096() {
    let suite = "AES_CBC_192/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_4096";
    follow("psk_cbc192_modp4096", suite, "AES_CBC_256/HMAC_SHA2_256_128/MODP_4096/NO_EXT_SEQ");
}

#[test]
fn rsa_in_fragments_with_aes_cbc_256_and_modp_3072() {
    let suite = "AES_CBC_256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_3072";
    let capture = follow("rsa_cbc256_modp3072", suite, "AES_CBC_256/HMAC_SHA2_512_256/MODP_3072/NO_EXT_SEQ");
    assert!(fragments(&capture) >= 4, "it came whole");
}

#[test]
fn rsa_pss_with_aes_gcm_256_and_x25519() {
    let suite = "AES_GCM_16_256/PRF_HMAC_SHA2_256/CURVE_25519";
    follow("rsapss_gcm256_x25519", suite, "AES_CBC_256/HMAC_SHA2_256_128/CURVE_25519/NO_EXT_SEQ");
}

#[test]
fn ecdsa_256_with_chacha20_and_ecp_256() {
    let suite = "CHACHA20_POLY1305/PRF_HMAC_SHA2_256/ECP_256";
    follow("ecdsa_chacha_ecp256", suite, "CHACHA20_POLY1305/ECP_256/NO_EXT_SEQ");
}

#[test]
fn ecdsa_384_in_fragments_with_aes_gcm_128_and_ecp_384() {
    let suite = "AES_GCM_16_128/PRF_HMAC_SHA2_256/ECP_384";
    let capture = follow("ecdsa384_gcm128_ecp384", suite, "AES_GCM_16_128/ECP_384/NO_EXT_SEQ");
    assert!(fragments(&capture) >= 4, "it came whole");
}

#[test]
fn ed25519_with_aes_gcm_192_and_ecp_521() {
    let suite = "AES_GCM_16_192/PRF_HMAC_SHA2_512/ECP_521";
    follow("ed25519_gcm192_ecp521", suite, "AES_CBC_128/HMAC_SHA2_384_192/ECP_521/NO_EXT_SEQ");
}

fn fragments(capture: &Capture) -> usize {
    let is_fragment =
        |datagram: &[u8]| parse(datagram).sealed.is_some_and(|sealed| sealed.fragment.is_some());
    capture.datagrams.iter().filter(|(_, datagram)| is_fragment(datagram)).count()
}

#[test]
fn a_suite_that_is_not_ours_says_why() {
    let capture = Capture::read("psk_gcm256_x25519");
    let message = parse(&capture.datagrams[0].1);
    let mut proposal = sa(&message.payloads).proposals[0].clone();
    proposal.transforms.push(proposal.transforms[0].clone());
    assert_eq!(
        IkeSuite::from_proposal(&proposal),
        Err(SuiteError::Ambiguous(proposal.transforms[0].clone()))
    );
}
