//! Answers to what an earlier run of this process asked for: the private half of its key exchange went with it.

use std::sync::Arc;

use ravelin_contract::sa::Spi;

use super::child::Want;
use super::view::View;
use crate::child::Life;
use crate::context::Context;
use crate::state::established::{Doing, Established, Task};
use crate::wire::{Delete, ExchangeType, NotifyType, Payload, ProtocolId};

/// The peer may have made the child. Then it is told to delete it, and what it was to replace gets another successor:
/// to the peer it is replaced, and cannot be rekeyed any more.
pub(crate) fn answered(
    this: &mut Established,
    ctx: &mut Context<'_>,
    inbound: Spi,
    old: Option<Spi>,
    view: View<'_>,
) {
    // With key exchanges left to do (RFC 9370) it has made nothing yet.
    let made = view.error().is_none()
        && (view.sa().is_some() || view.ke().is_some())
        && !view.has(NotifyType::AdditionalKeyExchange);
    if made {
        this.tasks.push_front(Task::DeleteForgotten(inbound));
    }
    let again = Established::again(ctx);
    let Some(child) = old.and_then(|old| this.child(old)) else { return };
    if !made {
        child.life = Life::Standing;
        child.soft = Some(again);
        return;
    }
    let want = Want { child: Arc::clone(&child.policy), flow: None, resource: child.resource };
    let old = child.inbound;
    this.replaced(ctx.now, old);
    if !this.has_successor(old) {
        this.tasks.push_front(Task::NewChild(want));
    }
}

/// Asks the peer to delete a child that only it has.
pub(crate) fn ask_delete(this: &mut Established, ctx: &mut Context<'_>, inbound: Spi) {
    let delete = Delete::Children { protocol: ProtocolId::Esp, spis: vec![inbound.get()] };
    this.sa.request(ctx, ExchangeType::Informational, &[Payload::Delete(delete)]);
    this.doing = Some(Doing::DeleteChildren(vec![inbound]));
}
