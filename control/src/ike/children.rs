//! Child SAs as the contract names them.

use std::num::NonZeroU64;

use ravelin_contract::child::{Bounds, Child, Inbound, Lifetime, Outbound, Path, Start};
use ravelin_contract::sa::Carrier;
use ravelin_ike::ChildSa;

use crate::policy::peers::Dress;
use crate::policy::whom::Whom;

/// The contract's view of a child. `keepalive` are seconds.
pub(super) fn child(sa: &ChildSa, dress: &Dress, whom: &Whom, keepalive: u16) -> Child {
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
        worker: sa.resource,
        identities: whom.fitting(&sa.identity),
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
