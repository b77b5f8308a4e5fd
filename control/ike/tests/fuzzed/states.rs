//! Every state that an endpoint can be in, and what each message of a peer with the right keys does there.

use ravelin_ike::Ask;
use ravelin_ike::crypto::{AdditionalGroups, Group};
use ravelin_ike::sealed::Plain;
use ravelin_ike::wire::{
    Content, Delete, Eap, EapType, ExchangeType, Gateway, Notify, NotifyType, Payload, PayloadType,
    ProtocolId, Slot,
};

use super::mallory::{self, CHILD};
use super::rules::Proofs;
use super::{EXCHANGES, Stage};

/// States in which there are keys, by name. Before there are any, nothing can be sealed: see [`super::clear`].
pub(crate) const STATES: [&str; 38] = [
    "responding",
    "responding, awaits an additional key exchange",
    "responding, asks whether a certificate is good",
    "responding, asks for a signature",
    "responding, awaits a user's name",
    "responding, challenges a user",
    "responding, asks for a user's password",
    "responding, tells a user of success",
    "responding, awaits a user's proof",
    "responding, asks what to show by TLS",
    "responding, speaks TLS with a user",
    "responding, asks whether a user's certificate is good",
    "responding, tells a user of success after TLS",
    "authenticating",
    "authenticating, makes an additional key exchange",
    "authenticating, asks for a signature",
    "authenticating, asks whether a certificate is good",
    "authenticating, logs in",
    "authenticating, has logged in",
    "authenticating, asks what to log in with",
    "authenticating, speaks TLS",
    "authenticating, asks whether the certificate of a log-in is good",
    "established as responder",
    "established as initiator",
    "established, asks whether the peer lives",
    "established, makes a child",
    "established, makes a child in further exchanges",
    "established, awaits a further key exchange",
    "established, rekeys a child",
    "established, rekeys the IKE SA",
    "established, deletes a child",
    "established, says where it is",
    "established, checks where the peer is",
    "closing, deletes the IKE SA",
    "closing, deletes the IKE SA after the answer",
    "closing, replaced by the peer",
    "closing, deleted by the peer",
    "closing, refused",
];

/// The states that a peer meets which began itself, beside those that respond.
const CALLED: [&str; 4] = [
    "established as responder",
    "established, awaits a further key exchange",
    "established, checks where the peer is",
    "closing, refused",
];

/// Whether the certificate of a log-in has been shown.
fn judged_in_tls(state: &str) -> bool {
    state.ends_with("user's certificate is good")
        || state.ends_with("log-in is good")
        || state.ends_with("after TLS")
}

/// States in which a question of ours to the world outside is not answered yet.
fn world_waits(state: &str) -> bool {
    !state.starts_with("established") && state.contains(", asks ")
}

/// How both prove themselves, and the steps of a log-in that are made.
fn proofs(state: &str) -> (Proofs, usize) {
    match state {
        "responding, asks whether a certificate is good"
        | "authenticating, asks whether a certificate is good" => (Proofs::TheySign, 0),
        "responding, asks for a signature" | "authenticating, asks for a signature" => (Proofs::WeSign, 0),
        "responding, awaits a user's name" | "authenticating, logs in" => (Proofs::Password, 0),
        "responding, challenges a user" => (Proofs::Password, 1),
        "responding, asks for a user's password" | "responding, tells a user of success" => {
            (Proofs::Password, 2)
        }
        "responding, awaits a user's proof" | "authenticating, has logged in" => (Proofs::Password, 3),
        "responding, asks what to show by TLS" => (Proofs::Certificate, 1),
        "responding, speaks TLS with a user" => (Proofs::Certificate, 2),
        "authenticating, speaks TLS" => (Proofs::Certificate, 1),
        "authenticating, asks what to log in with" => (Proofs::Certificate, 0),
        _ if judged_in_tls(state) => (Proofs::Certificate, 0),
        _ => (Proofs::Shared, 0),
    }
}

fn stage(state: &str) -> Stage {
    let initiator = state.starts_with("responding") || CALLED.contains(&state);
    let (proofs, steps) = proofs(state);
    let mut stage = Stage::new(initiator, proofs);
    stage.world_waits = world_waits(state);
    if state.ends_with("additional key exchange") {
        stage.mallory.suite.additional = AdditionalGroups::NONE.with(Slot::ALL[0], Group::MlKem768);
    }
    if state == "authenticating, asks for a signature" {
        stage.begin(1, initiator);
    } else if proofs != Proofs::Shared {
        stage.begin(2, initiator);
        (0..steps).for_each(|_| stage.log_in(initiator));
        if judged_in_tls(state) {
            stage.speak_tls(initiator);
        }
    } else if !state.starts_with("established") && !state.starts_with("closing")
        || state == "closing, refused"
    {
        stage.begin(1, initiator);
    } else if state.ends_with(" is") {
        stage.begin_mobile(initiator);
    } else {
        stage.begin(2, initiator);
    }
    match state {
        "established, asks whether the peer lives" => drop(stage.command(4)),
        "established, makes a child" | "established, makes a child in further exchanges" => {
            let delete = Delete::Children { protocol: ProtocolId::Esp, spis: vec![CHILD] };
            stage.request(ExchangeType::Informational, &[Payload::Delete(delete)]);
            stage.command(0);
            if state.ends_with("exchanges") {
                let answer = stage.mallory.child_that_goes_on(CHILD + 7, true, &mut stage.dice);
                stage.respond(&answer);
                assert_eq!(stage.mallory.asked.map(|(_, kind)| kind), Some(ExchangeType::FollowupKe));
            }
        }
        "established, awaits a further key exchange" => {
            let ask = stage.mallory.child_that_goes_on(CHILD + 7, false, &mut stage.dice);
            stage.request(ExchangeType::CreateChildSa, &ask);
        }
        "established, rekeys a child" => drop(stage.command(2)),
        "established, rekeys the IKE SA" => drop(stage.command(1)),
        "established, deletes a child" => drop(stage.command(3)),
        "established, says where it is" => drop(stage.command(8)),
        "established, checks where the peer is" => {
            stage.mallory.at = ([198, 51, 100, 2], 4500).into();
            let update = Notify::new(NotifyType::UpdateSaAddresses, Vec::new());
            stage.request(ExchangeType::Informational, &[Payload::Notify(update)]);
        }
        "closing, deletes the IKE SA" => drop(stage.command(9)),
        "closing, deletes the IKE SA after the answer" => {
            stage.command(4);
            stage.command(9);
        }
        "closing, replaced by the peer" => {
            let payloads = successor(&mut stage);
            stage.request(ExchangeType::CreateChildSa, &payloads);
        }
        "closing, deleted by the peer" => {
            stage.request(ExchangeType::Informational, &[Payload::Delete(Delete::Ike)]);
        }
        "closing, refused" => drop(stage.request(ExchangeType::IkeAuth, &[])),
        "responding, tells a user of success after TLS" => drop(stage.world_answers(true)),
        _ => {}
    }
    stage.assert_is(state);
    stage
}

impl Stage {
    /// A log-in by TLS, until the certificate that was shown is to be judged.
    fn speak_tls(&mut self, initiator: bool) {
        self.world_waits = true;
        for _ in 0..20 {
            match self.questions.front() {
                Some((_, _, Ask::Verify { .. })) => return,
                Some(_) => drop(self.world_answers(true)),
                None => self.log_in(initiator),
            }
        }
        panic!("TLS comes to no end");
    }

    /// The table is of the states that it names.
    fn assert_is(&self, state: &str) {
        let found = self.endpoint.states();
        let first = state.split([',', ' ']).next();
        assert!(found.iter().any(|(_, name)| Some(*name) == first), "not {state}, but {found:?}");
        assert_eq!(self.questions.len(), usize::from(world_waits(state)), "{state}");
    }
}

/// What asks for the IKE SA's successor, or gives one.
fn successor(stage: &mut Stage) -> Vec<Payload<'static>> {
    let spi = ravelin_ike::wire::ProposalSpi::Ike(ravelin_ike::wire::IkeSpi(0x77));
    let proposals = vec![mallory::suite().to_proposal(1, spi)];
    let ike = Payload::SecurityAssociation(ravelin_ike::wire::SecurityAssociation { proposals });
    [vec![ike], stage.mallory.exchange(Group::Curve25519, &mut stage.dice)].concat()
}

/// What a message may hold.
fn contents(stage: &mut Stage) -> Vec<(&'static str, Plain)> {
    let notify = |kind| vec![Payload::Notify(Notify::new(kind, Vec::new()))];
    let about = Notify::about_child(NotifyType::RekeySa, ProtocolId::Esp, CHILD);
    let exchange = stage.mallory.exchange(Group::Curve25519, &mut stage.dice);
    let ask = [stage.mallory.child(CHILD + 1, Some(Group::Curve25519), false), exchange.clone()].concat();
    let answer = [stage.mallory.child(CHILD + 1, Some(Group::Curve25519), true), exchange.clone()].concat();
    let ike = successor(stage);
    let kem = stage.mallory.exchange(Group::MlKem768, &mut stage.dice);
    let elsewhere = Content::Redirect { gateway: Gateway::Address([203, 0, 113, 9].into()), nonce: &[] };
    let cookie = Content::Cookie2(&[5; 16]).notify();
    let goes_on = stage.mallory.child_that_goes_on(CHILD + 1, false, &mut stage.dice);
    let goes_on_as_answer = stage.mallory.child_that_goes_on(CHILD + 1, true, &mut stage.dice);
    let follows = stage.mallory.share_that_follows(&mut stage.dice);
    let log_in = stage.mallory.log_in(&mut stage.dice);
    let eap = |packet| vec![Payload::Eap(packet)];
    let delete = |spis| vec![Payload::Delete(Delete::Children { protocol: ProtocolId::Esp, spis })];
    let payloads = [
        ("nothing", Vec::new()),
        ("a proof", stage.mallory.proof()),
        ("a child", ask.clone()),
        ("a child as answer", answer),
        ("a child's successor", [vec![Payload::Notify(about)], ask].concat()),
        ("an IKE SA's successor", ike),
        ("a share", exchange),
        ("a share of ML-KEM", kem),
        ("an address", vec![stage.mallory.configuration()]),
        ("delete of a child", delete(vec![CHILD])),
        ("delete of a stranger's child", delete(vec![1234])),
        ("delete of the IKE SA", vec![Payload::Delete(Delete::Ike)]),
        ("NO_PROPOSAL_CHOSEN", notify(NotifyType::NoProposalChosen)),
        ("TEMPORARY_FAILURE", notify(NotifyType::TemporaryFailure)),
        ("CHILD_SA_NOT_FOUND", notify(NotifyType::ChildSaNotFound)),
        ("AUTHENTICATION_FAILED", notify(NotifyType::AuthenticationFailed)),
        ("INVALID_SYNTAX", notify(NotifyType::InvalidSyntax)),
        ("NO_ADDITIONAL_SAS", notify(NotifyType::NoAdditionalSas)),
        ("REDIRECT", vec![Payload::Notify(elsewhere.notify())]),
        ("COOKIE2", vec![Payload::Notify(cookie)]),
        ("INITIAL_CONTACT", notify(NotifyType::InitialContact)),
        ("UPDATE_SA_ADDRESSES", notify(NotifyType::UpdateSaAddresses)),
        ("a child that goes on", goes_on),
        ("a child that goes on as answer", goes_on_as_answer),
        ("a share that follows", follows),
        ("the log-in's next step", log_in),
        (
            "another EAP response",
            eap(Eap::Response { identifier: 99, kind: EapType::Nak, data: (&[26]).into() }),
        ),
        ("EAP Success", eap(Eap::Success { identifier: 0 })),
        ("EAP Failure", eap(Eap::Failure { identifier: 0 })),
    ];
    let written = payloads.map(|(name, payloads)| (name, Plain::write(&payloads).expect("fits")));
    let broken = Plain::of_chain(PayloadType::SecurityAssociation, vec![0, 0, 0, 7, 1, 2, 3]);
    // Of a kind that nobody knows (RFC 7296 2.5): the second is critical.
    let unknown = |flags| Plain::of_chain(PayloadType::from(200), vec![0, flags, 0, 4]);
    let more = [
        ("a broken SA", broken),
        ("an unknown payload", unknown(0)),
        ("an unknown critical payload", unknown(0x80)),
    ];
    written.into_iter().chain(more).collect()
}

/// Effects, each with the contents that have it.
#[derive(Default)]
pub(crate) struct Effects(Vec<(String, Vec<&'static str>)>);

impl Effects {
    pub(crate) fn add(&mut self, effect: String, content: &'static str) {
        match self.0.iter_mut().find(|(known, _)| *known == effect) {
            Some((_, contents)) => contents.push(content),
            None => self.0.push((effect, vec![content])),
        }
    }

    /// The effect that most contents have, without naming them, comes last.
    pub(crate) fn shortened(mut self) -> Vec<(String, Vec<&'static str>)> {
        self.0.sort_by_key(|(_, contents)| contents.len());
        let alone = self.0.len() == 1;
        if let Some((_, contents)) = self.0.last_mut() {
            *contents = vec![if alone { "anything" } else { "anything else" }];
        }
        self.0
    }
}

/// Names of what is sent, with what each message does.
pub(crate) type Row = (String, Vec<(String, Vec<&'static str>)>);

/// What kind of message.
pub(crate) fn what(exchange: ExchangeType, response: bool) -> String {
    format!("{exchange} {}", if response { "response" } else { "request" })
}

/// What each message does in a state: exchange and direction, then effects with the contents that have them.
pub(crate) fn effects(state: &str) -> Vec<Row> {
    let mut list = Vec::new();
    for exchange in EXCHANGES {
        for response in [false, true] {
            let mut effects = Effects::default();
            for number in 0..contents(&mut stage(state)).len() {
                let mut stage = stage(state);
                let (content, plain) = contents(&mut stage).swap_remove(number);
                let id = match response {
                    true => stage.mallory.asked.map_or(0, |(id, _)| id),
                    false => stage.mallory.next_id,
                };
                let say = |stage: &mut Stage| stage.say(exchange, id, response, &plain, usize::MAX).len();
                let effect = stage.effect(say);
                effects.add(effect, content);
                stage.end();
            }
            list.push((what(exchange, response), effects.shortened()));
        }
    }
    list
}

impl Stage {
    /// What comes of it, in words; `act` gives how many datagrams were sent.
    pub(crate) fn effect(&mut self, act: impl FnOnce(&mut Self) -> usize) -> String {
        let states = |stage: &Self| {
            let mut states: Vec<_> = stage.endpoint.states().iter().map(|(_, state)| *state).collect();
            states.sort_unstable();
            states
        };
        let (before, children) = (states(self), self.children.len());
        let mut effect = match act(self) {
            0 => "nothing is sent".to_owned(),
            count => format!("{count} sent"),
        };
        let after = states(self);
        if after != before {
            effect += &format!(
                ", becomes {}",
                if after.is_empty() { "nothing".to_owned() } else { after.join(" and ") }
            );
        }
        match self.children.len().cmp(&children) {
            std::cmp::Ordering::Greater => effect += ", child up",
            std::cmp::Ordering::Less => effect += ", child down",
            std::cmp::Ordering::Equal => {}
        }
        effect
    }
}
