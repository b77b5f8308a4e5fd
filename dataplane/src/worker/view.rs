//! One generation as the stages ask about it.

use std::net::IpAddr;

use ravelin_contract::address::Family;
use ravelin_contract::child::Happening;
use ravelin_contract::message::Event;
use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::selector::{FlowKey, protocol};
use ravelin_contract::verdict::Verdict;

use super::handoff::{Passage, Post};
use crate::clock::Now;
use crate::esp::inbound;
use crate::esp::lookup::{End, Lookup};
use crate::esp::sa::{InboundSa, OutboundSa};
use crate::forward::size::{Paths, Room};
use crate::packet::{Batch, Decision, Packet, PortIndex, Route};
use crate::report::events::EventSink;
use crate::table::Tables;
use crate::wire::icmp::PathMtu;

/// The UDP port of ESP and IKE behind NAT (RFC 3948).
const NAT_TRAVERSAL: u16 = 4500;
/// Used where the way to a peer is not known: what every Ethernet carries.
const USUAL_MTU: u16 = 1500;

/// Tables and the time, as one worker sees them.
pub(super) struct View<'a> {
    tables: &'a Tables,
    now: Now,
    events: &'a EventSink,
    worker: u16,
}

impl<'a> View<'a> {
    pub(super) fn new(tables: &'a Tables, now: Now, events: &'a EventSink, worker: usize) -> Self {
        // There are no more workers than queues of a card.
        Self { tables, now, events, worker: worker as u16 }
    }

    /// Tells of ESP for SAs that are not there. Default filters know of none, so they say nothing.
    pub(super) fn tell_unknown(&self, batch: &Batch) {
        if self.tables.mode != FilterMode::Policy {
            return;
        }
        for packet in batch.packets.iter().filter(|packet| packet.verdict == Some(Verdict::NoSuchSa)) {
            if let Some((spi, ports)) = inbound::unknown(packet, self) {
                let FlowKey { source: remote, destination: local, .. } = packet.ip.flow;
                self.events.unknown_spi(self.now, Event::UnknownSpi { spi, local, remote, ports }, remote);
            }
        }
    }

    /// Asks control for the SAs that packets did not find.
    pub(super) fn acquire(&self, batch: &Batch) {
        for packet in batch.packets.iter().filter(|packet| packet.verdict == Some(Verdict::NoSa)) {
            if let Decision::Protect(tunnel) = packet.decision
                && let Some(name) = self.tables.policy.tunnel_name(tunnel)
            {
                self.events.acquire(self.now, tunnel, name, packet.ip.flow);
            }
        }
    }

    /// The time of the breath.
    pub(super) fn now(&self) -> Now {
        self.now
    }

    /// Whether a fragment may be part of an ESP packet to us, which must be whole before it is opened (RFC 4303 3.4.1).
    pub(super) fn may_hold_esp(&self, packet: &Packet) -> bool {
        matches!(packet.ip.flow.protocol, protocol::ESP | protocol::UDP)
            && self.is_local(packet.ip.flow.destination)
    }

    /// Takes in what routers say about the size of our sealed packets (RFC 4301 8.2.1).
    pub(super) fn learn_path_mtu(&self, batch: &mut Batch) {
        for packet in batch.travelling() {
            if !protocol::is_icmp(packet.ip.flow.protocol) || !self.is_local(packet.ip.flow.destination) {
                continue;
            }
            let Some(claim) = PathMtu::read(packet.frame.bytes(), &packet.ip) else { continue };
            if let Some(sa) = self.claimed(&claim) {
                sa.learn_path_mtu(claim.mtu, self.now);
                packet.end(Verdict::PathMtuLearned);
            }
        }
    }

    /// The SA that the quoted packet was sealed under; anybody can write such a message, so all of it must fit.
    fn claimed(&self, claim: &PathMtu) -> Option<&'a OutboundSa> {
        let sa = self.tables.sas.find_outbound(claim.spi, claim.destination)?;
        let fits = sa.endpoints() == (claim.source, claim.destination) && sa.udp_ports() == claim.ports;
        fits.then_some(sa)
    }

    /// Gives packets of SAs that other workers own to their owners.
    pub(super) fn hand_over(&self, batch: &mut Batch, post: &Post, worker: usize, workers: usize) {
        if workers == 1 {
            return;
        }
        for packet in batch.travelling() {
            let Some(spi) = inbound::spi(packet, self) else { continue };
            let owner = spi as usize % workers;
            if owner != worker {
                let sent = post.send(owner, Passage::by(packet.ingress), packet.frame.bytes());
                packet.end(if sent { Verdict::HandedOff } else { Verdict::HandOffFull });
            }
        }
    }
}

impl Lookup for View<'_> {
    fn inbound(&self, spi: u32, destination: IpAddr) -> Option<(u32, &InboundSa)> {
        self.tables.sas.find_inbound(spi, destination)
    }

    fn outbound(&self, tunnel: TunnelId, flow: &FlowKey) -> Option<&OutboundSa> {
        self.tables.sas.outbound(tunnel, self.worker, flow)
    }

    fn moved(&self, sa: &InboundSa, (remote, port): End) -> bool {
        self.events.moved(self.now, sa.spi(), sa.name(), Happening::PeerMoved { remote, port })
    }

    fn is_local(&self, address: IpAddr) -> bool {
        self.tables.forwarding.is_local(address)
    }

    fn carries_esp(&self, port: u16) -> bool {
        port == NAT_TRAVERSAL || self.tables.encapsulation_ports.contains(&port)
    }

    fn link_mtu(&self, towards: IpAddr) -> u16 {
        match self.tables.forwarding.route(towards) {
            Some(Route::Via { mtu, .. }) => mtu,
            _ => USUAL_MTU,
        }
    }
}

impl Paths for View<'_> {
    fn room(&self, packet: &Packet, link_mtu: u16) -> Option<Room> {
        let Decision::Protect(tunnel) = packet.decision else { return None };
        let sa = self.outbound(tunnel, &packet.ip.flow)?;
        Some(Room {
            inner_mtu: sa.inner_mtu(link_mtu, self.now),
            outer_mtu: sa.path_mtu(self.now),
            clamp_mss: sa.clamp_mss(),
        })
    }

    fn own_address(&self, port: PortIndex, family: Family) -> Option<IpAddr> {
        self.tables.forwarding.own_address(port, family)
    }
}
