//! Child SAs on their way to the packet process.

use std::num::NonZeroU64;

use ravelin_contract::child::{Bounds, Change, Child, ChildStatus, Inbound, Lifetime, Outbound, Path, Start};
use ravelin_contract::message::{Reply, Request};
use ravelin_contract::sa::Carrier;
use ravelin_ike::ChildSa;

use crate::io::dataplane::{Dataplane, LinkError};
use crate::policy::peers::Dress;

/// The contract's view of a child. `keepalive` are seconds.
pub(super) fn child(sa: &ChildSa, dress: &Dress, keepalive: u16) -> Child {
    Child {
        name: sa.name.clone(),
        tunnel: sa.name.clone(),
        mode: sa.mode,
        path: path(&sa.path, sa.udp, keepalive),
        extended_sequence: sa.extended_sequence,
        selectors: sa.outbound_selectors(),
        inbound: Inbound {
            spi: sa.inbound,
            transform: sa.inbound_transform.clone(),
            receiving: dress.receiving.clone(),
        },
        outbound: Outbound {
            spi: sa.outbound,
            transform: sa.outbound_transform.clone(),
            sending: dress.sending.clone(),
        },
        lifetime: lifetime(&sa.lifetime),
        start: if sa.use_at_once { Start::Sending } else { Start::Receiving },
    }
}

/// Where ESP of a child runs.
pub(super) fn path(path: &ravelin_ike::Path, udp: bool, keepalive: u16) -> Path {
    let carrier = match udp {
        true => Carrier::Udp { local_port: path.local.port(), remote_port: path.remote.port(), keepalive },
        false => Carrier::Ip,
    };
    Path { local: path.local.ip(), remote: path.remote.ip(), carrier }
}

/// The core keeps the time itself; the packet process counts octets and packets. Its hard bounds lie a quarter beyond.
fn lifetime(lifetime: &ravelin_ike::policy::Lifetime) -> Lifetime {
    let soft = Bounds {
        octets: lifetime.octets.and_then(NonZeroU64::new),
        packets: lifetime.packets.and_then(NonZeroU64::new),
        seconds: None,
    };
    let beyond = |bound: Option<NonZeroU64>| bound.map(|bound| bound.saturating_add(bound.get() / 4));
    let hard = Bounds {
        octets: beyond(soft.octets),
        packets: beyond(soft.packets),
        // In case that control is not there to end it.
        seconds: lifetime.hard.and_then(|hard| NonZeroU64::new(hard.as_secs())),
    };
    Lifetime { soft, hard }
}

/// The packet process, asked from a thread that may wait.
pub(super) struct Link {
    dataplane: Dataplane,
    runtime: tokio::runtime::Handle,
    incarnation: u64,
}

impl Link {
    pub(super) fn new(dataplane: Dataplane, runtime: tokio::runtime::Handle) -> Self {
        Self { dataplane, runtime, incarnation: 0 }
    }

    /// From now on keys are negotiated for this run of the packet process. Whether it is another than before.
    pub(super) fn meet(&mut self, incarnation: u64) -> bool {
        std::mem::replace(&mut self.incarnation, incarnation) != incarnation
    }

    pub(super) fn change(&self, changes: Vec<Change>) -> Result<(), LinkError> {
        let request = Request::ChangeChildren { incarnation: self.incarnation, changes };
        self.runtime.block_on(self.dataplane.ask(request)).map(drop)
    }

    /// The run that keys are negotiated for.
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// All negotiated SAs that the packet process has.
    pub(super) fn children(&self) -> Result<Vec<ChildStatus>, LinkError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let request = Request::ListChildren { after };
            let Reply::Children(list) = self.runtime.block_on(self.dataplane.ask(request))? else {
                return Err(LinkError::Unexpected("ListChildren"));
            };
            let Some(last) = list.last() else { return Ok(found) };
            after = Some(last.spi);
            found.extend(list);
        }
    }
}
