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
    /// Write JSON lines to standard error, whatever the appliance file says.
    #[arg(long)]
    json: bool,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match ravelin_control::daemon::run(&arguments.config, arguments.json).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ravelin_log::last_word(&format!("ravelin-control: {error:#}"));
            ExitCode::FAILURE
        }
    }
}
