//! CREATE_CHILD_SA (RFC 7296 1.3) for children: new, rekeyed, and what happens when both sides begin.

use std::collections::VecDeque;
use std::sync::Arc;

use ravelin_contract::sa::Spi;
use ravelin_contract::secret::Secret;

use super::child::{self, ChildAsk, Failure, NONCE, Want, Within};
use super::child_answer::{self, Half};
use super::followup::{self, Asked};
use super::rekey_ike;
use super::view::View;
use crate::action::Action;
use crate::child::{Child, Life};
use crate::context::Context;
use crate::crypto::Group;
use crate::event::Code;
use crate::input::IkeId;
use crate::part::collision::{self, Verdict};
use crate::part::resources;
use crate::state::established::{Doing, Established, Rival, Task};
use crate::wire::{ExchangeType, Notify, NotifyType, Payload, ProposalSpi, ProtocolId};

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
    pub(super) fn of(failure: &Failure) -> Self {
        if failure.notify == NotifyType::InvalidSyntax { Self::Ends } else { Self::Stays }
    }
}

/// Asks for a new child.
pub(crate) fn ask_new(this: &mut Established, ctx: &mut Context<'_>, want: Want) {
    send_ask(this, ctx, want, None, None, true);
}

/// Asks for a child's successor.
pub(crate) fn ask_rekey(this: &mut Established, ctx: &mut Context<'_>, old: Spi) {
    let standing = |child: &&mut Child| child.life == Life::Standing;
    if this.pending.as_ref().is_some_and(|pending| pending.replaces(old)) {
        // The peer is making the same.
        let again = Established::again(ctx);
        this.child(old).filter(standing).into_iter().for_each(|child| child.soft = Some(again));
        return;
    }
    let Some(child) = this.child(old).filter(standing) else { return };
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

pub(super) fn failed(this: &Established, ctx: &mut Context<'_>, what: &str, failure: &Failure) {
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

type Accepted = (crate::child::ChildSa, Child, [u8; NONCE]);

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
        NotifyType::TemporaryFailure | NotifyType::StateNotFound => {
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
    // One thing after the other: what the peer began before and did not end it has given up.
    followup::forget(this, ctx);
    let is_ike =
        view.sa().is_some_and(|sa| sa.proposals.iter().any(|proposal| proposal.protocol == ProtocolId::Ike));
    if is_ike {
        return rekey_ike::respond(this, ctx, view);
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

pub(super) fn temporary(text: &str) -> Failure {
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
    let (mut payloads, half) = answer(this, ctx, view, None)?;
    if let Some(more) = half.additional() {
        payloads.push(later(this, ctx, more, half, None));
        return Ok(payloads);
    }
    let secrets: Vec<Secret> = half.secret.clone().into_iter().collect();
    let (sa, child) = half.whole(ctx, &this.sa, &this.parties(), &secrets)?;
    this.install(ctx, sa, child);
    Ok(payloads)
}

fn answer(
    this: &Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
    only: Option<&Want>,
) -> Result<(Vec<Payload<'static>>, Half), Failure> {
    let Some(nonce) = view.nonce() else {
        return Err(Failure::new(NotifyType::InvalidSyntax, "the request lacks a nonce"));
    };
    let how = (Within::Create(None), nonce.octets(), &[][..]);
    child_answer::answer(ctx, &this.sa, &this.parties(), view, only, how)
}

/// Key exchanges are left; the child is made with the last one.
fn later(
    this: &mut Established,
    ctx: &mut Context<'_>,
    (first, more): (Secret, VecDeque<Group>),
    half: Half,
    old: Option<Spi>,
) -> Payload<'static> {
    followup::hold(this, ctx, more, first, Asked::Child { half, old })
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
    let (mut payloads, half) = answer(this, ctx, view, want.as_ref())?;
    if let Some(more) = half.additional() {
        if in_use == Life::Rekeying {
            ctx.shared.release_spi(half.inbound());
            return Err(temporary("we are rekeying the child ourselves"));
        }
        payloads.push(later(this, ctx, more, half, Some(old)));
        return Ok(payloads);
    }
    let lowest = half.lowest();
    let secrets: Vec<Secret> = half.secret.clone().into_iter().collect();
    let (mut sa, child) = half.whole(ctx, &this.sa, &this.parties(), &secrets)?;
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
pub(crate) fn successor_ready(this: &mut Established, ctx: &mut Context<'_>, old: Spi) {
    let replaced = |child: &&Child| child.inbound == old && child.life != Life::Standing;
    let Some(gone) = this.children.iter().find(replaced) else { return };
    let (name, resource) = (gone.policy.name.clone(), gone.resource);
    let successors = this.children.iter_mut().filter(|child| {
        child.life == Life::Standing
            && child.inbound != old
            && (&child.policy.name, child.resource) == (&name, resource)
    });
    for child in successors {
        child.waits = false;
        ctx.act(Action::UseChild { inbound: child.inbound });
    }
}
