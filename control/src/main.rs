//! `ravelin-control`: the process that reads policy, installs it and answers the operator.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

/// Reads the policy, installs it in the packet process, serves the operator's command and Prometheus.
#[derive(Debug, Parser)]
#[command(name = "ravelin-control", version)]
struct Arguments {
    /// The appliance file.
    #[arg(long, env = "RAVELIN_CONFIG", default_value = "/etc/ravelin/ravelin.toml")]
    config: PathBuf,
    /// Log as JSON lines.
    #[arg(long)]
    json: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info".into());
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if arguments.json {
        log.json().init();
    } else {
        log.with_ansi(false).init();
    }
    match ravelin_control::daemon::run(&arguments.config).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ravelin-control: {error:#}");
            ExitCode::FAILURE
        }
    }
}
