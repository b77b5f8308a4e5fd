//! Brings up many IKE SAs at a gateway, and answers for them until it is ended. For the lab's namespaces.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use clap::Parser;
use ravelin_perf::initiators::{Crowd, Target};

/// One IKE SA with one child for each initiator.
#[derive(Debug, Parser)]
struct Arguments {
    /// Our end.
    #[arg(long)]
    from: SocketAddr,
    /// The gateway's end.
    #[arg(long)]
    to: SocketAddr,
    /// How many.
    #[arg(long)]
    count: u32,
    /// Most under way at a time.
    #[arg(long, default_value_t = 32)]
    window: usize,
    /// Identity of the gateway.
    #[arg(long)]
    gateway: String,
    /// What all of them share with it.
    #[arg(long)]
    secret: String,
    /// Traffic on the gateway's side.
    #[arg(long)]
    network: Ipv4Addr,
    /// Most seconds until all stand.
    #[arg(long)]
    seconds: u64,
}

fn main() -> Result<()> {
    let Arguments { from, to, count, window, gateway, secret, network, seconds } = Arguments::parse();
    let mut crowd = Crowd::new(&Target { from, to, gateway, secret, network }, count)?;
    let begun = Instant::now();
    while crowd.standing() < count {
        let late = begun.elapsed() > Duration::from_secs(seconds);
        ensure!(!late, "{} of {count} stand after {seconds} s", crowd.standing());
        crowd.begin_some(window);
        crowd.breathe();
    }
    println!("{count} stand after {} ms", begun.elapsed().as_millis());
    loop {
        crowd.breathe();
    }
}
