//! Octets meant to hurt: lengths that lie, counts that lie, chains without end. Each is refused with its name.

use ravelin_ike::wire::{
    ExchangeType, FragmentNumber, Header, Identity, IkeSpi, KeyExchange, Message, NotifyType, ParseError,
    Payload, PayloadType, Proposal, ProposalSpi, ProtocolId, SecurityAssociation, TrafficSelectors,
    Transform, limits, parse_chain,
};

fn header() -> Header {
    Header {
        initiator_spi: IkeSpi(0x0102_0304_0506_0708),
        responder_spi: IkeSpi::ZERO,
        exchange: ExchangeType::IkeSaInit,
        from_initiator: true,
        response: false,
        message_id: 0,
    }
}

/// A message whose header says the truth, whatever follows.
fn message(first: u8, body: &[u8]) -> Vec<u8> {
    let octets = header().to_octets(first.into(), (limits::HEADER + body.len()) as u32);
    [&octets[..], body].concat()
}

fn refusal(datagram: &[u8]) -> ParseError {
    Message::parse(datagram).expect_err("refused")
}

fn label(first: u8, body: &[u8]) -> &'static str {
    refusal(&message(first, body)).label()
}

#[test]
fn the_headers_length_is_exact() {
    let good = message(0, &[]);
    assert!(Message::parse(&good).is_ok());
    for said in [0u32, 27, 29, 28 << 8, u32::MAX] {
        let mut datagram = good.clone();
        datagram[24..28].copy_from_slice(&said.to_be_bytes());
        let error = refusal(&datagram);
        assert_eq!(error, ParseError::Length { said, found: 28 });
        assert_eq!(error.notify(), None, "garbage gets no answer");
    }
    for length in 0..28 {
        assert_eq!(refusal(&good[..length]), ParseError::Short(length));
    }
    assert_eq!(refusal(&vec![0; limits::MESSAGE + 1]).label(), "long");
}

#[test]
fn other_versions_are_told_apart() {
    let mut datagram = message(0, &[]);
    datagram[17] = 0x10;
    datagram[18] = 2;
    let error = refusal(&datagram);
    assert_eq!(error.label(), "ikev1");
    assert_eq!(
        error.to_string(),
        "the peer speaks IKEv1 (Main Mode), which is obsolete (RFC 9395); set it to IKEv2"
    );
    datagram[18] = 4;
    assert!(refusal(&datagram).to_string().contains("Aggressive Mode"));
    datagram[17] = 0x30;
    assert_eq!(refusal(&datagram).notify(), Some(NotifyType::InvalidMajorVersion));
    // A higher minor version is ignored (RFC 7296 2.5).
    datagram[17] = 0x2f;
    assert!(Message::parse(&datagram).is_ok());
}

#[test]
fn an_initiators_spi_of_zero_is_refused() {
    let mut datagram = message(0, &[]);
    datagram[..8].fill(0);
    assert_eq!(refusal(&datagram), ParseError::NoSpi);
    let zero = Header { initiator_spi: IkeSpi::ZERO, ..header() };
    assert!(Message::write(&zero, &[]).is_err());
}

#[test]
fn unknown_payloads_are_kept_or_refused() {
    let body = [0, 0, 0, 6, 0xaa, 0xbb];
    let datagram = message(201, &body);
    let kept = Message::parse(&datagram).expect("not critical");
    assert_eq!(kept.payloads, [Payload::Unknown { kind: 201, body: (&[0xaa, 0xbb][..]).into() }]);
    let critical = [0, 0x80, 0, 6, 0xaa, 0xbb];
    let error = refusal(&message(201, &critical));
    assert_eq!(
        (error, error.notify()),
        (ParseError::UnknownCritical(201), Some(NotifyType::UnsupportedCriticalPayload))
    );
    // The critical bit of a known payload says nothing.
    let nonce = [&[0, 0x80, 0, 20][..], &[7; 16]].concat();
    assert!(Message::parse(&message(PayloadType::Nonce.into(), &nonce)).is_ok());
}

#[test]
fn payload_lengths_that_lie() {
    let nonce = u8::from(PayloadType::Nonce);
    for said in [0u16, 3, 21, 0xffff] {
        let mut body = [&[0, 0, 0, 0][..], &[7; 16]].concat();
        body[2..4].copy_from_slice(&said.to_be_bytes());
        assert_eq!(label(nonce, &body), "payload_length", "{said}");
    }
    // Zero-length payload headers cannot loop: the chain would go on at the same octet.
    assert_eq!(label(43, &[43, 0, 0, 0]), "payload_length");
    // A header that is not there.
    assert_eq!(label(nonce, &[0, 0]), "payload_length");
    assert_eq!(label(0, &[1, 2, 3]), "trailing");
}

#[test]
fn as_many_payloads_as_a_datagram_can_hold() {
    let chain = [43, 0, 0, 4].repeat((limits::MESSAGE - limits::HEADER) / 4);
    assert_eq!(refusal(&message(43, &chain)), ParseError::TooManyPayloads);
    assert_eq!(parse_chain(PayloadType::VendorId, &chain), Err(ParseError::TooManyPayloads));
    // 65,535 of them inside what was decrypted.
    assert_eq!(
        parse_chain(PayloadType::VendorId, &[43, 0, 0, 4].repeat(65_535)),
        Err(ParseError::TooManyPayloads)
    );
    let most = [&[43, 0, 0, 4].repeat(limits::PAYLOADS - 1)[..], &[0, 0, 0, 4]].concat();
    assert_eq!(parse_chain(PayloadType::VendorId, &most).expect("at the limit").len(), limits::PAYLOADS);
}

#[test]
fn nonces_of_other_lengths() {
    for length in [0usize, 15, 257] {
        let header = [0, 0, 0, 0];
        let mut body = [&header[..], &vec![1; length]].concat();
        let said = body.len() as u16;
        body[2..4].copy_from_slice(&said.to_be_bytes());
        let error = refusal(&message(PayloadType::Nonce.into(), &body));
        assert_eq!((error.label(), error.notify()), ("payload", Some(NotifyType::InvalidSyntax)));
    }
}

/// Every cut and every changed length of a rich SA payload is refused or read without going beyond its end.
#[test]
fn nested_lengths_of_an_sa_payload() {
    let transform =
        |id: u16| Transform::with_key_bits(ravelin_ike::wire::TransformId::Encryption(id.into()), 256);
    let proposal = |number| Proposal {
        number,
        protocol: ProtocolId::Ike,
        spi: ProposalSpi::Ike(IkeSpi(9)),
        transforms: vec![transform(20), transform(12)],
    };
    let sa = SecurityAssociation { proposals: vec![proposal(1), proposal(2)] };
    let datagram = Message::write(&header(), &[Payload::SecurityAssociation(sa.clone())]).expect("writes");
    let body = &datagram[limits::HEADER + 4..];
    let wrap = |body: &[u8]| {
        let length = (body.len() + 4) as u16;
        message(33, &[&[0, 0][..], &length.to_be_bytes(), body].concat())
    };
    assert_eq!(Message::parse(&wrap(body)).expect("whole").payloads, [Payload::SecurityAssociation(sa)]);
    for cut in 0..body.len() {
        assert_eq!(refusal(&wrap(&body[..cut])).label(), "payload", "cut at {cut}");
    }
    // Proposal length (2, 3), SPI size (6), count (7), transform length (18, 19), attribute (24 to 27).
    for at in [0, 2, 3, 6, 7, 16, 18, 19] {
        for value in [0u8, 1, 4, 7, 0x7f, 0xff] {
            let mut changed = body.to_vec();
            if std::mem::replace(&mut changed[at], value) != value {
                let Err(error) = Message::parse(&wrap(&changed)).map(drop) else {
                    panic!("octet {at} = {value} was read")
                };
                assert_eq!(error.label(), "payload", "octet {at} = {value}");
            }
        }
    }
}

#[test]
fn counts_without_their_contents_allocate_nothing() {
    // 255 transforms and 255 selectors in a few octets.
    let proposal = [0, 0, 0, 8, 1, 1, 0, 255];
    let body = [&[0, 0, 0, 12][..], &proposal].concat();
    assert_eq!(label(33, &body), "payload");
    assert_eq!(label(44, &[0, 0, 0, 8, 255, 0, 0, 0]), "payload");
    assert_eq!(label(44, &[0, 0, 0, 8, 0, 0, 0, 0]), "payload");
    // 65,535 deleted SPIs in none.
    assert_eq!(label(42, &[0, 0, 0, 8, 3, 4, 0xff, 0xff]), "payload");
    assert!(Message::parse(&message(42, &[0, 0, 0, 12, 3, 4, 0, 1, 0, 0, 0, 1])).is_ok());
}

#[test]
fn selectors_that_are_reversed_or_of_the_wrong_size() {
    let selector = |kind: u8, length: u16, rest: &[u8]| {
        let inside = [&[kind, 6][..], &length.to_be_bytes(), rest].concat();
        let said = (inside.len() + 8) as u16;
        message(44, &[&[0, 0][..], &said.to_be_bytes(), &[1, 0, 0, 0], &inside].concat())
    };
    let v4 = [0, 0, 0xff, 0xff, 10, 0, 0, 1, 10, 0, 0, 9];
    assert!(Message::parse(&selector(7, 16, &v4)).is_ok());
    let reversed = [0, 0, 0xff, 0xff, 10, 0, 0, 9, 10, 0, 0, 1];
    assert_eq!(refusal(&selector(7, 16, &reversed)).label(), "payload");
    let ports = [0, 9, 0, 1, 10, 0, 0, 1, 10, 0, 0, 9];
    assert_eq!(refusal(&selector(7, 16, &ports)).label(), "payload");
    assert_eq!(refusal(&selector(8, 16, &v4)).label(), "payload");
    assert_eq!(refusal(&selector(7, 3, &v4)).label(), "payload");
    let datagram = selector(9, 16, &v4);
    let kept = Message::parse(&datagram).expect("a type not known here is narrowed away");
    assert_eq!(kept.payloads, [Payload::TsInitiator(TrafficSelectors { list: vec![], unknown: 1 })]);
}

#[test]
fn the_encrypted_payload_is_the_last() {
    let sk = [0, 0, 0, 8, 1, 2, 3, 4];
    assert!(Message::parse(&message(46, &sk)).expect("reads").sealed.is_some());
    let followed = [&[41][..], &sk[1..], &[0, 0, 0, 8, 0, 0, 0x40, 0]].concat();
    assert_eq!(label(46, &followed), "trailing");
    // None inside another.
    assert_eq!(parse_chain(PayloadType::Encrypted, &sk).expect_err("refused").label(), "payload");
}

#[test]
fn fragment_numbers_that_contradict_themselves() {
    for (number, total, sound) in
        [(1, 1, true), (2, 2, true), (0, 1, false), (1, 0, false), (3, 2, false), (1, 129, false)]
    {
        assert_eq!(FragmentNumber::new(number, total).is_some(), sound);
        let [a, b] = u16::to_be_bytes(number);
        let [c, d] = u16::to_be_bytes(total);
        let datagram = message(53, &[0, 0, 0, 9, a, b, c, d, 0]);
        assert_eq!(Message::parse(&datagram).is_ok(), sound, "{number}/{total}");
    }
    assert_eq!(label(53, &[0, 0, 0, 6, 0, 1]), "payload");
}

#[test]
fn what_cannot_be_read_is_not_written() {
    let refused = [
        Payload::SecurityAssociation(SecurityAssociation::default()),
        Payload::KeyExchange(KeyExchange { group: 31.into(), data: vec![].into() }),
        Payload::KeyExchange(KeyExchange {
            group: 31.into(),
            data: vec![0; limits::KEY_EXCHANGE + 1].into(),
        }),
        Payload::IdInitiator(Identity::Fqdn(vec![].into())),
        Payload::IdInitiator(Identity::Unknown { kind: 2, data: vec![1].into() }),
        Payload::VendorId(vec![0; limits::VENDOR_ID + 1].into()),
        Payload::Unknown { kind: 33, body: vec![].into() },
        Payload::TsInitiator(TrafficSelectors::default()),
    ];
    for payload in refused {
        assert!(Message::write(&header(), std::slice::from_ref(&payload)).is_err(), "{payload:?}");
    }
    let many = vec![Payload::VendorId(vec![].into()); limits::PAYLOADS + 1];
    assert!(Message::write(&header(), &many).is_err());
    let large =
        vec![Payload::Certificate(ravelin_ike::wire::Certificate::x509(vec![1; limits::CERTIFICATE])); 3];
    assert!(Message::write(&header(), &large).is_err());
}

#[test]
fn text_from_peers_is_escaped() {
    let id = Identity::Fqdn((&b"a\x1b[31m\n\xff"[..]).into());
    assert_eq!(id.to_string(), r"a\x1b[31m\n\xff");
    assert_eq!(Identity::KeyId((&[0xde, 0xad][..]).into()).to_string(), "keyid:dead");
}
