//! NAT keepalives (RFC 3948 2.3, 4): one octet over UDP, so that the mapping stays while an SA has nothing to send.

use super::outer::Carried;
use super::sa::OutboundSa;
use crate::clock::Now;
use crate::frame::Pool;
use crate::packet::{Batch, Decision, Origin, Packet, PortIndex};
use crate::port::HEADROOM;
use crate::wire::udp;

/// The payload.
const KEEPALIVE: u8 = 0xff;
/// Octets of the datagram.
const LENGTH: usize = udp::HEADER + 1;
/// What its header has, where the SA copies from inner packets.
const ALONE: Carried = Carried { traffic_class: 0, hop_limit: 64, dont_fragment: false };

/// Appends a keepalive to `batch` for each SA that has been idle for its interval, as far as frames and room go; the rest
/// comes at the next call. They are ours, need no filter, and wait for a route like any sealed packet.
///
/// One worker per SA asks, or each of them sends one.
pub fn keepalives<'a>(
    sas: impl Iterator<Item = &'a OutboundSa>,
    batch: &mut Batch,
    pool: &mut Pool,
    now: Now,
) {
    for sa in sas {
        let Some((ports, _)) = sa.keepalive().filter(|(_, due)| now >= *due) else { continue };
        if batch.packets.is_full() {
            return;
        }
        let Some(packet) = keepalive(sa, ports, pool) else { return };
        batch.packets.push(packet);
        sa.sent.touch(now);
    }
}

fn keepalive(sa: &OutboundSa, ports: (u16, u16), pool: &mut Pool) -> Option<Packet> {
    let mut frame = pool.take()?;
    let header_len = sa.outer.len();
    if frame.place(HEADROOM, header_len + LENGTH).is_none() {
        pool.give(frame);
        return None;
    }
    let (source, destination) = sa.endpoints();
    let (octets, datagram_at) = (frame.bytes_mut(), header_len);
    octets[datagram_at + udp::HEADER] = KEEPALIVE;
    let headers = sa.outer.write(octets, ALONE, 0);
    udp::write_header(&mut octets[datagram_at..], ports, source, destination);
    let packet = Packet::new(frame, headers, PortIndex(0), Origin::OwnExempt);
    Some(Packet { decision: Decision::Clear, ..packet })
}
