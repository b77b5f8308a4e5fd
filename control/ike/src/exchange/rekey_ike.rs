//! CREATE_CHILD_SA (RFC 7296 1.3.2) for the IKE SA itself: its successor, and what happens when both sides begin.

use std::sync::Arc;

use ravelin_contract::secret::Secret;

use super::child::{self, Failure, NONCE};
use super::create_child::{Outcome, failed, temporary};
use super::view::View;
use crate::context::{Context, Effect};
use crate::crypto::{Group, IkeSuite};
use crate::event::Code;
use crate::input::IkeId;
use crate::part::agreement::Share;
use crate::part::collision::{self, Verdict};
use crate::part::proposal;
use crate::policy::IkeOffer;
use crate::random;
use crate::sa::{IkeSa, Role};
use crate::session::Session;
use crate::state::State;
use crate::state::closing::Closing;
use crate::state::established::{Doing, Established, Rival, Task};
use crate::wire::{
    Content, ExchangeType, IkeSpi, Nonce, NotifyType, Payload, Proposal, ProposalSpi, SecurityAssociation,
};

/// An IKE SA that we asked for.
#[derive(Debug)]
pub(crate) struct IkeInFlight {
    spi: u64,
    nonce: [u8; NONCE],
    share: Share,
    offered: Vec<Proposal>,
    retry: bool,
}

/// Asks for the IKE SA's successor.
pub(crate) fn ask(this: &mut Established, ctx: &mut Context<'_>) {
    let group = this.sa.suite.group;
    send_ask(this, ctx, group, true);
}

fn offers(this: &Established, spi: ProposalSpi) -> Vec<Proposal> {
    let numbered = this.peer.offers.iter().zip(1..=u8::MAX);
    numbered.map(|(offer, number)| offer.proposal(number, spi, false)).collect()
}

fn send_ask(this: &mut Established, ctx: &mut Context<'_>, group: Group, retry: bool) {
    let share = match Share::new(group, ctx.random) {
        Ok(share) => share,
        Err(refused) => {
            let failure = Failure::new(NotifyType::NoProposalChosen, refused.to_string());
            return failed(this, ctx, "rekey of the IKE SA", &failure);
        }
    };
    let spi = random::non_zero(ctx.random);
    let nonce: [u8; NONCE] = random::array(ctx.random);
    let offered = offers(this, ProposalSpi::Ike(IkeSpi(spi)));
    let mut payloads = vec![Payload::SecurityAssociation(SecurityAssociation { proposals: offered.clone() })];
    payloads.extend(Nonce::new(nonce.to_vec()).map(Payload::Nonce));
    payloads.push(share.payload());
    this.sa.request(ctx, ExchangeType::CreateChildSa, &payloads);
    let ask = Box::new(IkeInFlight { spi, nonce, share, offered, retry });
    this.doing = Some(Doing::RekeyIke { ask, rival: None });
}

/// Answers the peer's request.
pub(super) fn respond(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> (Vec<Payload<'static>>, Outcome) {
    let made = if this.doing.as_ref().is_some_and(Doing::is_about_children) {
        Err(temporary("a child is being made, rekeyed or closed"))
    } else if matches!(this.doing, Some(Doing::RekeyIke { rival: Some(_), .. })) {
        Err(temporary("another rekey of the IKE SA is not settled yet"))
    } else {
        answer(this, ctx, view)
    };
    let (payloads, mut successor, lowest) = match made {
        Ok(made) => made,
        Err(failure) => {
            if failure.notify != NotifyType::TemporaryFailure {
                failed(this, ctx, "the peer's rekey of the IKE SA", &failure);
            }
            return (vec![failure.payload()], Outcome::of(&failure));
        }
    };
    let id = successor.sa.id;
    if let Some(Doing::RekeyIke { rival, .. }) = &mut this.doing {
        *rival = Some(Rival { id, lowest });
        successor.awaits = true;
        ctx.out.push(Effect::Spawn(Box::new(Session::established(successor))));
        return (payloads, Outcome::Stays);
    }
    hand_over(this, ctx, &mut successor);
    ctx.out.push(Effect::Spawn(Box::new(Session::established(successor))));
    (payloads, Outcome::HandedOver(id))
}

type Answered = (Vec<Payload<'static>>, Established, [u8; NONCE]);

fn answer(this: &mut Established, ctx: &mut Context<'_>, view: View<'_>) -> Result<Answered, Failure> {
    let syntax = |text: &str| Failure::new(NotifyType::InvalidSyntax, text);
    let (Some(offered), Some(nonce)) = (view.sa(), view.nonce()) else {
        return Err(syntax("the request lacks SA or nonce"));
    };
    let ours = random::non_zero(ctx.random);
    let own = offers(this, ProposalSpi::None);
    let chosen = proposal::choose(&own, offered, ProposalSpi::Ike(IkeSpi(ours)))
        .ok_or_else(|| Failure::new(NotifyType::NoProposalChosen, proposal::both(&own, offered)))?;
    let theirs = offered
        .proposals
        .iter()
        .find(|proposal| proposal.number == chosen.number)
        .map(|proposal| proposal.spi);
    let Some(ProposalSpi::Ike(theirs)) = theirs.filter(|spi| *spi != ProposalSpi::Ike(IkeSpi::ZERO)) else {
        return Err(syntax("the proposal has no SPI of eight octets"));
    };
    let suite = IkeSuite::from_proposal(&chosen).map_err(|error| syntax(&error.to_string()))?;
    let (share, secret) = child::key_exchange(ctx, suite.group, view.ke())?;
    let our_nonce: [u8; NONCE] = random::array(ctx.random);
    let made =
        this.sa.successor(Role::Responder, (theirs.0, ours), suite, secret, (nonce.octets(), &our_nonce));
    let sa = made.map_err(|error| syntax(&error.to_string()))?;
    let mut payloads = vec![Payload::SecurityAssociation(SecurityAssociation { proposals: vec![chosen] })];
    payloads.extend(Nonce::new(our_nonce.to_vec()).map(Payload::Nonce));
    payloads.push(share);
    Ok((payloads, successor(this, ctx, sa), collision::lowest(nonce.octets(), &our_nonce)))
}

/// The state of a rekeyed IKE SA, without children yet.
fn successor(this: &Established, ctx: &mut Context<'_>, sa: IkeSa) -> Established {
    let mut clock = Established::clock(ctx, &this.peer);
    // Only a new proof of identity moves that deadline.
    (clock.reauthenticate, clock.proof) = (this.clock.reauthenticate, this.clock.proof);
    let text = format!("IKE SA {} has taken over from {}", sa.id, this.sa.id);
    ctx.event(Code::IkeRekeyed, Some(&this.peer), this.sa.id, this.sa.path, text);
    let (peer, identity) = (Arc::clone(&this.peer), this.identity.clone());
    let mut next = Established::new(sa, peer, identity, this.features, this.birth, clock);
    next.assigned.clone_from(&this.assigned);
    next
}

/// Children, tasks and leases go on under the successor.
fn hand_over(this: &mut Established, ctx: &mut Context<'_>, successor: &mut Established) {
    successor.leased = std::mem::take(&mut this.leased);
    successor.children = std::mem::take(&mut this.children);
    successor.tasks = std::mem::take(&mut this.tasks);
    successor.tasks.retain(|task| !matches!(task, Task::RekeyIke));
    if matches!(this.doing, Some(Doing::Addresses(_))) {
        // Its answer may never come: the old IKE SA repeats nothing.
        let again = if this.birth.ours { Task::UpdateAddresses } else { Task::CheckAddress };
        successor.tasks.push_front(again);
    }
    for child in &successor.children {
        ctx.shared.hand_over(child.inbound, successor.sa.id);
    }
}

/// The answer to [`ask`].
pub(crate) fn answered(
    mut this: Established,
    ctx: &mut Context<'_>,
    flight: IkeInFlight,
    rival: Option<Rival<IkeId>>,
    view: View<'_>,
) -> State {
    let retry = flight.retry;
    match accept(&mut this, ctx, flight, view) {
        Ok((mut successor, lowest)) => {
            let judge = |rival: &Rival<IkeId>| collision::judge(&lowest, &rival.lowest);
            match rival.map(|rival| (judge(&rival), rival.id)) {
                Some((Verdict::Lost, rival)) => {
                    give_to(&mut this, ctx, rival);
                    let doomed = Session::closing(Closing::delete(ctx, successor.sa, successor.peer));
                    ctx.out.push(Effect::Spawn(Box::new(doomed)));
                    State::Closing(Box::new(Closing::replaced(ctx, this.sa, this.peer, rival)))
                }
                won => {
                    ctx.out.extend(won.map(|(_, rival)| Effect::Redundant(rival, successor.sa.id)));
                    hand_over(&mut this, ctx, &mut successor);
                    ctx.out.push(Effect::Spawn(Box::new(Session::established(successor))));
                    State::Closing(Box::new(Closing::delete(ctx, this.sa, this.peer)))
                }
            }
        }
        Err(failure) => {
            if let Some(rival) = rival {
                give_to(&mut this, ctx, rival.id);
                return State::Closing(Box::new(Closing::replaced(ctx, this.sa, this.peer, rival.id)));
            }
            refused(&mut this, ctx, &failure, retry);
            this.go_on(ctx)
        }
    }
}

fn give_to(this: &mut Established, ctx: &mut Context<'_>, id: IkeId) {
    if let Some(pool) = this.peer.pool() {
        ctx.out.push(Effect::Lease(id, pool.clone(), std::mem::take(&mut this.leased)));
    }
    ctx.out.push(Effect::Adopt(id, std::mem::take(&mut this.children), std::mem::take(&mut this.tasks)));
}

fn refused(this: &mut Established, ctx: &mut Context<'_>, failure: &Failure, retry: bool) {
    let offered = |group: &Group| this.peer.offers.iter().flat_map(IkeOffer::groups).any(|own| own == *group);
    if let Some(group) = failure.group.filter(|group| retry && offered(group)) {
        return send_ask(this, ctx, group, false);
    }
    if failure.notify != NotifyType::TemporaryFailure {
        failed(this, ctx, "rekey of the IKE SA", failure);
    }
    this.clock.rekey = Some(Established::again(ctx));
}

fn accept(
    this: &mut Established,
    ctx: &mut Context<'_>,
    flight: IkeInFlight,
    view: View<'_>,
) -> Result<(Established, [u8; NONCE]), Failure> {
    if let Some(notify) = view.error() {
        let mut failure = Failure::new(notify, format!("the peer answers {notify}"));
        if let Some(Content::InvalidKePayload(group)) = view.content(NotifyType::InvalidKePayload) {
            failure.group = Group::from_id(group);
        }
        return Err(failure);
    }
    let syntax = |text: &str| Failure::new(NotifyType::InvalidSyntax, text);
    let (Some(answered), Some(nonce)) = (view.sa(), view.nonce()) else {
        return Err(syntax("the answer lacks SA or nonce"));
    };
    let chosen = proposal::is_answer_to(answered, &flight.offered)
        .ok_or_else(|| syntax("the answer is none of the proposals that we sent"))?;
    let ProposalSpi::Ike(theirs) = chosen.spi else {
        return Err(syntax("the answer has no SPI of eight octets"));
    };
    let suite = IkeSuite::from_proposal(&chosen).map_err(|error| syntax(&error.to_string()))?;
    let secret: Secret =
        flight.share.agree(suite.group, view.ke()).map_err(|refused| syntax(&refused.to_string()))?;
    let nonces = (&flight.nonce[..], nonce.octets());
    let made = this.sa.successor(Role::Initiator, (flight.spi, theirs.0), suite, secret, nonces);
    let sa = made.map_err(|error| syntax(&error.to_string()))?;
    let lowest = collision::lowest(&flight.nonce, nonce.octets());
    Ok((successor(this, ctx, sa), lowest))
}
