//! The start of every packet's way: from the rings of a trunk to the port whose packet it is.

use arrayvec::ArrayVec;
use ravelin_contract::verdict::Verdict;

use super::Worker;
use super::handoff::Passage;
use crate::frame::Frame;
use crate::packet::{BURST, Origin, Packet, PortIndex, Route};
use crate::port::HEADROOM;
use crate::wire::ethernet::{Header, ether_type};
use crate::wire::ip;
use crate::wiring::TrunkIndex;

/// Most packets of this host in one breath, so that they cannot crowd others out.
const OWN: usize = 8;

impl Worker {
    /// Takes one burst from a trunk. Returns whether there was anything.
    pub(super) fn receive(&mut self, trunk: TrunkIndex) -> bool {
        let mut frames: ArrayVec<Frame, BURST> = ArrayVec::new();
        self.trunks[usize::from(trunk.0)].receive(&mut self.pool, &mut frames);
        let any = !frames.is_empty();
        // Taken out one by one: as a value the whole list would be copied first, empty or not.
        for mut frame in frames.drain(..) {
            let octets = frame.len() as u64;
            let (port, entered) = self.enter(trunk, &mut frame);
            self.counters.port(port).received.add(1, octets);
            match entered {
                Ok(()) => self.admit(frame, port, Origin::Wire),
                Err(verdict) => self.refuse(frame, port, verdict),
            }
        }
        any
    }

    /// The port to which the frame belongs, and the link header taken off. What belongs to none is counted at the first
    /// port of its trunk.
    fn enter(&mut self, trunk: TrunkIndex, frame: &mut Frame) -> (PortIndex, Result<(), Verdict>) {
        let nobody = self.wiring.first(trunk);
        let Some(header) = Header::read(frame.bytes()) else { return (nobody, Err(Verdict::Malformed)) };
        let Some(port) = self.wiring.port(trunk, &header.tags) else {
            return (nobody, Err(Verdict::UnknownVlan));
        };
        (port, strip(frame, &header, self.mac(port)))
    }

    /// The link address of a port, once the kernel has told it.
    fn mac(&mut self, port: PortIndex) -> Option<[u8; 6]> {
        self.reader.current().port(port).map(|info| info.mac).filter(|mac| *mac != [0; 6])
    }

    /// Takes the packets that other workers gave to this one.
    pub(super) fn receive_handed_over(&mut self) -> bool {
        let mut any = false;
        while self.batch.packets.len() < BURST
            && let Some((frame, passage)) = self.post.receive(self.index, &mut self.pool, HEADROOM)
        {
            self.admit_handed_over(frame, passage);
            any = true;
        }
        any
    }

    /// What came under an SA of other tables cannot be said to have come by any tunnel.
    fn admit_handed_over(&mut self, frame: Frame, Passage { ingress, opened }: Passage) {
        let Some((sa, generation)) = opened else { return self.admit(frame, ingress, Origin::Wire) };
        if generation != self.reader.current().generation {
            return self.refuse(frame, ingress, Verdict::NoSuchSa);
        }
        let before = self.batch.packets.len();
        self.admit(frame, ingress, Origin::Wire);
        self.batch.packets[before..].iter_mut().for_each(|packet| packet.opened_by = Some(sa));
    }

    /// Takes a few packets of those that this host itself sends. One worker does, so that their order stays.
    pub(super) fn receive_from_host(&mut self) -> bool {
        let before = self.batch.packets.len();
        for _ in 0..if self.index == 0 { OWN } else { 0 } {
            let Some(frame) = self.host.receive(&mut self.pool, HEADROOM) else { break };
            let egress = self.egress(frame.bytes());
            self.admit(frame, egress, Origin::Own);
        }
        self.batch.packets.len() > before
    }

    /// The port by which a packet of this host leaves, where it is counted.
    fn egress(&mut self, packet: &[u8]) -> PortIndex {
        let forwarding = &self.reader.current().forwarding;
        let route = ip::parse(packet).ok().and_then(|headers| forwarding.route(headers.flow.destination));
        match route {
            Some(Route::Via { port, .. }) => port,
            _ => PortIndex(0),
        }
    }

    /// Reads the IP header; what has a sound one joins the batch.
    fn admit(&mut self, mut frame: Frame, ingress: PortIndex, origin: Origin) {
        match ip::parse(frame.bytes()) {
            Ok(headers) => {
                // Link padding goes; the packet is never longer than the frame.
                let trimmed = frame.place(frame.headroom(), headers.total_len.into());
                debug_assert!(trimmed.is_some(), "a packet longer than its frame");
                self.batch.packets.push(Packet::new(frame, headers, ingress, origin));
            }
            Err(verdict) => self.refuse(frame, ingress, verdict),
        }
    }

    fn refuse(&mut self, frame: Frame, ingress: PortIndex, verdict: Verdict) {
        self.counters.port(ingress).ended(verdict, frame.len() as u64);
        self.pool.give(frame);
    }
}

/// Takes the link header off. Frames for another station, which a promiscuous card gives us, are not ours to forward; while
/// our own address is not known, every frame may be one.
fn strip(frame: &mut Frame, header: &Header, own: Option<[u8; 6]>) -> Result<(), Verdict> {
    if own != Some(header.destination) {
        return Err(Verdict::OtherStation);
    }
    frame.trim_front(header.size()).ok_or(Verdict::Malformed)?;
    match header.ether_type {
        ether_type::IPV4 | ether_type::IPV6 => Ok(()),
        _ => Err(Verdict::NotIp),
    }
}
