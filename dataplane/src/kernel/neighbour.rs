//! Makes the kernel resolve neighbours and keep those fresh that are in use.
//!
//! Packets of the workers never pass the kernel, so it would neither look for their next hops nor notice that they are
//! in use. `NTF_USE` tells it both: an unknown neighbour is asked for by ARP or ND, a stale one is confirmed.

use std::io;
use std::net::IpAddr;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use rtnetlink::packet_core::NLM_F_CREATE;

use super::mirror::Mirror;
use super::netlink::Asker;
use crate::forward::neighbour::{Ask, Asks};

/// Most questions taken in one turn of the thread.
const PER_TURN: usize = 64;

/// Hands the workers' questions to the kernel; `ports[i]` is the interface of port `i`.
pub(super) fn answer(asks: &Asks, ports: &[u32], mirror: &Mirror, asker: &mut Asker) -> io::Result<()> {
    for Ask { port, next_hop } in std::iter::from_fn(|| asks.pop()).take(PER_TURN) {
        let link = ports.get(usize::from(port.0)).copied().filter(|index| *index != 0);
        if let Some(link) = link.filter(|link| mirror.wants_use(*link, next_hop)) {
            asker.tell(use_of(link, next_hop), NLM_F_CREATE)?;
        }
    }
    Ok(())
}

fn use_of(link: u32, next_hop: IpAddr) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = next_hop.into();
    message.header.ifindex = link;
    message.header.flags = NeighbourFlags::Use;
    message.attributes.push(NeighbourAttribute::Destination(next_hop.into()));
    RouteNetlinkMessage::NewNeighbour(message)
}
