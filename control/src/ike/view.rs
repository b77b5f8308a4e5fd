//! What an operator sees of IKE.

use ravelin_ike::policy::Traffic;
use ravelin_ike::status::{ChildStatus, Status};
use serde::{Deserialize, Serialize};

/// One IKE SA that stands.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IkeSa {
    /// Our SPI of it.
    pub id: String,
    /// The `[[peer]]`.
    pub peer: String,
    /// Who the peer proved to be.
    pub identity: String,
    /// How it proved that: `certificate`, `shared key` or `EAP`.
    pub proof: String,
    /// How we proved who we are.
    pub own_proof: String,
    /// `initiator` or `responder`.
    pub role: String,
    /// Our end.
    pub local: String,
    /// The peer's end.
    pub remote: String,
    /// Algorithms.
    pub algorithms: String,
    /// Child SAs.
    pub children: Vec<ChildSa>,
}

/// One child SA.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ChildSa {
    /// The `[[tunnel]]`.
    pub tunnel: String,
    /// SPI of what comes in.
    pub inbound_spi: String,
    /// SPI of what goes out.
    pub outbound_spi: String,
    /// How far it is: standing, rekeying, replaced or deleting.
    pub state: String,
    /// Traffic on our side.
    pub local: Vec<String>,
    /// Traffic on the peer's side.
    pub remote: Vec<String>,
}

impl From<Status> for IkeSa {
    fn from(status: Status) -> Self {
        Self {
            id: status.ike.to_string(),
            peer: status.peer.to_string(),
            identity: status.identity.to_string(),
            proof: status.proof.to_owned(),
            own_proof: status.own_proof.to_owned(),
            role: if status.initiator { "initiator" } else { "responder" }.to_owned(),
            local: status.path.local.to_string(),
            remote: status.path.remote.to_string(),
            algorithms: status.suite,
            children: status.children.into_iter().map(ChildSa::from).collect(),
        }
    }
}

impl From<ChildStatus> for ChildSa {
    fn from(child: ChildStatus) -> Self {
        Self {
            tunnel: child.name.to_string(),
            inbound_spi: child.inbound.to_string(),
            outbound_spi: child.outbound.to_string(),
            state: child.life.to_owned(),
            local: child.local.iter().map(traffic).collect(),
            remote: child.remote.iter().map(traffic).collect(),
        }
    }
}

/// Such as `10.1.0.0/24` or `10.1.0.0/24 protocol 6 port 443`.
fn traffic(traffic: &Traffic) -> String {
    let mut text = traffic.addresses.to_string();
    if traffic.protocol != 0 {
        text += &format!(" protocol {}", traffic.protocol);
    }
    if !traffic.ports.is_all() {
        text += &format!(" port {}", traffic.ports);
    }
    text
}
