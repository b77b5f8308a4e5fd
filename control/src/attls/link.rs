//! The ways between driver and packet process: a thread that fetches notices, and one that takes orders there.
//!
//! Both speak over a [`Line`]: orders for one run of the packet process never reach another, where a connection of the same
//! number may be somebody else's. What may have been lost is told as [`Knock::Lost`], and ends the connections of that run.

use std::collections::HashSet;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use ravelin_contract::limits;
use ravelin_contract::message::{Reply, Request};
use ravelin_contract::tls::Order;

use super::{Door, Knock};
use crate::io::dataplane::{Dataplane, Line, LinkError};

/// Between two tries to reach the packet process.
const PAUSE: Duration = Duration::from_millis(500);
/// Least time between two answers without a notice.
const BREATH: Duration = Duration::from_millis(50);

/// An order, and the run of the packet process that it is for.
type Addressed = (u64, Order);

/// The driver's end.
pub(super) struct Link {
    orders: Sender<Addressed>,
    duty: Arc<Duty>,
}

impl Link {
    /// With a thread at each other end.
    pub(super) fn start(dataplane: &Dataplane, door: Door) -> std::io::Result<Self> {
        let (orders, receiver) = mpsc::channel();
        let duty = Arc::new(Duty::default());
        let carrier = Carrier { dataplane: dataplane.clone(), door: door.clone(), line: None };
        thread::Builder::new().name("attls orders".to_owned()).spawn(move || carrier.serve(&receiver))?;
        let listener = Listener { dataplane: dataplane.clone(), door, duty: Arc::clone(&duty) };
        thread::Builder::new().name("attls notices".to_owned()).spawn(move || listener.serve())?;
        Ok(Self { orders, duty })
    }

    /// Gives an order, after all that were given before.
    pub(super) fn order(&self, incarnation: u64, order: Order) {
        // The other end lives as long as the process.
        let _ = self.orders.send((incarnation, order));
    }

    /// Whether notices are wanted.
    pub(super) fn listen(&self, wanted: bool) {
        self.duty.change(|state| state.wanted = wanted);
    }

    /// Who refused before may serve now.
    pub(super) fn try_again(&self) {
        self.duty.change(|state| state.refused = false);
    }
}

/// Whether the listener has something to do.
#[derive(Debug, Default)]
struct Duty {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    wanted: bool,
    /// The packet process said that it does not serve.
    refused: bool,
}

impl State {
    fn idle(&mut self) -> bool {
        !self.wanted || self.refused
    }
}

impl Duty {
    /// Two flags are never half set.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state());
        self.changed.notify_all();
    }

    fn wait(&self) {
        drop(self.changed.wait_while(self.state(), State::idle).unwrap_or_else(PoisonError::into_inner));
    }
}

/// Fetches notices.
struct Listener {
    dataplane: Dataplane,
    door: Door,
    duty: Arc<Duty>,
}

impl Listener {
    fn serve(&self) {
        loop {
            self.duty.wait();
            match self.dataplane.line() {
                Ok(line) => self.listen(line),
                // The agent tells that it cannot be reached.
                Err(_) => thread::sleep(PAUSE),
            }
        }
    }

    /// Until the line ends, or nothing is wanted.
    fn listen(&self, mut line: Line) {
        let incarnation = line.incarnation();
        while !self.duty.state().idle() {
            let asked = Instant::now();
            match line.ask(&Request::TakeTlsNotices { wait_ms: limits::TLS_WAIT_MS }) {
                Ok(Reply::TlsNotices(notices)) if notices.is_empty() => {
                    thread::sleep(BREATH.saturating_sub(asked.elapsed()));
                }
                Ok(Reply::TlsNotices(notices)) => self.door.knock(Knock::Notices { incarnation, notices }),
                Err(LinkError::Refused(why)) => {
                    self.duty.change(|state| state.refused = true);
                    self.door.knock(Knock::NotServed(why.to_string()));
                }
                Ok(_) | Err(_) => {
                    self.door.knock(Knock::Lost { incarnation });
                    thread::sleep(PAUSE);
                    return;
                }
            }
        }
    }
}

/// Takes orders to the packet process.
struct Carrier {
    dataplane: Dataplane,
    door: Door,
    line: Option<Line>,
}

impl Carrier {
    fn serve(mut self, orders: &Receiver<Addressed>) {
        while let Ok((mut run, first)) = orders.recv() {
            let mut batch = vec![first];
            // What waits goes along.
            for (incarnation, order) in orders.try_iter() {
                if incarnation != run || batch.len() == limits::TLS_ORDERS {
                    self.carry(run, std::mem::take(&mut batch));
                    run = incarnation;
                }
                batch.push(order);
            }
            self.carry(run, batch);
        }
    }

    fn carry(&mut self, incarnation: u64, orders: Vec<Order>) {
        match self.send(incarnation, orders.clone()) {
            Ok(()) => {}
            Err(LinkError::Refused(why)) if orders.len() == 1 => self.refused(&orders[0], why.to_string()),
            Err(LinkError::Refused(_)) => self.carry_alone(incarnation, orders),
            Err(_) => self.lost(incarnation, orders),
        }
    }

    /// Nobody knows what was carried out. Ends are as good twice as once, and go on a new line.
    fn lost(&mut self, incarnation: u64, orders: Vec<Order>) {
        self.door.knock(Knock::Lost { incarnation });
        let ends: Vec<_> = orders.into_iter().filter(|order| matches!(order, Order::End { .. })).collect();
        if !ends.is_empty()
            && let Err(error) = self.send(incarnation, ends)
        {
            tracing::debug!(%error, "connections that cannot be ended are gone, or run out of time");
        }
    }

    /// None of those that went together was carried out: each goes alone, and behind one that is refused none for its connection.
    fn carry_alone(&mut self, incarnation: u64, orders: Vec<Order>) {
        let mut broken = HashSet::new();
        let mut rest = orders.into_iter();
        while let Some(order) = rest.next() {
            if broken.contains(&order.connection()) {
                continue;
            }
            match self.send(incarnation, vec![order.clone()]) {
                Ok(()) => {}
                Err(LinkError::Refused(why)) => {
                    broken.insert(order.connection());
                    self.refused(&order, why.to_string());
                }
                Err(_) => return self.lost(incarnation, std::iter::once(order).chain(rest).collect()),
            }
        }
    }

    /// A connection that cannot be ended is none.
    fn refused(&self, order: &Order, why: String) {
        if !matches!(order, Order::End { .. }) {
            self.door.knock(Knock::Refused { connection: order.connection(), why });
        }
    }

    fn send(&mut self, incarnation: u64, orders: Vec<Order>) -> Result<(), LinkError> {
        let mut line = match self.line.take() {
            Some(line) if line.incarnation() == incarnation => line,
            _ => self.dataplane.line()?,
        };
        if line.incarnation() != incarnation {
            return Err(LinkError::Unexpected("orders for a run of it that has ended"));
        }
        let done = line.ask(&Request::TlsOrders(orders));
        if matches!(done, Ok(_) | Err(LinkError::Refused(_))) {
            self.line = Some(line);
        }
        done.map(drop)
    }
}
