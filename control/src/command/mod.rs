//! `ravelin`: the operator's command. It asks the control process; `policy check`, `explain`, `test` and `why` with `--candidate` and all of `ring`, `cert`, `ca` and `import` work without it.

mod attls;
mod ca;
mod cert;
mod explain;
mod flow;
mod ike;
mod import;
mod keyring;
mod past;
mod policy;
mod ring;
mod show;
mod table;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use ravelin_config::appliance::Appliance;

use crate::api::client::ClientError;
use crate::api::view::Problem;

/// Done.
pub const OK: u8 = 0;
/// The request was refused, or the files have errors.
pub const REFUSED: u8 = 1;
/// The words of the command are wrong (as clap has it).
pub const USAGE: u8 = 2;
/// The control process cannot be reached, or the packet process by it.
pub const UNREACHABLE: u8 = 3;

/// Operates a Ravelin gateway.
///
/// Exit status: 0 done; 1 refused, or files have errors; 2 wrong usage; 3 gateway not reachable. With --json, standard
/// output holds exactly one JSON value, also on errors.
#[derive(Debug, Parser)]
#[command(name = "ravelin", version)]
struct Arguments {
    /// The appliance file, for the socket and the configured policy files.
    #[arg(long, global = true, env = "RAVELIN_CONFIG", default_value = "/etc/ravelin/ravelin.toml")]
    config: PathBuf,
    /// The control socket; overrides the appliance file.
    #[arg(long, global = true, env = "RAVELIN_SOCKET")]
    socket: Option<PathBuf>,
    /// Print JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Policy files and the policies that were applied: check, apply, show, diff, history, rollback.
    #[command(subcommand)]
    Policy(policy::Verb),
    /// What becomes of a packet, and by which rule: by the policy in force, or by a candidate.
    Test(flow::Arguments),
    /// The same, and whose keys protect it: tunnel, peer, SAs that stand, certificates and their rings.
    Why(flow::Arguments),
    /// Security associations.
    #[command(subcommand)]
    Sa(show::SaVerb),
    /// IKE SAs: list, show, explain, up, down, rekey.
    #[command(subcommand)]
    Ike(ike::Verb),
    /// TLS for programs that know nothing of it: connections, groups, show, stats.
    #[command(subcommand)]
    Attls(attls::Verb),
    /// Filters in force.
    #[command(subcommand)]
    Filter(show::FilterVerb),
    /// Key rings: make, list, show, delete, connect, access, passwd.
    Ring(ring::Arguments),
    /// Certificates in key rings.
    Cert(cert::Arguments),
    /// Authorities of our own: init, sign, revoke, crl, list.
    Ca(ca::Arguments),
    /// Policies of other programs as files of ours, with a report of what became of each line.
    #[command(subcommand)]
    Import(import::Verb),
    /// Ports.
    #[command(subcommand)]
    Interface(show::InterfaceVerb),
    /// How packets ended, by port.
    Stats,
    /// Both processes at a glance.
    Status,
    /// What a code of the log or of `policy check` means, and what to do; all codes when none is named.
    Explain(explain::Arguments),
}

/// Where to ask, and how to answer.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) config: PathBuf,
    pub(crate) socket: Option<PathBuf>,
    pub(crate) json: bool,
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Rendered findings.
    #[error("{0}")]
    Files(String),
    #[error("{0}")]
    Refused(String),
    /// The words mean nothing.
    #[error("{0}")]
    Usage(String),
    /// All was said already; only the exit status is left.
    #[error("refused")]
    Said,
    #[error("output: {0}")]
    Output(#[from] std::io::Error),
}

impl Failure {
    fn status(&self) -> u8 {
        match self {
            Self::Client(ClientError::Problem(_)) => REFUSED,
            Self::Client(_) => UNREACHABLE,
            Self::Usage(_) => USAGE,
            Self::Files(_) | Self::Refused(_) | Self::Said | Self::Output(_) => REFUSED,
        }
    }

    fn problem(&self) -> Problem {
        match self {
            Self::Client(ClientError::Problem(problem) | ClientError::Unavailable(problem)) => {
                problem.clone()
            }
            other => {
                Problem { error: other.to_string(), findings: serde_json::json!([]), rendered: String::new() }
            }
        }
    }
}

impl Session {
    /// The control socket.
    pub(crate) fn socket(&self) -> Result<PathBuf, Failure> {
        match &self.socket {
            Some(socket) => Ok(socket.clone()),
            None => Ok(self.appliance()?.control.socket),
        }
    }

    /// The appliance file.
    pub(crate) fn appliance(&self) -> Result<Appliance, Failure> {
        match Appliance::load(&self.config) {
            Ok((appliance, _)) => Ok(appliance),
            Err(findings) => Err(Failure::Files(findings.render(false))),
        }
    }
}

/// Runs the command.
pub async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let Arguments { config, socket, json, verb } = arguments;
    let session = Session { config, socket, json };
    let result = match verb {
        Verb::Policy(verb) => policy::run(&session, verb).await,
        Verb::Test(arguments) => flow::test(&session, &arguments).await,
        Verb::Why(arguments) => flow::why(&session, &arguments).await,
        Verb::Sa(verb) => show::sa(&session, verb).await,
        Verb::Ike(verb) => ike::run(&session, verb).await,
        Verb::Attls(verb) => attls::run(&session, verb).await,
        Verb::Filter(verb) => show::filter(&session, verb).await,
        Verb::Ring(arguments) => ring::run(&session, arguments),
        Verb::Cert(arguments) => cert::run(&session, arguments).await,
        Verb::Ca(arguments) => ca::run(&session, arguments),
        Verb::Import(verb) => import::run(&session, verb),
        Verb::Interface(verb) => show::interface(&session, verb).await,
        Verb::Stats => show::stats(&session).await,
        Verb::Status => show::status(&session).await,
        Verb::Explain(arguments) => explain::run(&session, &arguments),
    };
    match result {
        Ok(()) => ExitCode::from(OK),
        // Whoever reads our output has seen enough, as in `ravelin stats | head`.
        Err(Failure::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => ExitCode::from(OK),
        Err(failure) => {
            // Who does not listen still gets the status.
            let _ = complain(&session, &failure);
            ExitCode::from(failure.status())
        }
    }
}

fn complain(session: &Session, failure: &Failure) -> std::io::Result<()> {
    let problem = failure.problem();
    match failure {
        Failure::Said => Ok(()),
        _ if session.json => table::print_json(&problem),
        _ if problem.rendered.is_empty() => writeln!(std::io::stderr(), "ravelin: {}", problem.error),
        _ => writeln!(std::io::stderr(), "{}\nravelin: {}", problem.rendered.trim_end(), problem.error),
    }
}
