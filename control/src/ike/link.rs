//! The way of negotiated SAs to the packet process: a thread that may wait, so that the driver need not.
//!
//! Changes go in the order in which they were given. What has come together meanwhile goes in one message; where that is
//! refused each goes alone, so that one bad change costs no other.

use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use ravelin_contract::child::{Change, ChildStatus};
use ravelin_contract::limits;
use ravelin_contract::message::{Refusal, Reply, Request};

use super::{Door, Knock};
use crate::io::dataplane::{Dataplane, LinkError};

/// Selectors that weigh as much as a change in a message.
const SELECTORS: usize = 16;
/// So many patterns of identities do.
const PATTERNS: usize = 4;
/// From one message to the next. Each makes the packet process publish a generation, which costs it as much as many changes:
/// who comes soon after another waits for more.
const PACE: Duration = Duration::from_millis(2);
/// Times that changes are asked for while a worker of the packet process lags.
const TRIES: usize = 4;

/// Names a change until it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Ticket(u64);

/// What became of a change; why not, in words.
pub(super) type Outcome = Result<(), String>;

/// Make this change. Answered by [`Knock::Changed`].
struct Order {
    ticket: Ticket,
    incarnation: u64,
    change: Change,
}

/// The driver's end.
pub(super) struct Link {
    orders: Sender<Order>,
    /// For what the driver waits for: a connection of its own.
    dataplane: Dataplane,
    incarnation: u64,
    tickets: u64,
}

impl Link {
    /// With a thread at its other end.
    pub(super) fn start(dataplane: &Dataplane, door: Door) -> std::io::Result<Self> {
        let (orders, receiver) = mpsc::channel();
        let far = FarEnd { dataplane: dataplane.another(), door };
        std::thread::Builder::new().name("ike link".to_owned()).spawn(move || far.serve(&receiver))?;
        Ok(Self { orders, dataplane: dataplane.another(), incarnation: 0, tickets: 0 })
    }

    /// From now on keys are negotiated for this run of the packet process. Whether it is another than before.
    pub(super) fn meet(&mut self, incarnation: u64) -> bool {
        std::mem::replace(&mut self.incarnation, incarnation) != incarnation
    }

    /// Asks for a change, after all that were asked for before.
    pub(super) fn change(&mut self, change: Change) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        // The other end lives as long as the process.
        let _ = self.orders.send(Order { ticket, incarnation: self.incarnation, change });
        ticket
    }

    /// The run that keys are negotiated for.
    pub(super) fn incarnation(&self) -> u64 {
        self.incarnation
    }

    /// All negotiated SAs that the packet process has. Waits for the answer.
    pub(super) fn children(&self) -> Result<Vec<ChildStatus>, LinkError> {
        let mut found = Vec::new();
        let mut after = None;
        loop {
            let request = Request::ListChildren { after };
            let Reply::Children(list) = self.dataplane.ask_here(&request)? else {
                return Err(LinkError::Unexpected("ListChildren"));
            };
            let Some(last) = list.last() else { return Ok(found) };
            after = Some(last.spi);
            found.extend(list);
        }
    }
}

struct FarEnd {
    dataplane: Dataplane,
    door: Door,
}

/// Changes for one message.
#[derive(Default)]
struct Batch {
    incarnation: u64,
    tickets: Vec<Ticket>,
    changes: Vec<Change>,
    weight: usize,
}

impl FarEnd {
    fn serve(&self, orders: &Receiver<Order>) {
        let mut batch = Batch::default();
        let mut next = Instant::now();
        while let Ok(first) = orders.recv() {
            std::thread::sleep(next.saturating_duration_since(Instant::now()));
            next = Instant::now() + PACE;
            // What waits goes along.
            for Order { ticket, incarnation, change } in std::iter::once(first).chain(orders.try_iter()) {
                if !batch.takes(incarnation, &change) {
                    self.make(&mut batch);
                }
                batch.add(ticket, incarnation, change);
            }
            self.make(&mut batch);
        }
    }

    fn make(&self, batch: &mut Batch) {
        let Batch { incarnation, tickets, changes, .. } = std::mem::take(batch);
        if tickets.is_empty() {
            return;
        }
        let together = Request::ChangeChildren { incarnation, changes };
        let outcomes: Vec<Outcome> = match (self.ask(&together), together) {
            (Err(LinkError::Refused(_)), Request::ChangeChildren { changes, .. }) if tickets.len() > 1 => {
                let alone = |change| Request::ChangeChildren { incarnation, changes: vec![change] };
                changes.into_iter().map(|change| told(self.ask(&alone(change)))).collect()
            }
            (together, _) => vec![told(together); tickets.len()],
        };
        self.door.knock(Knock::Changed(tickets.into_iter().zip(outcomes).collect()));
    }

    /// A worker that has not had its turn is no reason to give up a peer.
    fn ask(&self, request: &Request) -> Result<(), LinkError> {
        let mut tries = 1;
        loop {
            match self.dataplane.ask_here(request) {
                Err(LinkError::Refused(Refusal::NotInForce(_))) if tries < TRIES => tries += 1,
                other => return other.map(drop),
            }
        }
    }
}

impl Batch {
    fn takes(&self, incarnation: u64, change: &Change) -> bool {
        self.tickets.is_empty()
            || self.incarnation == incarnation && self.weight + weight(change) <= limits::ENTRIES
    }

    fn add(&mut self, ticket: Ticket, incarnation: u64, change: Change) {
        self.incarnation = incarnation;
        self.weight += weight(&change);
        self.tickets.push(ticket);
        self.changes.push(change);
    }
}

/// A message has room for so many light changes; those with many selectors take more of it.
fn weight(change: &Change) -> usize {
    match change {
        Change::Install(child) => {
            1 + child.selectors.len() / SELECTORS + child.identities.len().div_ceil(PATTERNS)
        }
        Change::Identify { identities, .. } => 1 + identities.len() / PATTERNS,
        _ => 1,
    }
}

fn told(outcome: Result<(), LinkError>) -> Outcome {
    outcome.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use ravelin_contract::child::ChildFault;
    use ravelin_contract::codec;
    use ravelin_contract::sa::Spi;

    use super::*;

    fn spi(number: u32) -> Spi {
        Spi::new(number).expect("an SPI")
    }

    /// A packet process that takes its time, lags once, and does not know the SPI 1030. What it made, message by message.
    fn packet_process(listener: UnixListener) -> Arc<Mutex<Vec<Vec<Change>>>> {
        let made: Arc<Mutex<Vec<Vec<Change>>>> = Arc::default();
        let (noted, mut lagged) = (Arc::clone(&made), false);
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            while let Ok(Some(request)) = codec::read::<Request>(&mut stream) {
                let reply = match request {
                    Request::Hello { version } => Reply::Hello { version, incarnation: 7, policy: None },
                    Request::ChangeChildren { incarnation: 7, changes } => {
                        std::thread::sleep(Duration::from_millis(100));
                        if !std::mem::replace(&mut lagged, true) {
                            Reply::Refused(Refusal::NotInForce("a worker lags".to_owned()))
                        } else if changes.contains(&Change::Send(spi(1030))) {
                            Reply::Refused(ChildFault::Unknown(spi(1030)).into())
                        } else {
                            noted.lock().expect("whole").push(changes);
                            Reply::Done
                        }
                    }
                    _ => Reply::Children(Vec::new()),
                };
                codec::write(&mut stream, &reply).expect("answered");
            }
        });
        made
    }

    #[test]
    fn what_waits_goes_together_in_order_and_one_bad_change_costs_no_other() {
        let place = tempfile::tempdir().expect("a directory");
        let path = place.path().join("dataplane.sock");
        let made = packet_process(UnixListener::bind(&path).expect("a socket"));
        let (door, doorway) = super::super::door().expect("a door");
        let mut link = Link::start(&Dataplane::new(&path), door).expect("a thread");
        assert!(link.meet(7) && !link.meet(7));
        let tickets: Vec<Ticket> = (0..40).map(|n| link.change(Change::Send(spi(1000 + n)))).collect();
        let mut outcomes = Vec::new();
        while outcomes.len() < tickets.len() {
            match doorway.0.recv_timeout(Duration::from_secs(60)).expect("an answer") {
                Knock::Changed(more) => outcomes.extend(more),
                _ => panic!("another knock"),
            }
        }
        assert!(outcomes.iter().map(|(ticket, _)| *ticket).eq(tickets), "answers come in order");
        let refused: Vec<usize> = (0..40).filter(|n| outcomes[*n].1.is_err()).collect();
        assert_eq!(refused, [30], "the one that it does not know; a worker that lags is asked again");
        let made = made.lock().expect("whole");
        let order: Vec<Change> = made.iter().flatten().cloned().collect();
        let expected = (0..40).filter(|n| *n != 30).map(|n| Change::Send(spi(1000 + n)));
        assert!(order.into_iter().eq(expected));
        assert!(made.len() <= 40);
    }
}
