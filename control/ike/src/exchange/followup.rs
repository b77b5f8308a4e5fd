//! IKE_FOLLOWUP_KE (RFC 9370 2.2.4): additional key exchanges after CREATE_CHILD_SA, each in an exchange of its own. What was asked
//! for is made with the last one, out of all secrets.

use std::collections::VecDeque;

use ravelin_contract::sa::Spi;
use ravelin_contract::secret::Secret;

use super::child::Failure;
use super::child_answer::{self, Half};
use super::create_child::{Outcome, failed, temporary};
use super::rekey_ike;
use super::view::View;
use crate::context::Context;
use crate::crypto::Group;
use crate::part::agreement::Share;
use crate::random;
use crate::sealed::Plain;
use crate::state::established::{Doing, Established, GRACE};
use crate::time::Time;
use crate::wire::{
    Content, ExchangeType, GroupId, Notify, NotifyType, Payload, SecurityAssociation, TransformId,
};

/// We asked, and key exchanges are left before the answer can be read.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The answer to CREATE_CHILD_SA.
    answer: Plain,
    secrets: Vec<Secret>,
    share: Share,
    more: VecDeque<Group>,
}

/// What an answer leads to.
pub(crate) enum Next {
    /// It is to be read.
    Read,
    /// Another exchange is on its way.
    Waits,
    /// All secrets are there, and this earlier answer is to be read.
    Whole(Plain),
    /// It makes no sense, and why.
    Broken(String),
}

/// Takes the answer to a request that may go on in further exchanges.
pub(crate) fn take(this: &mut Established, ctx: &mut Context<'_>, view: View<'_>, plain: &Plain) -> Next {
    match this.chain.take() {
        Some(chain) => go_on(this, ctx, *chain, view),
        None if view.error().is_some() || !this.doing.as_ref().is_some_and(Doing::makes_keys) => Next::Read,
        None => match view.sa().and_then(additional) {
            None => Next::Broken("the peer chose an additional key exchange that nobody knows".into()),
            Some(groups) if groups.is_empty() => Next::Read,
            Some(groups) => ask(this, ctx, (plain.clone(), Vec::new()), groups, view),
        },
    }
}

/// The additional key exchanges that were chosen, in their order; none at all when one of them is not known.
fn additional(chosen: &SecurityAssociation) -> Option<VecDeque<Group>> {
    let transforms = chosen.proposals.iter().flat_map(|proposal| &proposal.transforms);
    let mut groups = Vec::new();
    for transform in transforms {
        if let TransformId::AdditionalGroup(slot, id) = transform.id
            && id != GroupId::None
        {
            groups.push((slot.index(), Group::from_id(id)?));
        }
    }
    groups.sort_unstable_by_key(|(slot, _)| *slot);
    Some(groups.into_iter().map(|(_, group)| group).collect())
}

fn ask(
    this: &mut Established,
    ctx: &mut Context<'_>,
    (answer, secrets): (Plain, Vec<Secret>),
    mut more: VecDeque<Group>,
    view: View<'_>,
) -> Next {
    let (Some(Content::AdditionalKeyExchange(link)), Some(group)) =
        (view.content(NotifyType::AdditionalKeyExchange), more.pop_front())
    else {
        return Next::Broken("the peer chose additional key exchanges and does not say how to go on".into());
    };
    let share = match Share::new(group, ctx.random) {
        Ok(share) => share,
        Err(error) => return Next::Broken(error.to_string()),
    };
    let link = Payload::Notify(Content::AdditionalKeyExchange(link).notify());
    this.sa.request(ctx, ExchangeType::FollowupKe, &[share.payload(), link]);
    this.chain = Some(Box::new(Chain { answer, secrets, share, more }));
    Next::Waits
}

fn go_on(this: &mut Established, ctx: &mut Context<'_>, chain: Chain, view: View<'_>) -> Next {
    if view.error().is_some() {
        return Next::Read;
    }
    let Chain { answer, mut secrets, share, more } = chain;
    let group = share.group();
    match share.agree(group, view.ke()) {
        Ok(secret) => secrets.push(secret),
        Err(refused) => return Next::Broken(refused.to_string()),
    }
    if !more.is_empty() {
        return ask(this, ctx, (answer, secrets), more, view);
    }
    match &mut this.doing {
        Some(Doing::NewChild(flight) | Doing::RekeyChild { ask: flight, .. }) => flight.ask.more = secrets,
        Some(Doing::RekeyIke { ask, .. }) => ask.more = secrets,
        _ => {}
    }
    Next::Whole(answer)
}

/// The peer asked, and key exchanges are left before what it asked for is made.
#[derive(Debug)]
pub(crate) struct Pending {
    /// What the peer's next request must carry.
    link: [u8; 16],
    more: VecDeque<Group>,
    /// The first exchange's, and those since.
    secrets: Vec<Secret>,
    /// The peer has given it up by then.
    pub(crate) until: Time,
    what: Asked,
}

/// What it asked for.
#[derive(Debug)]
pub(crate) enum Asked {
    /// A child, and the one that it replaces.
    Child { half: Half, old: Option<Spi> },
    /// The IKE SA's successor.
    Ike(rekey_ike::Half),
}

impl Pending {
    /// Whether it will replace this child.
    pub(crate) fn replaces(&self, child: Spi) -> bool {
        matches!(self.what, Asked::Child { old, .. } if old == Some(child))
    }
}

/// Keeps what lacks keys until the peer goes on. Gives the notification that says how.
pub(crate) fn hold(
    this: &mut Established,
    ctx: &mut Context<'_>,
    more: VecDeque<Group>,
    first: Secret,
    what: Asked,
) -> Payload<'static> {
    let link = random::array(ctx.random);
    let pending = Pending { link, more, secrets: vec![first], until: ctx.now + GRACE, what };
    this.pending = Some(Box::new(pending));
    notify(&link)
}

fn notify(link: &[u8]) -> Payload<'static> {
    Payload::Notify(Content::AdditionalKeyExchange(link).notify())
}

/// The peer has given up what it began, or the IKE SA ends.
pub(crate) fn forget(this: &mut Established, ctx: &mut Context<'_>) {
    this.pending.take().into_iter().for_each(|pending| release(ctx, &pending));
}

fn release(ctx: &mut Context<'_>, pending: &Pending) {
    if let Asked::Child { half, .. } = &pending.what {
        ctx.shared.release_spi(half.inbound());
    }
}

/// Answers the peer's next key exchange.
pub(crate) fn respond(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> (Vec<Payload<'static>>, Outcome) {
    let said = match view.content(NotifyType::AdditionalKeyExchange) {
        Some(Content::AdditionalKeyExchange(link)) => link,
        _ => &[],
    };
    let Some(mut pending) = this.pending.take_if(|pending| pending.link == said) else {
        let refusal = Notify::new(NotifyType::StateNotFound, Vec::new());
        return (vec![Payload::Notify(refusal)], Outcome::Stays);
    };
    let answered = match pending.more.pop_front() {
        Some(group) => child_answer::key_exchange(ctx, group, view.ke()),
        None => Err(Failure::new(NotifyType::InvalidSyntax, "no key exchange is left")),
    };
    let (share, secret) = match answered {
        Ok(answered) => answered,
        Err(failure) => {
            release(ctx, &pending);
            return refuse(this, ctx, &failure);
        }
    };
    pending.secrets.push(secret);
    if pending.more.is_empty() {
        return match finish(this, ctx, *pending) {
            Ok(outcome) => (vec![share], outcome),
            Err(failure) => refuse(this, ctx, &failure),
        };
    }
    pending.link = random::array(ctx.random);
    let payloads = vec![share, notify(&pending.link)];
    this.pending = Some(pending);
    (payloads, Outcome::Stays)
}

fn refuse(this: &Established, ctx: &mut Context<'_>, failure: &Failure) -> (Vec<Payload<'static>>, Outcome) {
    if failure.notify != NotifyType::TemporaryFailure {
        failed(this, ctx, "the peer's additional key exchange", failure);
    }
    (vec![failure.payload()], Outcome::of(failure))
}

/// The last secret is there.
fn finish(this: &mut Established, ctx: &mut Context<'_>, pending: Pending) -> Result<Outcome, Failure> {
    match pending.what {
        Asked::Ike(_) if this.doing.as_ref().is_some_and(Doing::is_about_children) => {
            Err(temporary("a child is being made, rekeyed or closed"))
        }
        Asked::Ike(half) => rekey_ike::take_over(this, ctx, half, &pending.secrets),
        Asked::Child { half, old } => {
            let (mut sa, child) = half.whole(ctx, &this.sa, &this.parties(), &pending.secrets)?;
            if let Some(old) = old {
                sa.replaces = Some(old);
                sa.use_at_once = false;
            }
            this.install(ctx, sa, child);
            old.into_iter().for_each(|old| this.replaced(ctx.now, old));
            Ok(Outcome::Stays)
        }
    }
}
