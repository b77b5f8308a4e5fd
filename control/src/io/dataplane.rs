//! The contract link: one socket to the packet process, one answer per request, reconnected when it breaks.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ravelin_contract::codec::{self, CodecError};
use ravelin_contract::message::{Refusal, Reply, Request};
use tokio::sync::Mutex;

/// Longest wait for one answer. A commit of a large policy is the slowest request.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why the packet process gave no good answer.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody listens, or the connection broke.
    #[error("cannot reach the packet process at {path}: {source}; is ravelin-dataplane running?")]
    Unreachable {
        /// The socket.
        path: PathBuf,
        /// What the kernel said.
        source: std::io::Error,
    },
    /// The socket belongs to somebody else.
    #[error("the process behind {path} runs as uid {uid}; only root or our own uid is trusted with keys")]
    Stranger {
        /// The socket.
        path: PathBuf,
        /// Its owner.
        uid: u32,
    },
    /// Octets that are no answer.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// It said no.
    #[error("the packet process refused: {0}")]
    Refused(#[from] Refusal),
    /// An answer to another question.
    #[error("the packet process gave an unexpected answer to {0}")]
    Unexpected(&'static str),
}

/// What the packet process said of itself when we met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Greeting {
    /// Changes with every start of the process.
    pub incarnation: u64,
    /// Fingerprint of the policy held, if any.
    pub policy: Option<String>,
}

/// One open connection.
#[derive(Debug)]
struct Connection {
    path: PathBuf,
    stream: UnixStream,
    greeting: Greeting,
    /// Whether it was used before.
    kept: bool,
}

impl Connection {
    fn open(path: &Path) -> Result<Self, LinkError> {
        let unreachable = |source| LinkError::Unreachable { path: path.to_owned(), source };
        let stream = UnixStream::connect(path).map_err(unreachable)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(unreachable)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(unreachable)?;
        let uid = rustix::net::sockopt::socket_peercred(&stream).map_err(|e| unreachable(e.into()))?.uid;
        if !uid.is_root() && uid != rustix::process::geteuid() {
            return Err(LinkError::Stranger { path: path.to_owned(), uid: uid.as_raw() });
        }
        let mut stream = stream;
        match exchange(&mut stream, &Request::Hello { version: ravelin_contract::VERSION })? {
            Reply::Hello { incarnation, policy, .. } => {
                let greeting = Greeting { incarnation, policy };
                Ok(Self { path: path.to_owned(), stream, greeting, kept: false })
            }
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Err(LinkError::Unexpected("Hello")),
        }
    }
}

impl Connection {
    /// Asks in turn and gives the last answer; see [`Dataplane::ask_all`].
    fn ask_all(&mut self, requests: &[Request]) -> Result<Reply, LinkError> {
        let mut last = None;
        for request in requests {
            last = match exchange(&mut self.stream, request) {
                Ok(Reply::Refused(refusal)) => return Err(refusal.into()),
                Ok(reply) => Some(reply),
                Err(gone) if last.is_none() && self.kept && is_gone(&gone) => {
                    *self = Self::open(&self.path)?;
                    Some(settled(exchange(&mut self.stream, request)?)?)
                }
                Err(broken) => return Err(broken.into()),
            };
        }
        Ok(last.unwrap_or(Reply::Done))
    }
}

fn exchange(stream: &mut UnixStream, request: &Request) -> Result<Reply, CodecError> {
    codec::write(stream, request)?;
    codec::read(stream)?.ok_or_else(|| CodecError::Io(std::io::ErrorKind::UnexpectedEof.into()))
}

/// One connection that is never replaced unseen: who asks by it knows that it speaks with one run of the packet process, and
/// that nothing is asked twice and no answer is lost. An error that is no refusal is its end.
#[derive(Debug)]
pub struct Line(Connection);

impl Line {
    /// Incarnation of the process at the other end.
    pub fn incarnation(&self) -> u64 {
        self.0.greeting.incarnation
    }

    /// Asks one question in this thread, which waits for the answer. A refusal is an error.
    ///
    /// # Errors
    /// A refusal, or the end of the line.
    pub fn ask(&mut self, request: &Request) -> Result<Reply, LinkError> {
        settled(exchange(&mut self.0.stream, request)?)
    }
}

/// A handle that all tasks share. Requests of one batch are not interleaved with those of another.
#[derive(Debug, Clone)]
pub struct Dataplane {
    path: PathBuf,
    connection: Arc<Mutex<Option<Connection>>>,
    /// Incarnation of the process that we met last; 0 before the first.
    incarnation: Arc<AtomicU64>,
}

impl Dataplane {
    /// Does not connect yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), connection: Arc::default(), incarnation: Arc::default() }
    }

    /// A handle with a connection of its own, for requests that must not wait for those of this one.
    pub fn another(&self) -> Self {
        Self::new(&self.path)
    }

    /// Incarnation of the process that we met last; 0 before the first. Whoever reconnects first, all see the change.
    pub fn incarnation(&self) -> u64 {
        self.incarnation.load(Ordering::Relaxed)
    }

    /// Meets the packet process anew and tells what it said. A restart is seen by its incarnation.
    pub async fn greet(&self) -> Result<Greeting, LinkError> {
        self.run(|connection| Ok(connection.greeting.clone()), true).await
    }

    /// Asks one question. A refusal is an error.
    pub async fn ask(&self, request: Request) -> Result<Reply, LinkError> {
        self.ask_all(vec![request]).await
    }

    /// Asks several questions on one connection and returns the last answer. Stops at the first refusal.
    ///
    /// A connection kept from before may lead to a process that is gone; then, and only before any answer came, a new
    /// one is tried.
    pub async fn ask_all(&self, requests: Vec<Request>) -> Result<Reply, LinkError> {
        self.run(move |connection| connection.ask_all(&requests), false).await
    }

    /// Asks one question in this thread, which waits for the answer. Not for async threads.
    pub fn ask_here(&self, request: &Request) -> Result<Reply, LinkError> {
        let mut slot = self.connection.blocking_lock();
        let ask = |connection: &mut Connection| connection.ask_all(std::slice::from_ref(request));
        work_on(&mut slot, &self.path, &self.incarnation, ask, false)
    }

    /// A connection apart from that of this handle. Waits until the packet process has answered.
    ///
    /// # Errors
    /// Nobody answers there who is trusted.
    pub fn line(&self) -> Result<Line, LinkError> {
        Connection::open(&self.path).map(Line)
    }

    /// Runs `work` on the connection, off the async threads. A broken connection is thrown away. Who waits for the
    /// connection holds no thread.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, LinkError> + Send + 'static,
        anew: bool,
    ) -> Result<T, LinkError> {
        let (path, incarnation) = (self.path.clone(), Arc::clone(&self.incarnation));
        let mut slot = Arc::clone(&self.connection).lock_owned().await;
        let task = tokio::task::spawn_blocking(move || work_on(&mut slot, &path, &incarnation, work, anew));
        task.await.unwrap_or(Err(LinkError::Unexpected("a request that failed inside")))
    }
}

/// Works on the connection that is kept, or on a new one.
fn work_on<T>(
    slot: &mut Option<Connection>,
    path: &Path,
    incarnation: &AtomicU64,
    work: impl FnOnce(&mut Connection) -> Result<T, LinkError>,
    anew: bool,
) -> Result<T, LinkError> {
    let kept = if anew { None } else { slot.take() };
    let kept = kept.map(|connection| Connection { kept: true, ..connection });
    let mut connection = kept.map_or_else(|| Connection::open(path), Ok)?;
    let result = work(&mut connection);
    incarnation.store(connection.greeting.incarnation, Ordering::Relaxed);
    if matches!(result, Ok(_) | Err(LinkError::Refused(_))) {
        *slot = Some(connection);
    }
    result
}

fn settled(reply: Reply) -> Result<Reply, LinkError> {
    match reply {
        Reply::Refused(refusal) => Err(refusal.into()),
        reply => Ok(reply),
    }
}

/// Whether the other end has closed. Requests that stand first may be asked twice: none adds to what it did before.
fn is_gone(error: &CodecError) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionReset, UnexpectedEof};
    matches!(error, CodecError::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | UnexpectedEof))
}
