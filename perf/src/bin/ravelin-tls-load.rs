//! Clients that speak TLS, or a server in clear, as load for `make bench-tls`. For the lab's namespaces.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use clap::Parser;
use ravelin_perf::terminators::load::{Clients, Target, serve};

/// What it is.
#[derive(Debug, Parser)]
enum Arguments {
    /// The server in clear.
    Serve {
        /// Where it listens.
        at: SocketAddr,
    },
    /// Connections one after the other.
    Connect {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long)]
        count: u32,
        /// How many at a time.
        #[arg(long, default_value_t = 8)]
        window: u32,
    },
    /// One connection that fetches much.
    Fetch {
        #[command(flatten)]
        target: Target,
        /// How much.
        #[arg(long)]
        octets: u64,
    },
    /// Connections that stand until this program is ended.
    Stand {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long)]
        count: u32,
    },
}

fn main() -> Result<()> {
    match Arguments::parse() {
        Arguments::Serve { at } => serve(at),
        Arguments::Connect { target, count, window } => {
            told(Clients::new(&target)?.connect(count, window)?);
            Ok(())
        }
        Arguments::Fetch { target, octets } => {
            told(Clients::new(&target)?.fetch(octets)?);
            Ok(())
        }
        Arguments::Stand { target, count } => {
            let _standing = Clients::new(&target)?.stand(count)?;
            println!("{count} stand");
            loop {
                std::thread::park();
            }
        }
    }
}

fn told(took: Duration) {
    println!("{}", took.as_micros());
}
