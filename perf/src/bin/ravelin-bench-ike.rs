//! `make bench-ike`: what an IKE SA with a child costs a responder, beside strongSwan. Needs root.
//!
//! Every figure is processor time of the responder's processes for a set-up with its end, as the scheduler accounts for it: the
//! median of the rounds, in which the responders take turns, and the mean of what lingers.

use anyhow::Result;
use clap::Parser;
use ravelin_perf::setups::{Size, report, run};

/// Measures.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(flatten)]
    size: Size,
}

fn main() -> Result<()> {
    let Arguments { size } = Arguments::parse();
    report::head();
    let rows = run(&size, report::print)?;
    println!("wrote {}", report::write(&rows)?.display());
    Ok(())
}
