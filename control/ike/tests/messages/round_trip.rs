//! Property: what is written is read as the same value, for every kind of payload, content and message.

use std::borrow::Cow;
use std::net::IpAddr;

use proptest::collection::vec;
use proptest::prelude::*;
use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_ike::wire::transform::{Attribute, AttributeValue};
use ravelin_ike::wire::{
    Announcement, AttributeType, Authentication, Certificate, CertificateRequest, Configuration,
    ConfigurationAttribute, ConfigurationValue, Content, Delete, Eap, ExchangeType, Gateway, GroupId, Header,
    Identity, IkeSpi, KeyExchange, Message, Nonce, Notify, NotifyType, Payload, PayloadType, Ports, Proposal,
    ProposalSpi, ProtocolId, SecurityAssociation, SequenceNumbers, SignatureHash, Slot, TrafficSelector,
    TrafficSelectors, Transform, TransformId,
};

fn octets(range: std::ops::Range<usize>) -> impl Strategy<Value = Cow<'static, [u8]>> {
    vec(any::<u8>(), range).prop_map(Cow::Owned)
}

fn transform_id() -> impl Strategy<Value = TransformId> {
    prop_oneof![
        any::<u16>().prop_map(|id| TransformId::Encryption(id.into())),
        any::<u16>().prop_map(|id| TransformId::Prf(id.into())),
        any::<u16>().prop_map(|id| TransformId::Integrity(id.into())),
        any::<u16>().prop_map(|id| TransformId::Group(id.into())),
        any::<u16>().prop_map(|id| TransformId::SequenceNumbers(SequenceNumbers::from(id))),
        (0usize..7, any::<u16>())
            .prop_map(|(slot, id)| TransformId::AdditionalGroup(Slot::ALL[slot], id.into())),
        (13u8.., any::<u16>()).prop_map(|(kind, id)| TransformId::Unknown { kind, id }),
    ]
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let value = prop_oneof![
        any::<u16>().prop_map(AttributeValue::Short),
        vec(any::<u8>(), 0..20).prop_map(AttributeValue::Long)
    ];
    (15u16..0x8000, value).prop_map(|(kind, value)| Attribute { kind, value })
}

fn transform() -> impl Strategy<Value = Transform> {
    (transform_id(), any::<Option<u16>>(), vec(attribute(), 0..3))
        .prop_map(|(id, key_bits, other)| Transform { id, key_bits, other })
}

fn spi() -> impl Strategy<Value = ProposalSpi> {
    prop_oneof![
        Just(ProposalSpi::None),
        any::<u32>().prop_map(ProposalSpi::Child),
        any::<u64>().prop_map(|spi| ProposalSpi::Ike(IkeSpi(spi)))
    ]
}

fn proposal() -> impl Strategy<Value = Proposal> {
    (any::<u8>(), any::<u8>(), spi(), vec(transform(), 0..6)).prop_map(
        |(number, protocol, spi, transforms)| Proposal { number, protocol: protocol.into(), spi, transforms },
    )
}

fn identity() -> impl Strategy<Value = Identity<'static>> {
    let data = || octets(1..40);
    prop_oneof![
        any::<[u8; 4]>().prop_map(|v4| Identity::Ipv4(v4.into())),
        any::<[u8; 16]>().prop_map(|v6| Identity::Ipv6(v6.into())),
        data().prop_map(Identity::Fqdn),
        data().prop_map(Identity::Email),
        data().prop_map(Identity::DistinguishedName),
        data().prop_map(Identity::GeneralName),
        data().prop_map(Identity::KeyId),
        Just(Identity::Null),
        (14u8.., data()).prop_map(|(kind, data)| Identity::Unknown { kind, data }),
    ]
}

fn range() -> impl Strategy<Value = AddressRange> {
    let sorted = |a: IpAddr, b: IpAddr| AddressRange::new(a.min(b), a.max(b)).expect("sorted");
    prop_oneof![
        any::<[[u8; 4]; 2]>().prop_map(move |[a, b]| sorted(a.into(), b.into())),
        any::<[[u8; 16]; 2]>().prop_map(move |[a, b]| sorted(a.into(), b.into())),
    ]
}

fn ports() -> impl Strategy<Value = Ports> {
    let range = any::<(u16, u16)>()
        .prop_map(|(a, b)| Ports::Range(NumberRange::new(a.min(b), a.max(b)).expect("sorted")));
    prop_oneof![range, Just(Ports::Opaque)]
}

fn selectors() -> impl Strategy<Value = TrafficSelectors> {
    let selector = (any::<u8>(), ports(), range()).prop_map(|(protocol, ports, addresses)| TrafficSelector {
        protocol,
        ports,
        addresses,
    });
    vec(selector, 1..6).prop_map(TrafficSelectors::new)
}

fn notify() -> impl Strategy<Value = Notify<'static>> {
    (any::<u16>(), any::<u8>(), spi(), octets(0..60)).prop_map(|(kind, protocol, spi, data)| Notify {
        kind: kind.into(),
        protocol: (protocol != 0).then(|| protocol.into()),
        spi,
        data,
    })
}

fn delete() -> impl Strategy<Value = Delete> {
    let children = (any::<bool>(), vec(any::<u32>(), 0..9)).prop_map(|(esp, spis)| Delete::Children {
        protocol: if esp { ProtocolId::Esp } else { ProtocolId::Ah },
        spis,
    });
    prop_oneof![Just(Delete::Ike), children]
}

fn configuration() -> impl Strategy<Value = Configuration<'static>> {
    let attribute = (0u16..0x8000, octets(0..20))
        .prop_map(|(kind, data)| ConfigurationAttribute { kind: kind.into(), data });
    (any::<u8>(), vec(attribute, 0..6))
        .prop_map(|(kind, attributes)| Configuration { kind: kind.into(), attributes })
}

fn eap() -> impl Strategy<Value = Eap<'static>> {
    prop_oneof![
        (any::<u8>(), any::<u8>(), octets(0..60)).prop_map(|(identifier, kind, data)| Eap::Request {
            identifier,
            kind: kind.into(),
            data
        }),
        (any::<u8>(), any::<u8>(), octets(0..60)).prop_map(|(identifier, kind, data)| Eap::Response {
            identifier,
            kind: kind.into(),
            data
        }),
        any::<u8>().prop_map(|identifier| Eap::Success { identifier }),
        any::<u8>().prop_map(|identifier| Eap::Failure { identifier }),
    ]
}

fn payload() -> impl Strategy<Value = Payload<'static>> {
    prop_oneof![
        vec(proposal(), 1..4)
            .prop_map(|proposals| Payload::SecurityAssociation(SecurityAssociation { proposals })),
        (any::<u16>(), octets(1..80))
            .prop_map(|(group, data)| Payload::KeyExchange(KeyExchange { group: group.into(), data })),
        identity().prop_map(Payload::IdInitiator),
        identity().prop_map(Payload::IdResponder),
        (any::<u8>(), octets(1..80)).prop_map(|(encoding, data)| Payload::Certificate(Certificate {
            encoding: encoding.into(),
            data
        })),
        vec(any::<[u8; 20]>(), 0..4)
            .prop_map(|hashes| Payload::CertificateRequest(CertificateRequest::x509(&hashes))),
        (any::<u8>(), octets(1..80)).prop_map(|(method, data)| Payload::Authentication(Authentication {
            method: method.into(),
            data
        })),
        octets(16..257).prop_map(|nonce| Payload::Nonce(Nonce::new(nonce).expect("a length"))),
        notify().prop_map(Payload::Notify),
        delete().prop_map(Payload::Delete),
        octets(0..40).prop_map(Payload::VendorId),
        selectors().prop_map(Payload::TsInitiator),
        selectors().prop_map(Payload::TsResponder),
        configuration().prop_map(Payload::Configuration),
        eap().prop_map(Payload::Eap),
        (54u8.., octets(0..40)).prop_map(|(kind, body)| Payload::Unknown { kind, body }),
    ]
}

fn header() -> impl Strategy<Value = Header> {
    (1u64.., any::<u64>(), any::<u8>(), any::<bool>(), any::<bool>(), any::<u32>()).prop_map(
        |(initiator, responder, exchange, from_initiator, response, message_id)| Header {
            initiator_spi: IkeSpi(initiator),
            responder_spi: IkeSpi(responder),
            exchange: exchange.into(),
            from_initiator,
            response,
            message_id,
        },
    )
}

proptest! {
    #[test]
    fn messages(header in header(), payloads in vec(payload(), 0..9)) {
        let datagram = Message::write(&header, &payloads).expect("writes");
        let message = Message::parse(&datagram).expect("reads");
        prop_assert_eq!(message.header, header);
        prop_assert_eq!(&message.payloads, &payloads);
        prop_assert!(message.sealed.is_none());
        prop_assert_eq!(&Message::write(&message.header, &message.payloads).expect("writes"), &datagram);
        prop_assert!(message.to_string().len() > 10);
    }

    #[test]
    fn a_cut_or_lengthened_datagram_is_no_message(header in header(), payloads in vec(payload(), 1..4), at in any::<prop::sample::Index>()) {
        let datagram = Message::write(&header, &payloads).expect("writes");
        prop_assert!(Message::parse(&datagram[..at.index(datagram.len())]).is_err());
        prop_assert!(Message::parse(&[&datagram[..], &[0]].concat()).is_err());
    }

    #[test]
    fn octets_never_panic(data in vec(any::<u8>(), 0..600)) {
        let _ = Message::parse(&data);
    }

    /// Random octets seldom get past the header; a whole one leads them inside.
    #[test]
    fn octets_behind_a_header_never_panic(header in header(), first in any::<u8>(), data in vec(any::<u8>(), 0..600)) {
        let octets = header.to_octets(first.into(), (28 + data.len()) as u32);
        let _ = Message::parse(&[&octets[..], &data].concat()).map(|message| message.to_string());
        let _ = ravelin_ike::wire::parse_chain(first.into(), &data);
    }

    #[test]
    fn one_wrong_octet_never_panics(payloads in vec(payload(), 1..6), at in any::<prop::sample::Index>(), to in any::<u8>()) {
        let header = Header { initiator_spi: IkeSpi(1), responder_spi: IkeSpi(2), exchange: ExchangeType::IkeAuth,
            from_initiator: true, response: false, message_id: 0 };
        let mut datagram = Message::write(&header, &payloads).expect("writes");
        let at = at.index(datagram.len());
        datagram[at] = to;
        if let Ok(message) = Message::parse(&datagram) {
            for payload in &message.payloads {
                if let Payload::Notify(notify) = payload {
                    let _ = notify.content();
                }
            }
        }
    }

    #[test]
    fn identities_survive_the_datagram(identity in identity()) {
        prop_assert_eq!(identity.clone().into_owned(), identity);
    }
}

/// One content of each kind comes back from its notification.
#[test]
fn contents_of_notifications() {
    let v4: IpAddr = [192, 0, 2, 1].into();
    let v6: IpAddr = "2001:db8::1".parse().expect("an address");
    let announcements = vec![
        Announcement { method: 2.into(), authority: None, algorithm: &[] },
        Announcement { method: 9.into(), authority: Some(2), algorithm: &[] },
        Announcement { method: 14.into(), authority: None, algorithm: &[0x30, 5, 6, 3, 0x2b, 0x65, 0x70] },
    ];
    let contents = [
        Content::UnsupportedCriticalPayload(200),
        Content::InvalidKePayload(GroupId::Ecp384),
        Content::WindowSize(7),
        Content::Cookie(&[1; 20]),
        Content::Cookie2(&[2; 8]),
        Content::NatDetectionSource([3; 20]),
        Content::NatDetectionDestination([4; 20]),
        Content::AdditionalAddress(v4),
        Content::AdditionalAddress(v6),
        Content::NoNatsAllowed { source: (v4, 500), destination: (v4, 4500) },
        Content::NoNatsAllowed { source: (v6, 500), destination: (v6, 4500) },
        Content::AuthLifetime(3600),
        Content::Redirect { gateway: Gateway::Address(v4), nonce: &[5; 32] },
        Content::Redirect { gateway: Gateway::Address(v6), nonce: &[] },
        Content::Redirect { gateway: Gateway::Fqdn("gw2.example.com"), nonce: &[5; 16] },
        Content::RedirectedFrom(Gateway::Address(v4)),
        Content::CrashToken(&[6; 16]),
        Content::MessageIdSync { nonce: 1, send: 2, receive: 3 },
        Content::ReplayCounterSync { delta: 4096, extended: false },
        Content::ReplayCounterSync { delta: 1 << 40, extended: true },
        Content::SignatureHashes(vec![SignatureHash::Sha2_256, SignatureHash::Identity]),
        Content::PpkIdentity { kind: 2, id: b"key one" },
        Content::SupportedAuthMethods(announcements),
        Content::ResourceInfo(b"worker 3"),
        Content::AdditionalKeyExchange(&[7; 8]),
        Content::Octets(NotifyType::InitialContact, &[]),
    ];
    for content in contents {
        assert_eq!(content.notify().content().as_ref(), Ok(&content));
        let (kind, data) = (content.notify().kind, content.notify().data.into_owned());
        let fixed = !matches!(content, Content::Octets(..) | Content::ResourceInfo(_));
        let longer = Notify::new(kind, [&data[..], &[0]].concat());
        let differs = longer.content().as_ref() != Ok(&content);
        assert!(!fixed || differs, "{content:?}: an octet more makes no difference");
    }
}

#[test]
fn contents_of_the_wrong_length_are_refused() {
    for (kind, length) in [
        (NotifyType::InvalidKePayload, 1),
        (NotifyType::NatDetectionSourceIp, 19),
        (NotifyType::NatDetectionSourceIp, 21),
        (NotifyType::Cookie, 0),
        (NotifyType::Cookie, 65),
        (NotifyType::Cookie2, 7),
        (NotifyType::AdditionalIp4Address, 5),
        (NotifyType::NoNatsAllowed, 13),
        (NotifyType::Redirect, 1),
        (NotifyType::MessageIdSync, 8),
        (NotifyType::ReplayCounterSync, 5),
        (NotifyType::SignatureHashAlgorithms, 3),
        (NotifyType::PpkIdentity, 1),
        (NotifyType::SupportedAuthMethods, 1),
        (NotifyType::SetWindowSize, 5),
    ] {
        assert!(Notify::new(kind, vec![0; length]).content().is_err(), "{kind} of {length} octets");
    }
}

#[test]
fn values_of_configuration_attributes() {
    let values = [
        (AttributeType::InternalIp4Address, ConfigurationValue::Empty),
        (AttributeType::InternalIp4Address, ConfigurationValue::Ipv4([10, 0, 0, 1].into())),
        (AttributeType::InternalIp4Dns, ConfigurationValue::Ipv4([10, 0, 0, 53].into())),
        (
            AttributeType::InternalIp4Subnet,
            ConfigurationValue::Ipv4Subnet([10, 0, 0, 0].into(), [255, 0, 0, 0].into()),
        ),
        (AttributeType::InternalIp6Address, ConfigurationValue::Ipv6Prefix([0x20; 16].into(), 64)),
        (AttributeType::InternalIp6Dns, ConfigurationValue::Ipv6([0x20; 16].into())),
        (
            AttributeType::SupportedAttributes,
            ConfigurationValue::Supported(vec![AttributeType::InternalDnsDomain]),
        ),
        (AttributeType::InternalDnsDomain, ConfigurationValue::Domain("corp.example.com")),
        (
            AttributeType::InternalDnssecTa,
            ConfigurationValue::TrustAnchor {
                key_tag: 20_326,
                algorithm: 8,
                digest_type: 2,
                digest: &[9; 32],
            },
        ),
        (AttributeType::ApplicationVersion, ConfigurationValue::Octets(b"ravelin")),
    ];
    for (kind, value) in values {
        assert_eq!(ConfigurationAttribute::new(kind, &value).value(), Ok(value));
    }
    for (kind, octets) in [
        (AttributeType::InternalIp4Address, vec![1; 5]),
        (AttributeType::InternalIp6Address, vec![1; 16]),
        (AttributeType::InternalIp6Address, vec![200; 17]),
        (AttributeType::InternalDnsDomain, b"evil\nnameserver 192.0.2.66".to_vec()),
        (AttributeType::InternalDnsDomain, b"a..b".to_vec()),
        (AttributeType::InternalDnssecTa, vec![0; 4]),
    ] {
        let attribute = ConfigurationAttribute { kind, data: octets.into() };
        assert!(attribute.value().is_err(), "{kind}");
    }
}

#[test]
fn numbers_that_are_named_are_never_unknown() {
    assert_eq!(NotifyType::from(16_430), NotifyType::FragmentationSupported);
    assert_eq!(NotifyType::from(9_999), NotifyType::Unknown(9_999));
    assert_eq!(u8::from(PayloadType::EncryptedFragment), 53);
    for kind in NotifyType::NAMED {
        assert_eq!(NotifyType::from(u16::from(*kind)), *kind);
        assert_eq!(kind.is_error(), u16::from(*kind) < 16_384);
    }
}
