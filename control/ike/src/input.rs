//! What goes into the core: datagrams, the clock, commands, and answers to what it asked.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::name::Name;
use ravelin_contract::sa::Spi;
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::FlowKey;
use serde::{Deserialize, Serialize};

use crate::crypto::SignatureScheme;
use crate::policy::Policy;

/// Both ends of a datagram, seen from here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Path {
    /// Our address and port.
    pub local: SocketAddr,
    /// The peer's address and port.
    pub remote: SocketAddr,
}

/// Names one IKE SA for as long as it lives: our SPI of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct IkeId(pub u64);

impl std::fmt::Display for IkeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// One thing that happened.
#[derive(Debug)]
pub enum Input {
    /// A datagram came, without the non-ESP marker of port 4500 (RFC 3948 2.2).
    Datagram {
        /// Where from and to.
        path: Path,
        /// The IKE message.
        bytes: Vec<u8>,
    },
    /// The time asked for by [`crate::Action::SetTimer`] has come. Coming early does no harm.
    Timer,
    /// The operator, the packet process or the kernel wants something.
    Command(Command),
    /// The answer to one [`crate::Action::Ask`].
    Answer {
        /// The IKE SA that asked.
        ike: IkeId,
        /// The number of the question.
        question: u64,
        /// What was found.
        answer: Answer,
    },
}

/// What can be asked of the core from outside.
#[derive(Debug, Clone)]
pub enum Command {
    /// Takes this policy from now on. IKE SAs whose peer is unchanged stay as they are; those whose peer is gone close.
    SetPolicy(Arc<Policy>),
    /// Brings up every child of this peer that does not stand yet.
    Up {
        /// [`crate::policy::Peer::name`].
        peer: Name,
    },
    /// A packet found no SA for this child: bring it up, narrowed by the packet where the policy says so.
    Acquire {
        /// [`crate::policy::Peer::name`].
        peer: Name,
        /// [`crate::policy::Child::name`].
        child: Name,
        /// The packet.
        flow: FlowKey,
    },
    /// Ends the IKE SA and all its children.
    Down {
        /// Which.
        ike: IkeId,
    },
    /// Ends one child.
    DownChild {
        /// The child's inbound SPI.
        inbound: Spi,
    },
    /// New keys for the IKE SA.
    Rekey {
        /// Which.
        ike: IkeId,
    },
    /// New keys for one child; also what the packet process asks for when octets, packets or numbers run out.
    RekeyChild {
        /// The child's inbound SPI.
        inbound: Spi,
    },
    /// A new IKE SA from the first message on, then the old one ends (row B42).
    Reauthenticate {
        /// Which.
        ike: IkeId,
    },
    /// Asks the peer whether it lives.
    Probe {
        /// Which.
        ike: IkeId,
    },
    /// This host's address changed: IKE SAs from `old` to `remote` go on from `new` (RFC 4555).
    AddressChanged {
        /// The address that is gone.
        old: IpAddr,
        /// The one to use now.
        new: IpAddr,
        /// Where the peer is: the way to another may begin at another address.
        remote: IpAddr,
    },
    /// The packet process saw an authentic ESP packet of this child from another address.
    PeerMoved {
        /// The child's inbound SPI.
        inbound: Spi,
        /// Where it came from.
        remote: SocketAddr,
    },
    /// Sends the peer to another gateway (RFC 5685), if it understands that.
    Redirect {
        /// Which.
        ike: IkeId,
        /// Where to.
        gateway: IpAddr,
    },
    /// Ends every IKE SA, telling the peers.
    Shutdown,
}

/// What was found out for the core.
#[derive(Debug, Clone)]
pub enum Answer {
    /// A signature by the key that was asked for.
    Signature {
        /// What it was made by.
        scheme: SignatureScheme,
        /// The signature value; for ECDSA in DER.
        signature: Vec<u8>,
        /// The certificates that speak for the key, in DER, our own first.
        chain: Vec<Vec<u8>>,
        /// How long they do from now on; `None` for ever.
        good_for: Option<Duration>,
    },
    /// The chain is good and speaks for the identity: the SubjectPublicKeyInfo of its first certificate.
    Trusted {
        /// SubjectPublicKeyInfo in DER.
        public_key: Vec<u8>,
        /// How long the chain is good from now on; `None` for ever.
        good_for: Option<Duration>,
    },
    /// The password of an EAP user.
    Password(Secret),
    /// Certificate, key and settings of EAP-TLS. Whom to believe is asked by [`crate::Ask::Verify`]: here it is enough that the
    /// client holds the key of the certificate that it shows ([`crate::eap::tls::Possession`]).
    Tls(Arc<rustls::ServerConfig>),
    /// The same where we log in.
    TlsLogIn(Arc<rustls::ClientConfig>),
    /// It cannot be done, or is not to be believed; why, in plain words.
    Refused(String),
}
