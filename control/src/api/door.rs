//! A Unix socket that lets only named users in.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};
use tracing::warn;

/// Listens and judges each peer by the credentials that the kernel gives (SO_PEERCRED).
#[derive(Debug)]
pub struct Door {
    listener: UnixListener,
    /// Allowed besides root and our own user.
    uids: Vec<u32>,
}

impl Door {
    /// Binds `path`, replacing a socket that a dead process left. Refuses to replace one that answers.
    pub fn open(path: &Path, uids: Vec<u32>) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            let text = format!("{} is in use by another ravelin-control", path.display());
            return Err(io::Error::new(io::ErrorKind::AddrInUse, text));
        }
        let _ = fs::remove_file(path);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        let listener = UnixListener::bind(path)?;
        let mode = if uids.is_empty() { 0o600 } else { 0o666 };
        fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
        Ok(Self { listener, uids })
    }

    fn admits(&self, stream: &UnixStream) -> bool {
        let Ok(peer) = stream.peer_cred() else { return false };
        let own = rustix::process::geteuid().as_raw();
        peer.uid() == 0 || peer.uid() == own || self.uids.contains(&peer.uid())
    }
}

impl axum::serve::Listener for Door {
    type Io = UnixStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (UnixStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok((stream, address)) if self.admits(&stream) => return (stream, address),
                Ok((stream, _)) => {
                    warn!(peer = ?stream.peer_cred().ok(), "refused a user at the control socket")
                }
                Err(error) => {
                    warn!(%error, "control socket");
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}
