//! A packet process that only pretends, and holds control to the contract.

use std::collections::{HashMap, VecDeque};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use ravelin_contract::message::{Refusal, Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::tls::{ConnectionId, Ending, Notice, Order};
use ravelin_contract::tls_session::{Happening, Role};
use ravelin_contract::{codec, limits};

/// Far longer than anything takes.
const PATIENCE: Duration = Duration::from_secs(120);

#[derive(Clone)]
pub(crate) struct World(Arc<(Mutex<State>, Condvar)>);

#[derive(Default)]
struct State {
    incarnation: u64,
    fingerprint: String,
    serial: u32,
    refuses: bool,
    notices: VecDeque<Notice>,
    /// By connection.
    orders: HashMap<ConnectionId, VecDeque<Order>>,
    /// Octets of each connection that went to control, and those that it took or gave back.
    windows: HashMap<ConnectionId, (usize, usize)>,
    streams: Vec<UnixStream>,
    /// Goes up when streams are broken off: what is still on its way in one of them is lost.
    generation: u64,
    /// How often somebody greeted, and asked for notices.
    greeted: usize,
    asked: usize,
    broken: Vec<String>,
}

/// Waits for a condition.
pub(crate) fn wait<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(begun.elapsed() < PATIENCE, "it never came");
        std::thread::sleep(Duration::from_millis(5));
    }
}

impl World {
    pub(crate) fn start(path: &Path) -> Self {
        let world = Self(Arc::default());
        world.change(|state| state.incarnation = 1);
        let (listener, serving) = (UnixListener::bind(path).unwrap(), world.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serving.change(|state| state.streams.push(stream.try_clone().unwrap()));
                let world = serving.clone();
                std::thread::spawn(move || world.serve(stream));
            }
        });
        world
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let changed = change(&mut self.0.0.lock().unwrap());
        self.0.1.notify_all();
        changed
    }

    fn serve(&self, mut stream: UnixStream) {
        let run = self.change(|state| (state.incarnation, state.generation));
        while let Ok(Some(request)) = codec::read::<Request>(&mut stream) {
            let reply = self.answer(run, request);
            if codec::write(&mut stream, &reply).is_err() {
                return;
            }
        }
    }

    fn answer(&self, (incarnation, generation): (u64, u64), request: Request) -> Reply {
        match request {
            Request::Hello { version } => {
                self.change(|state| state.greeted += 1);
                Reply::Hello { version, incarnation, policy: None }
            }
            Request::TakeTlsNotices { wait_ms } => self.notices(wait_ms, generation),
            Request::TlsOrders(orders) => self.change(|state| {
                if orders.len() > limits::TLS_ORDERS {
                    state.broken.push(format!("{} orders", orders.len()));
                }
                let heard = state.generation == generation;
                for order in orders.into_iter().filter(|_| heard) {
                    if let Err(why) = order.check() {
                        state.broken.push(why);
                    }
                    let back = match &order {
                        Order::Taken { count, .. } => *count as usize,
                        Order::Returned { octets, .. } => octets.len(),
                        _ => 0,
                    };
                    state.windows.entry(order.connection()).or_default().1 += back;
                    state.orders.entry(order.connection()).or_default().push_back(order);
                }
                Reply::Done
            }),
            other => panic!("nobody asked for {other:?}"),
        }
    }

    fn notices(&self, wait_ms: u32, generation: u64) -> Reply {
        let (state, changed) = &*self.0;
        let mut state = state.lock().unwrap();
        state.asked += 1;
        if state.refuses {
            return Reply::Refused(Refusal::Unenforceable("no TLS here".to_owned()));
        }
        if wait_ms > limits::TLS_WAIT_MS {
            state.broken.push(format!("a wait of {wait_ms} ms"));
        }
        let wait = Duration::from_millis(wait_ms.into());
        let idle = |state: &mut State| state.notices.is_empty() && state.generation == generation;
        let (mut state, _) = changed.wait_timeout_while(state, wait, idle).unwrap();
        let most = match state.generation == generation {
            true => state.notices.len().min(limits::ENTRIES),
            false => 0,
        };
        Reply::TlsNotices(state.notices.drain(..most).collect())
    }

    pub(crate) fn set_policy(&self, fingerprint: &str) {
        self.change(|state| state.fingerprint = fingerprint.to_owned());
    }

    pub(crate) fn refuse(&self, refuses: bool) {
        self.change(|state| state.refuses = refuses);
    }

    /// How often somebody greeted, and asked for notices.
    pub(crate) fn visits(&self) -> (usize, usize) {
        self.change(|state| (state.greeted, state.asked))
    }

    pub(crate) fn open(&self, rule: &str, role: Role) -> ConnectionId {
        self.change(|state| {
            state.serial += 1;
            let connection = ConnectionId { worker: 0, slot: 7, serial: state.serial };
            state.notices.push_back(Notice::Opened {
                connection,
                rule: (Name::new(rule).unwrap(), 1),
                fingerprint: state.fingerprint.clone(),
                client: "192.0.2.1:40000".parse().unwrap(),
                server: "127.0.0.1:992".parse().unwrap(),
                role,
            });
            connection
        })
    }

    /// Octets of the peer, as many at a time as the window lets.
    pub(crate) fn octets(&self, connection: ConnectionId, octets: &[u8]) {
        for part in octets.chunks(limits::TLS_CHUNK) {
            wait(|| {
                self.change(|state| {
                    let (sent, back) = state.windows.entry(connection).or_default();
                    assert!(*back <= *sent, "control took {back} of {sent} octets");
                    let fits = *sent + part.len() <= *back + limits::TLS_WINDOW;
                    if fits {
                        *sent += part.len();
                        state.notices.push_back(Notice::Octets { connection, octets: part.to_vec() });
                    }
                    fits.then_some(())
                })
            });
        }
    }

    pub(crate) fn stream_ended(&self, connection: ConnectionId) {
        self.change(|state| state.notices.push_back(Notice::StreamEnded { connection }));
    }

    pub(crate) fn happened(&self, connection: ConnectionId, happening: Happening) {
        self.change(|state| state.notices.push_back(Notice::Happened { connection, happening }));
    }

    pub(crate) fn ended(&self, connection: ConnectionId, ending: Ending) {
        self.change(|state| {
            state.notices.push_back(Notice::Ended { connection, ending, octets: [10, 20] });
        });
    }

    /// The next order for a connection.
    pub(crate) fn next_order(&self, connection: ConnectionId) -> Order {
        wait(|| {
            self.change(|state| {
                assert!(state.broken.is_empty(), "{:?}", state.broken);
                state.orders.entry(connection).or_default().pop_front()
            })
        })
    }

    /// Orders for a connection that nobody has looked at.
    pub(crate) fn left(&self, connection: ConnectionId) -> usize {
        self.change(|state| state.orders.get(&connection).map_or(0, VecDeque::len))
    }

    /// The same connections as a new process, or broken ones to the same.
    pub(crate) fn break_off(&self, restart: bool) {
        self.change(|state| {
            if restart {
                state.incarnation += 1;
                state.notices.clear();
                state.orders.clear();
                state.windows.clear();
            }
            state.generation += 1;
            for stream in state.streams.drain(..) {
                let _ = stream.shutdown(std::net::Shutdown::Both);
            }
        });
    }
}
