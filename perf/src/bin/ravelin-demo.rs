//! `ravelin-demo`: shows two gateways at work, in network namespaces of this machine. Needs root.

use std::process::ExitCode;

use clap::Parser;
use ravelin_perf::demo;

/// Two Ravelin gateways protect the traffic of two sites, all on this machine.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Leave it running.
    #[arg(long)]
    keep: bool,
    /// End a demo that was left running, and show nothing.
    #[arg(long, conflicts_with = "keep")]
    end: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = if arguments.end { demo::end() } else { demo::run(arguments.keep) };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ravelin-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
