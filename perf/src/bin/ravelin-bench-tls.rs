//! `make bench-tls`: what handshakes, octets and idle connections cost whoever ends TLS, ours beside others. Needs root.

use anyhow::Result;
use clap::Parser;
use ravelin_perf::terminators::{Size, head, print, run, write};

/// Measures.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    size: Size,
}

fn main() -> Result<()> {
    let Arguments { size } = Arguments::parse();
    let rows = run(&size, |name, why| eprintln!("{name} is absent: {why:#}"))?;
    head();
    print(&rows);
    println!("wrote {}", write(&rows)?.display());
    Ok(())
}
