//! The end of every packet's way: to a ring, or back to the pool, and counted once.

use ravelin_contract::verdict::Verdict;

use super::Worker;
use crate::packet::{Decision, Packet, Route};

impl Worker {
    /// Empties the batch, in order: taking from the front would move all the others each time.
    pub(super) fn finish(&mut self) {
        self.batch.packets.reverse();
        while let Some(packet) = self.batch.packets.pop() {
            let (ingress, octets) = (packet.ingress, u64::from(packet.ip.total_len));
            let verdict = self.send(packet);
            self.counters.port(ingress).ended(verdict, octets);
        }
    }

    fn send(&mut self, packet: Packet) -> Verdict {
        let length = packet.frame.len() as u64;
        let (port, passed) = match outcome(&packet) {
            Ok(outcome) => outcome,
            Err(verdict) => {
                self.pool.give(packet.frame);
                return verdict;
            }
        };
        let trunk = self.wiring.trunk(port);
        match self.trunks[usize::from(trunk.0)].transmit(packet.frame) {
            Ok(()) => {
                self.counters.port(port).sent.add(1, length);
                passed
            }
            Err(frame) => {
                self.pool.give(frame);
                Verdict::TransmitFull
            }
        }
    }
}

/// Where the packet leaves and by which right, or why it does not.
///
/// The last gate: whatever the stages did, nothing leaves in clear that the filters did not clear.
fn outcome(packet: &Packet) -> Result<(crate::packet::PortIndex, Verdict), Verdict> {
    if let Some(verdict) = packet.verdict {
        return Err(verdict);
    }
    let right = match (packet.sealed, packet.decision) {
        (true, _) => Verdict::Protected,
        (false, Decision::Clear) => Verdict::Forwarded,
        (false, Decision::Protect(_)) => return Err(Verdict::NoSa),
        (false, Decision::Pending) => return Err(Verdict::ImplicitlyDenied),
    };
    match packet.route {
        Route::Via { port, .. } => Ok((port, right)),
        Route::Local => Err(Verdict::NoLocalPath),
        Route::Unknown => Err(Verdict::NoRoute),
    }
}
