//! The two netlink sockets: one hears what changes, one asks.

use std::io;
use std::time::Duration;

use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use rtnetlink::MulticastGroup;
use rtnetlink::packet_core::{
    NLM_F_ACK, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_REQUEST, NetlinkBuffer, NetlinkHeader, NetlinkMessage,
    NetlinkPayload,
};
use rtnetlink::sys::protocols::NETLINK_ROUTE;
use rtnetlink::sys::{Socket, SocketAddr};
use rustix::io::Errno;
use rustix::net::sockopt::{self, Timeout};

/// Room for messages that we have not read yet. When it is full the kernel drops messages and says so.
const RECEIVE_BUFFER: usize = 8 << 20;
/// Longer than any datagram of the kernel (32 KiB).
const DATAGRAM: usize = 64 << 10;
/// How long the kernel may take for one datagram of an answer.
const ANSWER: Duration = Duration::from_secs(5);
/// A dump that was disturbed by changes is tried this many times; after that it is taken as it is, and the changes
/// themselves come as messages.
const TRIES: usize = 3;
/// Messages about next hop objects (linux/rtnetlink.h), which the message library does not read.
const NEXT_HOP_OBJECTS: std::ops::RangeInclusive<u16> = 104..=105;

/// What the hearing socket brings.
#[derive(Debug)]
pub(super) enum Heard {
    /// A change, with the flags of its header.
    Change(Box<RouteNetlinkMessage>, u16),
    /// A next hop object changed, and routes with it.
    NextHopObject,
    /// Messages were lost.
    Lost,
}

/// Hears changes.
pub(super) struct Listener {
    socket: Socket,
    buffer: Vec<u8>,
}

impl Listener {
    /// Subscribes; nothing that changes after this is missed.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        for group in [
            MulticastGroup::Link,
            MulticastGroup::Ipv4Ifaddr,
            MulticastGroup::Ipv6Ifaddr,
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Neigh,
            MulticastGroup::Nexthop,
        ] {
            socket.add_membership(group as u32)?;
        }
        socket.set_non_blocking(true)?;
        if sockopt::set_socket_recv_buffer_size_force(&socket, RECEIVE_BUFFER).is_err() {
            // Without CAP_NET_ADMIN the system's limit holds.
            sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        }
        Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM) })
    }

    /// Waits for messages, at most `time`.
    pub(super) fn wait(&self, time: Duration) -> io::Result<()> {
        let mut descriptors = [rustix::event::PollFd::new(&self.socket, rustix::event::PollFlags::IN)];
        let time = rustix::event::Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        match rustix::event::poll(&mut descriptors, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives what has come to `take`, at most a thousand datagrams. Never waits.
    pub(super) fn drain(&mut self, mut take: impl FnMut(Heard)) -> io::Result<()> {
        for _ in 0..1000 {
            self.buffer.clear();
            match self.socket.recv(&mut self.buffer, 0) {
                Ok(_) => each(&self.buffer, |header, octets| {
                    if let Some(heard) = heard(header, octets) {
                        take(heard);
                    }
                }),
                Err(error) => match Errno::from_io_error(&error) {
                    Some(Errno::WOULDBLOCK) => return Ok(()),
                    Some(Errno::INTR) => {}
                    Some(Errno::NOBUFS) => take(Heard::Lost),
                    _ => return Err(error),
                },
            }
        }
        Ok(())
    }
}

fn heard(header: Header, octets: &[u8]) -> Option<Heard> {
    if NEXT_HOP_OBJECTS.contains(&header.kind) {
        return Some(Heard::NextHopObject);
    }
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(octets) {
        Ok(message) => match message.payload {
            NetlinkPayload::InnerMessage(inner) => Some(Heard::Change(Box::new(inner), header.flags)),
            NetlinkPayload::Overrun(_) => Some(Heard::Lost),
            _ => None,
        },
        Err(error) => {
            tracing::debug!(kind = header.kind, %error, "unreadable netlink message");
            None
        }
    }
}

/// Asks and reads answers.
pub(super) struct Asker {
    socket: Socket,
    buffer: Vec<u8>,
    sequence: u32,
}

/// Which tables to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// Links, addresses, routes, neighbours.
    Everything,
    /// Routes only.
    Routes,
}

impl Asker {
    /// Opens the socket.
    pub(super) fn open() -> io::Result<Self> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind_auto()?;
        socket.connect(&SocketAddr::new(0, 0))?;
        sockopt::set_socket_timeout(&socket, Timeout::Recv, Some(ANSWER))?;
        Ok(Self { socket, buffer: Vec::with_capacity(DATAGRAM), sequence: 0 })
    }

    /// Reads whole tables.
    pub(super) fn dump(&mut self, extent: Extent) -> io::Result<Vec<RouteNetlinkMessage>> {
        let mut list = Vec::new();
        for request in requests(extent) {
            self.dump_table(&request, &mut list)?;
        }
        Ok(list)
    }

    /// Sends a request that is only answered when the kernel refuses it. Refusals are logged and forgotten.
    pub(super) fn tell(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send(message, NLM_F_REQUEST | flags)?;
        // The kernel answers before `send` returns, so there is nothing to wait for.
        while self.receive(libc::MSG_DONTWAIT).is_ok() {
            tracing::debug!("the kernel refused a netlink request");
        }
        Ok(())
    }

    /// Sends a request and waits for its answer. Errors: the kernel refused it.
    pub(super) fn demand(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.send(message, NLM_F_REQUEST | NLM_F_ACK | flags)?;
        let mut answer = None;
        while answer.is_none() {
            self.receive(0)?;
            each(&self.buffer, |header, octets| {
                if header.sequence != self.sequence {
                    return;
                }
                match NetlinkMessage::<RouteNetlinkMessage>::deserialize(octets)
                    .map(|message| message.payload)
                {
                    Ok(NetlinkPayload::Error(error)) if error.code.is_some() => {
                        answer = Some(Err(error.to_io()))
                    }
                    Ok(NetlinkPayload::Error(_)) => answer = Some(Ok(())),
                    Ok(_) => {}
                    Err(error) => answer = Some(Err(io::Error::other(error))),
                }
            });
        }
        answer.unwrap_or(Ok(()))
    }

    fn receive(&mut self, flags: i32) -> io::Result<()> {
        self.buffer.clear();
        self.socket.recv(&mut self.buffer, flags).map(|_| ())
    }

    fn dump_table(
        &mut self,
        request: &RouteNetlinkMessage,
        list: &mut Vec<RouteNetlinkMessage>,
    ) -> io::Result<()> {
        let before = list.len();
        for _ in 0..TRIES {
            list.truncate(before);
            self.send(request.clone(), NLM_F_REQUEST | NLM_F_DUMP)?;
            if !self.receive_dump(list)? {
                break;
            }
        }
        Ok(())
    }

    fn send(&mut self, message: RouteNetlinkMessage, flags: u16) -> io::Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        (header.flags, header.sequence_number) = (flags, self.sequence);
        let mut message = NetlinkMessage::new(header, NetlinkPayload::from(message));
        message.finalize();
        let mut octets = vec![0; message.buffer_len()];
        message.serialize(&mut octets);
        self.socket.send(&octets, 0).map(|_| ())
    }

    /// Reads until the end of the answer; whether the tables changed meanwhile.
    fn receive_dump(&mut self, list: &mut Vec<RouteNetlinkMessage>) -> io::Result<bool> {
        let (mut disturbed, mut end) = (false, None);
        while end.is_none() {
            self.receive(0)?;
            each(&self.buffer, |header, octets| {
                if header.sequence != self.sequence {
                    return;
                }
                disturbed |= header.flags & NLM_F_DUMP_INTR != 0;
                match NetlinkMessage::deserialize(octets).map(|message| message.payload) {
                    Ok(NetlinkPayload::InnerMessage(inner)) => list.push(inner),
                    Ok(NetlinkPayload::Done(_)) => end = Some(Ok(())),
                    Ok(NetlinkPayload::Error(error)) => end = Some(Err(error.to_io())),
                    Ok(_) => {}
                    Err(error) => tracing::debug!(kind = header.kind, %error, "unreadable netlink message"),
                }
            });
        }
        end.unwrap_or(Ok(())).map(|()| disturbed)
    }
}

fn requests(extent: Extent) -> Vec<RouteNetlinkMessage> {
    let routes = [AddressFamily::Inet, AddressFamily::Inet6].map(|family| {
        let mut message = RouteMessage::default();
        message.header.address_family = family;
        RouteNetlinkMessage::GetRoute(message)
    });
    let mut list = Vec::from(routes);
    if extent == Extent::Everything {
        list.push(RouteNetlinkMessage::GetLink(LinkMessage::default()));
        list.push(RouteNetlinkMessage::GetAddress(AddressMessage::default()));
        list.push(RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()));
    }
    list
}

/// The part of a netlink header that is needed before the message is read.
#[derive(Debug, Clone, Copy)]
struct Header {
    kind: u16,
    flags: u16,
    sequence: u32,
}

/// Calls `take` with each message of a datagram, its header included.
fn each(datagram: &[u8], mut take: impl FnMut(Header, &[u8])) {
    let mut rest = datagram;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        let length = message.length() as usize;
        let header = Header {
            kind: message.message_type(),
            flags: message.flags(),
            sequence: message.sequence_number(),
        };
        take(header, &rest[..length]);
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}
