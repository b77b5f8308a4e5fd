//! States without keys, and what each message in clear does there.

use ravelin_ike::Counters;
use ravelin_ike::crypto::Group;
use ravelin_ike::wire::{
    Content, ExchangeType, Gateway, GroupId, Header, IkeSpi, KeyExchange, Message, Nonce, Notify, NotifyType,
    Payload, ProposalSpi, SecurityAssociation,
};

use super::rules::Proofs;
use super::states::{Effects, Row, what};
use super::{EXCHANGES, Stage, mallory};

/// By name.
pub(crate) const STATES: [&str; 2] = ["nobody is known", "initiated"];

/// The peer's SPI.
const SPI: u64 = 0x5374_7261_6e67_6572;

/// The endpoint in a state, with its SPI and its nonce if it has begun.
fn stage(state: &str) -> (Stage, Option<(IkeSpi, Vec<u8>)>) {
    let mut stage = Stage::new(false, Proofs::Shared);
    if state != "initiated" {
        return (stage, None);
    }
    let sent = stage.command(0);
    let first = Message::parse(sent.first().expect("a first message")).expect("it parses");
    let nonce = first.payloads.iter().find_map(|payload| match payload {
        Payload::Nonce(nonce) => Some(nonce.octets().to_vec()),
        _ => None,
    });
    let begun = (first.header.initiator_spi, nonce.expect("a nonce"));
    (stage, Some(begun))
}

/// What a message may hold. A redirect carries the nonce that it answers.
fn contents(stage: &mut Stage, nonce: &[u8]) -> Vec<(&'static str, Vec<Payload<'static>>)> {
    let notify = |kind| vec![Payload::Notify(Notify::new(kind, Vec::new()))];
    let exchange = stage.mallory.exchange(Group::Curve25519, &mut stage.dice);
    let proposals = |suite: ravelin_ike::crypto::IkeSuite| {
        let proposals = vec![suite.to_proposal(1, ProposalSpi::None)];
        Payload::SecurityAssociation(SecurityAssociation { proposals })
    };
    let share = |group: Group, octets: Vec<u8>| {
        vec![
            proposals(mallory::suite()),
            Payload::Nonce(Nonce::new(vec![3; 32]).expect("a nonce")),
            Payload::KeyExchange(KeyExchange { group: group.id(), data: octets.into() }),
        ]
    };
    let strange = ravelin_ike::crypto::IkeSuite { group: Group::Ecp521, ..mallory::suite() };
    let honest = [vec![proposals(mallory::suite())], exchange.clone()].concat();
    let redirect = |nonce: &[u8]| {
        let gateway = Gateway::Address([203, 0, 113, 9].into());
        vec![Payload::Notify(Content::Redirect { gateway, nonce }.notify())]
    };
    let other_group = |group: GroupId| vec![Payload::Notify(Content::InvalidKePayload(group).notify())];
    vec![
        ("nothing", Vec::new()),
        ("an honest beginning", honest),
        ("a share of zeros", share(Group::Curve25519, vec![0; 32])),
        ("a share that is too short", share(Group::Curve25519, vec![9; 31])),
        ("a share of another group", share(Group::Ecp256, vec![9; 64])),
        ("a proposal that is none of ours", [vec![proposals(strange)], exchange.clone()].concat()),
        ("no proposal", exchange),
        ("a cookie", vec![Payload::Notify(Content::Cookie(&[7; 20]).notify())]),
        ("INVALID_KE_PAYLOAD for a group of ours", other_group(Group::Curve25519.id())),
        ("INVALID_KE_PAYLOAD for another", other_group(Group::Ecp521.id())),
        ("REDIRECT", redirect(nonce)),
        ("REDIRECT with another nonce", redirect(&[8; 32])),
        ("NO_PROPOSAL_CHOSEN", notify(NotifyType::NoProposalChosen)),
        ("INVALID_SYNTAX", notify(NotifyType::InvalidSyntax)),
        ("AUTHENTICATION_FAILED", notify(NotifyType::AuthenticationFailed)),
    ]
}

/// What each message does in a state: exchange and direction, then effects with the contents that have them.
pub(crate) fn effects(state: &str) -> Vec<Row> {
    let mut list = Vec::new();
    for exchange in EXCHANGES {
        for response in [false, true] {
            let mut effects = Effects::default();
            let count = contents(&mut stage(state).0, &[]).len();
            for number in 0..count {
                let (mut stage, begun) = stage(state);
                let (spi, nonce) = begun.unzip();
                let (content, payloads) =
                    contents(&mut stage, &nonce.unwrap_or_default()).swap_remove(number);
                let datagram = message(spi, exchange, response, &payloads);
                let from = stage.mallory.at;
                let before = stage.endpoint.counters();
                let mut effect = stage.effect(|stage| stage.datagram(datagram, from, false).len());
                effect += counted(before, stage.endpoint.counters());
                effects.add(effect, content);
                stage.end();
            }
            list.push((what(exchange, response), effects.shortened()));
        }
    }
    list
}

/// From the responder to the endpoint's SPI, or else from a stranger.
fn message(
    ours: Option<IkeSpi>,
    exchange: ExchangeType,
    response: bool,
    payloads: &[Payload<'_>],
) -> Vec<u8> {
    let header = Header {
        initiator_spi: ours.unwrap_or(IkeSpi(SPI)),
        responder_spi: if ours.is_some() { IkeSpi(SPI) } else { IkeSpi::ZERO },
        exchange,
        from_initiator: ours.is_none(),
        response,
        message_id: 0,
    };
    Message::write(&header, payloads).expect("fits")
}

/// As what it was counted.
fn counted(before: Counters, after: Counters) -> &'static str {
    match after {
        after if after == before => "",
        after if after.malformed > before.malformed => ", counted as malformed",
        after if after.unknown_spi > before.unknown_spi => ", counted as for an unknown SPI",
        after if after.refused > before.refused => ", counted as refused",
        _ => ", counted",
    }
}
