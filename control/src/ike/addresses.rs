//! This host's addresses: a thread hears of changes from the kernel, and what became of an address is found out then.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use ravelin_events::tell;
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketType, bind, recv, socket};

use super::{Door, Knock};
use crate::policy::peers::PORT;

/// Links, and addresses and routes of both families (RTMGRP_* of linux/rtnetlink.h).
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;
/// Changes come in company: an address goes, another comes, then a route. The rest of a group is waited for this long.
const SETTLE: Duration = Duration::from_millis(300);

/// Knocks whenever addresses or routes have changed, for the life of the process.
pub(super) fn watch(door: Door) -> io::Result<()> {
    // Without a protocol it is NETLINK_ROUTE.
    let kernel = socket(AddressFamily::NETLINK, SocketType::RAW, None)?;
    bind(&kernel, &SocketAddrNetlink::new(0, GROUPS))?;
    std::thread::Builder::new().name("ike addresses".to_owned()).spawn(move || hear(&kernel, &door)).map(drop)
}

fn hear(kernel: &OwnedFd, door: &Door) {
    // What a message says does not matter, so its end may be cut off.
    let mut buffer = [0; 16];
    loop {
        match recv(kernel, &mut buffer, RecvFlags::empty()) {
            // Messages that were lost are changes too.
            Ok(_) | Err(Errno::NOBUFS) => {}
            Err(Errno::INTR) => continue,
            Err(error) => {
                tell!(IKE_ADDRESSES, %error);
                return;
            }
        }
        std::thread::sleep(SETTLE);
        while matches!(recv(kernel, &mut buffer, RecvFlags::DONTWAIT), Ok(_) | Err(Errno::NOBUFS)) {}
        door.knock(Knock::Addresses);
    }
}

/// Whether this host has the address.
pub(super) fn is_here(address: IpAddr) -> bool {
    let refused = UdpSocket::bind((address, 0)).err();
    refused.is_none_or(|error| error.kind() != io::ErrorKind::AddrNotAvailable)
}

/// The address from which the kernel would send to that one; none without a route.
pub(super) fn toward(remote: IpAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if remote.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect((remote, PORT)).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_here_or_not() {
        assert!(is_here(Ipv4Addr::LOCALHOST.into()));
        assert!(!is_here([192, 0, 2, 254].into()));
        assert_eq!(toward(Ipv4Addr::LOCALHOST.into()), Some(Ipv4Addr::LOCALHOST.into()));
    }
}
