//! The contract link: one socket to the packet process, one answer per request, reconnected when it breaks.

use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ravelin_contract::codec::{self, CodecError};
use ravelin_contract::message::{Refusal, Reply, Request};

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
    stream: UnixStream,
    greeting: Greeting,
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
                Ok(Self { stream, greeting: Greeting { incarnation, policy } })
            }
            Reply::Refused(refusal) => Err(refusal.into()),
            _ => Err(LinkError::Unexpected("Hello")),
        }
    }
}

fn exchange(stream: &mut UnixStream, request: &Request) -> Result<Reply, CodecError> {
    codec::write(stream, request)?;
    codec::read(stream)?.ok_or_else(|| CodecError::Io(std::io::ErrorKind::UnexpectedEof.into()))
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
    pub async fn ask_all(&self, requests: Vec<Request>) -> Result<Reply, LinkError> {
        let ask = move |connection: &mut Connection| {
            let mut last = Reply::Done;
            for request in &requests {
                last = match exchange(&mut connection.stream, request)? {
                    Reply::Refused(refusal) => return Err(refusal.into()),
                    reply => reply,
                };
            }
            Ok(last)
        };
        self.run(ask, false).await
    }

    /// Runs `work` on the connection, off the async threads. A broken connection is thrown away.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, LinkError> + Send + 'static,
        anew: bool,
    ) -> Result<T, LinkError> {
        let (path, slot) = (self.path.clone(), Arc::clone(&self.connection));
        let incarnation = Arc::clone(&self.incarnation);
        let task = tokio::task::spawn_blocking(move || {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let kept = if anew { None } else { slot.take() };
            let mut connection = kept.map_or_else(|| Connection::open(&path), Ok)?;
            incarnation.store(connection.greeting.incarnation, Ordering::Relaxed);
            let result = work(&mut connection);
            if matches!(result, Ok(_) | Err(LinkError::Refused(_))) {
                *slot = Some(connection);
            }
            result
        });
        task.await.unwrap_or(Err(LinkError::Unexpected("a request that failed inside")))
    }
}
