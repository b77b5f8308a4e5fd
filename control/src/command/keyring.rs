//! What `ring` and `cert` share: where rings are, who is asked for passphrases, where audit events go, whose names mean whom.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use clap::Subcommand;
use ravelin_rings::access::Owner;
use ravelin_rings::name::RingName;
use ravelin_rings::passphrase::{Passphrase, Prompt, Source};
use ravelin_rings::store::Rings;
use tracing::Dispatch;
use tracing::instrument::WithSubscriber;
use tracing_subscriber::layer::SubscriberExt;

use super::{Failure, Session};

/// Where rings are when neither `--rings` nor an appliance file says it.
const DEFAULT: &str = "/etc/ravelin/rings";

impl From<ravelin_rings::Error> for Failure {
    fn from(error: ravelin_rings::Error) -> Self {
        Self::Refused(error.to_string())
    }
}

/// A verb of `ring`, `cert` or `ca`, and where the rings are that it works on.
#[derive(Debug, clap::Args)]
pub(crate) struct AtRings<V: Subcommand> {
    #[command(flatten)]
    pub(crate) place: Where,
    #[command(subcommand)]
    pub(crate) verb: V,
}

/// Where rings are; part of every `ring`, `cert` and `ca` command.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Where {
    /// Directory of the rings; the one of the appliance file when left out.
    #[arg(long, global = true, env = "RAVELIN_RINGS", value_name = "DIR")]
    rings: Option<PathBuf>,
}

impl Where {
    /// The rings, with the operator at the terminal to ask.
    pub(crate) fn rings(&self, session: &Session) -> Result<Rings, Failure> {
        let folder = match &self.rings {
            Some(folder) => folder.clone(),
            None if session.config.exists() => session.appliance()?.control.rings,
            None => PathBuf::from(DEFAULT),
        };
        Ok(Rings::at(folder).with_prompt(asked_once()))
    }
}

/// Does `work` while audit events (uses and exports of keys) go, a line of JSON each, to the file `.audit.log` of the
/// rings' directory. The control process has its own log.
pub(crate) fn audited<T>(rings: &Rings, work: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    match record(rings)? {
        Some(record) => tracing::dispatcher::with_default(&record, work),
        None => work(),
    }
}

/// The same for work that waits for the network.
pub(crate) async fn audited_later<T>(
    rings: &Rings,
    work: impl Future<Output = Result<T, Failure>>,
) -> Result<T, Failure> {
    match record(rings)? {
        Some(record) => work.with_subscriber(record).await,
        None => work.await,
    }
}

/// Where audit events go; nowhere while there are no rings.
fn record(rings: &Rings) -> Result<Option<Dispatch>, Failure> {
    use std::os::unix::fs::OpenOptionsExt;
    let path = rings.root().join(".audit.log");
    let refused =
        |error| Failure::Refused(format!("{}: no key is used without a record: {error}", path.display()));
    if !rings.root().exists() {
        return Ok(None);
    }
    let file =
        std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(&path).map_err(refused)?;
    let only = tracing_subscriber::filter::Targets::new().with_target("ravelin::audit", tracing::Level::INFO);
    let lines = tracing_subscriber::fmt::layer().json().flatten_event(true).with_writer(Arc::new(file));
    let subscriber = tracing_subscriber::registry().with(only).with(lines);
    Ok(Some(Dispatch::new(subscriber)))
}

/// Asks once for each ring, however often the command opens it.
fn asked_once() -> Prompt {
    let known: Mutex<HashMap<String, Passphrase>> = Mutex::default();
    Arc::new(move |what, new| {
        let mut known = known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(passphrase) = known.get(what).filter(|_| !new) {
            return Ok(passphrase.clone());
        }
        let passphrase = ask(what, new)?;
        known.insert(what.to_owned(), passphrase.clone());
        Ok(passphrase)
    })
}

/// Asks at the terminal, without echo; a new passphrase twice.
pub(crate) fn ask(what: &str, new: bool) -> std::io::Result<Passphrase> {
    let first = rpassword::prompt_password(format!("{what}: "))?;
    if new && first != rpassword::prompt_password("again: ")? {
        return Err(std::io::Error::other("the two are not the same"));
    }
    Ok(Passphrase::new(first))
}

/// The passphrase of a foreign file: from `file`, else asked for.
pub(crate) fn foreign_passphrase(
    file: Option<&PathBuf>,
    what: &str,
    new: bool,
) -> Result<Passphrase, ravelin_rings::Error> {
    match file {
        Some(path) => Passphrase::read(path),
        None => ask(&format!("passphrase of {what}"), new).map_err(|error| {
            ravelin_rings::Error::Passphrase(format!(
                "no passphrase for {what}: {error}; give it in a file with --passphrase-file"
            ))
        }),
    }
}

/// Where a ring's passphrase is to come from.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
pub(crate) struct Lock {
    /// Make a random passphrase and keep it beside the ring, mode 0600 (default).
    #[arg(long)]
    stash: bool,
    /// The first line of this file, which nobody else may read.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// A credential of the service manager (LoadCredential=, LoadCredentialEncrypted=).
    #[arg(long, value_name = "NAME")]
    credential: Option<String>,
    /// Ask for it each time.
    #[arg(long)]
    prompt: bool,
}

/// How long a ring's passphrase is good.
#[derive(Debug, clap::Args)]
pub(crate) struct Term {
    /// For how many days the passphrase is good; then the ring's keys are not used before it has another.
    #[arg(long, value_name = "DAYS")]
    passphrase_days: Option<u32>,
}

impl Term {
    /// Notes it in the ring.
    pub(crate) fn apply(&self, rings: &Rings, ring: &RingName) -> Result<(), Failure> {
        let Some(days) = self.passphrase_days else { return Ok(()) };
        let until = super::cert::wish::now() + u64::from(days) * 86_400;
        Ok(rings.change(ring, |draft| {
            draft.set_passphrase_end(Some(until));
            Ok(())
        })?)
    }
}

impl Lock {
    /// As the ring's index has it.
    pub(crate) fn source(&self) -> Result<Source, Failure> {
        Ok(match self {
            Self { passphrase_file: Some(path), .. } => {
                let path = std::path::absolute(path)?;
                Source::File { path }
            }
            Self { credential: Some(name), .. } => Source::Credential { name: name.clone() },
            Self { prompt: true, .. } => Source::Prompt,
            Self { .. } => Source::stash(),
        })
    }
}

/// A user by number, or by its name in /etc/passwd.
pub(crate) fn user(text: &str) -> Result<u32, Failure> {
    number_of(text, "/etc/passwd", "user")
}

/// A group by number, or by its name in /etc/group.
pub(crate) fn group(text: &str) -> Result<u32, Failure> {
    number_of(text, "/etc/group", "group")
}

/// An owner: a user, `ca` or `host`.
pub(crate) fn owner(text: &str) -> Result<Owner, Failure> {
    match text {
        "ca" => Ok(Owner::Ca),
        "host" => Ok(Owner::Host),
        other => user(other).map(Owner::User),
    }
}

fn number_of(text: &str, file: &str, what: &str) -> Result<u32, Failure> {
    if let Ok(number) = text.parse() {
        return Ok(number);
    }
    let lines = std::fs::read_to_string(file)?;
    let mut fields = lines.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let number = fields.find(|f| f.first() == Some(&text)).and_then(|f| f.get(2)?.parse().ok());
    number.ok_or_else(|| Failure::Refused(format!("{file} has no {what} {text}; give its number")))
}

/// A number with its name in /etc/passwd or /etc/group, if it has one.
pub(crate) fn name_of(number: u32, file: &str) -> String {
    let lines = std::fs::read_to_string(file).unwrap_or_default();
    let is_it = |line: &&str| line.split(':').nth(2) == Some(&number.to_string());
    match lines.lines().find(is_it).and_then(|line| line.split(':').next()) {
        Some(name) => format!("{name} ({number})"),
        None => number.to_string(),
    }
}

/// Owner in words.
pub(crate) fn owner_text(owner: Owner) -> String {
    match owner {
        Owner::User(uid) => name_of(uid, "/etc/passwd"),
        Owner::Ca => "ca".to_owned(),
        Owner::Host => "host".to_owned(),
    }
}

/// Says what was done, unless JSON is wanted, which then holds the same.
pub(crate) fn done(session: &Session, value: &serde_json::Value, text: &str) -> Result<(), Failure> {
    match session.json {
        true => Ok(super::table::print_json(value)?),
        false => Ok(writeln!(std::io::stdout(), "{text}")?),
    }
}
