//! The agent against a packet process that follows a script: what breaks on the way leaves the old policy or the new.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ravelin_contract::codec;
use ravelin_contract::message::{Refusal, Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::report::{FilterMode, Status};
use ravelin_control::agent::history::History;
use ravelin_control::agent::{Agent, ApplyError};
use ravelin_control::io::dataplane::Dataplane;
use ravelin_control::policy::files::{Files, Paths};
use ravelin_control::policy::management::Site;
use ravelin_rings::store::Rings;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
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
struct World {
    fault: Fault,
    held: Option<String>,
    begun: String,
    /// Messages of the install so far.
    messages: usize,
    default_filters: bool,
    incarnation: u64,
    streams: Vec<UnixStream>,
}

/// A packet process that only pretends.
#[derive(Clone)]
struct Peer(Arc<Mutex<World>>);

impl Peer {
    fn start(path: &Path) -> Self {
        let world = World {
            fault: Fault::None,
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
        (world.fault != Fault::LoseAnswer).then_some(Reply::InForce { generation: 2, took_us: 10 })
    }

    fn set(&self, fault: Fault) {
        self.0.lock().unwrap().fault = fault;
    }

    fn held(&self) -> Option<String> {
        self.0.lock().unwrap().held.clone()
    }

    /// As after a restart: connections are gone, and nothing is held.
    fn restart(&self) {
        let mut world = self.0.lock().unwrap();
        world.incarnation += 1;
        world.held = None;
        for stream in world.streams.drain(..) {
            let _ = stream.shutdown(std::net::Shutdown::Both);
        }
    }
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
struct Bench {
    place: tempfile::TempDir,
    peer: Peer,
    agent: Arc<Agent>,
}

impl Bench {
    fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let peer = Peer::start(&place.path().join("dataplane.sock"));
        let agent = agent(place.path());
        Self { place, peer, agent }
    }

    fn policy(&self, name: &str) -> Paths {
        write_policy(self.place.path(), name)
    }

    fn history(&self) -> History {
        History::new(&self.place.path().join("state"))
    }

    /// Fingerprint of what a restart would bring back.
    async fn kept(&self) -> Option<String> {
        let files = self.history().applied()?;
        Some(self.agent.compile(&files).await.unwrap().snapshot.fingerprint)
    }

    async fn applies(&self, name: &str) -> String {
        self.agent.apply(&self.policy(name)).await.unwrap().fingerprint
    }

    /// All three agree.
    async fn is_at(&self, fingerprint: &str) -> bool {
        let expected = Some(fingerprint.to_owned());
        (self.peer.held(), self.agent.fingerprint().await, self.kept().await)
            == (expected.clone(), expected.clone(), expected)
    }
}

fn agent(place: &Path) -> Arc<Agent> {
    let zones = ["lan", "wan"].map(|zone| Name::new(zone).unwrap());
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
        Site::with(&zones),
        &place.join("state"),
        (
            ravelin_control::ike::door().unwrap().0,
            ravelin_control::attls::door(&Rings::at(place.join("rings"))).0,
        ),
    ))
}

fn write_policy(place: &Path, name: &str) -> Paths {
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

#[tokio::test(flavor = "multi_thread")]
async fn whatever_message_fails_the_old_policy_stays_everywhere() {
    let bench = Bench::new();
    let old = bench.applies("old").await;
    assert!(bench.is_at(&old).await);
    let messages = bench.peer.0.lock().unwrap().messages;
    assert!(messages >= 3, "Begin, parts, Commit");
    for at in 0..messages {
        for fault in [Fault::Break(at), Fault::Refuse(at)] {
            bench.peer.set(fault);
            assert!(bench.agent.apply(&bench.policy("new")).await.is_err(), "{fault:?}");
            assert!(bench.is_at(&old).await, "{fault:?}");
            assert_eq!(bench.history().staged(), None, "{fault:?}");
        }
    }
    bench.peer.set(Fault::None);
    let new = bench.applies("new").await;
    assert!(new != old && bench.is_at(&new).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_lost_after_the_commit_does_not_part_the_two_sides() {
    let bench = Bench::new();
    bench.applies("old").await;
    bench.peer.set(Fault::LoseAnswer);
    let new = bench.applies("new").await;
    assert!(bench.is_at(&new).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_apply_goes_on_when_its_asker_leaves() {
    let bench = Bench::new();
    bench.applies("old").await;
    bench.peer.set(Fault::Slow);
    let files = bench.policy("new");
    let left = tokio::time::timeout(Duration::from_millis(300), bench.agent.apply(&files)).await;
    assert!(left.is_err(), "it was still on its way");
    let new = bench.agent.compile(&files).await.unwrap().snapshot.fingerprint;
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(bench.agent.fingerprint().await, Some(new.clone()), "waits for the apply");
    assert!(bench.is_at(&new).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn default_filters_do_not_wait_for_an_apply() {
    let bench = Bench::new();
    bench.peer.set(Fault::Slow);
    let (agent, files) = (Arc::clone(&bench.agent), bench.policy("new"));
    let applying = tokio::spawn(async move { agent.apply(&files).await });
    tokio::time::sleep(Duration::from_millis(200)).await;
    bench.agent.use_default_filters().await.unwrap();
    assert!(!applying.is_finished() && bench.peer.0.lock().unwrap().default_filters);
    applying.await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_request_after_a_restart_of_the_packet_process_arrives() {
    let bench = Bench::new();
    bench.agent.use_default_filters().await.unwrap();
    bench.peer.restart();
    bench.agent.use_default_filters().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_packet_process_gets_the_policy_again() {
    let bench = Bench::new();
    let policy = bench.applies("policy").await;
    let watch = tokio::spawn(Arc::clone(&bench.agent).watch());
    tokio::time::sleep(Duration::from_millis(150)).await;
    // The first try fails; it must not be the only one.
    bench.peer.set(Fault::Refuse(0));
    bench.peer.restart();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(bench.peer.held(), None);
    bench.peer.set(Fault::None);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if bench.peer.held().is_some() {
            break;
        }
    }
    watch.abort();
    assert!(bench.is_at(&policy).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_force_but_not_kept_is_told_so() {
    let bench = Bench::new();
    bench.applies("old").await;
    // A file where a directory would be moved to.
    fs::write(bench.history().directory().join("previous"), "").unwrap();
    let error = bench.agent.apply(&bench.policy("new")).await.unwrap_err();
    assert!(matches!(error, ApplyError::NotKept { .. }), "{error}");
    assert_eq!(bench.peer.held(), bench.agent.fingerprint().await);
    fs::remove_file(bench.history().directory().join("previous")).unwrap();

    let again = agent(bench.place.path());
    again.recover().await;
    assert_eq!(again.fingerprint().await, bench.peer.held(), "the staged policy was in force");
}

#[tokio::test(flavor = "multi_thread")]
async fn recovery_does_not_undo_what_the_operator_applied_meanwhile() {
    let bench = Bench::new();
    bench.applies("old").await;
    let again = agent(bench.place.path());
    let new = again.apply(&bench.policy("new")).await.unwrap().fingerprint;
    again.recover().await;
    assert_eq!((again.fingerprint().await, bench.peer.held()), (Some(new.clone()), Some(new)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_apply_counts_when_the_packet_process_took_it() {
    for taken in [false, true] {
        let bench = Bench::new();
        let old = bench.applies("old").await;
        let files = bench.policy("new");
        bench.history().stage(&texts(&files)).unwrap();
        let new = bench.agent.compile(&files).await.unwrap().snapshot.fingerprint;
        if taken {
            bench.peer.0.lock().unwrap().held = Some(new.clone());
        }
        let again = agent(bench.place.path());
        again.recover().await;
        let expected = if taken { new } else { old };
        assert_eq!((again.fingerprint().await, bench.peer.held()), (Some(expected.clone()), Some(expected)));
        assert_eq!(bench.history().staged(), None);
    }
}

fn texts(paths: &Paths) -> Files {
    Files::read(paths).unwrap()
}

fn name_of(history: &History) -> Option<String> {
    let text = fs::read_to_string(&history.applied()?.policy[0]).unwrap();
    text.lines().nth(1).map(str::to_owned)
}

/// The directories as a crash leaves them at each step of a promotion.
#[test]
fn a_crash_at_each_step_leaves_the_old_policy_or_the_new() {
    let place = tempfile::tempdir().unwrap();
    let (old, new) = (write_policy(place.path(), "old"), write_policy(place.path(), "new"));
    let steps: [&[(&str, &str)]; 4] =
        [&[], &[("applied", "previous")], &[("applied", "previous"), ("staged", "applied")], &[]];
    for (number, moves) in steps.into_iter().enumerate() {
        let history = History::new(&place.path().join(number.to_string()));
        history.stage(&texts(&old)).unwrap();
        history.promote().unwrap();
        history.stage(&texts(&new)).unwrap();
        for (from, to) in moves {
            fs::rename(history.directory().join(from), history.directory().join(to)).unwrap();
        }
        if number == 3 {
            history.promote().unwrap();
        }
        history.mend().unwrap();
        let expected = if number == 0 { "old" } else { "new" };
        assert_eq!(name_of(&history), Some(format!("name = \"{expected}\"")), "step {number}");
    }
}

#[test]
fn what_was_compiled_is_kept_not_what_the_file_holds_later() {
    let place = tempfile::tempdir().unwrap();
    let paths = write_policy(place.path(), "first");
    let (read, history) = (texts(&paths), History::new(place.path()));
    fs::write(&paths.policy[0], "edited").unwrap();
    history.stage(&read).unwrap();
    history.promote().unwrap();
    assert_eq!(name_of(&history), Some("name = \"first\"".to_owned()));
    let left: Vec<PathBuf> =
        fs::read_dir(history.directory()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(left, [history.directory().join("applied")], "keys of the policy before are not left behind");
}
