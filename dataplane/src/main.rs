//! `ravelin-dataplane`: the packet process.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;

use clap::{Parser, Subcommand};
use ravelin_dataplane::gateway::{self, Gateway};

/// Carries packets between the ports of the appliance file, through filters and ESP.
#[derive(Debug, Parser)]
#[command(name = "ravelin-dataplane", version)]
struct Arguments {
    /// The appliance file.
    #[arg(long, global = true, env = "RAVELIN_CONFIG", default_value = "/etc/ravelin/ravelin.toml")]
    config: PathBuf,
    /// Write JSON lines to standard error, whatever the appliance file says.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Takes the XDP programs off the ports, so that the kernel sees everything again. Nothing is protected any more.
    Detach,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.verb {
        Some(Verb::Detach) => gateway::detach(&arguments.config),
        None => run(&arguments.config, arguments.json),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            ravelin_log::last_word(&format!("ravelin-dataplane: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run(config: &std::path::Path, json: bool) -> anyhow::Result<()> {
    let (ring, stop) = mpsc::channel();
    let mut signals =
        signal_hook::iterator::Signals::new([signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT])?;
    ravelin_crypto_accel::check_environment()?;
    let (appliance, notes) = gateway::load(config)?;
    let mut log = appliance.log.clone();
    log.json |= json;
    let _log = ravelin_log::start(&log, "ravelin-dataplane")?;
    let gateway = Gateway::start(&appliance, &notes)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if signals.forever().next().is_some() {
            // Nobody listens only when the process ends anyway.
            let _ = ring.send(());
        }
    })?;
    gateway.run(&stop);
    Ok(())
}
