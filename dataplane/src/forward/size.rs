//! Hop limits and sizes: what is too old ends, what is too big is cut or told of, and TCP is asked to stay small.

use std::net::IpAddr;

use ravelin_contract::address::Family;
use ravelin_contract::selector::protocol;
use ravelin_contract::verdict::Verdict;

use super::fragment;
use super::icmp_error::{self, Limiter};
use crate::clock::Now;
use crate::frame::Pool;
use crate::packet::{Batch, Decision, Origin, Packet, PortIndex, Route};
use crate::wire::icmp::Error;
use crate::wire::ip::{Fragment, long};
use crate::wire::{edit, tcp, udp};

/// How much may leave through an SA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Largest packet that still fits the path when sealed.
    pub inner_mtu: u16,
    /// The path's MTU, when it is known and less than the link's.
    pub outer_mtu: Option<u16>,
    /// Whether the MSS of TCP connections is held to `inner_mtu`.
    pub clamp_mss: bool,
}

/// What this stage asks of the tables.
pub trait Paths {
    /// The room of the SA that will seal `packet`, which leaves by a link of `link_mtu`. `None` when there is no such SA.
    fn room(&self, packet: &Packet, link_mtu: u16) -> Option<Room>;

    /// The address with which we speak through `port`.
    fn own_address(&self, port: PortIndex, family: Family) -> Option<IpAddr>;
}

/// What this stage uses up.
#[derive(Debug)]
pub struct Means<'a> {
    /// Time of the breath.
    pub now: Now,
    /// Frames for pieces and errors.
    pub pool: &'a mut Pool,
    /// Limit of the errors.
    pub limiter: &'a mut Limiter,
}

/// Makes packets with a next hop ready to leave.
///
/// Forwarded packets lose one hop, once, whether they will be sealed or not (RFC 4301 5.1.2.1). Packets that do not fit
/// are cut before sealing where IPv4 allows it; otherwise they end as `TooBig` and the sender is told the size that
/// fits (RFC 1191, RFC 8201, RFC 4301 8.2). Pieces and errors are appended to the batch, errors with an open route.
pub fn fit(batch: &mut Batch, paths: &impl Paths, means: &mut Means<'_>) {
    for index in 0..batch.packets.len() {
        let packet = &mut batch.packets[index];
        let Route::Via { mtu, port, .. } = packet.route else { continue };
        if !packet.travels() {
            continue;
        }
        let limit = Limit::of(packet, mtu, paths);
        packet.outer_mtu = limit.outer_mtu;
        match judge(packet, limit.size) {
            Ok(()) => pass(batch, index, limit, means.pool),
            Err((verdict, error)) => {
                packet.end(verdict);
                if let Error::TooBig { mtu } = error {
                    packet.outer_mtu = Some(mtu);
                }
                tell(batch, index, error, port, paths, means);
            }
        }
    }
}

/// Cuts sealed packets that are still larger than their path (RFC 4303 3.3.4).
///
/// That happens when an SA's path leaves less than the 1280 octets that every IPv6 path must carry, or the 576 of IPv4,
/// or when the route changed in between. The receiving gateway joins the pieces before it opens them.
pub fn cut_sealed(batch: &mut Batch, pool: &mut Pool) {
    for index in 0..batch.packets.len() {
        let packet = &mut batch.packets[index];
        let Route::Via { mtu, .. } = packet.route else { continue };
        let mtu = packet.outer_mtu.map_or(mtu, |outer| outer.min(mtu));
        if !packet.sealed || !packet.travels() || packet.ip.total_len <= mtu {
            continue;
        }
        let id = own_identification(packet);
        mark_own(packet, id);
        if let Err(verdict) = fragment::cut(batch, index, mtu, id, pool) {
            batch.packets[index].end(verdict);
        }
    }
}

/// What a packet may measure.
#[derive(Debug, Clone, Copy)]
struct Limit {
    size: u16,
    outer_mtu: Option<u16>,
    clamp_mss: bool,
}

impl Limit {
    fn of(packet: &Packet, link_mtu: u16, paths: &impl Paths) -> Self {
        let room = match packet.decision {
            Decision::Protect(_) => paths.room(packet, link_mtu),
            Decision::Pending | Decision::Clear => None,
        };
        match room {
            // What every path must carry is sealed as it is and cut afterwards (RFC 8200 5, RFC 2473 7.1).
            Some(Room { inner_mtu, outer_mtu, clamp_mss }) => {
                Self { size: inner_mtu.max(least_mtu(packet)), outer_mtu, clamp_mss }
            }
            None => Self { size: link_mtu, outer_mtu: None, clamp_mss: false },
        }
    }
}

fn least_mtu(packet: &Packet) -> u16 {
    if packet.ip.flow.source.is_ipv4() { 576 } else { 1280 }
}

fn is_forwarded(packet: &Packet) -> bool {
    packet.origin == Origin::Wire
}

fn judge(packet: &Packet, size: u16) -> Result<(), (Verdict, Error)> {
    if is_forwarded(packet) && packet.ip.hop_limit <= 1 {
        return Err((Verdict::HopLimitExceeded, Error::HopLimitExceeded));
    }
    if packet.ip.total_len > size && packet.ip.dont_fragment {
        return Err((Verdict::TooBig, Error::TooBig { mtu: size }));
    }
    Ok(())
}

fn pass(batch: &mut Batch, index: usize, limit: Limit, pool: &mut Pool) {
    let packet = &mut batch.packets[index];
    if is_forwarded(packet) {
        edit::decrement_hop_limit(packet.frame.bytes_mut());
        packet.ip.hop_limit -= 1;
    }
    if limit.clamp_mss {
        clamp(packet, limit.size);
    }
    if let Err(verdict) = fragment::cut(batch, index, limit.size, 0, pool) {
        batch.packets[index].end(verdict);
    }
}

/// Holds the MSS that a SYN, answered or not, announces to segments that fit `mtu` (RFC 6691 2: without options).
fn clamp(packet: &mut Packet, mtu: u16) {
    const TCP_HEADER: u16 = 20;
    if packet.ip.flow.protocol != protocol::TCP || packet.ip.fragment != Fragment::Whole {
        return;
    }
    let base = if packet.ip.flow.source.is_ipv4() { 20 } else { 40 };
    let segment = &mut packet.frame.bytes_mut()[packet.ip.header_len.into()..];
    tcp::clamp_mss(segment, mtu.saturating_sub(base + TCP_HEADER));
}

fn tell(
    batch: &mut Batch,
    index: usize,
    error: Error,
    egress: PortIndex,
    paths: &impl Paths,
    means: &mut Means<'_>,
) {
    let cause = &batch.packets[index];
    if !is_forwarded(cause) || batch.packets.is_full() {
        return;
    }
    // To a sender behind a tunnel we speak with the address of the protected side, which the tunnel's selectors mostly
    // hold; that of the ingress port is our security endpoint.
    let speaks = if cause.opened_by.is_some() { egress } else { cause.ingress };
    let Some(source) = paths.own_address(speaks, Family::of(cause.ip.flow.source)) else { return };
    let Means { now, pool, limiter } = means;
    if let Some(answer) = icmp_error::answer(cause, error, source, Origin::Own, *now, pool, limiter) {
        batch.packets.push(answer);
    }
}

/// Tells the pieces of one sealed packet from those of the next: SPI and sequence number come together only once.
fn own_identification(packet: &Packet) -> u32 {
    let carrier = if packet.ip.flow.protocol == protocol::UDP { udp::HEADER } else { 0 };
    let at = usize::from(packet.ip.header_len) + carrier;
    let octets = packet.frame.bytes();
    if octets.len() < at + 8 {
        return 0;
    }
    long(octets, at).wrapping_mul(0x9e37_79b1).wrapping_add(long(octets, at + 4))
}

/// We are the source of the outer packet, so its DF is ours to clear.
fn mark_own(packet: &mut Packet, id: u32) {
    edit::set_dont_fragment(packet.frame.bytes_mut(), false);
    edit::set_identification(packet.frame.bytes_mut(), id as u16);
    packet.ip.dont_fragment = packet.ip.flow.source.is_ipv6();
}

#[cfg(test)]
mod tests;
