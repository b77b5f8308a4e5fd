//! What the core asks its caller to do.

use std::net::{IpAddr, SocketAddr};

use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;

use crate::child::ChildSa;
use crate::crypto::SignatureScheme;
use crate::event::Event;
use crate::input::{IkeId, Path};
use crate::policy::{Identity, Peer, Trust};
use crate::time::Time;

/// One thing to do, in the order given.
#[derive(Debug)]
pub enum Action {
    /// Send this IKE message. On any port but 500 the caller puts the non-ESP marker before it (RFC 3948 2.2).
    Send {
        /// From.
        local: SocketAddr,
        /// To.
        remote: SocketAddr,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Put both directions of this child into the packet process.
    InstallChild(Box<ChildSa>),
    /// Send under this child from now on: the peer has shown that it is ready (RFC 7296 2.8).
    UseChild {
        /// The child's inbound SPI.
        inbound: Spi,
    },
    /// Stop sending under this child at once; what still comes in under it stays welcome until [`Action::RemoveChild`].
    StopSending {
        /// The child's inbound SPI.
        inbound: Spi,
    },
    /// Both directions go. Packets that policy wants protected are dropped until another child stands.
    RemoveChild {
        /// The child's inbound SPI.
        inbound: Spi,
    },
    /// The peer, or this host, is elsewhere now.
    MoveChild {
        /// The child's inbound SPI.
        inbound: Spi,
        /// The new ends.
        path: Path,
        /// Whether ESP goes in UDP now.
        udp: bool,
    },
    /// Give this host these addresses: the peer's pool did.
    Assigned(Box<Assignment>),
    /// Find this out and hand it back as [`crate::Input::Answer`] with the same number. The IKE SA waits for it.
    Ask {
        /// Hand this back.
        question: u64,
        /// The IKE SA that waits.
        ike: IkeId,
        /// What.
        ask: Ask,
    },
    /// Tell the operator.
    Event(Event),
    /// Hand in [`crate::Input::Timer`] at this time. Replaces what was asked for before; `None` needs none.
    SetTimer(Option<Time>),
}

/// What the peer's pool gave us (RFC 7296 3.15, RFC 8598).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// The IKE SA that it belongs to, and ends with.
    pub ike: IkeId,
    /// The rule.
    pub peer: Name,
    /// Addresses for this host.
    pub addresses: Vec<IpAddr>,
    /// DNS servers.
    pub dns: Vec<IpAddr>,
    /// Domains that these servers answer for; none: all.
    pub domains: Vec<String>,
}

impl Assignment {
    pub(crate) fn new(ike: IkeId, peer: &Peer) -> Self {
        Self { ike, peer: peer.name.clone(), addresses: Vec::new(), dns: Vec::new(), domains: Vec::new() }
    }
}

/// What only the world outside knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Sign these octets with a private key (RFC 7427).
    Sign {
        /// [`crate::policy::Proof::Key`]'s name of the key.
        key: String,
        /// Who we say to be.
        identity: Identity,
        /// What to sign.
        octets: Vec<u8>,
        /// What to sign by: allowed by policy, and with hashes that the peer takes.
        schemes: Vec<SignatureScheme>,
        /// SHA-1 of the public keys of authorities that the peer asks for (RFC 7296 3.7); empty for any.
        authorities: Vec<[u8; 20]>,
    },
    /// Is this chain, leaf first, good now, and does it speak for this identity?
    Verify {
        /// Certificates in DER, the peer's own first.
        chain: Vec<Vec<u8>>,
        /// Who the peer says to be.
        identity: Identity,
        /// What policy says of certificates of this peer.
        trust: Trust,
    },
    /// The password of this EAP user.
    Password {
        /// The rule.
        peer: Name,
        /// The name that the user gave.
        user: String,
    },
    /// What EAP-TLS shows to clients.
    Tls {
        /// [`crate::policy::Proof::Key`]'s name of the key.
        key: String,
        /// Who we say to be.
        identity: Identity,
    },
    /// What EAP-TLS shows when we log in.
    TlsLogIn {
        /// [`crate::policy::LogIn::Certificate`]'s name of the key.
        key: String,
        /// Who we say to be.
        identity: Identity,
    },
}
