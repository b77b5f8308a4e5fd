//! MOBIKE (RFC 4555): addresses that change, told by authentic messages only.

use std::net::IpAddr;

use super::view::View;
use crate::context::Context;
use crate::event::Code;
use crate::part::nat_detection::{self, Nat};
use crate::random;
use crate::sa::IkeSa;
use crate::state::established::{Doing, Established, Task};
use crate::wire::{Content, ExchangeType, Notify, NotifyType, Payload};

/// This host's address changed from `old` to `new` on the way to `remote`.
pub(crate) fn address_changed(
    this: &mut Established,
    ctx: &mut Context<'_>,
    old: IpAddr,
    new: IpAddr,
    remote: IpAddr,
) {
    let ends = (this.sa.path.local.ip(), this.sa.path.remote.ip());
    if ends != (old, remote) || old.is_ipv4() != new.is_ipv4() {
        return;
    }
    this.sa.path.local.set_ip(new);
    if this.features.mobike && this.birth.ours {
        // What is on the way goes out again from the new address at once; then the peer hears of it.
        this.sa.window.hurry(ctx.now);
        this.moved(ctx, "this host has another address");
        this.tasks.push_front(Task::UpdateAddresses);
    } else if this.features.mobike {
        this.moved(ctx, "this host has another address");
        this.push(Task::Probe);
    } else {
        let text = "this host has another address and the peer does not support MOBIKE: beginning anew";
        ctx.event(Code::Moved, Some(&this.peer), this.sa.id, this.sa.path, text);
        this.reauthenticate(ctx);
    }
}

/// Both NAT detection notifications for the path as we see it now.
pub(crate) fn detection(sa: &IkeSa) -> [Payload<'static>; 2] {
    let spis = (sa.initiator_spi, sa.responder_spi);
    let source = nat_detection::hash(spis, sa.path.local);
    let destination = nat_detection::hash(spis, sa.path.remote);
    [
        Payload::Notify(Content::NatDetectionSource(source).notify()),
        Payload::Notify(Content::NatDetectionDestination(destination).notify()),
    ]
}

/// Asks whether the peer lives. A NAT may have given us another address without our knowing: under MOBIKE only the initiator
/// may say so, and a peer that keeps to this follows nothing else (3.8).
pub(crate) fn ask_probe(this: &mut Established, ctx: &mut Context<'_>) {
    if this.features.mobike && this.sa.role == crate::sa::Role::Initiator && this.sa.nat.here {
        return ask_update(this, ctx);
    }
    this.doing = Some(Doing::Probe);
    this.sa.request(ctx, ExchangeType::Informational, &[]);
}

/// Tells the peer to use our new address (3.5).
pub(crate) fn ask_update(this: &mut Established, ctx: &mut Context<'_>) {
    let nonce: [u8; 16] = random::array(ctx.random);
    let mut payloads = vec![Payload::Notify(Notify::new(NotifyType::UpdateSaAddresses, Vec::new()))];
    payloads.extend(detection(&this.sa));
    payloads.push(Payload::Notify(Content::Cookie2(&nonce).notify()));
    this.sa.request(ctx, ExchangeType::Informational, &payloads);
    this.doing = Some(Doing::Addresses(nonce));
}

/// Checks that the peer answers where it says to be (3.7).
pub(crate) fn ask_check(this: &mut Established, ctx: &mut Context<'_>) {
    let nonce: [u8; 16] = random::array(ctx.random);
    this.sa.request(ctx, ExchangeType::Informational, &[Payload::Notify(Content::Cookie2(&nonce).notify())]);
    this.doing = Some(Doing::Addresses(nonce));
}

/// What an INFORMATIONAL request says of addresses, and the answer to it.
pub(crate) fn respond(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
) -> Vec<Payload<'static>> {
    let mut payloads = Vec::new();
    if view.has(NotifyType::UpdateSaAddresses) && this.features.mobike {
        if let Some(Content::NoNatsAllowed { source, .. }) = view.content(NotifyType::NoNatsAllowed)
            && source != (this.sa.arrived.remote.ip(), this.sa.arrived.remote.port())
        {
            return vec![Payload::Notify(Notify::new(NotifyType::UnexpectedNatDetected, Vec::new()))];
        }
        let changed = this.sa.path != this.sa.arrived;
        this.sa.path = this.sa.arrived;
        if detect(&mut this.sa, view) || changed {
            this.moved(ctx, "the peer has another address");
            this.push(Task::CheckAddress);
        }
    }
    let asks = view.has(NotifyType::NatDetectionSourceIp);
    if asks {
        payloads.extend(detection(&this.sa));
    }
    if let Some(Content::Cookie2(nonce)) = view.content(NotifyType::Cookie2) {
        payloads.push(Payload::Notify(Content::Cookie2(nonce).notify()));
    }
    payloads
}

/// Looks again where NATs are; whether that changed how ESP travels.
fn detect(sa: &mut IkeSa, view: View<'_>) -> bool {
    let spis = (sa.initiator_spi, sa.responder_spi);
    let sources = view.data(NotifyType::NatDetectionSourceIp);
    let destinations = view.data(NotifyType::NatDetectionDestinationIp);
    let ends = (sa.path.local, sa.path.remote);
    let Some(nat) = Nat::detect(spis, ends, &sources, &destinations) else { return false };
    let udp = sa.udp;
    sa.nat = nat;
    // Once in UDP, always in UDP: harmless, and a NAT that comes back finds it so.
    sa.udp |= nat.is_any();
    sa.udp != udp
}

/// The answer to [`ask_update`] or [`ask_check`].
pub(crate) fn confirmed(this: &mut Established, ctx: &mut Context<'_>, nonce: [u8; 16], view: View<'_>) {
    if let Some(NotifyType::UnacceptableAddresses | NotifyType::UnexpectedNatDetected) = view.error() {
        let text = "the peer does not accept the new address";
        ctx.event(Code::Moved, Some(&this.peer), this.sa.id, this.sa.path, text);
        this.push(Task::DeleteIke);
        return;
    }
    let returned =
        matches!(view.content(NotifyType::Cookie2), Some(Content::Cookie2(octets)) if octets == nonce);
    if !returned {
        ctx.event(
            Code::Malformed,
            Some(&this.peer),
            this.sa.id,
            this.sa.path,
            "COOKIE2 did not come back as it was sent",
        );
        this.push(Task::DeleteIke);
        return;
    }
    if detect(&mut this.sa, view) {
        this.moved(ctx, "a NAT has come between");
    }
}
