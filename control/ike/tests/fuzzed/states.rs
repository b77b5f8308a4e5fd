//! Every state that an endpoint can be in, and what each message of a peer with the right keys does there.

use ravelin_ike::crypto::Group;
use ravelin_ike::sealed::Plain;
use ravelin_ike::wire::{Delete, ExchangeType, Notify, NotifyType, Payload, PayloadType, ProtocolId};

use super::mallory::{self, CHILD};
use super::{EXCHANGES, Stage};

/// States in which there are keys, by name. Before there are any, nothing can be sealed: see the simulation's own table.
pub(crate) const STATES: [&str; 10] = [
    "responding",
    "authenticating",
    "established as responder",
    "established as initiator",
    "established, asks whether the peer lives",
    "established, rekeys a child",
    "established, rekeys the IKE SA",
    "established, deletes a child",
    "closing, deletes the IKE SA",
    "closing, deleted by the peer",
];

fn stage(state: &str) -> Stage {
    let initiator = matches!(state, "responding" | "established as responder");
    let mut stage = Stage::new(initiator);
    let how_far = match state {
        "responding" | "authenticating" => 1,
        _ => 2,
    };
    stage.begin(how_far, initiator);
    match state {
        "established, asks whether the peer lives" => stage.command(4),
        "established, rekeys a child" => stage.command(2),
        "established, rekeys the IKE SA" => stage.command(1),
        "established, deletes a child" => stage.command(3),
        "closing, deletes the IKE SA" => stage.command(9),
        "closing, deleted by the peer" => {
            stage.request(ExchangeType::Informational, &[Payload::Delete(Delete::Ike)]);
        }
        _ => {}
    }
    stage
}

/// What a message may hold.
fn contents(stage: &mut Stage) -> Vec<(&'static str, Plain)> {
    let notify = |kind| vec![Payload::Notify(Notify::new(kind, Vec::new()))];
    let about = Notify::about_child(NotifyType::RekeySa, ProtocolId::Esp, CHILD);
    let exchange = stage.mallory.exchange(Group::Curve25519, &mut stage.dice);
    let ask = [stage.mallory.child(CHILD + 1, Some(Group::Curve25519), false), exchange.clone()].concat();
    let answer = [stage.mallory.child(CHILD + 1, Some(Group::Curve25519), true), exchange.clone()].concat();
    let spi = ravelin_ike::wire::ProposalSpi::Ike(ravelin_ike::wire::IkeSpi(0x77));
    let proposals = vec![mallory::suite().to_proposal(1, spi)];
    let ike = Payload::SecurityAssociation(ravelin_ike::wire::SecurityAssociation { proposals });
    let delete = |spis| vec![Payload::Delete(Delete::Children { protocol: ProtocolId::Esp, spis })];
    let payloads = [
        ("nothing", Vec::new()),
        ("a proof", stage.mallory.proof()),
        ("a child", ask.clone()),
        ("a child as answer", answer),
        ("a child's successor", [vec![Payload::Notify(about)], ask].concat()),
        ("an IKE SA's successor", [vec![ike], exchange.clone()].concat()),
        ("a share", exchange),
        ("delete of a child", delete(vec![CHILD])),
        ("delete of a stranger's child", delete(vec![1234])),
        ("delete of the IKE SA", vec![Payload::Delete(Delete::Ike)]),
        ("NO_PROPOSAL_CHOSEN", notify(NotifyType::NoProposalChosen)),
        ("TEMPORARY_FAILURE", notify(NotifyType::TemporaryFailure)),
        ("CHILD_SA_NOT_FOUND", notify(NotifyType::ChildSaNotFound)),
        ("AUTHENTICATION_FAILED", notify(NotifyType::AuthenticationFailed)),
        ("INITIAL_CONTACT", notify(NotifyType::InitialContact)),
        ("UPDATE_SA_ADDRESSES", notify(NotifyType::UpdateSaAddresses)),
    ];
    let written = payloads.map(|(name, payloads)| (name, Plain::write(&payloads).expect("fits")));
    let broken = Plain::of_chain(PayloadType::SecurityAssociation, vec![0, 0, 0, 7, 1, 2, 3]);
    written.into_iter().chain([("a broken SA", broken)]).collect()
}

/// Effects, each with the contents that have it.
pub(crate) type Effects = Vec<(String, Vec<&'static str>)>;

/// What each message does in a state: exchange and direction, then effects with the contents that have them.
pub(crate) fn effects(state: &str) -> Vec<(String, Effects)> {
    let mut list = Vec::new();
    for exchange in EXCHANGES {
        for response in [false, true] {
            let mut effects = Effects::new();
            for number in 0..contents(&mut stage(state)).len() {
                let mut stage = stage(state);
                let (content, plain) = contents(&mut stage).remove(number);
                let effect = stage.effect(exchange, response, &plain);
                match effects.iter_mut().find(|(known, _)| *known == effect) {
                    Some((_, contents)) => contents.push(content),
                    None => effects.push((effect, vec![content])),
                }
                stage.end();
            }
            let direction = if response { "response" } else { "request" };
            if let [(_, contents)] = &mut effects[..] {
                *contents = vec!["anything"];
            }
            list.push((format!("{exchange} {direction}"), effects));
        }
    }
    list
}

impl Stage {
    fn effect(&mut self, exchange: ExchangeType, response: bool, plain: &Plain) -> String {
        let states =
            |stage: &Self| stage.endpoint.states().iter().map(|(_, state)| *state).collect::<Vec<_>>();
        let (before, children) = (states(self), self.children.len());
        let id = match response {
            true => self.mallory.asked.map_or(0, |(id, _)| id),
            false => self.mallory.next_id,
        };
        let sent = self.say(exchange, id, response, plain, usize::MAX).len();
        let mut effect = match sent {
            0 => "nothing is sent".to_owned(),
            count => format!("{count} sent"),
        };
        let mut after = states(self);
        after.sort_unstable();
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
