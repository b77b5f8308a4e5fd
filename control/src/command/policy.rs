//! `ravelin policy`: check without a gateway, apply, show, diff.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::Subcommand;
use hyper::Method;
use ravelin_config::appliance::Appliance;
use ravelin_config::diagnostic::Findings;
use ravelin_rings::store::Rings;

use super::past;
use super::show::{FilterVerb, filter, print_in_force};
use super::table::{self, print};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::api::policy::{Apply, Compare, Newer, PolicyFiles};
use crate::api::view::InForce;
use crate::policy::diff::Change;
use crate::policy::files::{Files, Paths};
use crate::policy::management::Site;
use crate::policy::{Compiled, health};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Read the files, tell every error with its place and remedy, change nothing.
    Check(FileArguments),
    /// Put the files in force, whole or not at all.
    Apply {
        #[command(flatten)]
        files: FileArguments,
        #[command(flatten)]
        wish: past::WishArguments,
    },
    /// Put the configured files in force again, and tell what changed.
    Reload {
        #[command(flatten)]
        wish: past::WishArguments,
    },
    /// Keep the policy that was applied with --confirm.
    Confirm,
    /// Put a policy of the past in force again, as a new one.
    Rollback {
        /// Its number; the one before when left out.
        number: Option<u64>,
        #[command(flatten)]
        wish: past::WishArguments,
    },
    /// The policies that were applied: who, when, why.
    History,
    /// Which policy is applied, whether it waits to be confirmed, and whether the files say something else.
    Status,
    /// The rules in force, or a policy of the past as its files said it.
    Show {
        /// Its number.
        number: Option<u64>,
    },
    /// What differs: by files from the policy applied, or between policies of the past.
    Diff(DiffArguments),
}

#[derive(Debug, clap::Args)]
pub(crate) struct FileArguments {
    /// Policy files that together are one policy; the configured ones when left out.
    policy: Vec<PathBuf>,
    #[command(flatten)]
    others: OtherFiles,
}

#[derive(Debug, clap::Args)]
pub(crate) struct OtherFiles {
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

#[derive(Debug, clap::Args)]
pub(crate) struct DiffArguments {
    /// Nothing or files: what they would change. A number: what changed since that policy. Two: from one to the other.
    #[arg(value_name = "NUMBER|FILE")]
    which: Vec<PathBuf>,
    /// Begin at the policy of this number, not at the one that is applied.
    #[arg(long, value_name = "NUMBER")]
    from: Option<u64>,
    #[command(flatten)]
    others: OtherFiles,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Check(files) => check(session, &files),
        Verb::Apply { files, wish } => {
            let files = absolute(&files.policy, &files.others)?;
            apply(session, &Apply { files, wish: wish.wish(false) }).await
        }
        Verb::Reload { wish } => {
            apply(session, &Apply { files: PolicyFiles::default(), wish: wish.wish(true) }).await
        }
        Verb::Confirm => past::confirm(session).await,
        Verb::Rollback { number, wish } => past::rollback(session, number, &wish).await,
        Verb::History => past::history(session).await,
        Verb::Status => past::status(session).await,
        Verb::Show { number: None } => filter(session, FilterVerb::List).await,
        Verb::Show { number: Some(number) } => past::show(session, number).await,
        Verb::Diff(arguments) => diff(session, &arguments).await,
    }
}

fn check(session: &Session, files: &FileArguments) -> Result<(), Failure> {
    let appliance = session.appliance()?;
    let configured = Paths::of(&appliance.control);
    let FileArguments { policy, others } = files;
    let files = Paths {
        policy: if policy.is_empty() { configured.policy } else { policy.clone() },
        keys: others.keys.clone().unwrap_or(configured.keys),
        attls: others.attls.clone().unwrap_or(configured.attls),
        expect: others.expect.clone().unwrap_or(configured.expect),
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
    let mut compiled = Files::read(paths)?.compile(&site)?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let rings = health::check(&compiled, &Rings::at(&appliance.control.rings), now);
    compiled.warnings = compiled.warnings.and(rings);
    Ok(compiled)
}

/// Absolute paths: the control process has another working directory.
fn absolute(policy: &[PathBuf], others: &OtherFiles) -> Result<PolicyFiles, Failure> {
    let full = |path: &Path| -> Result<PathBuf, Failure> {
        path.canonicalize().map_err(|error| Failure::Refused(format!("{}: {error}", path.display())))
    };
    Ok(PolicyFiles {
        policy: policy.iter().map(|path| full(path)).collect::<Result<_, _>>()?,
        keys: others.keys.as_deref().map(full).transpose()?,
        attls: others.attls.as_deref().map(full).transpose()?,
        expect: others.expect.as_deref().map(full).transpose()?,
    })
}

async fn apply(session: &Session, request: &Apply) -> Result<(), Failure> {
    let done: InForce = ask(&session.socket()?, Method::POST, "/v1/policy/apply", Some(request)).await?;
    past::tell(session, &done, request.wish.confirm)?;
    match &done.changes {
        Some(changes) if !session.json => print_changes(session, changes),
        _ => print_in_force(session, &done),
    }
}

async fn diff(session: &Session, arguments: &DiffArguments) -> Result<(), Failure> {
    let request = compared(arguments)?;
    let changes: Vec<Change> =
        ask(&session.socket()?, Method::POST, "/v1/policy/diff", Some(&request)).await?;
    print_changes(session, &changes)
}

/// What is a number is a policy of the past; `./7` is a file.
fn compared(arguments: &DiffArguments) -> Result<Compare, Failure> {
    let DiffArguments { which, from, others } = arguments;
    let numbers: Vec<u64> = which.iter().filter_map(|word| word.to_str()?.parse().ok()).collect();
    let files = || absolute(which, others);
    match (numbers.as_slice(), from) {
        ([], from) => Ok(Compare { from: *from, to: Newer::Files, files: files()? }),
        ([number], None) if which.len() == 1 => {
            Ok(Compare { from: Some(*number), to: Newer::Applied, files: PolicyFiles::default() })
        }
        ([from, to], None) if which.len() == 2 => {
            Ok(Compare { from: Some(*from), to: Newer::Number(*to), files: PolicyFiles::default() })
        }
        _ => Err(Failure::Usage("name one or two numbers, or files; with --from files alone".to_owned())),
    }
}

fn print_changes(session: &Session, changes: &[Change]) -> Result<(), Failure> {
    let rows = changes.iter().map(|change| {
        [change.kind.to_string(), change.object.to_string(), change.name.clone(), change.details.join("; ")]
    });
    print(session, &changes, ["CHANGE", "KIND", "NAME", "DETAIL"], rows)
}
