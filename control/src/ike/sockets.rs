//! UDP 500 and 4500 of every address that a peer is to reach us at.

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ravelin_ike::Path;
use rustix::net::{AddressFamily, SocketType, socket, sockopt};
use tracing::{debug, warn};

use super::{Door, split};
use crate::policy::peers::PORT;

/// Where IKE goes on once a NAT is found, and where ESP in UDP comes (RFC 7296 2.23).
const FLOATED: u16 = 4500;
/// Before IKE messages on any other port than 500 (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];
/// How soon a reader sees that its socket is no longer wanted.
const PATIENCE: Duration = Duration::from_millis(500);
/// Longest UDP datagram.
const LONGEST: usize = 65_535;

/// The open sockets, by our address.
pub(super) struct Sockets {
    door: Door,
    open: BTreeMap<SocketAddr, Open>,
}

struct Open {
    /// That of peers; it sends, too.
    socket: Arc<UdpSocket>,
    wanted: Arc<AtomicBool>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

impl Sockets {
    pub(super) fn new(door: Door) -> Self {
        Self { door, open: BTreeMap::new() }
    }

    /// Opens what these addresses need and is not open, and closes the rest. What cannot be opened is told and tried
    /// again with the next policy.
    pub(super) fn serve(&mut self, addresses: &[IpAddr]) {
        let wanted: Vec<_> = addresses
            .iter()
            .flat_map(|address| [PORT, FLOATED].map(|port| SocketAddr::new(*address, port)))
            .collect();
        self.open.retain(|local, _| wanted.contains(local));
        for local in wanted {
            if !self.open.contains_key(&local) {
                match self.open_one(local) {
                    Ok(open) => drop(self.open.insert(local, open)),
                    Err(error) => {
                        warn!(code = "RVL-IKE-SOCKET", %local, %error, "peers cannot reach us here; is another IKE program running?")
                    }
                }
            }
        }
    }

    fn open_one(&self, local: SocketAddr) -> io::Result<Open> {
        // Alone first: what shares an address with us by chance must not go unseen.
        drop(bind(local, false)?);
        let (strangers, peers) = (bind(local, true)?, bind(local, true)?);
        split::attach(&strangers, marker(local).len())?;
        let wanted = Arc::new(AtomicBool::new(true));
        let socket = Arc::new(peers);
        for socket in [Arc::new(strangers), Arc::clone(&socket)] {
            socket.set_read_timeout(Some(PATIENCE))?;
            let (door, go_on) = (self.door.clone(), Arc::clone(&wanted));
            let name = format!("ike {}", local.port());
            std::thread::Builder::new().name(name).spawn(move || read(local, &socket, &go_on, &door))?;
        }
        Ok(Open { socket, wanted })
    }

    /// Sends one message; one that is lost is sent again by the core.
    pub(super) fn send(&self, local: SocketAddr, remote: SocketAddr, message: &[u8]) {
        let Some(open) = self.open.get(&local) else {
            return debug!(%local, %remote, "no socket for an IKE message");
        };
        let sent = match marker(local) {
            [] => open.socket.send_to(message, remote),
            marker => open.socket.send_to(&[marker, message].concat(), remote),
        };
        if let Err(error) = sent {
            debug!(%local, %remote, %error, "an IKE message was not sent");
        }
    }
}

/// What stands before an IKE message there.
fn marker(local: SocketAddr) -> &'static [u8] {
    if local.port() == PORT { &[] } else { &MARKER }
}

/// An address that comes later, with a cable or a failover, must not stop us.
fn bind(local: SocketAddr, shared: bool) -> io::Result<UdpSocket> {
    let family = if local.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = socket(family, SocketType::DGRAM, None)?;
    match local {
        SocketAddr::V4(_) => sockopt::set_ip_freebind(&socket, true)?,
        SocketAddr::V6(_) => sockopt::set_ipv6_freebind(&socket, true)?,
    }
    sockopt::set_socket_reuseport(&socket, shared)?;
    rustix::net::bind(&socket, &local)?;
    Ok(socket.into())
}

fn read(local: SocketAddr, socket: &UdpSocket, wanted: &AtomicBool, door: &Door) {
    let mut buffer = vec![0; LONGEST];
    while wanted.load(Ordering::Relaxed) {
        let (length, remote) = match socket.recv_from(&mut buffer) {
            Ok(received) => received,
            // Nothing came, or an ICMP error about something sent before.
            Err(_) => continue,
        };
        // Without the marker it is ESP that the packet process left, or a keepalive.
        let message = buffer[..length].strip_prefix(marker(local));
        if let Some(message) = message
            && !door.deliver(Path { local, remote }, message)
        {
            debug!(%local, %remote, "an IKE message was dropped: too many wait");
        }
    }
}
