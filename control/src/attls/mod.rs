//! TLS at work: handshakes of `ravelin-tls` for connections that the packet process ends, and what their keys need afterwards.
//!
//! One thread ([`driver`]) knows every connection; it never waits for anything but its [`Door`]. The [`link`] brings notices of
//! the packet process and takes orders to it, a [`pool`] of threads takes the [`turn`]s of handshakes, which may wait for a token.
//! [`environments`] holds what many handshakes share, made of policy and rings. The [`ledger`] counts, and keeps what was told
//! lately; [`proxy`] writes what the application's end is told of the peer.

mod driver;
mod environments;
pub mod ledger;
mod link;
mod orders;
mod pool;
mod proxy;
mod turn;
pub mod view;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use ravelin_config::diagnostic::Findings;
use ravelin_contract::tls::{ConnectionId, Notice};
use ravelin_rings::store::Rings;
use tokio::sync::oneshot;

use crate::io::dataplane::Dataplane;
use crate::policy::attls::Attls;
use environments::Environments;
pub use environments::Served;
use ledger::Ledger;

/// What reaches the driver.
enum Knock {
    /// Connections may be ended by this policy soon.
    Coming { fingerprint: String, served: Served },
    /// It is in force.
    InForce { fingerprint: String, served: Served },
    /// What this run of the packet process tells.
    Notices { incarnation: u64, notices: Vec<Notice> },
    /// Something may have been lost on the way from or to this run.
    Lost { incarnation: u64 },
    /// The packet process does not serve connections.
    NotServed(String),
    /// It did not take an order.
    Refused { connection: ConnectionId, why: String },
    /// A turn of a handshake is over.
    Turned(Box<turn::Turned>),
    /// The operator asks what there is.
    Asked(oneshot::Sender<view::Standing>),
}

/// The way to the driver. It may be held by many.
#[derive(Debug, Clone)]
pub struct Door {
    sender: Sender<Knock>,
    environments: Arc<Environments>,
    ledger: Arc<Ledger>,
}

/// The driver's end of the [`Door`].
pub struct Doorway(Receiver<Knock>);

/// Both ends, for handshakes by these rings.
pub fn door(rings: &Rings) -> (Door, Doorway) {
    let (sender, knocks) = mpsc::channel();
    let environments = Arc::new(Environments::new(rings));
    (Door { sender, environments, ledger: Arc::default() }, Doorway(knocks))
}

impl Door {
    /// Makes ready what the handshakes of a policy need; reads rings.
    ///
    /// # Errors
    /// Rings that do not serve, each where policy names it.
    pub async fn prepare(&self, attls: &Attls) -> Result<Served, Findings> {
        let (served, findings) = self.prepare_anyway(attls).await;
        if findings.is_empty() { Ok(served) } else { Err(findings) }
    }

    /// As [`Self::prepare`], but a ring that does not serve now costs only its own connections, until it does.
    pub async fn prepare_anyway(&self, attls: &Attls) -> (Served, Findings) {
        let (environments, attls) = (Arc::clone(&self.environments), attls.clone());
        match tokio::task::spawn_blocking(move || environments.prepare(&attls)).await {
            Ok(prepared) => prepared,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        }
    }

    /// The packet process is about to get this policy.
    pub fn coming(&self, fingerprint: &str, served: &Served) {
        self.knock(Knock::Coming { fingerprint: fingerprint.to_owned(), served: served.clone() });
    }

    /// It has it.
    pub fn in_force(&self, fingerprint: &str, served: &Served) {
        self.knock(Knock::InForce { fingerprint: fingerprint.to_owned(), served: served.clone() });
    }

    /// What there is now.
    ///
    /// # Errors
    /// The driver has ended.
    pub async fn ask(&self) -> Result<view::Standing, String> {
        let (sender, answer) = oneshot::channel();
        self.knock(Knock::Asked(sender));
        answer.await.map_err(|_| "TLS is not running".to_owned())
    }

    /// The rings that handshakes use.
    pub fn rings(&self) -> &Rings {
        self.environments.rings()
    }

    /// Counts, and what was told lately.
    pub fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// Nobody is there while the process ends.
    fn knock(&self, knock: Knock) {
        let _ = self.sender.send(knock);
    }
}

/// Serves connections for the life of the process, in threads of its own.
///
/// # Errors
/// The threads cannot be had.
pub fn start(door: &Door, doorway: Doorway, dataplane: &Dataplane) -> std::io::Result<()> {
    door.environments.watch(tokio::runtime::Handle::current());
    let link = link::Link::start(dataplane, door.clone())?;
    let pool = pool::Pool::new()?;
    let door = door.clone();
    let life = move || driver::Driver::new(door, link, pool).run(&doorway.0);
    std::thread::Builder::new().name("attls".to_owned()).spawn(life).map(drop)
}
