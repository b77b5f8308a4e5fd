//! One direction of one security association (RFC 4301 4.4.2).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::name::Name;
use crate::rule::TunnelId;
use crate::secret::Secret;
use crate::selector::Selector;

/// Security Parameters Index, never one of the reserved 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u32", into = "u32")]
pub struct Spi(u32);

impl Spi {
    /// Refuses reserved values.
    pub fn new(value: u32) -> Option<Self> {
        (value >= limits::SPI_MIN).then_some(Self(value))
    }

    /// The number as it stands on the wire.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl TryFrom<u32> for Spi {
    type Error = &'static str;
    fn try_from(value: u32) -> Result<Self, Self::Error> {
        Self::new(value).ok_or("SPI 0 to 255 are reserved (RFC 4303 2.1)")
    }
}

impl From<Spi> for u32 {
    fn from(spi: Spi) -> Self {
        spi.0
    }
}

impl std::fmt::Display for Spi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:#010x}", self.0)
    }
}

/// Tunnel or transport mode (RFC 4301 4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Mode {
    /// The whole packet is the payload; the outer header runs between the security endpoints.
    Tunnel,
    /// Only the upper layer is the payload; the packet's own header stays outside.
    Transport,
}

/// What carries the ESP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Carrier {
    /// IP protocol 50.
    Ip,
    /// UDP (RFC 3948).
    Udp {
        /// Our port, mostly 4500.
        local_port: u16,
        /// The peer's port.
        remote_port: u16,
        /// Seconds between NAT keepalives on an idle outbound SA; 0 for none.
        keepalive: u16,
    },
}

/// Hash of an HMAC (RFC 4868); the ICV is half its output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Hash {
    /// HMAC-SHA2-256-128: key 32, ICV 16 octets.
    Sha256,
    /// HMAC-SHA2-384-192: key 48, ICV 24 octets.
    Sha384,
    /// HMAC-SHA2-512-256: key 64, ICV 32 octets.
    Sha512,
}

impl Hash {
    /// Length of the key in octets (RFC 4868 2.1.1).
    pub fn key_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
            Self::Sha512 => 64,
        }
    }
}

/// Integrity of a suite that is not AEAD.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// Which hash.
    pub hash: Hash,
    /// Its key, of [`Hash::key_len`] octets.
    pub key: Secret,
}

/// Algorithms and keys of one SA. Suites without integrity cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transform {
    /// AES-GCM with a 16-octet ICV (RFC 4106); key 16 or 32 octets.
    AesGcm16 {
        /// AES key.
        key: Secret,
        /// The four octets before the IV in the nonce.
        salt: [u8; 4],
    },
    /// ChaCha20-Poly1305 (RFC 7634); key 32 octets.
    ChaCha20Poly1305 {
        /// Key.
        key: Secret,
        /// The four octets before the IV in the nonce.
        salt: [u8; 4],
    },
    /// AES-GMAC, integrity alone (RFC 4543); key 16 or 32 octets.
    AesGmac {
        /// AES key.
        key: Secret,
        /// The four octets before the IV in the nonce.
        salt: [u8; 4],
    },
    /// AES-CBC (RFC 3602) with HMAC; key 16 or 32 octets.
    AesCbc {
        /// AES key.
        key: Secret,
        /// Integrity.
        integrity: Integrity,
    },
    /// No encryption (RFC 2410) with HMAC.
    Null {
        /// Integrity.
        integrity: Integrity,
    },
}

impl Transform {
    /// Whether every key has the length that its algorithm asks for.
    pub fn has_valid_keys(&self) -> bool {
        let aes = |key: &Secret| matches!(key.len(), 16 | 32);
        let hmac = |integrity: &Integrity| integrity.key.len() == integrity.hash.key_len();
        match self {
            Self::AesGcm16 { key, .. } | Self::AesGmac { key, .. } => aes(key),
            Self::ChaCha20Poly1305 { key, .. } => key.len() == 32,
            Self::AesCbc { key, integrity } => aes(key) && hmac(integrity),
            Self::Null { integrity } => hmac(integrity),
        }
    }

    /// Whether a repeated sequence number would repeat a nonce, and so give the key away.
    pub fn is_counter_based(&self) -> bool {
        matches!(self, Self::AesGcm16 { .. } | Self::ChaCha20Poly1305 { .. } | Self::AesGmac { .. })
    }

    /// The algorithm's name as `ravelin sa list` and metrics show it.
    pub fn name(&self) -> &'static str {
        let hashed = |aes_cbc: Option<usize>, hash: Hash| match (aes_cbc, hash) {
            (None, Hash::Sha256) => "null-hmac-sha2-256",
            (None, Hash::Sha384) => "null-hmac-sha2-384",
            (None, Hash::Sha512) => "null-hmac-sha2-512",
            (Some(16), Hash::Sha256) => "aes128-cbc-hmac-sha2-256",
            (Some(16), Hash::Sha384) => "aes128-cbc-hmac-sha2-384",
            (Some(16), Hash::Sha512) => "aes128-cbc-hmac-sha2-512",
            (Some(_), Hash::Sha256) => "aes256-cbc-hmac-sha2-256",
            (Some(_), Hash::Sha384) => "aes256-cbc-hmac-sha2-384",
            (Some(_), Hash::Sha512) => "aes256-cbc-hmac-sha2-512",
        };
        match self {
            Self::AesGcm16 { key, .. } if key.len() == 16 => "aes128-gcm16",
            Self::AesGcm16 { .. } => "aes256-gcm16",
            Self::ChaCha20Poly1305 { .. } => "chacha20-poly1305",
            Self::AesGmac { key, .. } if key.len() == 16 => "aes128-gmac",
            Self::AesGmac { .. } => "aes256-gmac",
            Self::AesCbc { key, integrity } => hashed(Some(key.len()), integrity.hash),
            Self::Null { integrity } => hashed(None, integrity.hash),
        }
    }
}

/// Where the keys come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Origin {
    /// Written by hand: the same key returns after a restart, so numbers must be reserved on disk.
    Manual,
    /// Negotiated: a restart throws the key away.
    Ike,
}

/// The DF bit of an outer IPv4 header (RFC 4301 8.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum DontFragment {
    /// As the inner header has it.
    Copy,
    /// Always set.
    Set,
    /// Always clear.
    Clear,
}

/// The DSCP of an outer header (RFC 4301 5.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Dscp {
    /// As the inner header has it.
    Copy,
    /// This value, 0 to 63.
    Value(u8),
}

/// What only the sending side needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sending {
    /// Outer DF.
    pub dont_fragment: DontFragment,
    /// Outer DSCP.
    pub dscp: Dscp,
    /// Whether the outer hop limit is copied (`None`) or this value.
    pub hop_limit: Option<u8>,
    /// Traffic-flow confidentiality: pad inner packets to a multiple of this many octets; 0 for none.
    pub pad_to: u16,
    /// Clamp the MSS of TCP connections to what fits.
    pub clamp_mss: bool,
}

/// What only the receiving side needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receiving {
    /// Anti-replay window in packets, a multiple of 64; 0 turns the service off.
    pub replay_window: u32,
}

/// The part that depends on the direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Side {
    /// We seal.
    Outbound(Sending),
    /// We open.
    Inbound(Receiving),
}

/// One SA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sa {
    /// The operator's name for the connection; metric label.
    pub name: Name,
    /// The tunnel that rules refer to.
    pub tunnel: TunnelId,
    /// On the wire: chosen by the receiver.
    pub spi: Spi,
    /// Tunnel or transport.
    pub mode: Mode,
    /// Our security endpoint.
    pub local: IpAddr,
    /// The peer's security endpoint.
    pub remote: IpAddr,
    /// Plain ESP or UDP.
    pub carrier: Carrier,
    /// Algorithms and keys.
    pub transform: Transform,
    /// Sequence numbers of 64 bits (RFC 4303 2.2.1).
    pub extended_sequence: bool,
    /// What may travel inside, in the packet's own orientation: when inbound, source is the peer's side.
    /// Empty means everything.
    pub selectors: Vec<Selector>,
    /// Where the keys come from.
    pub origin: Origin,
    /// Outbound or inbound.
    pub side: Side,
}

impl Sa {
    /// Whether we seal under it.
    pub fn is_outbound(&self) -> bool {
        matches!(self.side, Side::Outbound(_))
    }
}
