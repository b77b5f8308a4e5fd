//! One child SA for each worker core beside a shared one (RFC 9611): what is asked, who is bound to which, and how many.
//!
//! The first child of some traffic is the shared one: whoever has none of its own sends under it. Each side binds its own half
//! of every further child to a core of its own; the other side's core is nothing to it.

use std::sync::Arc;

use ravelin_contract::sa::Spi;

use crate::child::{Child, Life};
use crate::context::Context;
use crate::event::Code;
use crate::exchange::child::{Failure, Want};
use crate::exchange::view::View;
use crate::policy::{self, Traffic};
use crate::state::established::{Established, Task};
use crate::wire::{Notify, NotifyType, Payload};

/// What tells the peer that a child is one of several for the same traffic. The data is for people (RFC 9611 5.1).
pub(crate) fn announcement(child: &policy::Child, resource: Option<u16>) -> Option<Payload<'static>> {
    let name = resource.map_or("shared".to_owned(), |core| format!("core {core}"));
    let notify = Notify::new(NotifyType::SaResourceInfo, name.into_bytes());
    (child.per_resource.count > 0).then_some(Payload::Notify(notify))
}

/// What is to be held against a peer that does not speak of resources.
pub(crate) fn demand(child: &policy::Child, view: View<'_>) -> Result<(), Failure> {
    if child.per_resource.required && !view.has(NotifyType::SaResourceInfo) {
        let text = format!(
            "child {}: policy wants an SA for each core (RFC 9611), which the peer does not support",
            child.name
        );
        return Err(Failure::new(NotifyType::NoProposalChosen, text));
    }
    Ok(())
}

/// Our core for a child that the peer asks for: none for the first, then each in turn, and no more than we have.
pub(crate) fn bind(
    children: &[Child],
    child: &policy::Child,
    (local, remote): (&[Traffic], &[Traffic]),
    request: View<'_>,
) -> Result<Option<u16>, Failure> {
    demand(child, request)?;
    if child.per_resource.count == 0 || !request.has(NotifyType::SaResourceInfo) {
        return Ok(None);
    }
    let stands = |one: &&Child| matches!(one.life, Life::Standing | Life::Rekeying);
    let same = |one: &&Child| one.policy.name == child.name && *one.local == *local && *one.remote == *remote;
    let taken: Vec<_> = children.iter().filter(stands).filter(same).map(|one| one.resource).collect();
    let all = std::iter::once(None).chain((0..child.per_resource.count).map(Some));
    all.into_iter().find(|resource| !taken.contains(resource)).ok_or_else(|| {
        let text = format!("the peer wants more than {} children for the same traffic", taken.len());
        Failure::new(NotifyType::TsMaxQueue, text)
    })
}

/// Whether an SPI is one under which the packet process hands packets to the core: it shares them out by the remainder.
pub(crate) fn fits(spi: Spi, child: &policy::Child, resource: Option<u16>) -> bool {
    let count = u32::from(child.per_resource.count.max(1));
    resource.is_none_or(|core| spi.get() % count == u32::from(core))
}

/// The shared child stands: asks for the others, if the peer can.
pub(crate) fn spread(this: &mut Established, ctx: &mut Context<'_>, first: &Want, answer: View<'_>) {
    let count = first.child.per_resource.count;
    if first.resource.is_some() || count == 0 {
        return;
    }
    if !answer.has(NotifyType::SaResourceInfo) {
        let text = format!(
            "child {}: the peer has no SAs for each core (RFC 9611); one carries all",
            first.child.name
        );
        ctx.event(Code::PerCoreRefused, Some(&this.peer), this.sa.id, this.sa.path, text);
        return;
    }
    for core in 0..count {
        let want = Want { child: Arc::clone(&first.child), flow: first.flow, resource: Some(core) };
        this.push(Task::NewChild(want));
    }
}

/// Whether the peer refuses one more child for a core. Then no further ones are asked for: those that stand carry the traffic.
pub(crate) fn is_enough(this: &mut Established, want: &Want, failure: &Failure) -> bool {
    let enough = failure.notify == NotifyType::TsMaxQueue
        || (failure.notify == NotifyType::NoAdditionalSas && want.resource.is_some());
    if enough {
        let same = |other: &Want| other.child.name == want.child.name && other.resource.is_some();
        this.tasks.retain(|task| !matches!(task, Task::NewChild(other) if same(other)));
    }
    enough
}
