//! The thread between the workers and this host's own network stack: it alone reads and writes the TUN interface.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use ravelin_events::tell;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use tracing::debug;

use crate::kernel::tun::Tun;
use crate::worker::host::Host;

/// Longest packet that the interface gives; its MTU is far below.
const LONGEST: usize = 4096;

/// Carries packets both ways for the life of the process.
pub fn serve(tun: Tun, host: Arc<Host>) -> io::Result<()> {
    let life = move || {
        loop {
            // Only an interface that somebody deleted ends it. Then workers find the queue full and drop.
            match carry(&tun, &host).and_then(|()| wait(&tun, &host)) {
                Err(cause) if Errno::from_io_error(&cause) != Some(Errno::INTR) => {
                    return tell!(HOST_CUT_OFF, %cause);
                }
                _ => {}
            }
        }
    };
    std::thread::Builder::new().name("stack".to_owned()).spawn(life).map(drop)
}

fn wait(tun: &Tun, host: &Host) -> io::Result<()> {
    let mut waited =
        [tun.as_fd(), host.bell().descriptor()].map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    host.bell().lie_down();
    let woken = if host.has_for_stack() { Ok(0) } else { poll(&mut waited, None) };
    host.bell().get_up();
    host.bell().silence();
    Ok(woken.map(drop)?)
}

/// All that waits now.
fn carry(tun: &Tun, host: &Host) -> io::Result<()> {
    let write = |packet: &[u8]| {
        if let Err(cause) = tun.write(packet) {
            debug!(%cause, "the host's stack did not take a packet");
        }
    };
    while host.next_for_stack(write) {}
    let mut packet = [0; LONGEST];
    while let Some(octets) = tun.read(&mut packet)? {
        if !host.send(octets) {
            debug!("the workers have no room for a packet of the host");
        }
    }
    Ok(())
}
