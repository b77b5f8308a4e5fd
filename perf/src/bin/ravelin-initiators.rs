//! Brings up many IKE SAs at a gateway, and answers for them until it is ended. For the lab's namespaces.

use std::time::Duration;

use anyhow::{Result, ensure};
use clap::Parser;
use ravelin_perf::initiators::{Crowd, Target, Wire};

/// One IKE SA with one child for each initiator.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    target: Target,
    /// How many.
    #[arg(long)]
    count: u32,
    /// Most under way at a time.
    #[arg(long, default_value_t = 32)]
    window: usize,
    /// Each ends as soon as it stands, and the program with the last.
    #[arg(long)]
    leave: bool,
    /// Most seconds until all stand, or have left.
    #[arg(long)]
    seconds: u64,
}

fn main() -> Result<()> {
    let Arguments { target, count, window, leave, seconds } = Arguments::parse();
    let crowd = Crowd::new(target.clone(), leave)?;
    let mut wire = Wire::new(&target, crowd)?;
    let begun = wire.elapsed();
    while wire.crowd().begun() < count || wire.crowd().under_way() > 0 {
        let late = wire.elapsed() > Duration::from_secs(seconds);
        let (standing, ended) = (wire.crowd().standing(), wire.crowd().ended());
        ensure!(!late, "{standing} of {count} stand after {seconds} s, {ended} have ended");
        wire.begin_some(count, window)?;
        wire.breathe()?;
    }
    let took = (wire.elapsed() - begun).as_millis();
    if leave {
        println!("{count} have left after {took} ms");
        return Ok(());
    }
    println!("{count} stand after {took} ms");
    loop {
        wire.breathe()?;
    }
}
