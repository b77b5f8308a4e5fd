//! `ravelin attls`: connections that TLS is spoken for, by what, and what came of handshakes.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::SystemTime;

use clap::Subcommand;
use hyper::Method;

use super::table::{print, print_json};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::attls::view::{Connection, Rule, Standing, Statistics, Told};

#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// One line for each connection.
    Connections {
        /// Only those of this rule or group.
        #[arg(long)]
        of: Option<String>,
        /// Only those whose policy has been replaced since.
        #[arg(long)]
        stale: bool,
    },
    /// Groups, with their rules and how many connections they have.
    Groups,
    /// All that is known of a rule or a connection; of a rule every setting with the level that it comes from.
    Show {
        /// A `[[rule]]`, or a connection as `connections` names it.
        which: String,
    },
    /// Handshakes by result, and the failures that were told last.
    Stats,
}

pub(crate) async fn run(session: &Session, verb: Verb) -> Result<(), Failure> {
    let socket = session.socket()?;
    if let Verb::Stats = verb {
        let statistics: Statistics = ask(&socket, Method::GET, "/v1/attls/stats", None::<&()>).await?;
        return stats(session, &statistics);
    }
    let standing: Standing = ask(&socket, Method::GET, "/v1/attls", None::<&()>).await?;
    match verb {
        Verb::Connections { of, stale } => connections(session, standing, of.as_deref(), stale),
        Verb::Groups => groups(session, &standing),
        Verb::Show { which } => show(session, &standing, &which),
        Verb::Stats => Ok(()),
    }
}

fn connections(
    session: &Session,
    standing: Standing,
    of: Option<&str>,
    only_stale: bool,
) -> Result<(), Failure> {
    let is_meant = |one: &Connection| {
        of.is_none_or(|of| one.rule == of || one.group == of) && (one.stale || !only_stale)
    };
    let found: Vec<Connection> = standing.connections.into_iter().filter(is_meant).collect();
    let heading = ["ID", "RULE", "CLIENT", "SERVER", "ROLE", "STATE", "AGE", "VERSION", "SUITE", "PEER"];
    let rows = found.iter().map(|one| {
        let agreed = one.agreed.as_ref();
        let [version, suite, peer] = match agreed {
            Some(agreed) => [&agreed.version, &agreed.suite, &agreed.peer].map(String::clone),
            None => ["-"; 3].map(str::to_owned),
        };
        let stale = if one.stale { ", stale" } else { "" };
        [
            one.id.clone(),
            one.rule.clone(),
            one.client.clone(),
            one.server.clone(),
            one.role.clone(),
            format!("{}{stale}", one.state),
            format!("{} s", one.age_s),
            version,
            suite,
            peer,
        ]
    });
    print(session, &found, heading, rows)
}

/// A group as the command shows it.
#[derive(Debug, Default, serde::Serialize)]
struct Group {
    rules: Vec<String>,
    connections: usize,
    stale: usize,
}

fn groups(session: &Session, standing: &Standing) -> Result<(), Failure> {
    let mut found: BTreeMap<&str, Group> = BTreeMap::new();
    for rule in &standing.rules {
        found.entry(&rule.group).or_default().rules.push(rule.rule.clone());
    }
    for connection in &standing.connections {
        let group = found.entry(&connection.group).or_default();
        group.connections += 1;
        group.stale += usize::from(connection.stale);
    }
    let rows = found.iter().map(|(name, group)| {
        let (connections, stale) = (group.connections.to_string(), group.stale.to_string());
        [(*name).to_owned(), connections, stale, group.rules.join(", ")]
    });
    print(session, &found, ["GROUP", "CONNECTIONS", "STALE", "RULES"], rows)
}

fn show(session: &Session, standing: &Standing, which: &str) -> Result<(), Failure> {
    if let Some(rule) = standing.rules.iter().find(|rule| rule.rule == which) {
        return show_rule(session, rule);
    }
    match standing.connections.iter().find(|one| one.id == which) {
        Some(connection) => show_connection(session, connection),
        None => {
            let none = "neither a rule in force that speaks TLS nor a connection";
            Err(Failure::Refused(format!("{which}: {none}; see `ravelin attls connections`")))
        }
    }
}

fn show_rule(session: &Session, rule: &Rule) -> Result<(), Failure> {
    let own = [
        ("group", &rule.group),
        ("environment", &rule.environment),
        ("connection", &rule.connection),
        ("role", &rule.role),
    ];
    let own = own.map(|(field, value)| [field.to_owned(), value.clone(), String::new()]);
    let settings = rule.settings.iter().map(|one| [one.key.clone(), one.value.clone(), one.from.clone()]);
    print(session, rule, ["SETTING", "VALUE", "FROM"], own.into_iter().chain(settings))
}

fn show_connection(session: &Session, one: &Connection) -> Result<(), Failure> {
    let mut rows = vec![
        ("rule", one.rule.clone()),
        ("group", one.group.clone()),
        ("policy", if one.stale { "replaced since" } else { "in force" }.to_owned()),
        ("client", one.client.clone()),
        ("server", one.server.clone()),
        ("role", one.role.clone()),
        ("state", one.state.clone()),
        ("age", format!("{} s", one.age_s)),
    ];
    if let Some(agreed) = &one.agreed {
        let or_none = |value: &Option<String>| value.clone().unwrap_or_else(|| "-".to_owned());
        rows.extend([
            ("version", agreed.version.clone()),
            ("suite", agreed.suite.clone()),
            ("key exchange", or_none(&agreed.key_exchange)),
            ("resumed", agreed.resumed.to_string()),
            ("server name", or_none(&agreed.server_name)),
            ("ALPN", or_none(&agreed.alpn)),
            ("our certificate", or_none(&agreed.certificate)),
            ("peer", agreed.peer.clone()),
            ("identity", or_none(&agreed.identity)),
        ]);
    }
    let rows = rows.into_iter().map(|(field, value)| [field.to_owned(), value]);
    print(session, one, ["FIELD", "VALUE"], rows)
}

fn stats(session: &Session, statistics: &Statistics) -> Result<(), Failure> {
    if session.json {
        return Ok(print_json(statistics)?);
    }
    let heading = ["RULE", "HANDSHAKES", "SECURE", "DONE", "RESUMED", "FAILED", "OUT", "IN"];
    let rows = statistics.rules.iter().map(|rule| {
        let numbers = [rule.handshaking, rule.secure, rule.done, rule.resumed, rule.failed];
        let [handshaking, secure, done, resumed, failed] = numbers.map(|number| number.to_string());
        let [out, into] = rule.octets.map(|octets| octets.to_string());
        [rule.rule.clone(), handshaking, secure, done, resumed, failed, out, into]
    });
    print(session, statistics, heading, rows)?;
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut out = std::io::stdout().lock();
    for Told { time, result, number, rule, client, server, text } in &statistics.failures {
        let number = number.map_or(String::new(), |number| format!(" {number}"));
        let ago = now.saturating_sub(*time);
        writeln!(out, "{ago} s ago  {result}{number}  {rule}  {client} to {server}\n    {text}")?;
    }
    Ok(())
}
