//! The end of every packet's way: to a ring, to the host, or back to the pool, and counted once.

use ravelin_contract::verdict::Verdict;

use super::Worker;
use crate::frame::Frame;
use crate::packet::{Decision, Packet, PortIndex, Route};

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
        match outcome(&packet) {
            Ok(Exit::Port(port, passed)) => self.transmit(port, packet.frame, passed),
            Ok(Exit::Stack) => self.deliver(packet),
            Err(verdict) => {
                self.pool.give(packet.frame);
                verdict
            }
        }
    }

    fn transmit(&mut self, port: PortIndex, frame: Frame, passed: Verdict) -> Verdict {
        let length = frame.len() as u64;
        let trunk = self.wiring.trunk(port);
        match self.trunks[usize::from(trunk.0)].transmit(frame) {
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

    fn deliver(&mut self, packet: Packet) -> Verdict {
        let delivered = self.host.deliver(packet.frame.bytes(), packet.ingress);
        self.pool.give(packet.frame);
        if delivered { Verdict::Local } else { Verdict::NoLocalPath }
    }
}

/// How a packet leaves the worker.
enum Exit {
    /// By a port, by this right.
    Port(PortIndex, Verdict),
    /// To this host's own stack.
    Stack,
}

/// Where the packet leaves and by which right, or why it does not.
///
/// The last gate: whatever the stages did, nothing leaves in clear that the filters did not clear.
fn outcome(packet: &Packet) -> Result<Exit, Verdict> {
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
        Route::Via { port, .. } => Ok(Exit::Port(port, right)),
        // An SA whose other end is ourselves is a mistake.
        Route::Local if packet.sealed => Err(Verdict::NoLocalPath),
        Route::Local => Ok(Exit::Stack),
        Route::Unknown => Err(Verdict::NoRoute),
    }
}
