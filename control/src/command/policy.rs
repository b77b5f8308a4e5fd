//! `ravelin policy`: check without a gateway, apply, show, diff.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use hyper::Method;
use ravelin_config::appliance::Appliance;
use ravelin_config::diagnostic::Findings;

use super::show::{FilterVerb, filter, print_in_force};
use super::table::{self, print};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::api::server::PolicyFiles;
use crate::api::view::{Change, InForce};
use crate::policy::Compiled;
use crate::policy::files::{Files, Paths};
use crate::policy::management::Site;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read the files, tell every error with its place and remedy, change nothing.
    Check(FileArguments),
    /// Put the files in force, whole or not at all.
    Apply(FileArguments),
    /// The rules in force.
    Show,
    /// What `apply` would change.
    Diff(FileArguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct FileArguments {
    /// Policy files that together are one policy; the configured ones when left out.
    policy: Vec<PathBuf>,
    /// The keys of manual SAs; the configured file when left out.
    #[arg(long)]
    keys: Option<PathBuf>,
    /// The rules for TLS; the configured file when left out.
    #[arg(long)]
    attls: Option<PathBuf>,
    /// What is expected of the policy, packet by packet; the configured file when left out.
    #[arg(long)]
    expect: Option<PathBuf>,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check(files) => check(session, &files),
        Verb::Apply(files) => apply(session, &files).await,
        Verb::Show => filter(session, FilterVerb::List).await,
        Verb::Diff(files) => diff(session, &files).await,
    }
}

fn check(session: &Session, files: &FileArguments) -> Result<(), Failure> {
    let appliance = session.appliance()?;
    let configured = Paths::of(&appliance.control);
    let files = Paths {
        policy: if files.policy.is_empty() { configured.policy } else { files.policy.clone() },
        keys: files.keys.clone().unwrap_or(configured.keys),
        attls: files.attls.clone().unwrap_or(configured.attls),
        expect: files.expect.clone().unwrap_or(configured.expect),
    };
    let (findings, sound, held) = match read(&files, &appliance) {
        Ok(compiled) => (compiled.warnings, true, compiled.held),
        Err(findings) => (findings, false, 0),
    };
    if session.json {
        table::print_json(&serde_json::json!({ "ok": sound, "held": held, "findings": findings }))?;
        return if sound { Ok(()) } else { Err(Failure::Said) };
    }
    let mut told = std::io::stderr();
    write!(told, "{}", findings.render(std::io::IsTerminal::is_terminal(&told)))?;
    match sound {
        true if held > 0 => Ok(writeln!(std::io::stdout(), "no error; expectations that hold: {held}")?),
        true => Ok(writeln!(std::io::stdout(), "no error")?),
        false => Err(Failure::Files("the policy has errors".to_owned())),
    }
}

/// The default filters count: a policy that ends what they permit may lock the operator out.
fn read(paths: &Paths, appliance: &Appliance) -> Result<Compiled, Findings> {
    let (site, _) = Site::of(appliance)?;
    Files::read(paths)?.compile(&site)
}

/// Absolute paths: the control process has another working directory.
fn absolute(files: &FileArguments) -> Result<PolicyFiles, Failure> {
    let full = |path: &Path| -> Result<PathBuf, Failure> {
        path.canonicalize().map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
    };
    Ok(PolicyFiles {
        policy: files.policy.iter().map(|path| full(path)).collect::<Result<_, _>>()?,
        keys: files.keys.as_deref().map(full).transpose()?,
        attls: files.attls.as_deref().map(full).transpose()?,
        expect: files.expect.as_deref().map(full).transpose()?,
    })
}

async fn apply(session: &Session, files: &FileArguments) -> Result<(), Failure> {
    let request = absolute(files)?;
    let done: InForce = ask(&session.socket()?, Method::POST, "/v1/policy/apply", Some(&request)).await?;
    done.warnings.iter().try_for_each(|warning| writeln!(std::io::stderr(), "{warning}"))?;
    print_in_force(session, &done)
}

async fn diff(session: &Session, files: &FileArguments) -> Result<(), Failure> {
    let request = absolute(files)?;
    let changes: Vec<Change> =
        ask(&session.socket()?, Method::POST, "/v1/policy/diff", Some(&request)).await?;
    let rows = changes.iter().map(|change| {
        [change.kind.clone(), change.object.clone(), change.name.clone(), change.details.join("; ")]
    });
    print(session, &changes, ["CHANGE", "KIND", "NAME", "DETAIL"], rows)
}
