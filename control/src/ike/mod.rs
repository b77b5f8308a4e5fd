//! IKE at work: the protocol core of `ravelin-ike` with sockets, a clock, and the packet process to hand SAs to.
//!
//! One thread drives the core: [`driver`], and what the core wants it does in [`deeds`]. It never waits for anything but
//! its [`sockets`] and its [`Door`]: a [`pool`] of threads does what takes long, the [`link`] hands SAs to the
//! packet process, [`authority`] asks the key rings. What came of each comes back by the door. [`children`] makes contract messages of what the core negotiated.

mod addresses;
mod advice;
mod authority;
mod bell;
mod children;
mod deeds;
mod driver;
mod identity;
pub mod journal;
mod key_log;
mod left_over;
mod link;
mod log_in;
mod pool;
mod records;
mod served;
mod sockets;
mod split;
mod trust;
mod users;
pub mod view;

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};

use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_rings::store::Rings;
use tokio::sync::oneshot;

use crate::io::dataplane::Dataplane;
use crate::policy::peers::Ike;
use bell::Bell;
use journal::Journal;
pub use records::Places;
pub(crate) use trust::LISTS;

/// What reaches the driver.
enum Knock {
    /// A policy came into force in this run of the packet process.
    InForce { ike: Ike, incarnation: u64 },
    /// The packet process tells.
    Heard(Event),
    /// A job is done; whether it was a stranger's.
    Done(Box<ravelin_ike::Done>, bool),
    /// The packet process has answered to changes.
    Changed(Vec<(link::Ticket, link::Outcome)>),
    /// The rings answer what the core asked.
    Answered { ike: ravelin_ike::IkeId, question: u64, answer: ravelin_ike::Answer },
    /// Who peers are believed by has changed.
    Authorities(authority::Hashes),
    /// This host's addresses or routes have changed.
    Addresses,
    /// The operator asks.
    Asked(Question, oneshot::Sender<Result<Vec<view::IkeSa>, String>>),
}

/// What an operator asks of IKE. The answer is what stands afterwards.
#[derive(Debug, Clone)]
pub enum Question {
    /// Nothing.
    List,
    /// Bring up every tunnel of this peer.
    Up(Name),
    /// End every IKE SA of this peer.
    Down(Name),
    /// New keys for every IKE SA of this peer and their children.
    Rekey(Name),
}

/// An IKE message, and where it came from.
struct Datagram {
    path: ravelin_ike::Path,
    bytes: Vec<u8>,
}

/// The way to the driver. It may be held by many.
#[derive(Debug, Clone)]
pub struct Door {
    sender: Sender<Knock>,
    bell: Arc<Bell>,
    journal: Arc<Journal>,
}

/// The driver's end of the [`Door`].
pub struct Doorway(Receiver<Knock>);

/// Both ends.
///
/// # Errors
/// The system has no descriptor left.
pub fn door() -> std::io::Result<(Door, Doorway)> {
    let (sender, knocks) = mpsc::channel();
    Ok((Door { sender, bell: Arc::new(Bell::new()?), journal: Arc::default() }, Doorway(knocks)))
}

impl Door {
    /// A policy came into force in this run of the packet process.
    pub fn in_force(&self, ike: Ike, incarnation: u64) {
        self.knock(Knock::InForce { ike, incarnation });
    }

    /// What the packet process told, where it matters to IKE.
    pub fn hear(&self, event: &Event) {
        if matches!(event, Event::Acquire { .. } | Event::Child { .. }) {
            self.knock(Knock::Heard(event.clone()));
        }
    }

    /// Asks, and waits for what stands then.
    pub async fn ask(&self, question: Question) -> Result<Vec<view::IkeSa>, String> {
        let (sender, answer) = oneshot::channel();
        self.knock(Knock::Asked(question, sender));
        answer.await.unwrap_or_else(|_| Err("IKE is not running".to_owned()))
    }

    /// What was told lately, and counts.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Nobody is there while the process ends.
    fn knock(&self, knock: Knock) {
        let _ = self.sender.send(knock);
        self.bell.ring();
    }
}

/// Drives IKE for the life of the process, in a thread of its own.
///
/// # Errors
/// The threads cannot be had.
pub fn start(
    door: &Door,
    doorway: Doorway,
    dataplane: &Dataplane,
    places: Places,
    rings: &Rings,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    let pool = pool::Pool::new(door.clone()).map_err(std::io::Error::other)?;
    let authority = authority::Authority::new(rings, pool.threads(), runtime, door.clone());
    let link = link::Link::start(dataplane, door.clone())?;
    let door = door.clone();
    addresses::watch(door.clone())?;
    let life = move || driver::Driver::new((door, doorway.0), link, pool, authority, places).run();
    std::thread::Builder::new().name("ike".to_owned()).spawn(life).map(drop)
}
