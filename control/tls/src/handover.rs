//! What a finished handshake leaves: keys for the packet process, what was agreed for reports, and what stays here to make
//! later keys.
//!
//! Traffic secrets, from which all later keys follow, never leave this process: the packet process gets the keys that it uses
//! now, and asks for the next ones (RFC 8446 7.2).

use ravelin_contract::secret::Secret;
use ravelin_contract::tls_session::{Change, Role, Session, Shape, Suite, Ticket, Traffic, Version};
use ravelin_rings::revocation::Lookup;
use rustls::client::ClientConnectionData;
use rustls::kernel::KernelConnection;
use rustls::server::ServerConnectionData;
use rustls::{ConnectionTrafficSecrets, Error, ExtractedSecrets};

use crate::handshake::Now;
use crate::scope::{self, Notes};

/// All of it.
#[derive(Debug)]
pub struct Handover {
    /// For the packet process, once: the record numbers in it are no longer ours.
    pub session: Session,
    /// What the peer sent behind the handshake, as it came: the packet process opens it.
    pub unopened: Vec<u8>,
    /// What was agreed.
    pub facts: Facts,
    /// Makes later keys.
    pub keeper: Keeper,
}

/// What was agreed, for reports and the PROXY protocol.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Suite, and with it the version.
    pub suite: Suite,
    /// Which end we were.
    pub role: Role,
    /// Key exchange; none in a resumed session of TLS 1.2.
    pub group: Option<String>,
    /// Whether an earlier session was taken up again.
    pub resumed: bool,
    /// The host name that the client asked for (RFC 6066 3).
    pub name: Option<String>,
    /// The application protocol (RFC 7301).
    pub alpn: Option<Vec<u8>>,
    /// Ring and label of the certificate that we showed; none in a resumed session of a client.
    pub shown: Option<String>,
    /// Who the peer is.
    pub peer: Peer,
}

/// Who the peer is.
#[derive(Debug, Clone)]
pub enum Peer {
    /// It showed nothing.
    Anonymous,
    /// It showed this chain, which nobody judged (row A34, PassThru).
    Unjudged {
        /// DER, its own certificate first.
        chain: Vec<Vec<u8>>,
    },
    /// It showed a certificate that is believed.
    Judged {
        /// DER, its own certificate first.
        chain: Vec<Vec<u8>>,
        /// Its subject as RFC 4514 writes it.
        subject: String,
        /// What the rules beside the rings map it to, where the level asks for that.
        identity: Option<String>,
        /// When the first certificate of its path ends, in seconds since 1970.
        not_after: u64,
        /// Who could tell more of revocation than was known.
        wanted: Vec<Lookup>,
    },
}

/// Holds the traffic secrets of one connection of TLS 1.3, and the place where its tickets go.
pub struct Keeper {
    kernel: Kernel,
    suite: Suite,
}

pub(crate) enum Kernel {
    Client(Box<KernelConnection<ClientConnectionData>>),
    Server(Box<KernelConnection<ServerConnectionData>>),
}

/// Why there is no next key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no keys can be made for the connection: {0}")]
pub struct KeeperError(String);

impl From<Error> for KeeperError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper({})", self.suite.name())
    }
}

impl Keeper {
    pub(crate) fn new(kernel: Kernel, suite: Suite) -> Self {
        Self { kernel, suite }
    }

    /// The next key that we send under, to be used behind a KeyUpdate. Each call is one step: what it gives must be used.
    ///
    /// # Errors
    /// TLS 1.2 has no such thing.
    pub fn send_under(&mut self, ask_peer: bool) -> Result<Change, KeeperError> {
        let (number, secrets) = match &mut self.kernel {
            Kernel::Client(kernel) => kernel.update_tx_secret()?,
            Kernel::Server(kernel) => kernel.update_tx_secret()?,
        };
        Ok(Change::SendUnder { traffic: traffic(number, &secrets)?, ask_peer })
    }

    /// The next key of the peer, after its KeyUpdate. Each call is one step.
    ///
    /// # Errors
    /// TLS 1.2 has no such thing.
    pub fn receive_under(&mut self) -> Result<Change, KeeperError> {
        let (number, secrets) = match &mut self.kernel {
            Kernel::Client(kernel) => kernel.update_rx_secret()?,
            Kernel::Server(kernel) => kernel.update_rx_secret()?,
        };
        Ok(Change::ReceiveUnder(traffic(number, &secrets)?))
    }

    /// Keeps a ticket of the server for the next connection to it. It ages from now on.
    ///
    /// # Errors
    /// It cannot be read, or we are the server.
    pub fn ticket(&mut self, ticket: &Ticket, now: Now) -> Result<(), KeeperError> {
        let mut notes = Notes { unix: now.unix, ..Notes::default() };
        match &mut self.kernel {
            Kernel::Client(kernel) => {
                Ok(scope::drive(&mut notes, || kernel.handle_new_session_ticket(ticket.body()))?)
            }
            Kernel::Server(_) => Err(KeeperError("a client gives no tickets".to_owned())),
        }
    }
}

/// rustls' secrets as the contract has them.
pub(crate) fn session(
    secrets: &ExtractedSecrets,
    suite: Suite,
    role: Role,
    shape: Shape,
) -> Result<Session, KeeperError> {
    let shape = match suite.version() {
        Version::Tls12 => Shape { pad_to: 1, ..shape },
        Version::Tls13 => shape,
    };
    let sending = traffic(secrets.tx.0, &secrets.tx.1)?;
    let receiving = traffic(secrets.rx.0, &secrets.rx.1)?;
    let session = Session { suite, role, sending, receiving, shape };
    session.check().map_err(|fault| KeeperError(fault.to_string()))?;
    Ok(session)
}

fn traffic(next_number: u64, secrets: &ConnectionTrafficSecrets) -> Result<Traffic, KeeperError> {
    let (key, iv) = match secrets {
        ConnectionTrafficSecrets::Aes128Gcm { key, iv }
        | ConnectionTrafficSecrets::Aes256Gcm { key, iv }
        | ConnectionTrafficSecrets::Chacha20Poly1305 { key, iv } => (key, iv),
        _ => return Err(KeeperError("an AEAD that is not known".to_owned())),
    };
    let (key, iv) = (Secret::new(key.as_ref().to_vec()), Secret::new(iv.as_ref().to_vec()));
    Ok(Traffic { key, iv, next_number })
}
