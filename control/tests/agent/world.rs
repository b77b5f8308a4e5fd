//! A packet process that follows a script, an agent before it, and files.

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ravelin_contract::codec;
use ravelin_contract::message::{Refusal, Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::report::{FilterMode, Status};
use ravelin_control::agent::Agent;
use ravelin_control::agent::asked::Asked;
use ravelin_control::agent::history::History;
use ravelin_control::io::dataplane::Dataplane;
use ravelin_control::policy::files::{Files, Paths};
use ravelin_control::policy::management::Site;
use ravelin_rings::store::Rings;

/// Policies that are kept.
pub(crate) const KEEP: usize = 4;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// The connection breaks instead of the answer to this message of an install.
    Break(usize),
    /// That message is refused.
    Refuse(usize),
    /// The policy is installed, but the connection breaks before the answer.
    LoseAnswer,
    /// The answer to `Commit` comes after a while.
    Slow,
}

#[derive(Debug)]
pub(crate) struct World {
    fault: Fault,
    /// Every policy that came into force.
    pub(crate) installed: Vec<String>,
    pub(crate) held: Option<String>,
    begun: String,
    /// Messages of the install so far.
    pub(crate) messages: usize,
    pub(crate) default_filters: bool,
    incarnation: u64,
    streams: Vec<UnixStream>,
}

/// A packet process that only pretends.
#[derive(Clone)]
pub(crate) struct Peer(pub(crate) Arc<Mutex<World>>);

impl Peer {
    fn start(path: &Path) -> Self {
        let world = World {
            fault: Fault::None,
            installed: vec![],
            held: None,
            begun: String::new(),
            messages: 0,
            default_filters: false,
            incarnation: 1,
            streams: vec![],
        };
        let peer = Self(Arc::new(Mutex::new(world)));
        let (listener, serving) = (UnixListener::bind(path).unwrap(), peer.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                serving.0.lock().unwrap().streams.push(stream.try_clone().unwrap());
                let peer = serving.clone();
                std::thread::spawn(move || peer.serve(stream));
            }
        });
        peer
    }

    fn serve(&self, mut stream: UnixStream) {
        while let Ok(Some(request)) = codec::read::<Request>(&mut stream) {
            let Some(reply) = self.answer(request) else {
                stream.shutdown(std::net::Shutdown::Both).unwrap();
                return;
            };
            if codec::write(&mut stream, &reply).is_err() {
                return;
            }
        }
    }

    /// `None` breaks the connection.
    fn answer(&self, request: Request) -> Option<Reply> {
        let mut world = self.0.lock().unwrap();
        match request {
            Request::Hello { version } => {
                let (incarnation, policy) = (world.incarnation, world.held.clone());
                return Some(Reply::Hello { version, incarnation, policy });
            }
            Request::Status => return Some(Reply::Status(Box::new(status(world.held.clone())))),
            Request::TakeEvents => return Some(Reply::Events(vec![])),
            Request::UseDefaultFilters => {
                world.default_filters = true;
                return Some(Reply::InForce { generation: 9, took_us: 1 });
            }
            Request::Begin { ref fingerprint, .. } => {
                (world.begun, world.messages) = (fingerprint.clone(), 0);
            }
            _ => {}
        }
        let number = world.messages;
        world.messages += 1;
        match world.fault {
            Fault::Break(at) if at == number => return None,
            Fault::Refuse(at) if at == number => return Some(Reply::Refused(Refusal::NoPolicy)),
            _ => {}
        }
        if request != Request::Commit {
            return Some(Reply::Done);
        }
        if world.fault == Fault::Slow {
            drop(world);
            std::thread::sleep(Duration::from_millis(800));
            world = self.0.lock().unwrap();
        }
        world.held = Some(world.begun.clone());
        let fingerprint = world.begun.clone();
        world.installed.push(fingerprint);
        (world.fault != Fault::LoseAnswer).then_some(Reply::InForce { generation: 2, took_us: 10 })
    }

    pub(crate) fn set(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }

    pub(crate) fn held(&self) -> Option<String> {
        self.0.lock().unwrap().held.clone()
    }

    /// As after a restart: connections are gone, and nothing is held.
    pub(crate) fn restart(&self) {
        let mut world = self.0.lock().unwrap();
        world.incarnation += 1;
        world.held = None;
        for stream in world.streams.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
}

fn zones() -> [Name; 2] {
    ["lan", "wan"].map(|zone| Name::new(zone).unwrap())
}

fn status(policy: Option<String>) -> Status {
    Status {
        version: "0".to_owned(),
        pid: 1,
        uptime: 1,
        mode: FilterMode::Policy,
        generation: 2,
        policy,
        counts: (1, 0, 0),
        publish_us: 10,
        crypto: "none".to_owned(),
        workers: vec![],
        routes: 0,
        neighbours: 0,
        events_lost: 0,
        turned_away: (0, 0),
    }
}

/// An agent, its peer and its files.
pub(crate) struct Bench {
    pub(crate) place: tempfile::TempDir,
    pub(crate) peer: Peer,
    pub(crate) agent: Arc<Agent>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let peer = Peer::start(&place.path().join("dataplane.sock"));
        let agent = agent(place.path());
        Self { place, peer, agent }
    }

    pub(crate) fn policy(&self, name: &str) -> Paths {
        write_policy(self.place.path(), name)
    }

    pub(crate) fn history(&self) -> History {
        History::new(&self.place.path().join("state"), KEEP)
    }

    /// Fingerprint of what a restart would bring back.
    pub(crate) async fn kept(&self) -> Option<String> {
        let record = self.history().applied().unwrap()?;
        let texts = self.history().texts(&record).unwrap();
        let compiled = texts.compile(&Site::with(&zones())).unwrap();
        assert_eq!(compiled.snapshot.fingerprint, record.fingerprint);
        Some(record.fingerprint)
    }

    pub(crate) async fn applies(&self, name: &str) -> String {
        self.agent.apply(&self.policy(name), Asked::default()).await.unwrap().fingerprint
    }

    /// All three agree.
    pub(crate) async fn is_at(&self, fingerprint: &str) -> bool {
        let expected = Some(fingerprint.to_owned());
        (self.peer.held(), self.agent.fingerprint().await, self.kept().await)
            == (expected.clone(), expected.clone(), expected)
    }
}

pub(crate) fn agent(place: &Path) -> Arc<Agent> {
    let files = Paths {
        policy: vec![place.join("missing.toml")],
        keys: place.join("keys.toml"),
        attls: place.join("attls.toml"),
        expect: place.join("expect.toml"),
    };
    let dataplane = Dataplane::new(place.join("dataplane.sock"));
    Arc::new(Agent::new(
        dataplane,
        files,
        Site::with(&zones()),
        (&place.join("state"), KEEP),
        (
            ravelin_control::ike::door().unwrap().0,
            ravelin_control::attls::door(&Rings::at(place.join("rings"))).0,
        ),
    ))
}

pub(crate) fn write_policy(place: &Path, name: &str) -> Paths {
    let path = place.join(format!("{name}.toml"));
    let text = format!(
        "[[rule]]\nname = \"{name}\"\nsource = \"10.1.0.0/16\"\ndestination = \"10.2.0.0/16\"\naction = \"permit\"\n"
    );
    fs::write(&path, text).unwrap();
    Paths {
        policy: vec![path],
        keys: place.join("keys.toml"),
        attls: place.join("attls.toml"),
        expect: place.join("expect.toml"),
    }
}

pub(crate) fn texts(paths: &Paths) -> Files {
    Files::read(paths).unwrap()
}
