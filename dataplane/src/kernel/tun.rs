//! The TUN interface by which this host's own stack gets packets of the workers, and gives them its own.
#![expect(unsafe_code, reason = "the ioctl that makes the interface")]

use std::ffi::c_char;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags, LinkMessage};
use rustix::net::{AddressFamily, SocketType, netdevice, socket};

use super::netlink::Asker;

/// What every IPv6 link carries (RFC 8200 5): so small that the host's packets fit any tunnel without being told.
const MTU: u32 = 1280;

/// The interface. It is gone when this is dropped, and its routes with it.
#[derive(Debug)]
pub struct Tun {
    file: File,
    index: u32,
}

impl Tun {
    /// Makes the interface, without addresses, and takes it up.
    pub fn open(name: &str) -> io::Result<Self> {
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
            .open("/dev/net/tun")?;
        make(&file, name)?;
        let any = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        let index = netdevice::name_to_index(any, name)?;
        settle(name)?;
        take_up(index)?;
        Ok(Self { file, index })
    }

    /// Its interface index.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Gives the stack a packet.
    pub fn write(&self, packet: &[u8]) -> io::Result<()> {
        (&self.file).write_all(packet)
    }

    /// The next packet that the stack sends, in `room`; `None` when there is none now.
    pub fn read<'r>(&self, room: &'r mut [u8]) -> io::Result<Option<&'r [u8]>> {
        match (&self.file).read(room) {
            Ok(length) => Ok(Some(&room[..length])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl AsFd for Tun {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

fn make(file: &File, name: &str) -> io::Result<()> {
    let mut octets = [0; libc::IFNAMSIZ];
    if name.len() >= octets.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    octets.iter_mut().zip(name.bytes()).for_each(|(to, from)| *to = from as c_char);
    let flags = (libc::IFF_TUN | libc::IFF_NO_PI) as i16;
    let request =
        libc::ifreq { ifr_name: octets, ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_flags: flags } };
    // SAFETY: the ioctl reads and writes a `struct ifreq`, which lives through the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw const request) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What comes here was judged by a worker: where it came from is no business of the reverse path filter. And the
/// interface needs no link-local address, about which the stack would talk to nobody.
fn settle(name: &str) -> io::Result<()> {
    for (setting, value) in
        [(format!("ipv4/conf/{name}/rp_filter"), "0"), (format!("ipv6/conf/{name}/addr_gen_mode"), "1")]
    {
        match fs::write(format!("/proc/sys/net/{setting}"), value) {
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

fn take_up(index: u32) -> io::Result<()> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.push(LinkAttribute::Mtu(MTU));
    Asker::open()?.demand(RouteNetlinkMessage::SetLink(message), 0)
}
