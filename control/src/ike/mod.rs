//! IKE at work: the protocol core of `ravelin-ike` with sockets, a clock, and the packet process to hand SAs to.
//!
//! One thread drives the core: [`driver`]. [`sockets`] read datagrams for it; [`children`] makes contract messages of what the
//! core negotiated; [`authority`] asks the key rings. Everything else reaches it by the [`Door`].

mod authority;
mod children;
mod driver;
mod identity;
mod key_log;
mod records;
mod sockets;
mod trust;
pub mod view;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};

use ravelin_contract::message::Event;
use ravelin_contract::name::Name;
use ravelin_rings::store::Rings;
use tokio::sync::oneshot;

use crate::io::dataplane::Dataplane;
use crate::policy::peers::Ike;
pub use records::Places;

/// What reaches the driver.
enum Knock {
    /// A policy came into force in this run of the packet process.
    InForce { ike: Ike, incarnation: u64 },
    /// The packet process tells.
    Heard(Event),
    /// A datagram came.
    Datagram { path: ravelin_ike::Path, bytes: Vec<u8> },
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

/// Most datagrams that may wait: what strangers send must not fill the memory. More are dropped, and sent again by
/// whoever means them.
const WAITING: usize = 1024;

/// The way to the driver. It may be held by many.
#[derive(Debug, Clone)]
pub struct Door {
    sender: Sender<Knock>,
    /// Datagrams that wait.
    waiting: Arc<AtomicUsize>,
}

/// The driver's end of the [`Door`].
pub struct Doorway(Receiver<Knock>);

/// Both ends.
pub fn door() -> (Door, Doorway) {
    let (sender, receiver) = mpsc::channel();
    (Door { sender, waiting: Arc::default() }, Doorway(receiver))
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

    /// A datagram came. False when too many wait.
    fn deliver(&self, path: ravelin_ike::Path, bytes: Vec<u8>) -> bool {
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= WAITING {
            self.taken();
            return false;
        }
        self.knock(Knock::Datagram { path, bytes });
        true
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
pub fn start(
    door: &Door,
    doorway: Doorway,
    dataplane: &Dataplane,
    places: Places,
    rings: &Rings,
) -> std::io::Result<()> {
    let runtime = tokio::runtime::Handle::current();
    let authority = authority::Authority::new(rings, runtime.clone(), door.clone());
    let (door, link) = (door.clone(), children::Link::new(dataplane.another(), runtime));
    let life = move || driver::Driver::new(door, link, authority, places).run(&doorway.0);
    std::thread::Builder::new().name("ike".to_owned()).spawn(life).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_datagrams_fills_no_memory_and_keeps_nobody_else_out() {
        let (door, doorway) = door();
        let end = "192.0.2.1:500".parse().expect("an address");
        let path = ravelin_ike::Path { local: end, remote: end };
        let taken = (0..10 * WAITING).filter(|_| door.deliver(path, vec![0; 28])).count();
        assert_eq!(taken, WAITING);
        door.in_force(Ike::default(), 7);
        let first = doorway.0.recv().expect("a knock");
        assert!(matches!(first, Knock::Datagram { .. }));
        door.taken();
        assert!(door.deliver(path, vec![0; 28]) && !door.deliver(path, vec![0; 28]));
        assert_eq!(doorway.0.try_iter().filter(|knock| matches!(knock, Knock::InForce { .. })).count(), 1);
    }
}
