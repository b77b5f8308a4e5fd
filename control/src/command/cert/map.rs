//! `ravelin cert map`: which identity a certificate stands for.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use ravelin_rings::map::{NamePattern, Pattern, Rule, Rules};
use ravelin_rings::store::Rings;
use serde_json::json;

use super::{Failure, Session, import};
use crate::command::keyring::done;
use crate::command::table::print;

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Add a rule. Certificates that fit all of it stand for its identity; of several rules the most specific counts.
    Add {
        /// Its name.
        name: String,
        /// Whom such certificates stand for.
        #[arg(long)]
        identity: String,
        /// Attributes of the issuer, such as "O=Example"; * stands for anything.
        #[arg(long, value_name = "PATTERN")]
        issuer: Option<NamePattern>,
        /// Attributes of the subject, such as "OU=Branch *,O=Example".
        #[arg(long, value_name = "PATTERN")]
        subject: Option<NamePattern>,
        /// An alternative name, such as email:*@ops.example; kinds are dns, ip, email and uri.
        #[arg(long, value_name = "KIND:PATTERN")]
        san: Option<Pattern>,
    },
    /// Give a rule another name or identity; what it looks at stays.
    Alter {
        /// Its name.
        name: String,
        /// Its new name.
        #[arg(long, value_name = "NAME", required_unless_present = "identity")]
        rename: Option<String>,
        /// Whom such certificates stand for from now on.
        #[arg(long)]
        identity: Option<String>,
    },
    /// All rules.
    List,
    /// Delete a rule.
    Delete {
        /// Its name.
        name: String,
    },
    /// Say which identity the certificate in a file stands for.
    Test {
        /// The file.
        file: PathBuf,
    },
}

pub(crate) fn run(session: &Session, rings: &Rings, verb: Verb) -> Result<(), Failure> {
    match verb {
        Verb::Add { name, identity, issuer, subject, san } => {
            let text = format!("rule {name} maps to {identity}");
            let value = json!({ "rule": name, "identity": identity });
            Rules::change(rings, |rules| rules.add(Rule { name, identity, issuer, subject, san }))?;
            done(session, &value, &text)
        }
        Verb::Alter { name, rename, identity } => {
            let now = rename.as_ref().unwrap_or(&name).clone();
            Rules::change(rings, |rules| rules.alter(&name, rename, identity))?;
            done(session, &json!({ "rule": now }), &format!("rule {now} is altered"))
        }
        Verb::List => list(session, &Rules::load(rings)?),
        Verb::Delete { name } => {
            Rules::change(rings, |rules| rules.delete(&name))?;
            done(session, &json!({ "rule": name }), &format!("rule {name} is deleted"))
        }
        Verb::Test { file } => test(session, &Rules::load(rings)?, &file),
    }
}

fn list(session: &Session, rules: &Rules) -> Result<(), Failure> {
    let shown = |pattern: Option<String>| pattern.unwrap_or_else(|| "-".to_owned());
    let rows = rules.rule.iter().map(|rule| {
        [
            rule.name.clone(),
            rule.identity.clone(),
            shown(rule.issuer.as_ref().map(ToString::to_string)),
            shown(rule.subject.as_ref().map(ToString::to_string)),
            shown(rule.san.as_ref().map(ToString::to_string)),
        ]
    });
    print(session, &rules.rule, ["RULE", "IDENTITY", "ISSUER", "SUBJECT", "SAN"], rows)
}

fn test(session: &Session, rules: &Rules, file: &Path) -> Result<(), Failure> {
    let found = import::read(file, None)?;
    let nothing = || Failure::Refused(format!("{}: holds no certificate", file.display()));
    let certificate = &found.certificates.first().ok_or_else(nothing)?.item;
    match rules.find(certificate) {
        Some(found) => {
            let (rule, identity) = (&found.rule.name, &found.rule.identity);
            let value = json!({ "rule": rule, "identity": identity, "others": found.others });
            done(session, &value, &format!("{} stands for {identity}, by rule {rule}", certificate.subject()))
        }
        None => Err(Failure::Refused(format!("no rule fits {}", certificate.subject()))),
    }
}
