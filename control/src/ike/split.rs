//! First messages of strangers apart from those of peers, in the kernel already: each has a socket, and room, of its own.
//!
//! Two sockets share an address; a program of classic BPF chooses for each datagram (SO_ATTACH_REUSEPORT_CBPF). What it
//! takes for a stranger's, [`is_strange`] does too. A flood of first messages then fills only the strangers' socket.

use std::io;
use std::net::UdpSocket;

use nix::libc::{
    BPF_ABS, BPF_B, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, sock_filter, sock_fprog,
};
use nix::sys::socket::{setsockopt, sockopt};

/// Where the responder's SPI stands in an IKE header (RFC 7296 3.1).
const RESPONDER_SPI: usize = 8;
/// Where the flags stand.
const FLAGS: usize = 19;
/// The flag of a response.
const RESPONSE: u8 = 0x20;

/// The socket of strangers is the first to join, that of peers the second.
const STRANGERS: u32 = 0;
const PEERS: u32 = 1;

/// Whether a message asks for an IKE SA: a request without the responder's SPI. So is what is too short to be one.
pub(super) fn is_strange(message: &[u8]) -> bool {
    let spi = message.get(RESPONDER_SPI..RESPONDER_SPI + 8);
    let response = message.get(FLAGS).is_some_and(|flags| flags & RESPONSE != 0);
    spi.is_none_or(|spi| spi == [0; 8]) && !response
}

/// Lets the sockets that share the address of this one be chosen between. The message begins at octet `start` of a
/// datagram; reading beyond its end chooses the first socket.
///
/// # Errors
/// What the kernel says.
pub(super) fn attach(socket: &UdpSocket, start: usize) -> io::Result<()> {
    let at = |offset: usize| u32::try_from(start + offset).unwrap_or(u32::MAX);
    let step = |code: u32, jt, jf, k| sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k };
    let mut program = [
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, at(RESPONDER_SPI)),
        step(BPF_JMP | BPF_JEQ | BPF_K, 0, 4, 0),
        step(BPF_LD | BPF_W | BPF_ABS, 0, 0, at(RESPONDER_SPI + 4)),
        step(BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0),
        step(BPF_LD | BPF_B | BPF_ABS, 0, 0, at(FLAGS)),
        step(BPF_JMP | BPF_JSET | BPF_K, 0, 1, u32::from(RESPONSE)),
        step(BPF_RET | BPF_K, 0, 0, PEERS),
        step(BPF_RET | BPF_K, 0, 0, STRANGERS),
    ];
    let program = sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    Ok(setsockopt(socket, sockopt::AttachReusePortCbpf, &program)?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::net::sockopt::set_socket_reuseport;
    use rustix::net::{AddressFamily, SocketType, socket};

    use super::*;

    fn shared(address: std::net::SocketAddr) -> UdpSocket {
        let socket = socket(AddressFamily::INET, SocketType::DGRAM, None).expect("a socket");
        set_socket_reuseport(&socket, true).expect("an option");
        rustix::net::bind(&socket, &address).expect("an address");
        let socket = UdpSocket::from(socket);
        socket.set_read_timeout(Some(Duration::from_secs(20))).expect("an option");
        socket
    }

    #[test]
    fn the_kernel_tells_strangers_as_we_do() {
        for start in [0, 4] {
            let strangers = shared("127.0.0.1:0".parse().expect("an address"));
            let address = strangers.local_addr().expect("an address");
            let peers = shared(address);
            attach(&strangers, start).expect("a program");
            let from = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            let spis = [[0; 8], [0, 0, 0, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0], [9; 8]];
            let mut messages: Vec<Vec<u8>> = vec![vec![], vec![0; 12]];
            for (spi, flags) in spis.iter().flat_map(|spi| [0x08, 0x20, 0x28, 0x00].map(|flags| (spi, flags)))
            {
                messages.push([&[5; 8][..], spi, &[33, 0x20, 34, flags], &[0; 40]].concat());
            }
            for message in &messages {
                from.send_to(&[&vec![0; start][..], message].concat(), address).expect("sends");
                let chosen = if is_strange(message) { &strangers } else { &peers };
                let mut buffer = [0; 100];
                let length = chosen.recv(&mut buffer).expect("the socket that was meant");
                assert_eq!(buffer[start..length], message[..], "{start} {message:?}");
            }
        }
    }
}
