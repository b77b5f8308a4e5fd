//! How large packets of a connection may be on their way: what routers say of it, and what our own links take.

use ravelin_contract::selector::protocol;
use ravelin_contract::verdict::Verdict;
use ravelin_splice::wire::seq::Seq;

use super::memory::Slots;
use super::{Means, Tls, at, segment};
use crate::packet::{Batch, Origin};
use crate::wire::icmp::SegmentTooBig;
use crate::wire::ip::long;

impl Tls {
    /// Takes in what routers say about the size of our segments (RFC 1191, RFC 8201): messages about connections that we
    /// end are for us, whoever they are addressed to, so filters are not asked. What they claim counts for segments in
    /// flight only, and down to a bound (RFC 5927 7.2).
    pub fn learn_path_mtu(&mut self, batch: &mut Batch, means: &mut Means<'_>) {
        if self.standing.is_empty() {
            return;
        }
        for packet in batch.travelling() {
            if !protocol::is_icmp(packet.ip.flow.protocol) || packet.sealed {
                continue;
            }
            let Some(claim) = SegmentTooBig::read(packet.frame.bytes(), &packet.ip) else { continue };
            let hash = segment::hash(claim.source, claim.destination);
            if !self.standing.may_hold(hash) {
                continue;
            }
            let owner = hash as usize % self.workers;
            if owner != usize::from(self.worker) {
                let handed = (means.hand)(owner, packet);
                packet.end(if handed { Verdict::HandedOff } else { Verdict::HandOffFull });
            } else if self.splice.is_open(claim.source, claim.destination) {
                let (ends, told) = ((claim.source, claim.destination), (claim.mtu, Seq(claim.seq)));
                self.splice.path_mtu(at(means.now), ends, told, &mut Slots(means.pool));
                packet.end(Verdict::PathMtuLearned);
            }
        }
    }

    /// Takes in which of our segments were too big for our own link or for the SA that should seal them.
    pub fn learn_own_mtu(&mut self, batch: &mut Batch, means: &mut Means<'_>) {
        for packet in &batch.packets {
            let (Origin::Spliced, Some(Verdict::TooBig)) = (packet.origin, packet.verdict) else { continue };
            if let (Some(ends), Some(mtu)) = (segment::ends(&packet.ip.flow), packet.outer_mtu) {
                let seq = long(packet.frame.bytes(), usize::from(packet.ip.header_len) + 4);
                self.splice.path_mtu(at(means.now), ends, (mtu, Seq(seq)), &mut Slots(means.pool));
            }
        }
    }
}
