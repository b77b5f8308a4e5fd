//! Between IP packets of a batch and segments of the splice.

use std::net::IpAddr;

use ravelin_contract::selector::{FlowKey, protocol};
use ravelin_splice::{Answer, Arrival, Endpoint, Ends};

use super::memory::Slot;
use crate::frame::{Frame, Pool};
use crate::packet::Packet;
use crate::port::HEADROOM;
use crate::wire::ip::{self, Headers, IPV4_HEADER, IPV6_HEADER};
use crate::wire::{ipv4, ipv6};

/// Octets that every host takes, in one piece or several (RFC 791 3.1).
const ANY_PATH: usize = 576;
/// What hosts begin with.
const HOP_LIMIT: u8 = 64;

/// Who sent a TCP segment, and for whom it is; ports that were not seen are none.
pub(super) fn ends(flow: &FlowKey) -> Option<(Endpoint, Endpoint)> {
    let (source, destination) = flow.upper?;
    Some(((flow.source, source), (flow.destination, destination)))
}

/// A number of a connection that is the same for every worker, and seen from either end.
pub(super) fn hash(from: Endpoint, to: Endpoint) -> u64 {
    // Odd, with half of its bits set, so that all bits of an end count.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let mix = |(address, port): Endpoint| {
        let address = match address {
            IpAddr::V4(address) => address.to_bits().into(),
            IpAddr::V6(address) => address.to_bits(),
        };
        let word = (address >> 64) as u64 ^ (address as u64).rotate_left(16) ^ u64::from(port);
        word.wrapping_mul(SPREAD).rotate_left(31).wrapping_mul(SPREAD)
    };
    mix(from).wrapping_add(mix(to)) >> 32
}

/// The flow of packets from one end to the other.
pub(super) fn flow(from: Endpoint, to: Endpoint) -> FlowKey {
    FlowKey { source: from.0, destination: to.0, protocol: protocol::TCP, upper: Some((from.1, to.1)) }
}

/// The segment of a packet, with the frame that it lies in; `packet` keeps `stand_in`.
pub(super) fn arrival(packet: &mut Packet, stand_in: Frame, answer: Answer) -> Arrival<Slot> {
    let at = packet.frame.headroom() + usize::from(packet.ip.header_len);
    let len = packet.ip.total_len.saturating_sub(packet.ip.header_len);
    let frame = Slot(std::mem::replace(&mut packet.frame, stand_in));
    // Both lie within the slot, which is shorter than 65,536 octets.
    let FlowKey { source, destination, .. } = packet.ip.flow;
    Arrival { frame, at: at as u16, len, source, destination, answer }
}

/// A packet of its own for a segment. The segment is copied: its frame stays with the splice until it is acknowledged,
/// while stages may put headers before this one, or fragment it.
pub(super) fn packet(
    segment: &[u8],
    ends: Ends,
    identification: u16,
    pool: &mut Pool,
) -> Option<(Frame, Headers)> {
    let mut frame = pool.take()?;
    match write(&mut frame, segment, ends, identification) {
        Some(headers) => Some((frame, headers)),
        None => {
            pool.give(frame);
            None
        }
    }
}

fn write(frame: &mut Frame, segment: &[u8], ends: Ends, identification: u16) -> Option<Headers> {
    let (local, remote) = (ends.local().0, ends.remote().0);
    let header = if local.is_ipv4() { IPV4_HEADER } else { IPV6_HEADER };
    frame.place(HEADROOM, header + segment.len())?;
    let octets = frame.bytes_mut();
    octets[header..].copy_from_slice(segment);
    match (local, remote) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => ipv4::Header {
            traffic_class: 0,
            total_len: octets.len() as u16,
            identification,
            // Larger ones find out what the path takes (RFC 1191); what every path should take may be cut.
            dont_fragment: octets.len() > ANY_PATH,
            hop_limit: HOP_LIMIT,
            protocol: protocol::TCP,
            source,
            destination,
        }
        .write(octets.first_chunk_mut()?),
        (IpAddr::V6(source), IpAddr::V6(destination)) => ipv6::Header {
            traffic_class: 0,
            flow_label: 0,
            payload_len: segment.len() as u16,
            next_header: protocol::TCP,
            hop_limit: HOP_LIMIT,
            source,
            destination,
        }
        .write(octets.first_chunk_mut()?),
        _ => return None,
    }
    ip::parse(frame.bytes()).ok()
}
