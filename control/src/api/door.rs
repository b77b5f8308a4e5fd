//! A Unix socket that lets only named users in.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;

use axum::extract::connect_info::Connected;
use axum::serve::IncomingStream;
use ravelin_events::tell;
use tokio::net::{UnixListener, UnixStream, unix::SocketAddr};

use super::limit::Limited;

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
        // Only a socket: a path written by mistake must not cost a file.
        if fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
            fs::remove_file(path)?;
        }
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory)?;
        }
        // Closed from its first moment on; opened wider only when somebody else may come.
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(path);
        rustix::process::umask(before);
        let (listener, own) = (listener?, rustix::process::geteuid().as_raw());
        if uids.iter().any(|uid| !admits(&[], own, *uid)) {
            fs::set_permissions(path, fs::Permissions::from_mode(0o666))?;
        }
        Ok(Self { listener, uids })
    }

    fn admits(&self, stream: &UnixStream) -> bool {
        let own = rustix::process::geteuid().as_raw();
        stream.peer_cred().is_ok_and(|peer| admits(&self.uids, own, peer.uid()))
    }
}

/// Whether a user may come in: root, the user `own` that we run as, and those of `allowed`.
fn admits(allowed: &[u32], own: u32, peer: u32) -> bool {
    peer == 0 || peer == own || allowed.contains(&peer)
}

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Peer {
    /// The user, as the kernel says.
    pub uid: Option<u32>,
    /// Root, or the user that we run as. Others may be let in too, but we must not read for them what they cannot read.
    pub may_name_files: bool,
}

impl Connected<IncomingStream<'_, Limited<Door>>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Limited<Door>>) -> Self {
        let own = rustix::process::geteuid().as_raw();
        let uid = stream.io().io().peer_cred().ok().map(|peer| peer.uid());
        Self { uid, may_name_files: uid.is_some_and(|uid| admits(&[], own, uid)) }
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
                    tell!(DOOR_REFUSED, door = "control", peer = ?stream.peer_cred().ok())
                }
                Err(error) => {
                    tell!(DOOR_FAILED, door = "control", %error);
                    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_ourselves_and_the_named_come_in() {
        let admitted: Vec<u32> = (0..6).filter(|peer| admits(&[3, 5], 1, *peer)).collect();
        assert_eq!(admitted, [0, 1, 3, 5]);
    }

    #[tokio::test]
    async fn the_socket_is_open_to_others_only_when_others_are_named() {
        let place = tempfile::tempdir().unwrap();
        for (uids, expected) in [(vec![], 0o600), (vec![0], 0o600), (vec![0, 4711], 0o666)] {
            let path = place.path().join("control.sock");
            let _door = Door::open(&path, uids).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, expected);
            assert_eq!(Door::open(&path, vec![]).unwrap_err().kind(), io::ErrorKind::AddrInUse);
            fs::remove_file(&path).unwrap();
        }
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_and_a_file_is_not() {
        let place = tempfile::tempdir().unwrap();
        let (dead, file) = (place.path().join("dead"), place.path().join("file"));
        drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
        Door::open(&dead, vec![]).unwrap();
        fs::write(&file, "precious").unwrap();
        assert!(Door::open(&file, vec![]).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "precious");
    }
}
