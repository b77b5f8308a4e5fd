//! What policy says of handshakes, as plain values (rows A33, A34, A36, A38, A40, A43, A44, A47 to A51). Lists are in order of
//! preference.

use std::time::Duration;

use ravelin_contract::tls_session::{Shape, Suite, Version};
use ravelin_rings::name::{Label, RingName};
use ravelin_rings::revocation::RevocationPolicy;
use ravelin_rings::scheme::Scheme;

/// Versions of the preset `modern`.
pub const VERSIONS: [Version; 2] = [Version::Tls13, Version::Tls12];

/// How peers may sign by the preset `modern`.
pub const SCHEMES: [Scheme; 10] = [
    Scheme::EcdsaP256Sha256,
    Scheme::EcdsaP384Sha384,
    Scheme::EcdsaP521Sha512,
    Scheme::Ed25519,
    Scheme::RsaPssSha256,
    Scheme::RsaPssSha384,
    Scheme::RsaPssSha512,
    Scheme::RsaPkcs1Sha256,
    Scheme::RsaPkcs1Sha384,
    Scheme::RsaPkcs1Sha512,
];

/// One kind of handshake.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Which end we are, and what that end needs.
    pub role: Role,
    /// At least one.
    pub versions: Vec<Version>,
    /// At least one for each version.
    pub suites: Vec<Suite>,
    /// At least one. A client sends a key share for the first.
    pub groups: Vec<Group>,
    /// How the peer may sign.
    pub schemes: Vec<Scheme>,
    /// Application protocols (RFC 7301); none for no say. Where there are some, a peer that offers only others is refused.
    pub alpn: Vec<Vec<u8>>,
    /// Whether earlier sessions are taken up again.
    pub resumption: Resumption,
    /// From the begin to the first octet of the peer, and from the begin to the end (row A36).
    pub timeouts: Timeouts,
    /// How records are cut and padded; padding is left out in TLS 1.2.
    pub shape: Shape,
}

/// Which end we are: chosen by who holds certificates, not by who connected (row A33).
#[derive(Debug, Clone, PartialEq)]
pub enum Role {
    /// We ask.
    Client {
        /// Who may speak for the server.
        trust: Trust,
        /// What we show when the server asks; none for nothing (row A40).
        identities: Vec<Pick>,
    },
    /// We answer.
    Server {
        /// What we show, the first that fits; at least one.
        identities: Vec<Identity>,
        /// Whether a client that names a host which no identity is for is refused (row A47).
        strict_names: bool,
        /// What clients have to show.
        client_auth: ClientAuth,
    },
}

/// A certificate of ours with its key.
#[derive(Debug, Clone, PartialEq)]
pub struct Identity {
    /// Where it lies.
    pub pick: Pick,
    /// Host names (SNI, RFC 6066 3) that it is shown for, `*.` for one label; none for any.
    pub hosts: Vec<String>,
}

/// A ring, or one certificate of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pick {
    /// The ring.
    pub ring: RingName,
    /// The one certificate; else all that may serve.
    pub label: Option<Label>,
}

impl std::fmt::Display for Pick {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.ring)?;
        self.label.as_ref().map_or(Ok(()), |label| write!(f, "/{label}"))
    }
}

/// By what certificates are believed.
#[derive(Debug, Clone, PartialEq)]
pub struct Trust {
    /// Trust anchors.
    pub anchors: Vec<Pick>,
    /// How revocation is looked at.
    pub revocation: RevocationPolicy,
    /// Smallest RSA modulus in bits (row A42).
    pub rsa_floor: u16,
}

/// What clients have to show (rows A33, A34).
#[derive(Debug, Clone, PartialEq)]
pub enum ClientAuth {
    /// Nothing; they are not asked (role Server).
    None,
    /// A certificate if they like; it is handed on unjudged (PassThru).
    PassThru,
    /// A certificate if they like; judged if they do (Full).
    Wanted(Trust),
    /// A certificate that is believed (Required).
    Required(Trust),
    /// A certificate that is believed and stands for an identity by the rules beside the rings (SAFCheck).
    Mapped(Trust),
}

impl ClientAuth {
    pub(crate) fn trust(&self) -> Option<&Trust> {
        match self {
            Self::None | Self::PassThru => None,
            Self::Wanted(trust) | Self::Required(trust) | Self::Mapped(trust) => Some(trust),
        }
    }
}

/// Key exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the IANA registry")]
pub enum Group {
    X25519MlKem768,
    X25519,
    Secp256r1,
    Secp384r1,
}

impl Group {
    /// Those of the preset `modern`: secure against quantum computers first.
    pub const ALL: [Self; 4] = [Self::X25519MlKem768, Self::X25519, Self::Secp256r1, Self::Secp384r1];
}

/// Whether earlier sessions are taken up again (RFC 8446 2.2, RFC 5077). A certificate that was shown in one is judged anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resumption {
    /// Never.
    Off,
    /// So many sessions are kept here (row A50).
    Cache {
        /// How many.
        sessions: usize,
    },
    /// Servers put sessions into tickets, and keep nothing; keys of tickets change every six hours. Clients keep so many.
    Tickets {
        /// Tickets that a server gives in each handshake of TLS 1.3 (row A51).
        count: usize,
        /// Sessions that a client keeps.
        sessions: usize,
    },
}

/// Limits of time (row A36).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Until the first octet of the peer.
    pub first: Duration,
    /// Until the handshake is done.
    pub whole: Duration,
}

impl Settings {
    /// The preset `modern` for a role: both versions, all suites, X25519MLKEM768 first.
    pub fn modern(role: Role) -> Self {
        Self {
            role,
            versions: VERSIONS.to_vec(),
            suites: Suite::ALL.to_vec(),
            groups: Group::ALL.to_vec(),
            schemes: SCHEMES.to_vec(),
            alpn: Vec::new(),
            resumption: Resumption::Tickets { count: 2, sessions: 256 },
            timeouts: Timeouts { first: Duration::from_secs(10), whole: Duration::from_secs(30) },
            shape: Shape::default(),
        }
    }
}
