//! Peers and negotiated tunnels of the model into what IKE works by.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;

use ravelin_config::diagnostic::Collector;
use ravelin_contract::address::{AddressRange, NumberRange};
use ravelin_contract::name::Name;
use ravelin_contract::sa::{Mode, Receiving, Sending};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::{Selector, Upper};
use ravelin_ike::policy::{self, Child, Demand, Encapsulation, IdentityPattern, Proof, Start, Traffic};

use crate::policy::credential::{Ours, Proofs, SharedKey, Theirs};
use crate::policy::ike_settings::IkeSettings;
use crate::policy::keys::Keys;
use crate::policy::model::{Keying, Model, Negotiated, Peer, Ppk, Tunnel};

/// IKE's port (RFC 7296 2).
pub const PORT: u16 = 500;

/// Octets of an IKE message above which it goes in fragments (RFC 7383 2.5.1): what any IPv6 link takes.
const FRAGMENT_ABOVE: u16 = 1200;

/// What IKE negotiates by.
#[derive(Debug, Clone, Default)]
pub struct Ike {
    /// Peers and their children; a child has its tunnel's name.
    pub policy: Arc<policy::Policy>,
    /// What a tunnel's SAs look like, by its name.
    pub dress: BTreeMap<Name, Dress>,
    /// Seconds between two NAT keepalives; 0 for none.
    pub keepalive: u16,
}

/// What of a tunnel is not negotiated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dress {
    /// Outer headers and padding.
    pub sending: Sending,
    /// Anti-replay.
    pub receiving: Receiving,
}

/// Every peer with its children. `traffic` says what each negotiated tunnel is for; one that is missing is not used.
pub(super) fn compile(
    model: &Model,
    traffic: &HashMap<&Name, Vec<Selector>>,
    keys: &Keys,
    notes: &Collector,
) -> Option<Ike> {
    let mut children: HashMap<&Name, Vec<Arc<Child>>> = HashMap::new();
    let mut dress = BTreeMap::new();
    for tunnel in &model.tunnels {
        let Keying::Negotiated(negotiated) = &tunnel.keying else { continue };
        let (name, place) = &negotiated.peer;
        if model.broken_peers.contains(name) {
            continue;
        }
        let Some(peer) = model.peers.iter().find(|peer| peer.name == *name) else {
            notes.error(place.clone(), format!("there is no peer `{name}`"), "add a [[peer]] of that name");
            continue;
        };
        let Some(selectors) = traffic.get(&tunnel.name) else { continue };
        check_start(negotiated, peer, notes);
        children.entry(name).or_default().push(Arc::new(child(tunnel, negotiated, peer, selectors)));
        let receiving = Receiving { replay_window: tunnel.replay_window };
        dress.insert(tunnel.name.clone(), Dress { sending: tunnel.sending.clone(), receiving });
    }
    let mut peers = Vec::new();
    for peer in &model.peers {
        let proofs = proofs(&peer.proofs, keys, notes);
        let children = children.remove(&peer.name).unwrap_or_default();
        if children.is_empty() && !notes.has_errors() {
            let message = format!("no tunnel uses the peer `{}`", peer.name);
            notes.warning(peer.place.clone(), message, "name it in a tunnel that rules use, or remove it");
        }
        let ppk = match &peer.ppk {
            None => Some(None),
            Some(ppk) => keys.shared(&ppk.key.0, &ppk.key.1, notes).map(|key| Some(quantum(ppk, key))),
        };
        let whole = proofs.zip(ppk);
        peers.push(whole.map(|(proofs, ppk)| Arc::new(rule(peer, proofs, ppk, children))));
    }
    let peers = peers.into_iter().collect::<Option<_>>()?;
    let settings = model.ike.as_ref().map_or_else(IkeSettings::default, |(settings, _)| *settings);
    let retransmission = settings.retransmission;
    let policy = Arc::new(policy::Policy { peers, retransmission, ..Default::default() });
    Some(Ike { policy, dress, keepalive: settings.keepalive })
}

/// Somebody whose address is not known cannot be called.
fn check_start(negotiated: &Negotiated, peer: &Peer, notes: &Collector) {
    let ours = matches!(negotiated.start, Some(Start::AtOnce | Start::OnDemand | Start::OnCommand));
    if ours && end(peer).is_none() {
        let message = format!("peer `{}` may be anywhere, so only it can begin", peer.name);
        notes.error(
            negotiated.peer.1.clone(),
            message,
            "write start = \"remote\", or one address for the peer",
        );
    }
}

/// The peer's address, where it is one.
fn end(peer: &Peer) -> Option<std::net::IpAddr> {
    peer.remote.filter(|range| range.first() == range.last()).map(|range| range.first())
}

fn child(tunnel: &Tunnel, negotiated: &Negotiated, peer: &Peer, selectors: &[Selector]) -> Child {
    let fitting = if end(peer).is_some() { Start::OnDemand } else { Start::Remote };
    let (local, remote) = sides(selectors);
    Child {
        name: tunnel.name.clone(),
        local,
        remote,
        offers: vec![negotiated.offer.clone()],
        encapsulation: match tunnel.mode {
            Mode::Tunnel => Encapsulation::Tunnel,
            Mode::Transport => Encapsulation::Transport,
        },
        lifetime: negotiated.lifetime,
        start: negotiated.start.unwrap_or(fitting),
        narrowing: negotiated.narrowing,
        per_resource: negotiated.per_core,
    }
}

/// Each side's traffic, each once. IKE speaks of every pair of the two lists; rules still judge every packet.
fn sides(selectors: &[Selector]) -> (Vec<Traffic>, Vec<Traffic>) {
    let (mut local, mut remote) = (Vec::new(), Vec::new());
    for selector in selectors {
        let (protocol, source, destination) = match selector.upper {
            Upper::Any => (0, NumberRange::ALL, NumberRange::ALL),
            Upper::Protocol(protocol) => (protocol, NumberRange::ALL, NumberRange::ALL),
            Upper::Ports { protocol, source, destination } => (protocol, source, destination),
            // Types are not negotiated one by one: rules hold them apart.
            Upper::Icmp { protocol, .. } => (protocol, NumberRange::ALL, NumberRange::ALL),
        };
        let of = |addresses, ports| Traffic { addresses, protocol, ports };
        for (list, one) in
            [(&mut local, of(selector.source, source)), (&mut remote, of(selector.destination, destination))]
        {
            if !list.contains(&one) {
                list.push(one);
            }
        }
    }
    (local, remote)
}

fn quantum(ppk: &Ppk, key: &Secret) -> policy::Ppk {
    policy::Ppk { id: ppk.id.clone().into_bytes(), key: key.clone(), required: ppk.required }
}

/// Both sides' proofs with the secrets that they need.
fn proofs(proofs: &Proofs, keys: &Keys, notes: &Collector) -> Option<(Proof, Demand)> {
    let secret = |(name, place): &SharedKey| keys.shared(name, place, notes).cloned();
    let proof = match &proofs.ours {
        Ours::Shared(key) => secret(key).map(Proof::SharedKey),
        Ours::Certificate(pick, schemes) => {
            Some(Proof::Key { key: pick.to_string(), schemes: schemes.clone() })
        }
    };
    let demand = match &proofs.theirs {
        Theirs::Shared(key) => secret(key).map(Demand::SharedKey),
        Theirs::Certificate(trust) => Some(Demand::Certificate(trust.clone())),
    };
    proof.zip(demand)
}

fn rule(
    peer: &Peer,
    (proof, demand): (Proof, Demand),
    ppk: Option<policy::Ppk>,
    children: Vec<Arc<Child>>,
) -> policy::Peer {
    let at = |address| SocketAddr::new(address, PORT);
    policy::Peer {
        name: peer.name.clone(),
        local_addresses: vec![AddressRange::single(peer.local)],
        remote_addresses: peer.remote.into_iter().collect(),
        initiate: end(peer).map(|remote| (at(peer.local), at(remote))),
        local_identity: peer.local_identity.clone(),
        proof,
        remote_identity: peer.remote_identity.clone(),
        demand,
        ppk,
        offers: vec![peer.offer.clone()],
        lifetime: peer.lifetime,
        reauthenticate: peer.reauthenticate,
        liveness: peer.liveness,
        allow_nat: peer.allow_nat,
        force_udp: peer.force_udp,
        mobike: peer.mobike,
        fragment_above: FRAGMENT_ABOVE,
        request_address: false,
        lease: None,
        redirect_to: None,
        unique: peer.unique && peer.remote_identity != IdentityPattern::Any,
        children,
    }
}
