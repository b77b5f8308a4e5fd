//! UDP 500 and 4500 of every address that a peer is to reach us at.
//!
//! The driver itself waits for them and reads them: a thread for each would have to wake it for every message.

use std::collections::VecDeque;
use std::collections::btree_map::{BTreeMap, Entry};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use nix::cmsg_space;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, setsockopt};
use ravelin_events::tell;
use ravelin_ike::Path;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketType, socket, sockopt};
use tracing::debug;

use super::bell::Bell;
use super::journal::Journal;
use super::{Datagram, split};
use crate::policy::peers::PORT;

/// Where IKE goes on once a NAT is found, and where ESP in UDP comes (RFC 7296 2.23).
const FLOATED: u16 = 4500;
/// Before IKE messages on any other port than 500 (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];
/// Longest UDP datagram.
const LONGEST: usize = 65_535;
/// Datagrams that are read with one system call.
const BATCH: usize = 32;
/// Most datagrams of peers that are taken out of one socket at a time.
const TAKEN: usize = 1024;
/// Octets of the kernel's buffer for what peers send while the driver is busy.
const ROOM: usize = 1 << 20;

/// The open sockets, by our address, and what came.
pub(super) struct Sockets {
    open: BTreeMap<SocketAddr, Open>,
    room: Box<[u8]>,
    of_peers: VecDeque<Datagram>,
    of_strangers: VecDeque<Datagram>,
}

struct Open {
    strangers: Inlet,
    /// It sends, too.
    peers: Inlet,
}

/// A socket, and how often it was full so far.
struct Inlet {
    socket: UdpSocket,
    full: u32,
}

impl Sockets {
    pub(super) fn new() -> Self {
        let room = vec![0; BATCH * LONGEST].into();
        Self { open: BTreeMap::new(), room, of_peers: VecDeque::new(), of_strangers: VecDeque::new() }
    }

    /// Opens what these addresses need and is not open, and closes the rest. What cannot be opened is told and tried
    /// again with the next policy.
    pub(super) fn serve(&mut self, addresses: &[IpAddr]) {
        let wanted: Vec<_> = addresses
            .iter()
            .flat_map(|address| [PORT, FLOATED].map(|port| SocketAddr::new(*address, port)))
            .collect();
        self.open.retain(|local, _| wanted.contains(local));
        wanted.into_iter().for_each(|local| self.ensure_open(local));
    }

    /// Opens what this address needs beside the others.
    pub(super) fn serve_also(&mut self, address: IpAddr) {
        [PORT, FLOATED].into_iter().for_each(|port| self.ensure_open(SocketAddr::new(address, port)));
    }

    /// Addresses that are served.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.open.keys().filter(|local| local.port() == PORT).map(SocketAddr::ip)
    }

    fn ensure_open(&mut self, local: SocketAddr) {
        let Entry::Vacant(place) = self.open.entry(local) else { return };
        match open(local) {
            Ok(open) => drop(place.insert(open)),
            Err(error) => {
                tell!(IKE_SOCKET, %local, %error)
            }
        }
    }

    /// The next message of a peer that was read.
    pub(super) fn of_peer(&mut self) -> Option<Datagram> {
        self.of_peers.pop_front()
    }

    /// The next first message of a stranger that was read.
    pub(super) fn of_stranger(&mut self) -> Option<Datagram> {
        self.of_strangers.pop_front()
    }

    /// Waits until something comes, somebody rings, or so long; then reads what came. Strangers are left where they are unless
    /// they are to be heard, and a few are taken at a time.
    pub(super) fn wait(&mut self, bell: &Bell, at_most: Duration, hear_strangers: bool, journal: &Journal) {
        let ready = self.ready(bell, at_most, hear_strangers);
        let Self { open, room, of_peers, of_strangers } = self;
        let mut sort = |local, remote, message: &[u8]| {
            let datagram = Datagram { path: Path { local, remote }, bytes: message.to_vec() };
            // The kernel has done so already, but for what came while the sockets were opened.
            if split::is_strange(message) {
                of_strangers.push_back(datagram)
            } else {
                of_peers.push_back(datagram)
            }
        };
        for ((local, of_stranger), is_ready) in ready {
            let Some(open) = open.get_mut(&local).filter(|_| is_ready) else { continue };
            let inlet = if of_stranger { &mut open.strangers } else { &mut open.peers };
            let most = if of_stranger { BATCH } else { TAKEN };
            let mut taken = 0;
            while taken < most {
                let read = inlet.read(room, |remote, octets| {
                    // Without the marker it is ESP that the packet process left, or a keepalive.
                    octets
                        .strip_prefix(marker(local))
                        .into_iter()
                        .for_each(|message| sort(local, remote, message));
                });
                journal.dropped(of_stranger, read.lost.into());
                taken += read.count;
                if read.count < BATCH {
                    break;
                }
            }
        }
    }

    /// Which sockets have something: our address, and whether it is that of strangers.
    fn ready(&self, bell: &Bell, at_most: Duration, hear_strangers: bool) -> Vec<((SocketAddr, bool), bool)> {
        let mut names = Vec::new();
        let mut waited = vec![PollFd::new(bell, PollFlags::IN)];
        for (local, open) in &self.open {
            names.push((*local, false));
            waited.push(PollFd::new(&open.peers.socket, PollFlags::IN));
            if hear_strangers {
                names.push((*local, true));
                waited.push(PollFd::new(&open.strangers.socket, PollFlags::IN));
            }
        }
        let time = Timespec {
            tv_sec: i64::try_from(at_most.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: at_most.subsec_nanos().into(),
        };
        // What a signal interrupts is waited for again by whoever calls.
        let _ = poll(&mut waited, Some(&time));
        let (rung, sockets) = waited.split_at(1);
        if rung.iter().any(|bell| !bell.revents().is_empty()) {
            bell.silence();
        }
        names.into_iter().zip(sockets.iter().map(|socket| !socket.revents().is_empty())).collect()
    }

    /// Sends one message; one that is lost is sent again by the core.
    pub(super) fn send(&self, local: SocketAddr, remote: SocketAddr, message: &[u8]) {
        let Some(open) = self.open.get(&local) else {
            return debug!(%local, %remote, "no socket for an IKE message");
        };
        let socket = &open.peers.socket;
        let sent = match marker(local) {
            [] => socket.send_to(message, remote),
            marker => socket.send_to(&[marker, message].concat(), remote),
        };
        if let Err(error) = sent {
            debug!(%local, %remote, %error, "an IKE message was not sent");
        }
    }
}

/// What came of one read.
#[derive(Default)]
struct Read {
    count: usize,
    /// Those that found no room since the last read.
    lost: u32,
}

impl Inlet {
    fn new(socket: UdpSocket) -> io::Result<Self> {
        setsockopt(&socket, nix::sys::socket::sockopt::RxqOvfl, &1)?;
        // Beyond what the system allows only with the right to it; else there is less room.
        if sockopt::set_socket_recv_buffer_size_force(&socket, ROOM).is_err() {
            sockopt::set_socket_recv_buffer_size(&socket, ROOM)?;
        }
        Ok(Self { socket, full: 0 })
    }

    /// Takes out what has come, a batch at most. Never waits.
    fn read(&mut self, room: &mut [u8], mut take: impl FnMut(SocketAddr, &[u8])) -> Read {
        let mut slots: Vec<_> = room.chunks_mut(LONGEST).map(|slot| [IoSliceMut::new(slot)]).collect();
        // Anew each time: the kernel writes lengths into them.
        let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(cmsg_space!(u32)));
        let flags = MsgFlags::MSG_DONTWAIT;
        let mut read = Read::default();
        // Nothing is there, or an ICMP error about something sent before.
        let Ok(found) = recvmmsg(self.socket.as_raw_fd(), &mut headers, &mut slots, flags, None) else {
            return read;
        };
        for message in found {
            read.count += 1;
            for told in message.cmsgs().into_iter().flatten() {
                if let ControlMessageOwned::RxqOvfl(full) = told {
                    read.lost += full.wrapping_sub(std::mem::replace(&mut self.full, full));
                }
            }
            let remote = message.address.as_ref().and_then(address);
            remote.into_iter().for_each(|remote| take(remote, message.iovs().next().unwrap_or_default()));
        }
        read
    }
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || from.as_sockaddr_in().map(|v4| SocketAddr::from(*v4));
    v4().or_else(|| from.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6)))
}

fn open(local: SocketAddr) -> io::Result<Open> {
    // Alone first: what shares an address with us by chance must not go unseen.
    drop(bind(local, false)?);
    let (strangers, peers) = (bind(local, true)?, bind(local, true)?);
    split::attach(&strangers, marker(local).len())?;
    Ok(Open { strangers: Inlet::new(strangers)?, peers: Inlet::new(peers)? })
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    /// Sockets at an address of this host, and one that sends there.
    fn here() -> (Sockets, UdpSocket) {
        let free = UdpSocket::bind("127.0.0.1:0").expect("a socket").local_addr().expect("an address");
        let mut sockets = Sockets::new();
        sockets.open.insert(free, open(free).expect("sockets"));
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        sender.connect(free).expect("an address");
        (sockets, sender)
    }

    /// With the marker of ports other than 500.
    fn message(responder: u8) -> Vec<u8> {
        let mut octets = vec![0; 4 + 28];
        (octets[4], octets[4 + 15], octets[4 + 19]) = (1, responder, 0x08);
        octets
    }

    fn wait(sockets: &mut Sockets, at_most: Duration, hear_strangers: bool) -> (usize, usize, u64) {
        let (bell, journal) = (Bell::new().expect("a bell"), Journal::default());
        sockets.wait(&bell, at_most, hear_strangers, &journal);
        let peers = std::iter::from_fn(|| sockets.of_peer()).count();
        (peers, std::iter::from_fn(|| sockets.of_stranger()).count(), journal.report().dropped.1)
    }

    #[test]
    fn a_flood_of_strangers_fills_no_memory_and_keeps_no_peer_out() {
        let (mut sockets, sender) = here();
        // More than any buffer of the kernel holds.
        for _ in 0..20_000 {
            sender.send(&message(0)).expect("sends");
        }
        for _ in 0..3 {
            sender.send(&message(1)).expect("sends");
        }
        assert_eq!(wait(&mut sockets, LONG, false), (3, 0, 0), "strangers stay where they are");
        let (mut heard, mut lost) = (0, 0);
        loop {
            let (peers, strangers, more) = wait(&mut sockets, Duration::ZERO, true);
            assert!(peers == 0 && strangers <= BATCH);
            (heard, lost) = (heard + strangers, lost + more);
            if strangers == 0 {
                break;
            }
        }
        assert!(heard > BATCH && heard < 20_000, "{heard} found room");
        // How many were lost is told with the next that comes.
        sender.send(&message(0)).expect("sends");
        let (_, strangers, more) = wait(&mut sockets, LONG, true);
        assert_eq!((strangers, heard as u64 + lost + more), (1, 20_000));
    }

    #[test]
    fn who_knocks_ends_the_wait_once() {
        let (mut sockets, _sender) = here();
        let (bell, journal) = (Arc::new(Bell::new().expect("a bell")), Journal::default());
        bell.ring();
        bell.lie_down();
        let other = Arc::clone(&bell);
        let knocker = std::thread::spawn(move || (0..2).for_each(|_| other.ring()));
        let begun = Instant::now();
        sockets.wait(&bell, LONG * 100, true, &journal);
        knocker.join().expect("rings");
        assert!(begun.elapsed() < LONG * 100);
        bell.lie_down();
        let begun = Instant::now();
        sockets.wait(&bell, Duration::from_millis(50), true, &journal);
        assert!(begun.elapsed() >= Duration::from_millis(50), "the ring before was heard");
    }
}
