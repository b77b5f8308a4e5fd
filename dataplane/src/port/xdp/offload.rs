//! What an interface must not do for us, and how many queues it has: the few ethtool requests that we need.
#![expect(unsafe_code, reason = "the ethtool ioctl")]

use std::ffi::c_char;
use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType, socket};

/// `ETHTOOL_GFLAGS` and `ETHTOOL_SFLAGS` of linux/ethtool.h.
const GET_FLAGS: u32 = 0x25;
const SET_FLAGS: u32 = 0x26;
/// `ETHTOOL_GCHANNELS` and `ETHTOOL_SCHANNELS`.
const GET_CHANNELS: u32 = 0x3c;
const SET_CHANNELS: u32 = 0x3d;
/// `ETH_FLAG_RXVLAN`: the card takes VLAN tags off and puts them beside the frame.
const RECEIVE_VLAN: u32 = 1 << 8;
/// `ETH_FLAG_LRO`: the card joins TCP segments.
const LARGE_RECEIVE: u32 = 1 << 15;

/// `struct ethtool_value`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Value {
    command: u32,
    data: u32,
}

/// `struct ethtool_channels`.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct Channels {
    command: u32,
    most: [u32; 4],
    /// receive, transmit, other, combined
    current: [u32; 4],
}

/// Structures of the ethtool ioctl: plain data that begins with the command.
trait Request: Copy {}
impl Request for Value {}
impl Request for Channels {}

/// `struct ifreq`, with the member that ethtool uses.
#[repr(C)]
struct InterfaceRequest {
    name: [c_char; libc::IFNAMSIZ],
    data: *mut libc::c_void,
    rest: [u8; 16],
}

/// Turns off what would hide octets from us: receive VLAN offload and large receive offload. An interface that has
/// neither is as good.
pub fn disable(interface: &str) -> io::Result<()> {
    let mut flags = Value { command: GET_FLAGS, data: 0 };
    if let Err(error) = ask(interface, &mut flags) {
        return if error.raw_os_error() == Some(libc::EOPNOTSUPP) { Ok(()) } else { Err(error) };
    }
    let wanted = flags.data & !(RECEIVE_VLAN | LARGE_RECEIVE);
    if wanted == flags.data {
        return Ok(());
    }
    ask(interface, &mut Value { command: SET_FLAGS, data: wanted })
}

/// Number of receive queues in use. Interfaces without that notion have one.
pub fn queues(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    match ask(interface, &mut channels) {
        Ok(()) => {
            let [receive, _, _, combined] = channels.current;
            Ok((receive + combined).max(1))
        }
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        Err(error) => Err(error),
    }
}

/// Sets the number of receive and transmit queues in use.
///
/// Errors: the interface cannot have so many, or cannot change.
pub fn set_queues(interface: &str, count: u32) -> io::Result<()> {
    let mut channels = Channels { command: GET_CHANNELS, ..Channels::default() };
    ask(interface, &mut channels)?;
    channels.command = SET_CHANNELS;
    let [receive, transmit, _, combined] = channels.most;
    if combined >= count {
        (channels.current[0], channels.current[1], channels.current[3]) = (0, 0, count);
    } else if receive >= count && transmit >= count {
        (channels.current[0], channels.current[1], channels.current[3]) = (count, count, 0);
    } else {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    ask(interface, &mut channels)
}

fn ask<T: Request>(interface: &str, request: &mut T) -> io::Result<()> {
    let mut name = [0; libc::IFNAMSIZ];
    if interface.len() >= name.len() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    name.iter_mut().zip(interface.bytes()).for_each(|(to, from)| *to = from as c_char);
    let mut carrier = InterfaceRequest { name, data: (&raw mut *request).cast(), rest: [0; 16] };
    let socket = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: the carrier names a structure of the kind that its command asks for; both live through the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCETHTOOL, &raw mut carrier) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

const _: () = assert!(size_of::<InterfaceRequest>() == size_of::<libc::ifreq>());
