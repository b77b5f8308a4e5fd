//! IKE at work: the protocol core of `ravelin-ike` with sockets, a clock, and the packet process to hand SAs to.
//!
//! One thread drives the core: [`driver`], and what the core wants it does in [`deeds`]. It never waits for anything but
//! its [`Door`]: [`sockets`] read datagrams for it, a [`pool`] of threads does the cryptography, the [`link`] hands SAs to the
//! packet process, [`authority`] asks the key rings. What came of each comes back by the door. [`children`] makes contract messages of what the core negotiated.

mod advice;
mod authority;
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
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};

use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_rings::store::Rings;
use tokio::sync::oneshot;

use crate::io::dataplane::Dataplane;
use crate::policy::peers::Ike;
use journal::Journal;
pub use records::Places;

/// What reaches the driver.
enum Knock {
    /// A policy came into force in this run of the packet process.
    InForce { ike: Ike, incarnation: u64 },
    /// The packet process tells.
    Heard(Event),
    /// A datagram came.
    Datagram(Datagram),
    /// Strangers have sent something: see [`Doorway::strangers`].
    Strangers,
    /// A job is done; whether it was a stranger's.
    Done(Box<ravelin_ike::Done>, bool),
    /// The packet process has answered to changes.
    Changed(Vec<(link::Ticket, link::Outcome)>),
    /// The rings answer what the core asked.
    Answered { ike: ravelin_ike::IkeId, question: u64, answer: ravelin_ike::Answer },
    /// Who peers are believed by has changed.
    Authorities(authority::Hashes),
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

/// Most datagrams of peers that may wait: what others send must not fill the memory. More are dropped, and sent again by
/// whoever means them.
const WAITING: usize = 1024;
/// Most first messages of strangers that may wait. They come after everything else.
const STRANGERS: usize = 256;

/// An IKE message, and where it came from.
struct Datagram {
    path: ravelin_ike::Path,
    bytes: Vec<u8>,
}

/// The way to the driver. It may be held by many.
#[derive(Debug, Clone)]
pub struct Door {
    sender: Sender<Knock>,
    /// Datagrams of peers that wait.
    waiting: Arc<AtomicUsize>,
    strangers: SyncSender<Datagram>,
    /// Whether the driver has been told of strangers.
    rung: Arc<AtomicBool>,
    journal: Arc<Journal>,
}

/// The driver's end of the [`Door`].
pub struct Doorway {
    knocks: Receiver<Knock>,
    strangers: Receiver<Datagram>,
}

/// Both ends.
pub fn door() -> (Door, Doorway) {
    let (sender, knocks) = mpsc::channel();
    let (stranger, strangers) = mpsc::sync_channel(STRANGERS);
    let door = Door {
        sender,
        waiting: Arc::default(),
        strangers: stranger,
        rung: Arc::default(),
        journal: Arc::default(),
    };
    (door, Doorway { knocks, strangers })
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

    /// A datagram came. False when too many wait.
    fn deliver(&self, path: ravelin_ike::Path, message: &[u8]) -> bool {
        let datagram = || Datagram { path, bytes: message.to_vec() };
        if split::is_strange(message) {
            let taken = self.strangers.try_send(datagram()).is_ok();
            if !self.rung.swap(true, Ordering::AcqRel) {
                self.knock(Knock::Strangers);
            }
            if !taken {
                self.journal.dropped(true);
            }
            return taken;
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.taken();
            self.journal.dropped(false);
            return false;
        }
        self.knock(Knock::Datagram(datagram()));
        true
    }

    /// The driver looks for strangers now: who comes from here on rings again.
    fn heed_strangers(&self) {
        self.rung.store(false, Ordering::Release);
    }

    /// A datagram waits no longer.
    fn taken(&self) {
        self.waiting.fetch_sub(1, Ordering::Relaxed);
    }

    /// Nobody is there while the process ends.
    fn knock(&self, knock: Knock) {
        let _ = self.sender.send(knock);
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
    let authority = authority::Authority::new(rings, runtime, door.clone());
    let link = link::Link::start(dataplane, door.clone())?;
    let pool = pool::Pool::new(door.clone()).map_err(std::io::Error::other)?;
    let door = door.clone();
    let life = move || driver::Driver::new((door, doorway), link, pool, authority, places).run();
    std::thread::Builder::new().name("ike".to_owned()).spawn(life).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> ravelin_ike::Path {
        let end = "192.0.2.1:500".parse().expect("an address");
        ravelin_ike::Path { local: end, remote: end }
    }

    #[test]
    fn a_flood_of_datagrams_fills_no_memory_and_keeps_nobody_else_out() {
        let (door, doorway) = door();
        let taken = (0..10 * WAITING).filter(|_| door.deliver(path(), &[1; 28])).count();
        assert_eq!(taken, WAITING);
        door.in_force(Ike::default(), 7);
        let first = doorway.knocks.recv().expect("a knock");
        assert!(matches!(first, Knock::Datagram(_)));
        door.taken();
        assert!(door.deliver(path(), &[1; 28]) && !door.deliver(path(), &[1; 28]));
        let policies = doorway.knocks.try_iter().filter(|knock| matches!(knock, Knock::InForce { .. }));
        assert_eq!(policies.count(), 1);
    }

    #[test]
    fn strangers_wait_apart_and_ring_once() {
        let (door, doorway) = door();
        let mut first = [0; 28];
        (first[7], first[19]) = (1, 0x08);
        let taken = (0..10 * STRANGERS).filter(|_| door.deliver(path(), &first)).count();
        assert_eq!(taken, STRANGERS);
        assert!(door.deliver(path(), &[1; 28]), "a peer has room");
        let knocks: Vec<Knock> = doorway.knocks.try_iter().collect();
        assert!(matches!(&knocks[..], [Knock::Strangers, Knock::Datagram(_)]));
        door.heed_strangers();
        assert_eq!(doorway.strangers.try_iter().count(), STRANGERS);
        assert!(door.deliver(path(), &first));
        assert!(matches!(doorway.knocks.try_recv(), Ok(Knock::Strangers)), "who comes later rings again");
    }
}
