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
use ravelin_events::catalogue::{CHECK_UNREACHABLE, CHECK_UNUSED, FILE_NO_SUCH};
use ravelin_ike::policy::{
    self, Child, Demand, Encapsulation, IdentityPattern, Lease, Proof, Start, Traffic,
};

use crate::policy::credential::{Named, Ours, Proofs, SharedKey, Theirs};
use crate::policy::ike_settings::IkeSettings;
use crate::policy::keys::{Keys, Users};
use crate::policy::model::{Keying, Model, Negotiated, Peer, Ppk, Tunnel};
use crate::policy::whom::Whom;

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
    /// Who may log in at each peer by name and password.
    pub users: BTreeMap<Name, Users>,
    /// Seconds between two NAT keepalives; 0 for none.
    pub keepalive: u16,
    /// Which rules are for some peers alone.
    pub whom: Whom,
    /// Key rings that peers need.
    pub rings: Vec<Named>,
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
            notes.error(
                place.clone(),
                FILE_NO_SUCH.of(format!("there is no peer `{name}`")),
                "add a [[peer]] of that name",
            );
            continue;
        };
        let Some(selectors) = traffic.get(&tunnel.name) else { continue };
        check_start(negotiated, peer, notes);
        children.entry(name).or_default().push(Arc::new(child(tunnel, negotiated, peer, selectors)));
        let receiving = Receiving { replay_window: tunnel.replay_window };
        dress.insert(tunnel.name.clone(), Dress { sending: tunnel.sending.clone(), receiving });
    }
    let mut peers = Vec::new();
    let mut users = BTreeMap::new();
    for peer in &model.peers {
        let proofs = proofs(&peer.proofs, keys, notes);
        if let Theirs::Eap(log_in) = &peer.proofs.theirs
            && let Some((name, place)) = &log_in.users
        {
            users.extend(keys.users(name, place, notes).map(|users| (peer.name.clone(), Arc::clone(users))));
        }
        if let Ours::LogIn(log_in) = &peer.proofs.ours
            && end(peer).is_none()
        {
            log_in.cannot_be_called(notes);
        }
        let lease = lease(peer, model, notes);
        let children = children.remove(&peer.name).unwrap_or_default();
        if children.is_empty() && !notes.has_errors() {
            let message = CHECK_UNUSED.of(format!("no tunnel uses the peer `{}`", peer.name));
            notes.warning(peer.place.clone(), message, "name it in a tunnel that rules use, or remove it");
        }
        check_reach(peer, lease.as_ref(), &children, notes);
        let ppk = match &peer.ppk {
            None => Some(None),
            Some(ppk) => keys.shared(&ppk.key.0, &ppk.key.1, notes).map(|key| Some(quantum(ppk, key))),
        };
        let whole = proofs.zip(ppk);
        peers.push(whole.map(|(proofs, ppk)| Arc::new(rule(peer, proofs, ppk, lease, children))));
    }
    warn_unused_pools(model, notes);
    let peers = peers.into_iter().collect::<Option<_>>()?;
    let settings = model.ike.as_ref().map_or_else(IkeSettings::default, |(settings, _)| *settings);
    let retransmission = settings.retransmission;
    let policy = Arc::new(policy::Policy { peers, retransmission, ..Default::default() });
    let rings = model.peers.iter().flat_map(|peer| peer.proofs.rings.clone()).collect();
    Some(Ike { policy, dress, users, keepalive: settings.keepalive, whom: Whom::default(), rings })
}

/// What the peer's clients get out of its pool.
fn lease(peer: &Peer, model: &Model, notes: &Collector) -> Option<Lease> {
    let (name, place) = peer.pool.as_ref()?;
    let found = model.pools.iter().find(|pool| pool.lease.pool == *name);
    if found.is_none() && !model.broken_pools.contains(name) {
        notes.error(
            place.clone(),
            FILE_NO_SUCH.of(format!("there is no pool `{name}`")),
            "add a [[pool]] of that name",
        );
    }
    found.map(|pool| pool.lease.clone())
}

/// A client's traffic is that of its address, so rules must speak of all addresses of the pool.
fn check_reach(peer: &Peer, lease: Option<&Lease>, children: &[Arc<Child>], notes: &Collector) {
    let Some((lease, (name, place))) = lease.zip(peer.pool.as_ref()) else { return };
    let reached = |range: &AddressRange| {
        let mut remote = children.iter().flat_map(|child| &child.remote).map(|traffic| traffic.addresses);
        remote.any(|one| one.contains(range.first()) && one.contains(range.last()))
    };
    if let Some(range) = lease.addresses.iter().find(|range| !children.is_empty() && !reached(range)) {
        let message = CHECK_UNREACHABLE
            .of(format!("no rule of peer `{}` leads to {range} of its pool `{name}`", peer.name));
        let remedy = "write a rule with action = \"ipsec\" that has these addresses as destination";
        notes.warning(place.clone(), message, remedy);
    }
}

fn warn_unused_pools(model: &Model, notes: &Collector) {
    let used =
        |name: &Name| model.peers.iter().any(|peer| peer.pool.as_ref().is_some_and(|pool| pool.0 == *name));
    // A peer that could not be read may be the one that uses it.
    let unused = model.pools.iter().filter(|pool| !used(&pool.lease.pool) && !notes.has_errors());
    for pool in unused {
        let message = CHECK_UNUSED.of(format!("no peer uses the pool `{}`", pool.lease.pool));
        notes.warning(pool.place.clone(), message, "name it in a peer, or remove it");
    }
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
        Ours::LogIn(log_in) => log_in.proof(keys, notes),
    };
    let demand = match &proofs.theirs {
        Theirs::Shared(key) => secret(key).map(Demand::SharedKey),
        Theirs::Certificate(trust) => Some(Demand::Certificate(trust.clone())),
        Theirs::Eap(log_in) => Some(Demand::Eap(log_in.eap.clone())),
    };
    proof.zip(demand)
}

fn rule(
    peer: &Peer,
    (proof, demand): (Proof, Demand),
    ppk: Option<policy::Ppk>,
    lease: Option<Lease>,
    children: Vec<Arc<Child>>,
) -> policy::Peer {
    let at = |address| SocketAddr::new(address, PORT);
    let clients = matches!(demand, Demand::Eap(_));
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
        lease,
        redirect_to: None,
        // Whoever logs in is known by its user's name; otherwise all that share a key may be anybody.
        unique: peer.unique && (clients || peer.remote_identity != IdentityPattern::Any),
        children,
    }
}
