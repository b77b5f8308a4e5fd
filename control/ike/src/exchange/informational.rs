//! INFORMATIONAL (RFC 7296 1.4): deletes, notifications, liveness.

use std::net::IpAddr;

use ravelin_contract::sa::Spi;

use super::create_child;
use super::mobike;
use super::view::View;
use crate::action::Action;
use crate::child::Life;
use crate::context::{Context, Effect};
use crate::event::Code;
use crate::state::established::{Doing, Established};
use crate::state::initiated::Plan;
use crate::wire::{Content, Delete, ExchangeType, Gateway, NotifyType, Payload, ProtocolId};

/// What a request leads to.
pub(crate) enum Answer {
    /// The IKE SA goes on.
    Goes(Vec<Payload<'static>>),
    /// It is over, and why.
    Ends(&'static str),
}

/// Errors that end the IKE SA without a delete: who began it says so when it does not believe the answer (RFC 7296 2.21.2).
const FATAL: [(NotifyType, &str); 3] = [
    (NotifyType::AuthenticationFailed, "the peer does not believe who we are"),
    (NotifyType::InvalidSyntax, "our proof makes no sense to the peer"),
    (NotifyType::UnsupportedCriticalPayload, "our proof has what the peer does not know"),
];

/// Answers the peer's request.
pub(crate) fn respond(this: &mut Established, ctx: &mut Context<'_>, view: View<'_>) -> Answer {
    if view.deletes().any(|delete| *delete == Delete::Ike) {
        return Answer::Ends("the peer deleted the IKE SA");
    }
    if let Some((kind, why)) = FATAL.into_iter().find(|(kind, _)| view.has(*kind)) {
        let text = format!("the peer says {kind}: {why}");
        ctx.event(Code::AuthenticationFailed, Some(&this.peer), this.sa.id, this.sa.path, text);
        return Answer::Ends(why);
    }
    let mut payloads = Vec::new();
    let mut deleted = Vec::new();
    for delete in view.deletes() {
        if let Delete::Children { protocol: ProtocolId::Esp, spis } = delete {
            spis.iter().for_each(|spi| deleted.extend(delete_child(this, ctx, *spi)));
        }
    }
    if !deleted.is_empty() {
        payloads.push(Payload::Delete(Delete::Children { protocol: ProtocolId::Esp, spis: deleted }));
    }
    payloads.extend(mobike::respond(this, ctx, view));
    if let Some(Content::Redirect { gateway: Gateway::Address(gateway), .. }) =
        view.content(NotifyType::Redirect)
    {
        redirected(this, ctx, gateway);
    }
    Answer::Goes(payloads)
}

/// The peer deletes the child that sends to its SPI. Gives our SPI for the answer, unless we asked for the same
/// (RFC 7296 1.4.1 and 2.25.1).
fn delete_child(this: &mut Established, ctx: &mut Context<'_>, outbound: u32) -> Option<u32> {
    let Some(child) = this.children.iter().find(|child| child.outbound.get() == outbound) else {
        if let Some(Doing::NewChild(ask) | Doing::RekeyChild { ask, .. }) = &mut this.doing {
            ask.deleted(outbound);
        }
        return None;
    };
    let (inbound, life) = (child.inbound, child.life);
    if life == Life::Deleting {
        // Ours is on the way: its answer removes the child.
        return None;
    }
    create_child::successor_ready(this, ctx, inbound);
    this.drop_child(ctx, inbound, "the peer deleted it");
    Some(inbound.get())
}

/// Asks the peer to delete a child. We send nothing under it from now on.
pub(crate) fn ask_delete(this: &mut Established, ctx: &mut Context<'_>, inbound: Spi) {
    let Some(child) = this.child(inbound).filter(|child| child.life != Life::Deleting) else { return };
    let before = std::mem::replace(&mut child.life, Life::Deleting);
    if before == Life::Standing {
        let text = format!("child {} with SPI {inbound}: deleted", child.policy.name);
        ctx.event(Code::ChildDown, Some(&this.peer), this.sa.id, this.sa.path, text);
    }
    ctx.act(Action::StopSending { inbound });
    let delete = Delete::Children { protocol: ProtocolId::Esp, spis: vec![inbound.get()] };
    this.sa.request(ctx, ExchangeType::Informational, &[Payload::Delete(delete)]);
    this.doing = Some(Doing::DeleteChildren(vec![inbound]));
}

/// Sends the peer elsewhere (RFC 5685 5), if it said that it understands.
pub(crate) fn ask_redirect(this: &mut Established, ctx: &mut Context<'_>, gateway: IpAddr) {
    if !this.features.redirect {
        let text = "the peer does not understand redirects";
        ctx.event(Code::CommandRefused, Some(&this.peer), this.sa.id, this.sa.path, text);
        return;
    }
    let redirect = Content::Redirect { gateway: Gateway::Address(gateway), nonce: &[] };
    this.sa.request(ctx, ExchangeType::Informational, &[Payload::Notify(redirect.notify())]);
    this.doing = Some(Doing::Probe);
    ctx.event(
        Code::Redirected,
        Some(&this.peer),
        this.sa.id,
        this.sa.path,
        format!("sent the peer to {gateway}"),
    );
}

/// The gateway sends us elsewhere: a new IKE SA there, then this one ends. Only who began may be redirected.
fn redirected(this: &mut Established, ctx: &mut Context<'_>, gateway: IpAddr) {
    if !this.birth.ours || this.peer.initiate.is_none() {
        return;
    }
    ctx.event(
        Code::Redirected,
        Some(&this.peer),
        this.sa.id,
        this.sa.path,
        format!("the peer sends us to {gateway}"),
    );
    let mut remote = this.sa.path.remote;
    remote.set_ip(gateway);
    remote.set_port(500);
    let mut local = this.sa.path.local;
    local.set_port(500);
    ctx.out.push(Effect::Begin(Plan {
        peer: this.peer.clone(),
        ends: Some((local, remote)),
        wants: this.standing(),
        supersedes: Some(this.birth),
        redirects: 1,
        initial_contact: true,
        wishes: this.assigned.clone(),
    }));
}
