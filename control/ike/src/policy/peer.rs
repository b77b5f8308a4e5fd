//! One peer as the operator means it: ends, proofs, offers, lifetimes, children (rows B26 to B43).

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest;
use ravelin_contract::address::AddressRange;
use ravelin_contract::name::Name;
use ravelin_contract::secret::Secret;

use super::identity::{Identity, IdentityPattern};
use super::offer::{EspOffer, IkeOffer};
use super::traffic::Traffic;
use crate::crypto::SignatureScheme;
use crate::wire::EapType;

/// How a side proves who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A secret that both sides know.
    SharedKey(Secret),
    /// A signature (RFC 7427) with a key that is known by this name outside, where its certificates are known too.
    Key {
        /// Handed back in [`crate::Ask::Sign`].
        key: String,
        /// What may be signed by.
        schemes: Vec<SignatureScheme>,
    },
    /// As an EAP client.
    Eap {
        /// Who we are.
        user: String,
        /// What shows it.
        by: LogIn,
    },
}

/// What we log in with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogIn {
    /// The user's password (EAP-MSCHAPv2).
    Password(Secret),
    /// A certificate (EAP-TLS).
    Certificate {
        /// Handed back in [`crate::Ask::TlsLogIn`].
        key: String,
        /// Which certificates of the peer are believed in EAP, beside its proof in IKE.
        trust: Trust,
    },
}

impl Proof {
    /// What it is, for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::SharedKey(_) => "shared key",
            Self::Key { .. } => "certificate",
            Self::Eap { .. } => "EAP",
        }
    }
}

/// What we want from the peer as proof.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Demand {
    /// A secret that both sides know.
    SharedKey(Secret),
    /// A certificate.
    Certificate(Trust),
    /// By EAP (RFC 7296 2.16), with us as the server.
    Eap(Eap),
}

/// How clients log in by EAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eap {
    /// Methods, the preferred first. A client that refuses one is asked for the next that it takes.
    pub methods: Vec<EapMethod>,
    /// Whether a client may do without our own proof outside EAP (RFC 5998), by methods that prove us too.
    pub alone: bool,
}

/// A method of EAP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EapMethod {
    /// User name and password (EAP-MSCHAPv2).
    MsChapV2,
    /// Certificates on both sides (EAP-TLS): ours is that of [`Proof::Key`].
    Tls(Trust),
}

impl EapMethod {
    /// Its type on the wire.
    pub(crate) fn kind(&self) -> EapType {
        match self {
            Self::MsChapV2 => EapType::MsChapV2,
            Self::Tls(_) => EapType::Tls,
        }
    }

    /// Which certificates of clients are believed, where they show any.
    pub fn trust(&self) -> Option<&Trust> {
        match self {
            Self::MsChapV2 => None,
            Self::Tls(trust) => Some(trust),
        }
    }

    /// Whether it proves us to the client and withstands guessing, so that nothing else need (RFC 5998 4).
    pub(crate) fn stands_alone(&self) -> bool {
        matches!(self, Self::Tls(_))
    }
}

impl Demand {
    /// What it is, for people.
    pub fn word(&self) -> &'static str {
        match self {
            Self::SharedKey(_) => "shared key",
            Self::Certificate(_) => "certificate",
            Self::Eap(_) => "EAP",
        }
    }
}

/// Which certificates of a peer are believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Names of authorities: [`crate::Ask::Verify`] carries them out, and the policy's list says what to ask the peer for.
    pub authorities: Vec<String>,
    /// What must be known of revocation.
    pub revocation: Revocation,
    /// What the peer may sign by.
    pub schemes: Vec<SignatureScheme>,
}

/// How much must be known of whether a certificate was taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Revocation {
    /// Nothing is asked.
    Off,
    /// What is known to be revoked is refused; what is not known passes.
    #[default]
    Soft,
    /// Only what is known to be good passes.
    Hard,
}

/// Post-quantum pre-shared key (RFC 8784).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ppk {
    /// PPK_ID, of the fixed kind.
    pub id: Vec<u8>,
    /// The key.
    pub key: Secret,
    /// Whether a peer without it is refused.
    pub required: bool,
}

/// When something is renewed, and when it must be gone. Nothing means no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lifetime {
    /// Renewed after this time; a random tenth earlier, so that not all are renewed at once.
    pub soft: Option<Duration>,
    /// Gone after this time.
    pub hard: Option<Duration>,
    /// Child SAs only: renewed after this many octets; the packet process counts.
    pub octets: Option<u64>,
    /// Child SAs only: renewed after this many packets; the packet process counts.
    pub packets: Option<u64>,
}

/// Who may begin (row B31 Initiation and row B34).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Start {
    /// As soon as the policy stands, and again whenever it is gone.
    AtOnce,
    /// When a packet needs it.
    OnDemand,
    /// On command.
    #[default]
    OnCommand,
    /// Only the peer.
    Remote,
}

/// What a child negotiated for a packet covers (row B35).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Narrowing {
    /// All that the rule says.
    #[default]
    Rule,
    /// Only the packet's own addresses, protocol and ports.
    Packet,
}

/// Tunnel or transport (row B31 HowToEncap).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Encapsulation {
    /// Tunnel mode.
    #[default]
    Tunnel,
    /// Transport mode, nothing else.
    Transport,
    /// Transport if the peer agrees, else tunnel.
    Either,
}

/// One child SA as the operator means it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Child {
    /// The operator's name.
    pub name: Name,
    /// Traffic on our side; of it, what the addresses that the peer's pool gives us have to do with. Empty: all that they have.
    pub local: Vec<Traffic>,
    /// Traffic on the peer's side; of it, what the addresses that our pool gives the peer have to do with. Empty: all that
    /// they have.
    pub remote: Vec<Traffic>,
    /// Algorithms, the preferred first.
    pub offers: Vec<EspOffer>,
    /// Tunnel or transport.
    pub encapsulation: Encapsulation,
    /// When it is renewed.
    pub lifetime: Lifetime,
    /// Who begins.
    pub start: Start,
    /// What an on-demand child covers.
    pub narrowing: Narrowing,
    /// SAs for each worker core.
    pub per_resource: PerResource,
}

/// Child SAs for each worker core, beside one that all cores share (RFC 9611).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PerResource {
    /// How many; 0 for the shared one alone.
    pub count: u16,
    /// Whether a peer that cannot is refused; otherwise the shared one carries all.
    pub required: bool,
}

/// What a road warrior gets from us (RFC 7296 3.15, RFC 8598).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The operator's name. Peers that share it share its addresses.
    pub pool: Name,
    /// Address ranges; each client gets one address of each family that it asks for.
    pub addresses: Vec<AddressRange>,
    /// DNS servers.
    pub dns: Vec<IpAddr>,
    /// Domains that these servers answer for.
    pub domains: Vec<String>,
    /// Networks behind us.
    pub subnets: Vec<AddressRange>,
}

/// One peer, or a kind of peers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The operator's name.
    pub name: Name,
    /// Our addresses that this rule is for; empty for all.
    pub local_addresses: Vec<AddressRange>,
    /// Where the peer may be; empty for anywhere.
    pub remote_addresses: Vec<AddressRange>,
    /// Where to begin: our end and the peer's. `None` for peers that must come to us.
    pub initiate: Option<(SocketAddr, SocketAddr)>,
    /// Who we are.
    pub local_identity: Identity,
    /// How we prove it.
    pub proof: Proof,
    /// Who the peer may be.
    pub remote_identity: IdentityPattern,
    /// How it must prove it.
    pub demand: Demand,
    /// Post-quantum pre-shared key.
    pub ppk: Option<Ppk>,
    /// Algorithms of the IKE SA, the preferred first.
    pub offers: Vec<IkeOffer>,
    /// When the IKE SA is renewed.
    pub lifetime: Lifetime,
    /// When everything is proved again (row B42).
    pub reauthenticate: Option<Duration>,
    /// Silence after which the peer is asked whether it lives.
    pub liveness: Option<Duration>,
    /// Whether a NAT on the way is accepted (row B26 AllowNat).
    pub allow_nat: bool,
    /// Put ESP into UDP even without a NAT.
    pub force_udp: bool,
    /// Whether addresses may change (RFC 4555).
    pub mobike: bool,
    /// Octets of an IKE message above which it goes out in fragments (RFC 7383).
    pub fragment_above: u16,
    /// Ask the peer for an address (we are the road warrior).
    pub request_address: bool,
    /// What we give the peer.
    pub lease: Option<Lease>,
    /// Gateway to send new peers to (RFC 5685).
    pub redirect_to: Option<IpAddr>,
    /// Whether a second IKE SA of the same identity replaces the first.
    pub unique: bool,
    /// Children, in the order in which they are tried.
    pub children: Vec<Arc<Child>>,
}

impl Peer {
    /// Whether datagrams between these addresses may be this peer's.
    pub(crate) fn fits(&self, local: IpAddr, remote: IpAddr) -> bool {
        within(&self.local_addresses, local) && within(&self.remote_addresses, remote)
    }

    /// How much the rule says of the peer's address.
    pub(crate) fn address_specificity(&self, remote: IpAddr) -> u16 {
        let prefix = |range: &AddressRange| 1 + u16::from(range.as_prefix().unwrap_or(0));
        self.remote_addresses.iter().filter(|range| range.contains(remote)).map(prefix).max().unwrap_or(0)
    }

    /// A digest of all that the rule says, secrets included: whether a rule of an earlier run is the same.
    pub(crate) fn fingerprint(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        // What prints shows of secrets only their lengths.
        let text = format!("{self:?}");
        let secrets =
            [proof_secret(&self.proof), demand_secret(&self.demand), self.ppk.as_ref().map(|ppk| &ppk.key)];
        let parts = [text.as_bytes()].into_iter().chain(secrets.into_iter().flatten().map(Secret::expose));
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut octets = [0; 32];
        octets.copy_from_slice(context.finish().as_ref());
        octets
    }

    /// The pool that the peer's addresses come from.
    pub(crate) fn pool(&self) -> Option<&Name> {
        self.lease.as_ref().map(|lease| &lease.pool)
    }

    /// The child of this name.
    pub(crate) fn child(&self, name: &Name) -> Option<&Arc<Child>> {
        self.children.iter().find(|child| child.name == *name)
    }
}

fn proof_secret(proof: &Proof) -> Option<&Secret> {
    match proof {
        Proof::SharedKey(secret) | Proof::Eap { by: LogIn::Password(secret), .. } => Some(secret),
        Proof::Key { .. } | Proof::Eap { by: LogIn::Certificate { .. }, .. } => None,
    }
}

fn demand_secret(demand: &Demand) -> Option<&Secret> {
    match demand {
        Demand::SharedKey(secret) => Some(secret),
        Demand::Certificate(_) | Demand::Eap(_) => None,
    }
}

fn within(ranges: &[AddressRange], address: IpAddr) -> bool {
    ranges.is_empty() || ranges.iter().any(|range| range.contains(address))
}
