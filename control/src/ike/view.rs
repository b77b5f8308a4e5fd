//! What an operator sees of IKE.

use std::net::IpAddr;
use std::time::SystemTime;

use ravelin_contract::sa::Mode;
use ravelin_ike::policy::Traffic;
use ravelin_ike::status::{ChildStatus, Status};
use ravelin_ike::{Event, Time};
use serde::{Deserialize, Serialize};

use super::advice::remedy;

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
    /// Both SPIs, the initiator's first.
    pub spis: [String; 2],
    /// Whose address is changed on the way: `none`, `ours`, `the peer's`, `both`.
    pub nat: String,
    /// Algorithms.
    pub algorithms: String,
    /// Seconds since both had proved themselves.
    pub age_s: u64,
    /// Seconds since the peer was last heard of.
    pub heard_s: u64,
    /// Seconds until it gets new keys.
    pub rekey_in_s: Option<u64>,
    /// Seconds until everything is proved again.
    pub reauthenticate_in_s: Option<u64>,
    /// Addresses that our pool gave the peer.
    pub leased: Vec<String>,
    /// Addresses that the peer's pool gave us.
    pub assigned: Vec<String>,
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
    /// `tunnel` or `transport`.
    pub mode: String,
    /// Our worker core that sends under it; none for one that all share.
    pub core: Option<u16>,
    /// Traffic on our side.
    pub local: Vec<String>,
    /// Traffic on the peer's side.
    pub remote: Vec<String>,
}

/// One thing that IKE told.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Told {
    /// Seconds since 1970.
    pub time: u64,
    /// Stable code.
    pub code: String,
    /// The `[[peer]]`, where one is known.
    pub peer: Option<String>,
    /// Our SPI of the IKE SA, where there is one.
    pub ike: Option<String>,
    /// The peer's address, where there is one.
    pub remote: Option<String>,
    /// Why, in plain words.
    pub text: String,
    /// What to do about it, where it is a failure.
    pub remedy: Option<String>,
}

impl Told {
    pub(super) fn new(at: SystemTime, event: &Event) -> Self {
        Self {
            time: at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs(),
            code: event.code.as_str().to_owned(),
            peer: event.peer.as_ref().map(ToString::to_string),
            ike: event.ike.map(|ike| ike.to_string()),
            remote: event.remote.map(|remote| remote.to_string()),
            text: event.text.clone(),
            remedy: remedy(event.code).map(str::to_owned),
        }
    }
}

impl IkeSa {
    pub(super) fn new(status: Status, now: Time) -> Self {
        let until = |time: Option<Time>| time.map(|time| time.since(now).as_secs());
        Self {
            id: status.ike.to_string(),
            peer: status.peer.to_string(),
            identity: status.identity.to_string(),
            proof: status.proof.to_owned(),
            own_proof: status.own_proof.to_owned(),
            role: if status.initiator { "initiator" } else { "responder" }.to_owned(),
            local: status.path.local.to_string(),
            remote: status.path.remote.to_string(),
            spis: [status.spis.0, status.spis.1].map(|spi| format!("{spi:016x}")),
            nat: match (status.nat.here, status.nat.there) {
                (false, false) => "none",
                (true, false) => "ours",
                (false, true) => "the peer's",
                (true, true) => "both",
            }
            .to_owned(),
            algorithms: status.suite,
            age_s: now.since(status.proved).as_secs(),
            heard_s: now.since(status.heard).as_secs(),
            rekey_in_s: until(status.rekey),
            reauthenticate_in_s: until(status.reauthenticate),
            leased: addresses(&status.leased),
            assigned: addresses(&status.assigned),
            children: status.children.into_iter().map(ChildSa::from).collect(),
        }
    }
}

fn addresses(list: &[IpAddr]) -> Vec<String> {
    list.iter().map(IpAddr::to_string).collect()
}

impl From<ChildStatus> for ChildSa {
    fn from(child: ChildStatus) -> Self {
        Self {
            tunnel: child.name.to_string(),
            inbound_spi: child.inbound.to_string(),
            outbound_spi: child.outbound.to_string(),
            state: child.life.to_owned(),
            mode: match child.mode {
                Mode::Tunnel => "tunnel",
                Mode::Transport => "transport",
            }
            .to_owned(),
            core: child.resource,
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
