//! The only door from control: a Unix socket, peers judged by their credentials, one answer per request.

mod visitors;

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ravelin_contract::message::{Refusal, Reply, Request};
use ravelin_contract::report::Status;
use ravelin_contract::snapshot::{Inconsistency, Snapshot};
use ravelin_contract::{VERSION, codec, limits};
use ravelin_events::tell;
use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::engine::Engine;
use visitors::{Message, Visit, Visitors};

/// Between a connection that could not be taken and the next.
const PAUSE: Duration = Duration::from_millis(50);
/// Most connections at a time; control has two.
const CONNECTIONS: usize = 32;
/// Longest time that a message may take from its first octet to its last, either way.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest fingerprint, in octets: control's has 64, and it goes into every status.
const FINGERPRINT: usize = 128;

/// Binds the socket, open to others than root and ourselves only when `allowed` names some. A file that no process listens on any more is replaced; one that answers is not.
pub fn bind(path: &Path, allowed: &[u32]) -> io::Result<UnixListener> {
    if UnixStream::connect(path).is_ok() {
        let text = format!("{} is in use by another ravelin-dataplane", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // Only a socket: a path written by mistake must not cost a file.
    if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        fs::remove_file(path)?;
    }
    // Closed from its first moment on.
    let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(path);
    rustix::process::umask(before);
    let (listener, own) = (listener?, rustix::process::geteuid().as_raw());
    if allowed.iter().any(|uid| !admits(&[], own, *uid)) {
        fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
    }
    Ok(listener)
}

/// Accepts for ever; each connection has a thread of its own, away from the workers' cores when there are others.
pub fn serve(listener: &UnixListener, engine: &Arc<Engine>, allowed: &[u32]) {
    let visitors = Arc::new(Visitors::default());
    for stream in listener.incoming() {
        let accepted = stream.and_then(|stream| admit(&stream, allowed).map(|()| stream));
        match accepted {
            Ok(stream) => match visitors.enter(CONNECTIONS) {
                Some(visit) => spawn(stream, Session::new(Arc::clone(engine), visit)),
                None => tell!(CONTRACT_FULL, most = CONNECTIONS),
            },
            Err(error) => {
                match error.kind() {
                    io::ErrorKind::PermissionDenied => tell!(DOOR_REFUSED, door = "contract", %error),
                    _ => tell!(DOOR_FAILED, door = "contract", %error),
                }
                // Without descriptors left, the next try would fail as fast.
                std::thread::sleep(PAUSE);
            }
        }
    }
}

fn admit(stream: &UnixStream, allowed: &[u32]) -> io::Result<()> {
    let peer = rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw();
    if admits(allowed, rustix::process::geteuid().as_raw(), peer) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::PermissionDenied, format!("refused uid {peer}")))
}

/// Whether a user may give us policy: root, the user `own` that we run as, and those of `allowed`.
fn admits(allowed: &[u32], own: u32, peer: u32) -> bool {
    peer == 0 || peer == own || allowed.contains(&peer)
}

/// Whether the other end is open. Nothing is taken: one who waits for an answer sends nothing.
fn is_there(stream: &UnixStream) -> bool {
    let look = RecvFlags::PEEK | RecvFlags::DONTWAIT;
    match rustix::net::recv(stream, &mut [0; 1], look) {
        Ok((octets, _)) => octets > 0,
        Err(error) => error == Errno::AGAIN,
    }
}

fn spawn(stream: UnixStream, session: Session) {
    let run = move || {
        if let Err(error) = session.run(&stream) {
            tell!(CONTRACT_ENDED, %error);
        }
    };
    if let Err(error) = std::thread::Builder::new().name("contract".to_owned()).spawn(run) {
        tell!(NO_THREAD, %error);
    }
}

/// What one connection has said so far.
struct Session {
    engine: Arc<Engine>,
    visit: Visit,
    greeted: bool,
    /// Tells connections apart.
    number: u64,
    /// The snapshot begun and not yet committed.
    begun: Option<Snapshot>,
}

impl Session {
    fn new(engine: Arc<Engine>, visit: Visit) -> Self {
        /// Of the last connection.
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Self { engine, visit, greeted: false, number, begun: None }
    }

    fn run(mut self, stream: &UnixStream) -> Result<(), codec::CodecError> {
        let ended = self.talk(stream);
        if let Err(codec::CodecError::Io(error)) = &ended
            && visitors::is_slowness(error)
        {
            self.visit.was_slow();
        }
        ended
    }

    fn talk(&mut self, stream: &UnixStream) -> Result<(), codec::CodecError> {
        while let Some(request) = codec::read(&mut Message::awaited(stream, PATIENCE))? {
            let reply = self.answer(request, stream).unwrap_or_else(Reply::Refused);
            codec::write(&mut Message::sent(stream, PATIENCE), &reply)?;
        }
        Ok(())
    }

    fn answer(&mut self, request: Request, stream: &UnixStream) -> Result<Reply, Refusal> {
        if !self.greeted && !matches!(request, Request::Hello { .. }) {
            return Err(Refusal::OutOfOrder("the first request must be Hello".to_owned()));
        }
        match request {
            Request::Hello { version } => self.greet(version),
            Request::Begin { fingerprint, .. } if fingerprint.len() > FINGERPRINT => {
                Err(Refusal::Unenforceable(format!("a fingerprint has at most {FINGERPRINT} octets")))
            }
            Request::Begin { fingerprint, filter } => {
                self.begun = Some(Snapshot { fingerprint, filter, ..Snapshot::default() });
                Ok(Reply::Done)
            }
            Request::Zones(more) => self.extend("zones", limits::ZONES, more, |s| &mut s.zones),
            Request::Tunnels(more) => self.extend("tunnels", limits::TUNNELS, more, |s| &mut s.tunnels),
            Request::Rules(more) => self.extend("rules", limits::RULES, more, |s| &mut s.rules),
            Request::Sas(more) => self.extend("SAs", limits::SAS, more, |s| &mut s.sas),
            Request::TlsRules(more) => self.extend("TLS rules", limits::TLS_RULES, more, |s| &mut s.tls),
            Request::Commit => {
                let nothing = || Refusal::OutOfOrder("Commit without Begin".to_owned());
                self.engine.install_while(self.begun.take().ok_or_else(nothing)?, || is_there(stream))
            }
            Request::UseDefaultFilters => self.engine.use_default_filters(),
            Request::UsePolicy => self.engine.use_policy(),
            Request::Status => {
                let turned_away = self.visit.turned_away();
                Ok(Reply::Status(Box::new(Status { turned_away, ..self.engine.status() })))
            }
            Request::Ports => Ok(Reply::Ports(self.engine.ports())),
            Request::ListRules { from } => Ok(self.engine.list_rules(from)),
            Request::ListSas { from } => Ok(self.engine.list_sas(from)),
            Request::Interfaces => Ok(Reply::Interfaces(self.engine.interfaces())),
            Request::TakeEvents => Ok(Reply::Events(self.engine.take_events())),
            Request::ChangeChildren { incarnation, changes } => {
                self.engine.change_children(incarnation, changes)
            }
            Request::Children(spis) => Ok(self.engine.children_of(&spis)),
            Request::ListChildren { after } => Ok(self.engine.list_children(after)),
            Request::TakeTlsNotices { wait_ms } => Ok(self.engine.take_tls_notices(self.number, wait_ms)),
            Request::Identities(more) => {
                self.extend("identities", limits::IDENTITIES, more, |s| &mut s.identities)
            }
            Request::TlsOrders(orders) => self.engine.order_tls(orders),
        }
    }

    fn greet(&mut self, version: u16) -> Result<Reply, Refusal> {
        if version != VERSION {
            return Err(Refusal::Version(VERSION));
        }
        self.greeted = true;
        let (incarnation, policy) = self.engine.identity();
        Ok(Reply::Hello { version: VERSION, incarnation, policy })
    }

    /// Adds a part of the snapshot; its size is judged at once, so that a peer cannot fill the memory.
    fn extend<T>(
        &mut self,
        what: &str,
        most: usize,
        more: Vec<T>,
        part: fn(&mut Snapshot) -> &mut Vec<T>,
    ) -> Result<Reply, Refusal> {
        let begun =
            self.begun.as_mut().ok_or_else(|| Refusal::OutOfOrder(format!("{what} without Begin")))?;
        let list = part(begun);
        let have = list.len() + more.len();
        if have > most {
            self.begun = None;
            return Err(Inconsistency::TooMany(what.to_owned(), have as u64, most as u64).into());
        }
        list.extend(more);
        Ok(Reply::Done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_ourselves_and_the_allowed_come_in() {
        let admitted: Vec<u32> = (0..6).filter(|peer| admits(&[3, 5], 1, *peer)).collect();
        assert_eq!(admitted, [0, 1, 3, 5]);
    }

    #[test]
    fn the_socket_is_open_to_others_only_when_others_are_allowed() {
        let place = tempfile::tempdir().unwrap();
        for (allowed, expected) in [(&[][..], 0o600), (&[0], 0o600), (&[0, 4711], 0o666)] {
            let path = place.path().join("dataplane.sock");
            let _listener = bind(&path, allowed).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected);
            fs::remove_file(&path).unwrap();
        }
    }
}
