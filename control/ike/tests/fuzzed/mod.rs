//! What is done with octets from anyone: read, shown, written again, decrypted, put together. Nothing may panic, and what was
//! understood must be written to the same meaning.

use ravelin_ike::crypto::{
    Cipher, Group, IkeSuite, Integrity, KeySize, Prf, PublicKey, Secret, SignatureScheme, SystemRandom,
};
use ravelin_ike::fragment::{Progress, Reassembly};
use ravelin_ike::keymat::{IkeKeys, Nonces, Spis};
use ravelin_ike::sealed::{OpeningKey, Plain, SealingKey, Side};
use ravelin_ike::wire::{
    Authentication, Configuration, DigitalSignature, Header, IkeSpi, Message, Notify, Payload, PayloadType,
    parse_chain, write_chain,
};

/// One datagram, as a peer might send it.
pub(crate) fn ike_message(data: &[u8]) {
    if let Ok(message) = Message::parse(data) {
        assert!(!message.to_string().is_empty());
        message.payloads.iter().for_each(look_into);
        if message.sealed.is_none() && is_kept_whole(&message.payloads) {
            let again =
                Message::write(&message.header, &message.payloads).expect("what was read can be written");
            assert_eq!(Message::parse(&again).expect("what was written can be read"), message);
        }
        open(&message);
    }
    if let Some((&first, chain)) = data.split_first() {
        inside(first.into(), chain);
    }
    let _ = SignatureScheme::from_algorithm_identifier(data);
    let _ = PublicKey::from_spki(data);
}

/// What was decrypted is as strange as what came in clear: a peer that has proved nothing yet may have sent it.
fn inside(first: PayloadType, chain: &[u8]) {
    let Ok(payloads) = parse_chain(first, chain) else { return };
    payloads.iter().for_each(look_into);
    if !is_kept_whole(&payloads) {
        return;
    }
    let mut again = Vec::new();
    let kind = write_chain(&payloads, PayloadType::None, &mut again).expect("what was read can be written");
    assert_eq!(parse_chain(kind, &again).expect("what was written can be read"), payloads);
    seal(&payloads);
}

/// Selectors of unknown types are counted, not kept.
fn is_kept_whole(payloads: &[Payload<'_>]) -> bool {
    payloads.iter().all(|payload| match payload {
        Payload::TsInitiator(selectors) | Payload::TsResponder(selectors) => selectors.unknown == 0,
        _ => true,
    })
}

fn look_into(payload: &Payload<'_>) {
    assert!(!payload.to_string().is_empty());
    match payload {
        Payload::Notify(notify) => notify_content(notify),
        Payload::Configuration(configuration) => configuration_values(configuration),
        Payload::Certificate(certificate) => drop(certificate.hash_and_url()),
        Payload::CertificateRequest(request) => drop(request.hashes().count()),
        Payload::Authentication(proof) => signature(proof),
        Payload::SecurityAssociation(sa) => {
            sa.proposals.iter().for_each(|proposal| drop(IkeSuite::from_proposal(proposal)));
        }
        _ => {}
    }
}

fn notify_content(notify: &Notify<'_>) {
    if let Ok(content) = notify.content() {
        let again = content.notify();
        assert_eq!(again.content().expect("what was written can be read"), content);
    }
}

fn configuration_values(configuration: &Configuration<'_>) {
    for attribute in &configuration.attributes {
        if let Ok(value) = attribute.value() {
            let again = ravelin_ike::wire::ConfigurationAttribute::new(attribute.kind, &value);
            assert_eq!(again.value().expect("what was written can be read"), value);
        }
    }
}

fn signature(proof: &Authentication<'_>) {
    if let Some(signature) = DigitalSignature::parse(&proof.data) {
        assert_eq!(signature.to_octets().as_deref(), Some(&proof.data[..]));
        let _ = SignatureScheme::from_algorithm_identifier(signature.algorithm);
    }
}

fn keys(cipher: Cipher, integrity: Option<Integrity>) -> (IkeSuite, IkeKeys) {
    let suite = IkeSuite {
        cipher,
        integrity,
        prf: Prf::HmacSha256,
        group: Group::Curve25519,
        additional: Default::default(),
    };
    let nonces = Nonces { initiator: &[1; 16], responder: &[2; 16] };
    let spis = Spis { initiator: IkeSpi(1), responder: IkeSpi(2) };
    (suite, IkeKeys::initial(&suite, nonces, spis, &Secret::new(vec![3; 32])))
}

fn both_kinds() -> [(IkeSuite, IkeKeys); 2] {
    let cbc = keys(Cipher::AesCbc(KeySize::Bits256), Some(Integrity::HmacSha256));
    [keys(Cipher::AesGcm16(KeySize::Bits128), None), cbc]
}

/// Nobody without the key is believed.
fn open(message: &Message<'_>) {
    let Some(sealed) = message.sealed else { return };
    for (suite, keys) in both_kinds() {
        let opener = OpeningKey::new(&suite, &keys, Side::Initiator).expect("keys fit");
        assert!(opener.open(&sealed).is_err());
    }
}

/// What is sealed, in fragments too, comes out as it went in.
fn seal(payloads: &[Payload<'_>]) {
    let plain = Plain::write(payloads).expect("what was read can be written");
    let header = Header {
        initiator_spi: IkeSpi(1),
        responder_spi: IkeSpi(2),
        exchange: ravelin_ike::wire::ExchangeType::IkeAuth,
        from_initiator: true,
        response: false,
        message_id: 1,
    };
    for (suite, keys) in both_kinds() {
        let mut sealer = SealingKey::new(&suite, &keys, Side::Initiator, 0).expect("keys fit");
        let opener = OpeningKey::new(&suite, &keys, Side::Initiator).expect("keys fit");
        let datagrams = sealer.seal_within(&header, &plain, 300, &mut SystemRandom).expect("fits");
        let mut parts = Reassembly::new();
        let mut found = None;
        for datagram in &datagrams {
            assert!(datagram.len() <= 300, "a fragment is too long");
            let message = Message::parse(datagram).expect("parses");
            let sealed = message.sealed.expect("encrypted");
            let part = opener.open(&sealed).expect("opens");
            found = match sealed.fragment {
                None => Some(part),
                Some(number) => match parts.add(number, part).expect("is new") {
                    Progress::Waiting => None,
                    Progress::Whole(plain) => Some(plain),
                },
            };
        }
        assert_eq!(found.as_ref(), Some(&plain));
    }
}
