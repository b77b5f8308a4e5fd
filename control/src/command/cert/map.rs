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
    let mut rules = Rules::load(rings)?;
    match verb {
        Verb::Add { name, identity, issuer, subject, san } => {
            let text = format!("rule {name} maps to {identity}");
            let value = json!({ "rule": name, "identity": identity });
            rules.add(Rule { name, identity, issuer, subject, san })?;
            rules.store(rings)?;
            done(session, &value, &text)
        }
        Verb::List => list(session, &rules),
        Verb::Delete { name } => {
            rules.delete(&name)?;
            rules.store(rings)?;
            done(session, &json!({ "rule": name }), &format!("rule {name} is deleted"))
        }
        Verb::Test { file } => test(session, &rules, &file),
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
