//! CREATE_CHILD_SA (RFC 7296 1.3.2) for the IKE SA itself: its successor, and what happens when both sides begin.

use std::collections::VecDeque;
use std::sync::Arc;

use ravelin_contract::secret::Secret;

use super::child::{Failure, NONCE};
use super::child_answer;
use super::create_child::{Outcome, failed, temporary};
use super::followup::{self, Asked};
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
    /// Of additional key exchanges that followed (RFC 9370).
    pub(crate) more: Vec<Secret>,
    offered: Vec<Proposal>,
    retry: bool,
}

/// An IKE SA that both agreed on and that lacks nothing but keys.
#[derive(Debug)]
pub(crate) struct Half {
    /// Theirs and ours.
    spis: (u64, u64),
    suite: IkeSuite,
    nonces: (Vec<u8>, [u8; NONCE]),
}

/// Asks for the IKE SA's successor.
pub(crate) fn ask(this: &mut Established, ctx: &mut Context<'_>) {
    if this.pending.is_some() {
        // The peer is making something that would have to move.
        this.clock.rekey = Some(Established::again(ctx));
        return;
    }
    let group = this.sa.suite.group;
    send_ask(this, ctx, group, true);
}

/// Our offers, with additional key exchanges first where there may be some. They may also be left out: SK_d holds the secret of those
/// that made this IKE SA.
fn offers(this: &Established, spi: ProposalSpi, additional: bool) -> Vec<Proposal> {
    let whole = this.peer.offers.iter().filter(|offer| additional && offer.has_additional());
    let forms = whole.map(|offer| (offer, true)).chain(this.peer.offers.iter().map(|offer| (offer, false)));
    forms.zip(1..=u8::MAX).map(|((offer, with), number)| offer.proposal(number, spi, with)).collect()
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
    // Who made this one without them may not know them.
    let additional = !this.sa.suite.additional.is_empty();
    let offered = offers(this, ProposalSpi::Ike(IkeSpi(spi)), additional);
    let mut payloads = vec![Payload::SecurityAssociation(SecurityAssociation { proposals: offered.clone() })];
    payloads.extend(Nonce::new(nonce.to_vec()).map(Payload::Nonce));
    payloads.push(share.payload());
    this.sa.request(ctx, ExchangeType::CreateChildSa, &payloads);
    let ask = Box::new(IkeInFlight { spi, nonce, share, more: Vec::new(), offered, retry });
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
    match made.and_then(|(payloads, half, secret)| go_on(this, ctx, payloads, half, secret)) {
        Ok(answered) => answered,
        Err(failure) => {
            if failure.notify != NotifyType::TemporaryFailure {
                failed(this, ctx, "the peer's rekey of the IKE SA", &failure);
            }
            (vec![failure.payload()], Outcome::of(&failure))
        }
    }
}

type Answered = (Vec<Payload<'static>>, Outcome);

/// With the first secret: it stands, or more key exchanges follow.
fn go_on(
    this: &mut Established,
    ctx: &mut Context<'_>,
    mut payloads: Vec<Payload<'static>>,
    half: Half,
    secret: Secret,
) -> Result<Answered, Failure> {
    let more: VecDeque<Group> = half.suite.additional.iter().map(|(_, group)| group).collect();
    if !more.is_empty() {
        if this.doing.as_ref().is_some_and(Doing::makes_keys) {
            return Err(temporary("something is being asked for already"));
        }
        payloads.push(followup::hold(this, ctx, more, secret, Asked::Ike(half)));
        return Ok((payloads, Outcome::Stays));
    }
    let Some(Doing::RekeyIke { .. }) = &this.doing else {
        let outcome = take_over(this, ctx, half, &[secret])?;
        return Ok((payloads, outcome));
    };
    let lowest = collision::lowest(&half.nonces.0, &half.nonces.1);
    let mut successor = half.whole(this, ctx, &[secret])?;
    if let Some(Doing::RekeyIke { rival, .. }) = &mut this.doing {
        *rival = Some(Rival { id: successor.sa.id, lowest });
    }
    successor.awaits = true;
    ctx.out.push(Effect::Spawn(Box::new(Session::established(successor))));
    Ok((payloads, Outcome::Stays))
}

impl Half {
    fn whole(
        self,
        this: &Established,
        ctx: &mut Context<'_>,
        secrets: &[Secret],
    ) -> Result<Established, Failure> {
        let nonces = (&self.nonces.0[..], &self.nonces.1[..]);
        let made = this.sa.successor(Role::Responder, self.spis, self.suite, secrets, nonces);
        let sa = made.map_err(|error| Failure::new(NotifyType::InvalidSyntax, error.to_string()))?;
        Ok(successor(this, ctx, sa))
    }
}

/// The peer's successor takes over.
pub(super) fn take_over(
    this: &mut Established,
    ctx: &mut Context<'_>,
    half: Half,
    secrets: &[Secret],
) -> Result<Outcome, Failure> {
    let mut successor = half.whole(this, ctx, secrets)?;
    let id = successor.sa.id;
    hand_over(this, ctx, &mut successor);
    ctx.out.push(Effect::Spawn(Box::new(Session::established(successor))));
    Ok(Outcome::HandedOver(id))
}

fn answer(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> Result<(Vec<Payload<'static>>, Half, Secret), Failure> {
    let syntax = |text: &str| Failure::new(NotifyType::InvalidSyntax, text);
    let (Some(offered), Some(nonce)) = (view.sa(), view.nonce()) else {
        return Err(syntax("the request lacks SA or nonce"));
    };
    let ours = random::non_zero(ctx.random);
    let own = offers(this, ProposalSpi::None, true);
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
    let (share, secret) = child_answer::key_exchange(ctx, suite.group, view.ke())?;
    let our_nonce: [u8; NONCE] = random::array(ctx.random);
    let mut payloads = vec![Payload::SecurityAssociation(SecurityAssociation { proposals: vec![chosen] })];
    payloads.extend(Nonce::new(our_nonce.to_vec()).map(Payload::Nonce));
    payloads.push(share);
    let half = Half { spis: (theirs.0, ours), suite, nonces: (nonce.octets().to_vec(), our_nonce) };
    Ok((payloads, half, secret))
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
    followup::forget(this, ctx);
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
    followup::forget(this, ctx);
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
    if !matches!(failure.notify, NotifyType::TemporaryFailure | NotifyType::StateNotFound) {
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
    let secrets: Vec<Secret> = std::iter::once(secret).chain(flight.more).collect();
    let made = this.sa.successor(Role::Initiator, (flight.spi, theirs.0), suite, &secrets, nonces);
    let sa = made.map_err(|error| syntax(&error.to_string()))?;
    let lowest = collision::lowest(&flight.nonce, nonce.octets());
    Ok((successor(this, ctx, sa), lowest))
}
