//! Sockets for a crowd: UDP 500 and 4500 of each of its addresses.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ravelin_ike::{Path, Time};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::{Crowd, FLOATED, PORT, Target};

/// How often the clock is looked at.
const PATIENCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
/// Before IKE messages on any other port than 500 (RFC 3948 2.2).
const MARKER: [u8; 4] = [0; 4];

/// A crowd with its sockets and clock.
pub struct Wire {
    crowd: Crowd,
    sockets: BTreeMap<SocketAddr, UdpSocket>,
    since: Instant,
}

impl Wire {
    /// Opens the sockets; nobody has begun.
    pub fn new(target: &Target, crowd: Crowd) -> Result<Self> {
        let ends =
            target.from.iter().flat_map(|from| [PORT, FLOATED].map(|port| SocketAddr::new(*from, port)));
        let open = |end: SocketAddr| {
            let socket = UdpSocket::bind(end).with_context(|| format!("opening {end}"))?;
            socket.set_nonblocking(true)?;
            Ok((end, socket))
        };
        Ok(Self { crowd, sockets: ends.map(open).collect::<Result<_>>()?, since: Instant::now() })
    }

    /// The crowd.
    pub fn crowd(&self) -> &Crowd {
        &self.crowd
    }

    /// Since the sockets were opened.
    pub fn elapsed(&self) -> Duration {
        self.since.elapsed()
    }

    /// Lets more begin, as long as fewer than `window` are under way and fewer than `count` have begun.
    pub fn begin_some(&mut self, count: u32, window: usize) -> Result<()> {
        while self.crowd.begun() < count && self.crowd.under_way() < window {
            self.crowd.begin(self.now())?;
            self.send();
        }
        Ok(())
    }

    /// Waits for datagrams, or for the clock, and handles what has come.
    pub fn breathe(&mut self) -> Result<()> {
        let mut waiting: Vec<_> =
            self.sockets.values().map(|socket| PollFd::new(socket, PollFlags::IN)).collect();
        poll(&mut waiting, Some(&PATIENCE)).context("waiting for datagrams")?;
        let come: Vec<SocketAddr> = self
            .sockets
            .keys()
            .zip(&waiting)
            .filter(|(_, waits)| !waits.revents().is_empty())
            .map(|(end, _)| *end)
            .collect();
        for end in come {
            self.receive(end)?;
        }
        self.crowd.tick(self.now());
        self.send();
        Ok(())
    }

    fn now(&self) -> Time {
        Time::from_micros(self.since.elapsed().as_micros() as u64)
    }

    fn receive(&mut self, local: SocketAddr) -> Result<()> {
        let mut buffer = [0; 4096];
        loop {
            let (length, remote) = match self.sockets[&local].recv_from(&mut buffer) {
                Ok(received) => received,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                // Of something that was sent before.
                Err(error) if error.kind() == ErrorKind::ConnectionRefused => continue,
                Err(error) => return Err(error).context("receiving"),
            };
            let Some(message) = buffer[..length].strip_prefix(marker(local)) else { continue };
            self.crowd.receive(self.now(), Path { local, remote }, message.to_vec());
            self.send();
        }
    }

    /// What is lost is sent again.
    fn send(&mut self) {
        for datagram in self.crowd.sent() {
            let message = [marker(datagram.local), &datagram.bytes].concat();
            let _ = self.sockets.get(&datagram.local).map(|socket| socket.send_to(&message, datagram.remote));
        }
    }
}

/// What stands before an IKE message there.
fn marker(local: SocketAddr) -> &'static [u8] {
    if local.port() == PORT { &[] } else { &MARKER }
}
