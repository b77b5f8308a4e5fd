//! CREATE_CHILD_SA (RFC 7296 1.3): new child, rekeyed child, rekeyed IKE SA, and what happens when both sides begin.

use std::sync::Arc;

use ravelin_contract::sa::Spi;
use ravelin_contract::secret::Secret;

use super::child::{self, ChildAsk, Failure, NONCE, Want, Within};
use super::view::View;
use crate::action::Action;
use crate::child::Life;
use crate::context::{Context, Effect};
use crate::crypto::{Group, IkeSuite};
use crate::event::Code;
use crate::input::IkeId;
use crate::part::agreement::Share;
use crate::part::collision::{self, Verdict};
use crate::part::proposal;
use crate::part::resources;
use crate::policy::IkeOffer;
use crate::random;
use crate::sa::{IkeSa, Role};
use crate::session::Session;
use crate::state::State;
use crate::state::closing::Closing;
use crate::state::established::{Doing, Established, Rival, Task};
use crate::wire::{
    Content, ExchangeType, IkeSpi, Nonce, Notify, NotifyType, Payload, Proposal, ProposalSpi, ProtocolId,
    SecurityAssociation,
};

/// A child that we asked for.
#[derive(Debug)]
pub(crate) struct ChildInFlight {
    pub(crate) ask: ChildAsk,
    /// Whether INVALID_KE_PAYLOAD may still be followed.
    retry: bool,
    /// Children that the peer deleted meanwhile and that we do not know: one may be this one, whose making we have not heard of.
    gone: Vec<u32>,
}

impl ChildInFlight {
    /// The peer deleted what we do not know.
    pub(crate) fn deleted(&mut self, outbound: u32) {
        if self.gone.len() < 256 {
            self.gone.push(outbound);
        }
    }
}

/// An IKE SA that we asked for.
#[derive(Debug)]
pub(crate) struct IkeInFlight {
    spi: u64,
    nonce: [u8; NONCE],
    share: Share,
    offered: Vec<Proposal>,
    retry: bool,
}

/// What a request of the peer's left of this IKE SA.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    Stays,
    /// Its children live under that one; it waits to be deleted.
    HandedOver(IkeId),
    /// It ends with the answer.
    Ends,
}

impl Outcome {
    /// What INVALID_SYNTAX says is fatal for both sides (RFC 7296 2.21.3).
    fn of(failure: &Failure) -> Self {
        if failure.notify == NotifyType::InvalidSyntax { Self::Ends } else { Self::Stays }
    }
}

/// Asks for a new child.
pub(crate) fn ask_new(this: &mut Established, ctx: &mut Context<'_>, want: Want) {
    send_ask(this, ctx, want, None, None, true);
}

/// Asks for a child's successor.
pub(crate) fn ask_rekey(this: &mut Established, ctx: &mut Context<'_>, old: Spi) {
    let Some(child) = this.child(old).filter(|child| child.life == Life::Standing) else { return };
    child.life = Life::Rekeying;
    let want = Want { child: Arc::clone(&child.policy), flow: None, resource: child.resource };
    send_ask(this, ctx, want, Some(old), None, true);
}

fn send_ask(
    this: &mut Established,
    ctx: &mut Context<'_>,
    want: Want,
    old: Option<Spi>,
    group: Option<Group>,
    retry: bool,
) {
    let name = want.child.name.clone();
    let built = child::ask(ctx, &this.sa, &this.parties(), want, Within::Create(group));
    let (ask, mut payloads) = match built {
        Ok(built) => built,
        Err(failure) => return failed(this, ctx, &format!("child {name}"), &failure),
    };
    if let Some(child) = old.and_then(|old| this.child(old)) {
        let notify = Notify::about_child(NotifyType::RekeySa, ProtocolId::Esp, child.inbound.get());
        payloads.insert(0, Payload::Notify(notify));
    }
    this.sa.request(ctx, ExchangeType::CreateChildSa, &payloads);
    let ask = Box::new(ChildInFlight { ask, retry, gone: Vec::new() });
    this.doing = Some(match old {
        None => Doing::NewChild(ask),
        Some(old) => Doing::RekeyChild { old, ask, rival: None },
    });
}

fn failed(this: &Established, ctx: &mut Context<'_>, what: &str, failure: &Failure) {
    ctx.event(
        Code::ChildFailed,
        Some(&this.peer),
        this.sa.id,
        this.sa.path,
        format!("{what}: {}", failure.text),
    );
}

/// The answer to [`ask_new`].
pub(crate) fn created(this: &mut Established, ctx: &mut Context<'_>, flight: ChildInFlight, view: View<'_>) {
    let want = flight.ask.want.clone();
    match accept(this, ctx, flight, view) {
        Ok((sa, child, _)) => {
            this.install(ctx, sa, child);
            resources::spread(this, ctx, &want, view);
        }
        Err((failure, None)) if resources::is_enough(this, &want, &failure) => {}
        Err((failure, Some(group))) => {
            drop(failure);
            send_ask(this, ctx, want, None, Some(group), false);
        }
        Err((failure, None)) => {
            failed(this, ctx, &format!("child {}", want.child.name), &failure);
            if failure.notify != NotifyType::ChildSaNotFound {
                delete_half_made(this, ctx, view);
            }
        }
    }
}

/// The peer believes in a child that we refuse: it is told to delete it.
fn delete_half_made(this: &mut Established, ctx: &mut Context<'_>, view: View<'_>) {
    let made = view.sa().and_then(|sa| sa.proposals.first()).map(|proposal| proposal.spi);
    if view.error().is_none() && made.is_some() {
        let text =
            "the peer made a child that we refuse; the IKE SA is closed to be sure that both sides agree";
        ctx.event(Code::ChildFailed, Some(&this.peer), this.sa.id, this.sa.path, text);
        this.push(Task::DeleteIke);
    }
}

type Accepted = (crate::child::ChildSa, crate::child::Child, [u8; NONCE]);

/// Reads the answer; with the lower nonce of the exchange, or the group to begin again with.
fn accept(
    this: &mut Established,
    ctx: &mut Context<'_>,
    flight: ChildInFlight,
    view: View<'_>,
) -> Result<Accepted, (Failure, Option<Group>)> {
    let (ours, gone) = (flight.ask.nonce, flight.gone);
    let groups: Vec<_> = flight.ask.want.child.offers.iter().flat_map(|offer| offer.groups()).collect();
    let theirs = view.nonce().map(|nonce| nonce.octets().to_vec()).unwrap_or_default();
    if theirs.is_empty() && view.error().is_none() {
        ctx.shared.release_spi(flight.ask.inbound);
        return Err((Failure::new(NotifyType::InvalidSyntax, "the answer lacks a nonce"), None));
    }
    let parties = this.parties();
    match child::accept(ctx, &this.sa, &parties, flight.ask, view, (&ours, &theirs)) {
        Ok((_, child)) if gone.contains(&child.outbound.get()) => {
            ctx.shared.release_spi(child.inbound);
            let text = "the peer deleted it before its answer came";
            Err((Failure::new(NotifyType::ChildSaNotFound, text), None))
        }
        Ok((sa, child)) => Ok((sa, child, collision::lowest(&ours, &theirs))),
        Err(failure) => {
            let group = failure.group.filter(|group| flight.retry && groups.contains(group));
            Err((failure, group))
        }
    }
}

/// The answer to [`ask_rekey`].
pub(crate) fn rekeyed(
    this: &mut Established,
    ctx: &mut Context<'_>,
    old: Spi,
    flight: ChildInFlight,
    rival: Option<Rival<Spi>>,
    view: View<'_>,
) {
    let want = flight.ask.want.clone();
    match accept(this, ctx, flight, view) {
        Ok((mut sa, child, lowest)) => {
            let new = sa.inbound;
            let lost =
                rival.as_ref().is_some_and(|rival| collision::judge(&lowest, &rival.lowest) == Verdict::Lost);
            sa.replaces = Some(old);
            sa.use_at_once = !lost;
            this.install(ctx, sa, child);
            if lost {
                // RFC 7296 2.8.1: the lowest of the four nonces is ours, so what we made goes; the peer deletes the old one.
                this.push(Task::DeleteChild(new));
                this.replaced(ctx.now, old);
            } else {
                this.replaced(ctx.now, old);
                this.push(Task::DeleteChild(old));
            }
        }
        Err((failure, Some(group))) => {
            drop(failure);
            send_ask(this, ctx, want, Some(old), Some(group), false);
            if let Some(Doing::RekeyChild { rival: slot, .. }) = &mut this.doing {
                *slot = rival;
            }
        }
        Err((failure, None)) => rekey_failed(this, ctx, old, &want, rival.is_some(), &failure, view),
    }
}

fn rekey_failed(
    this: &mut Established,
    ctx: &mut Context<'_>,
    old: Spi,
    want: &Want,
    has_rival: bool,
    failure: &Failure,
    view: View<'_>,
) {
    if has_rival {
        this.replaced(ctx.now, old);
        return;
    }
    match failure.notify {
        NotifyType::TemporaryFailure => {
            let again = Established::again(ctx);
            if let Some(child) = this.child(old) {
                child.life = Life::Standing;
                child.soft = Some(again);
            }
        }
        // What was deleted again was to replace this one, which the peer keeps for no other purpose.
        NotifyType::ChildSaNotFound if view.error().is_none() => {
            this.replaced(ctx.now, old);
            this.push(Task::DeleteChild(old));
        }
        NotifyType::ChildSaNotFound => {
            // RFC 7296 2.25: the peer has lost it; what policy wants is made anew.
            let existed = this.child(old).is_some();
            this.drop_child(ctx, old, "the peer does not know it any more");
            if existed {
                this.push(Task::NewChild(want.clone()));
            }
        }
        _ => {
            failed(this, ctx, &format!("rekey of child {}", want.child.name), failure);
            let again = Established::again(ctx);
            if let Some(child) = this.child(old) {
                child.life = Life::Standing;
                child.soft = Some(again);
            }
            delete_half_made(this, ctx, view);
        }
    }
}

/// Answers the peer's request.
pub(crate) fn respond(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> (Vec<Payload<'static>>, Outcome) {
    let is_ike =
        view.sa().is_some_and(|sa| sa.proposals.iter().any(|proposal| proposal.protocol == ProtocolId::Ike));
    if is_ike {
        return respond_ike(this, ctx, view);
    }
    let answered = match view.notify(NotifyType::RekeySa) {
        Some(notify) => respond_rekey(this, ctx, notify.spi, view),
        None => respond_new(this, ctx, view),
    };
    match answered {
        Ok(payloads) => (payloads, Outcome::Stays),
        Err(failure) => {
            if !matches!(failure.notify, NotifyType::TemporaryFailure | NotifyType::ChildSaNotFound) {
                failed(this, ctx, "the peer's child", &failure);
            }
            (vec![failure.payload()], Outcome::of(&failure))
        }
    }
}

fn temporary(text: &str) -> Failure {
    Failure::new(NotifyType::TemporaryFailure, text)
}

fn respond_new(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> Result<Vec<Payload<'static>>, Failure> {
    if matches!(this.doing, Some(Doing::RekeyIke { .. })) {
        return Err(temporary("the IKE SA is being rekeyed"));
    }
    let (payloads, sa, child, _) = answer(this, ctx, view, None)?;
    this.install(ctx, sa, child);
    Ok(payloads)
}

type Answered = (Vec<Payload<'static>>, crate::child::ChildSa, crate::child::Child, [u8; NONCE]);

fn answer(
    this: &Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
    only: Option<&Want>,
) -> Result<Answered, Failure> {
    let Some(nonce) = view.nonce() else {
        return Err(Failure::new(NotifyType::InvalidSyntax, "the request lacks a nonce"));
    };
    let how = (Within::Create(None), nonce.octets(), &[][..]);
    let (payloads, sa, child, ours) = child::answer(ctx, &this.sa, &this.parties(), view, only, how)?;
    Ok((payloads, sa, child, collision::lowest(nonce.octets(), &ours)))
}

fn respond_rekey(
    this: &mut Established,
    ctx: &mut Context<'_>,
    spi: ProposalSpi,
    view: View<'_>,
) -> Result<Vec<Payload<'static>>, Failure> {
    if matches!(this.doing, Some(Doing::RekeyIke { .. })) {
        return Err(temporary("the IKE SA is being rekeyed"));
    }
    let found = this.children.iter().find(|child| ProposalSpi::Child(child.outbound.get()) == spi);
    let Some(old) = found else {
        return Err(match this.doing {
            // The answer to what we asked for may be lost, and the child be the one that the peer speaks of.
            Some(Doing::NewChild(_) | Doing::RekeyChild { .. }) => temporary("a child is being made"),
            _ => Failure::new(NotifyType::ChildSaNotFound, "no such child"),
        });
    };
    if matches!(old.life, Life::Deleting | Life::Replaced) {
        return Err(temporary("the child is being closed"));
    }
    let (old, in_use) = (old.inbound, old.life);
    let want = this.children.iter().find(|child| child.inbound == old).map(|child| Want {
        child: Arc::clone(&child.policy),
        flow: None,
        resource: child.resource,
    });
    let (payloads, mut sa, child, lowest) = answer(this, ctx, view, want.as_ref())?;
    let new = sa.inbound;
    sa.replaces = Some(old);
    // RFC 7296 2.8: the peer can receive under it only once it has our answer.
    sa.use_at_once = false;
    this.install(ctx, sa, child);
    match &mut this.doing {
        Some(Doing::RekeyChild { old: ours, rival, .. }) if *ours == old && in_use == Life::Rekeying => {
            *rival = Some(Rival { id: new, lowest });
        }
        _ => this.replaced(ctx.now, old),
    }
    Ok(payloads)
}

/// The peer deleted the old child of a rekey that it began: it is ready for the new one (RFC 7296 2.8).
pub(crate) fn successor_ready(this: &Established, ctx: &mut Context<'_>, old: Spi) {
    let same = |child: &&crate::child::Child| child.life == Life::Standing;
    let replaced = |child: &&crate::child::Child| child.inbound == old && child.life != Life::Standing;
    let Some(gone) = this.children.iter().find(replaced) else { return };
    let successors = this.children.iter().filter(same).filter(|child| {
        child.inbound != old && child.policy.name == gone.policy.name && child.resource == gone.resource
    });
    for child in successors {
        ctx.act(Action::UseChild { inbound: child.inbound });
    }
}

/// Asks for the IKE SA's successor.
pub(crate) fn ask_rekey_ike(this: &mut Established, ctx: &mut Context<'_>) {
    let group = this.sa.suite.group;
    send_ike_ask(this, ctx, group, true);
}

fn ike_offers(this: &Established, spi: ProposalSpi) -> Vec<Proposal> {
    let numbered = this.peer.offers.iter().zip(1..=u8::MAX);
    numbered.map(|(offer, number)| offer.proposal(number, spi, false)).collect()
}

fn send_ike_ask(this: &mut Established, ctx: &mut Context<'_>, group: Group, retry: bool) {
    let share = match Share::new(group, ctx.random) {
        Ok(share) => share,
        Err(refused) => {
            let failure = Failure::new(NotifyType::NoProposalChosen, refused.to_string());
            return failed(this, ctx, "rekey of the IKE SA", &failure);
        }
    };
    let spi = random::non_zero(ctx.random);
    let nonce: [u8; NONCE] = random::array(ctx.random);
    let offered = ike_offers(this, ProposalSpi::Ike(IkeSpi(spi)));
    let mut payloads = vec![Payload::SecurityAssociation(SecurityAssociation { proposals: offered.clone() })];
    payloads.extend(Nonce::new(nonce.to_vec()).map(Payload::Nonce));
    payloads.push(share.payload());
    this.sa.request(ctx, ExchangeType::CreateChildSa, &payloads);
    let ask = Box::new(IkeInFlight { spi, nonce, share, offered, retry });
    this.doing = Some(Doing::RekeyIke { ask, rival: None });
}

fn respond_ike(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> (Vec<Payload<'static>>, Outcome) {
    let made = if is_busy_with_children(this) {
        Err(temporary("a child is being made, rekeyed or closed"))
    } else if matches!(this.doing, Some(Doing::RekeyIke { rival: Some(_), .. })) {
        Err(temporary("another rekey of the IKE SA is not settled yet"))
    } else {
        answer_ike(this, ctx, view)
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

fn is_busy_with_children(this: &Established) -> bool {
    matches!(this.doing, Some(Doing::NewChild(_) | Doing::RekeyChild { .. } | Doing::DeleteChildren(_)))
}

type AnsweredIke = (Vec<Payload<'static>>, Established, [u8; NONCE]);

fn answer_ike(this: &mut Established, ctx: &mut Context<'_>, view: View<'_>) -> Result<AnsweredIke, Failure> {
    let syntax = |text: &str| Failure::new(NotifyType::InvalidSyntax, text);
    let (Some(offered), Some(nonce)) = (view.sa(), view.nonce()) else {
        return Err(syntax("the request lacks SA or nonce"));
    };
    let ours = random::non_zero(ctx.random);
    let own = ike_offers(this, ProposalSpi::None);
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

/// The answer to [`ask_rekey_ike`].
pub(crate) fn rekeyed_ike(
    mut this: Established,
    ctx: &mut Context<'_>,
    flight: IkeInFlight,
    rival: Option<Rival<IkeId>>,
    view: View<'_>,
) -> State {
    let retry = flight.retry;
    match accept_ike(&mut this, ctx, flight, view) {
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
            ike_rekey_failed(&mut this, ctx, &failure, retry);
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

fn ike_rekey_failed(this: &mut Established, ctx: &mut Context<'_>, failure: &Failure, retry: bool) {
    let offered = |group: &Group| this.peer.offers.iter().flat_map(IkeOffer::groups).any(|own| own == *group);
    if let Some(group) = failure.group.filter(|group| retry && offered(group)) {
        return send_ike_ask(this, ctx, group, false);
    }
    if failure.notify != NotifyType::TemporaryFailure {
        failed(this, ctx, "rekey of the IKE SA", failure);
    }
    this.clock.rekey = Some(Established::again(ctx));
}

fn accept_ike(
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
