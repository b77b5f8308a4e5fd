//! What stands, for people and for the command.

use std::net::IpAddr;

use ravelin_contract::name::Name;
use ravelin_contract::sa::{Mode, Spi};

use crate::child::Life;
use crate::input::{IkeId, Path};
use crate::part::nat_detection::Nat;
use crate::policy::{Identity, Traffic};
use crate::sa::Role;
use crate::session::Session;
use crate::state::State;
use crate::time::Time;

/// One IKE SA that stands.
#[derive(Debug, Clone)]
pub struct Status {
    /// Its name.
    pub ike: IkeId,
    /// The rule it lives by.
    pub peer: Name,
    /// Who the peer proved to be.
    pub identity: Identity,
    /// How it proved that.
    pub proof: &'static str,
    /// How we proved who we are.
    pub own_proof: &'static str,
    /// Whether we began it.
    pub initiator: bool,
    /// Both SPIs, the initiator's first.
    pub spis: (u64, u64),
    /// Both ends.
    pub path: Path,
    /// NATs on the way.
    pub nat: Nat,
    /// Algorithms.
    pub suite: String,
    /// When both had proved themselves.
    pub proved: Time,
    /// When the peer was last heard of.
    pub heard: Time,
    /// When it gets new keys.
    pub rekey: Option<Time>,
    /// When everything is proved again.
    pub reauthenticate: Option<Time>,
    /// Addresses that our pool gave the peer.
    pub leased: Vec<IpAddr>,
    /// Addresses that the peer's pool gave us.
    pub assigned: Vec<IpAddr>,
    /// Children.
    pub children: Vec<ChildStatus>,
}

/// One child SA.
#[derive(Debug, Clone)]
pub struct ChildStatus {
    /// The operator's name.
    pub name: Name,
    /// SPI of what comes in.
    pub inbound: Spi,
    /// SPI of what goes out.
    pub outbound: Spi,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Traffic on our side.
    pub local: Vec<Traffic>,
    /// Traffic on the peer's side.
    pub remote: Vec<Traffic>,
    /// `standing`, `rekeying`, `replaced` or `deleting`.
    pub life: &'static str,
    /// Our worker core that sends under it (RFC 9611); none for a shared one.
    pub resource: Option<u16>,
}

impl Status {
    pub(crate) fn of(session: &Session) -> Option<Self> {
        let State::Established(state) = &session.state else { return None };
        let children = state.children.iter().map(|child| ChildStatus {
            name: child.policy.name.clone(),
            inbound: child.inbound,
            outbound: child.outbound,
            mode: child.mode,
            local: child.local.to_vec(),
            remote: child.remote.to_vec(),
            life: match child.life {
                Life::Standing => "standing",
                Life::Rekeying => "rekeying",
                Life::Replaced => "replaced",
                Life::Deleting => "deleting",
            },
            resource: child.resource,
        });
        Some(Self {
            ike: state.sa.id,
            peer: state.peer.name.clone(),
            identity: state.identity.clone(),
            proof: state.peer.demand.word(),
            own_proof: state.peer.proof.word(),
            initiator: state.sa.role == Role::Initiator,
            spis: (state.sa.initiator_spi, state.sa.responder_spi),
            path: state.sa.path,
            nat: state.sa.nat,
            suite: state.sa.suite.to_string(),
            proved: state.birth.proved,
            heard: state.clock.heard,
            rekey: state.clock.rekey,
            reauthenticate: state.clock.reauthenticate,
            leased: state.leased.clone(),
            assigned: state.assigned.clone(),
            children: children.collect(),
        })
    }
}
