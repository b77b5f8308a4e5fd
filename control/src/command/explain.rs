//! `ravelin explain`: what a code means, and what to do.

use std::io::Write;

use ravelin_events::Entry;
use ravelin_events::catalogue::{all, find, like};
use ravelin_events::glossary;
use serde_json::{Value, json};

use super::table::{print, print_json};
use super::{Failure, Session};

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// A code, such as RVL-CERT-EXPIRES or ike.no_proposal.
    code: Option<String>,
}

pub(crate) fn run(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let Some(code) = &arguments.code else {
        let values: Vec<_> = all().map(value).collect();
        let rows = all()
            .map(|entry| [entry.code.to_owned(), entry.severity.name().to_owned(), entry.says.to_owned()]);
        return print(session, &values, ["CODE", "SEVERITY", "SAYS"], rows);
    };
    let entry = find(code).ok_or_else(|| Failure::Refused(unknown(code)))?;
    if session.json {
        return Ok(print_json(&value(entry))?);
    }
    let Entry { code, severity, fields, says, cause, remedy, .. } = entry;
    let mut out = std::io::stdout();
    writeln!(out, "{code} ({})\n{says}\n\n{cause}\nWhat to do: {remedy}", severity.name())?;
    for (at, field) in fields.iter().enumerate() {
        let head = if at == 0 { "\nFields:\n" } else { "" };
        writeln!(out, "{head}  {field:<24} {}", glossary::meaning(field).unwrap_or_default())?;
    }
    Ok(())
}

fn unknown(code: &str) -> String {
    match like(code).as_slice() {
        [] => format!("there is no code {code:?}; `ravelin explain` lists all"),
        found => format!("there is no code {code:?}; did you mean {}?", found.join(", ")),
    }
}

fn value(entry: &Entry) -> Value {
    let fields: Vec<_> =
        entry.fields.iter().map(|name| json!({ "name": name, "meaning": glossary::meaning(name) })).collect();
    json!({
        "code": entry.code,
        "severity": entry.severity.name(),
        "says": entry.says,
        "cause": entry.cause,
        "remedy": entry.remedy,
        "fields": fields,
    })
}
