//! Who is at the other ends of SAs, as rules for some peers alone ask it (row B18).

use ravelin_contract::identity::IdentityId;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::selector::FlowKey;
use ravelin_lookup::filters::Peer;
use ravelin_lookup::judge::Peers;

use crate::table::Tables;

/// For one packet.
pub(super) struct Ends<'a> {
    pub(super) tables: &'a Tables,
    pub(super) worker: usize,
    /// Position of the SA that opened it.
    pub(super) sa: Option<u32>,
}

impl Peers for Ends<'_> {
    fn sender(&self, _: TunnelId, identities: &[IdentityId]) -> Peer {
        match self.sa {
            Some(sa) if meet(self.tables.sas.inbound_identities(sa), identities) => Peer::Meant,
            Some(_) => Peer::Other,
            None => Peer::Absent,
        }
    }

    fn receiver(&self, tunnel: TunnelId, flow: &FlowKey, identities: &[IdentityId]) -> Peer {
        let worker = u16::try_from(self.worker).unwrap_or(u16::MAX);
        match self.tables.sas.outbound_entry(tunnel, worker, flow) {
            Some(sa) if meet(&sa.identities, identities) => Peer::Meant,
            Some(_) => Peer::Other,
            None => Peer::Absent,
        }
    }
}

fn meet(known: &[IdentityId], wanted: &[IdentityId]) -> bool {
    wanted.iter().any(|one| known.binary_search(one).is_ok())
}
