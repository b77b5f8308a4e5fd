//! Settings and rings made ready for many handshakes (row A17): rustls' configuration, with what it asks of us plugged in.
//!
//! Certificates are read once, here. When a ring or the policy has changed, control makes a new environment; handshakes that
//! run keep the old one (row A18).

use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::tls_session::Shape;
use ravelin_rings::access::Caller;
use ravelin_rings::map::Rules;
use ravelin_rings::revocation::Cache;
use ravelin_rings::signer::Signer;
use ravelin_rings::store::Rings;
use rustls::client::{ClientConfig, ClientSessionMemoryCache, Resumption as ClientResumption};
use rustls::crypto::CryptoProvider;
use rustls::crypto::aws_lc_rs::Ticketer;
use rustls::server::{NoServerSessionStorage, ServerConfig, ServerSessionMemoryCache};
use rustls::time_provider::TimeProvider;
use rustls_pki_types::UnixTime;

use crate::identity::Identities;
use crate::judge::Judge;
use crate::provider;
use crate::scope;
use crate::settings::{ClientAuth, Identity, Resumption, Role, Settings, Timeouts};

/// The ways to the key rings.
#[derive(Debug, Clone)]
pub struct Doors {
    /// Certificates and trust anchors.
    pub rings: Rings,
    /// The door to private keys.
    pub signer: Arc<Signer>,
    /// For whom keys are used: the owner of the connection as it was mapped (row A8), or this process.
    pub caller: Caller,
    /// What is known of revocation.
    pub revocation: Arc<Cache>,
}

/// Why settings make no environment.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A list that may not be empty.
    #[error("no {0} are named; name at least one")]
    Empty(&'static str),
    /// A version without a suite.
    #[error("no cipher suite is of {0}; name one, or leave the version out")]
    NoSuite(&'static str),
    /// A ring that cannot be used.
    #[error("{0}: {1}")]
    Ring(String, String),
    /// A ring without a certificate of ours.
    #[error("{0} holds no certificate of ours with its key; import or order one")]
    NoIdentity(String),
    /// A ring that believes nobody.
    #[error("{0} has no trust anchor; import one with ravelin cert import")]
    NoAnchor(String),
    /// The TLS library refused.
    #[error("{0}")]
    Library(String),
}

impl From<rustls::Error> for SettingsError {
    fn from(error: rustls::Error) -> Self {
        Self::Library(error.to_string())
    }
}

/// Ready for handshakes of one kind.
#[derive(Debug)]
pub struct Environment {
    pub(crate) side: Side,
    pub(crate) timeouts: Timeouts,
    pub(crate) shape: Shape,
    /// Who judges the peer; nobody where it shows nothing, or is not judged.
    pub(crate) judge: Option<Arc<Judge>>,
    pub(crate) ours: Ours,
}

#[derive(Debug)]
pub(crate) enum Side {
    Client(Arc<ClientConfig>),
    Server(Arc<ServerConfig>),
}

/// Our lists in words, for reasons.
#[derive(Debug)]
pub(crate) struct Ours {
    pub(crate) versions: Vec<String>,
    pub(crate) suites: Vec<String>,
    pub(crate) groups: Vec<String>,
    pub(crate) schemes: Vec<String>,
    pub(crate) alpn: Vec<String>,
}

impl Environment {
    /// Reads the rings.
    ///
    /// # Errors
    /// The settings name what is not there, or name nothing where something must be.
    pub fn new(settings: &Settings, doors: &Doors) -> Result<Self, SettingsError> {
        let provider = Arc::new(provider::provider(settings)?);
        let (side, judge) = match &settings.role {
            Role::Client { trust, identities } => {
                let judge = Arc::new(Judge::of_servers(settings, trust, doors)?);
                let any = |pick: &crate::settings::Pick| Identity { pick: pick.clone(), hosts: Vec::new() };
                let identities: Vec<_> = identities.iter().map(any).collect();
                let identities = Identities::load(doors, &identities, false)?;
                (Side::Client(client(settings, provider, Arc::clone(&judge), identities)?), Some(judge))
            }
            Role::Server { identities, strict_names, client_auth } => {
                if identities.is_empty() {
                    return Err(SettingsError::Empty("certificates of a server"));
                }
                let identities = Identities::load(doors, identities, *strict_names)?;
                let judge = match client_auth {
                    ClientAuth::None => None,
                    _ => Some(Arc::new(Judge::of_clients(settings, client_auth, doors)?)),
                };
                (Side::Server(server(settings, provider, judge.clone(), identities)?), judge)
            }
        };
        let (timeouts, shape) = (settings.timeouts, settings.shape);
        Ok(Self { side, timeouts, shape, judge, ours: Ours::of(settings) })
    }
}

impl Ours {
    fn of(settings: &Settings) -> Self {
        let alpn = settings.alpn.iter();
        Self {
            versions: settings.versions.iter().map(|one| one.name().to_owned()).collect(),
            suites: settings.suites.iter().map(|one| one.name().to_owned()).collect(),
            groups: settings.groups.iter().map(|one| format!("{one:?}")).collect(),
            schemes: settings.schemes.iter().map(|one| one.name().to_owned()).collect(),
            alpn: alpn.map(|one| String::from_utf8_lossy(one).into_owned()).collect(),
        }
    }
}

fn client(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    judge: Arc<Judge>,
    identities: Identities,
) -> Result<Arc<ClientConfig>, SettingsError> {
    let mut config = ClientConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&provider::versions(settings))?
        .dangerous()
        .with_custom_certificate_verifier(judge)
        .with_client_cert_resolver(Arc::new(identities));
    config.alpn_protocols.clone_from(&settings.alpn);
    config.enable_secret_extraction = true;
    config.require_ems = true;
    config.resumption = match settings.resumption {
        Resumption::Off => ClientResumption::disabled(),
        Resumption::Cache { sessions } | Resumption::Tickets { sessions, .. } => {
            ClientResumption::store(Arc::new(ClientSessionMemoryCache::new(sessions)))
        }
    };
    Ok(Arc::new(config))
}

fn server(
    settings: &Settings,
    provider: Arc<CryptoProvider>,
    judge: Option<Arc<Judge>>,
    identities: Identities,
) -> Result<Arc<ServerConfig>, SettingsError> {
    let builder = ServerConfig::builder_with_details(provider, Arc::new(Clock))
        .with_protocol_versions(&provider::versions(settings))?;
    let builder = match judge {
        Some(judge) => builder.with_client_cert_verifier(judge),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(identities));
    config.alpn_protocols.clone_from(&settings.alpn);
    config.enable_secret_extraction = true;
    config.require_ems = true;
    config.ignore_client_order = true;
    match settings.resumption {
        Resumption::Off => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.send_tls13_tickets = 0;
        }
        Resumption::Cache { sessions } => config.session_storage = ServerSessionMemoryCache::new(sessions),
        Resumption::Tickets { count, .. } => {
            config.session_storage = Arc::new(NoServerSessionStorage {});
            config.ticketer = Ticketer::new()?;
            config.send_tls13_tickets = count;
        }
    }
    Ok(Arc::new(config))
}

/// The time that the connection being driven was given.
#[derive(Debug)]
struct Clock;

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(scope::notes(|notes| UnixTime::since_unix_epoch(Duration::from_secs(notes.unix))))
    }
}

/// The rules that map certificates to identities.
pub(crate) fn rules(doors: &Doors) -> Result<Rules, SettingsError> {
    Rules::load(&doors.rings).map_err(|error| SettingsError::Ring("maps".to_owned(), error.to_string()))
}
