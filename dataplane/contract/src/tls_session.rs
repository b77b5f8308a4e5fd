//! One TLS connection as control hands it over after the handshake, and what the two processes say of it afterwards.
//!
//! Control never gives traffic secrets away, only the keys in use: after a [`Happening::PeerUpdated`] the packet process
//! waits for [`Change::ReceiveUnder`] before it opens more. A [`Session`] is sent once; from then on its record numbers
//! belong to the packet process alone, and end with it.

use serde::{Deserialize, Serialize};

use crate::limits;
use crate::secret::Secret;

/// Which end of the handshake we were. It says which messages may still come after it (RFC 8446 4.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// We sent the ClientHello.
    Client,
    /// We answered it.
    Server,
}

/// Protocol version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Version {
    /// RFC 5246, with AEAD suites only.
    Tls12,
    /// RFC 8446.
    Tls13,
}

impl Version {
    /// As it stands in records and extensions.
    pub fn code(self) -> u16 {
        match self {
            Self::Tls12 => 0x0303,
            Self::Tls13 => 0x0304,
        }
    }

    /// Its name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls12 => "TLSv1.2",
            Self::Tls13 => "TLSv1.3",
        }
    }
}

/// What protects records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of RFC 5288, RFC 8446 and RFC 7905")]
pub enum Aead {
    Aes128Gcm,
    Aes256Gcm,
    ChaCha20Poly1305,
}

impl Aead {
    /// Octets of its key.
    pub fn key_len(self) -> usize {
        match self {
            Self::Aes128Gcm => 16,
            Self::Aes256Gcm | Self::ChaCha20Poly1305 => 32,
        }
    }
}

/// Cipher suite: those of TLS 1.3 (RFC 8446 B.4), and of TLS 1.2 those with forward secrecy and an AEAD
/// (RFC 5289, RFC 7905). Its version goes with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the IANA registry")]
pub enum Suite {
    Aes128GcmSha256,
    Aes256GcmSha384,
    ChaCha20Poly1305Sha256,
    EcdheEcdsaAes128GcmSha256,
    EcdheEcdsaAes256GcmSha384,
    EcdheEcdsaChaCha20Poly1305Sha256,
    EcdheRsaAes128GcmSha256,
    EcdheRsaAes256GcmSha384,
    EcdheRsaChaCha20Poly1305Sha256,
}

impl Suite {
    /// All of them, the stronger key exchange first.
    pub const ALL: [Self; 9] = [
        Self::Aes256GcmSha384,
        Self::Aes128GcmSha256,
        Self::ChaCha20Poly1305Sha256,
        Self::EcdheEcdsaAes256GcmSha384,
        Self::EcdheEcdsaAes128GcmSha256,
        Self::EcdheEcdsaChaCha20Poly1305Sha256,
        Self::EcdheRsaAes256GcmSha384,
        Self::EcdheRsaAes128GcmSha256,
        Self::EcdheRsaChaCha20Poly1305Sha256,
    ];

    /// Number, name and AEAD.
    fn row(self) -> (u16, &'static str, Aead) {
        use Aead::{Aes128Gcm, Aes256Gcm, ChaCha20Poly1305};
        match self {
            Self::Aes128GcmSha256 => (0x1301, "TLS_AES_128_GCM_SHA256", Aes128Gcm),
            Self::Aes256GcmSha384 => (0x1302, "TLS_AES_256_GCM_SHA384", Aes256Gcm),
            Self::ChaCha20Poly1305Sha256 => (0x1303, "TLS_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305),
            Self::EcdheEcdsaAes128GcmSha256 => (0xc02b, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256", Aes128Gcm),
            Self::EcdheEcdsaAes256GcmSha384 => (0xc02c, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384", Aes256Gcm),
            Self::EcdheEcdsaChaCha20Poly1305Sha256 => {
                (0xcca9, "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305)
            }
            Self::EcdheRsaAes128GcmSha256 => (0xc02f, "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256", Aes128Gcm),
            Self::EcdheRsaAes256GcmSha384 => (0xc030, "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384", Aes256Gcm),
            Self::EcdheRsaChaCha20Poly1305Sha256 => {
                (0xcca8, "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256", ChaCha20Poly1305)
            }
        }
    }

    /// Its number in the IANA registry.
    pub fn code(self) -> u16 {
        self.row().0
    }

    /// Its name in the IANA registry.
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// What protects its records.
    pub fn aead(self) -> Aead {
        self.row().2
    }

    /// The version it is of.
    pub fn version(self) -> Version {
        match self {
            Self::Aes128GcmSha256 | Self::Aes256GcmSha384 | Self::ChaCha20Poly1305Sha256 => Version::Tls13,
            _ => Version::Tls12,
        }
    }

    /// The suite of this number.
    pub fn from_code(code: u16) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.code() == code)
    }
}

/// Keys of one direction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    /// Key of the AEAD.
    pub key: Secret,
    /// 12 octets: the static IV of RFC 8446 5.3 and RFC 7905 2. With AES-GCM in TLS 1.2 the salt of RFC 5288 3, then
    /// what the sender mixes its record numbers with to make the explicit part; a receiver reads that from the record.
    pub iv: Secret,
    /// Number of the next record under this key.
    pub next_number: u64,
}

/// A connection whose handshake is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// Suite, and with it the version.
    pub suite: Suite,
    /// Which end we were.
    pub role: Role,
    /// Ours to the peer.
    pub sending: Traffic,
    /// The peer's to us.
    pub receiving: Traffic,
    /// How our records are cut.
    pub shape: Shape,
}

/// How records are cut that we send, and how long the peer's may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Shape {
    /// Most octets of content in a record that we send; in TLS 1.3 the peer's `record_size_limit` less one (RFC 8449 4).
    pub send_most: u16,
    /// Most octets of content in a record of the peer; as above, of what we announced.
    pub receive_most: u16,
    /// The plaintext of our records is padded to a multiple of this (RFC 8446 5.4); 1 for no padding, as in TLS 1.2.
    pub pad_to: u16,
}

impl Default for Shape {
    fn default() -> Self {
        Self { send_most: limits::TLS_CONTENT, receive_most: limits::TLS_CONTENT, pad_to: 1 }
    }
}

/// Why a session cannot be carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Fault {
    /// The key is not as long as the suite's AEAD takes it.
    #[error("a TLS key of {given} octets where {suite} takes {expected}", suite = .suite.name(), expected = .suite.aead().key_len())]
    Key {
        /// The suite.
        suite: Suite,
        /// Octets given.
        given: u64,
    },
    /// The IV is not of 12 octets.
    #[error("a TLS IV of {0} octets where 12 are due")]
    Iv(u64),
    /// A record limit outside of what RFC 8449 4 allows.
    #[error("records of {0} octets; {least} to {most} are possible", least = limits::TLS_CONTENT_MIN, most = limits::TLS_CONTENT)]
    RecordLimit(u16),
    /// Padding to nothing, to too much, or in TLS 1.2, which has none.
    #[error("padding to a multiple of {0}; 1 to {most} are possible, and only 1 in TLS 1.2", most = limits::TLS_PADDING)]
    Padding(u16),
    /// Keys change in TLS 1.3 only.
    #[error("keys of a TLS 1.2 connection cannot be changed")]
    NoUpdate,
}

impl Traffic {
    /// Whether the lengths fit the suite.
    pub fn check(&self, suite: Suite) -> Result<(), Fault> {
        if self.key.len() != suite.aead().key_len() {
            return Err(Fault::Key { suite, given: self.key.len() as u64 });
        }
        match self.iv.len() {
            12 => Ok(()),
            other => Err(Fault::Iv(other as u64)),
        }
    }
}

impl Session {
    /// Whether all of it fits together.
    pub fn check(&self) -> Result<(), Fault> {
        self.sending.check(self.suite)?;
        self.receiving.check(self.suite)?;
        let possible = limits::TLS_CONTENT_MIN..=limits::TLS_CONTENT;
        for limit in [self.shape.send_most, self.shape.receive_most] {
            if !possible.contains(&limit) {
                return Err(Fault::RecordLimit(limit));
            }
        }
        let most = match self.suite.version() {
            Version::Tls12 => 1,
            Version::Tls13 => limits::TLS_PADDING,
        };
        let pad_to = self.shape.pad_to;
        if (1..=most).contains(&pad_to) { Ok(()) } else { Err(Fault::Padding(pad_to)) }
    }
}

/// What control does to a running session. Only in TLS 1.3.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// A KeyUpdate goes out under the key in use, and all after it under this one (RFC 8446 4.6.3).
    SendUnder {
        /// The next key.
        traffic: Traffic,
        /// Whether the peer is asked to do the same.
        ask_peer: bool,
    },
    /// What comes after the peer's KeyUpdate is opened with this one.
    ReceiveUnder(Traffic),
}

/// What the packet process tells of a running session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Happening {
    /// The server gave us a ticket (RFC 8446 4.6.1).
    Ticket(Ticket),
    /// The peer has changed its keys. Nothing more is opened before [`Change::ReceiveUnder`].
    PeerUpdated {
        /// It wants us to change ours; until [`Change::SendUnder`] we send no data.
        answer: bool,
    },
    /// The key we send under is nearly used up (RFC 8446 5.5), or the peer's is.
    UpdateDue,
}

/// Body of a NewSessionTicket message, at most [`limits::TLS_TICKET`] octets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Secret", into = "Secret")]
pub struct Ticket(Secret);

impl Ticket {
    /// Takes the body over; gives it back when it is too long.
    pub fn new(body: Vec<u8>) -> Result<Self, Vec<u8>> {
        if body.len() > limits::TLS_TICKET { Err(body) } else { Ok(Self(Secret::new(body))) }
    }

    /// The octets after the header of the handshake message.
    pub fn body(&self) -> &[u8] {
        self.0.expose()
    }
}

impl TryFrom<Secret> for Ticket {
    type Error = &'static str;
    fn try_from(body: Secret) -> Result<Self, Self::Error> {
        if body.len() > limits::TLS_TICKET { Err("the ticket is too long") } else { Ok(Self(body)) }
    }
}

impl From<Ticket> for Secret {
    fn from(ticket: Ticket) -> Self {
        ticket.0
    }
}
