//! `ravelin test` and `ravelin why`: what the policy in force, or one that is not yet, makes of a packet.

use std::io::Write;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use hyper::Method;
use ravelin_config::appliance::Appliance;
use ravelin_contract::name::Name;
use ravelin_rings::store::Rings;

use super::table::{print, print_json};
use super::{Failure, Session};
use crate::api::client::ask;
use crate::policy::explain::Explainer;
use crate::policy::explain::answer::{Answer, Case, Citation};
use crate::policy::explain::keyed::Reason;
use crate::policy::explain::question::{Mistake, Piece, Question, Routing, Words};
use crate::policy::files::{Files, Paths};
use crate::policy::management::Site;

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Source address.
    source: String,
    /// Destination address.
    destination: String,
    /// Name or number, such as tcp, udp, icmp, esp, 47.
    protocol: String,
    /// Source and destination port, or ICMP type and code, where the protocol has them (`any` stands for each); then `in` or `out`.
    #[arg(required = true, num_args = 1..=3, value_name = "SPORT DPORT DIR")]
    rest: Vec<String>,
    /// Zone of the port by which it comes in (in) or leaves (out); each when left out.
    #[arg(long)]
    zone: Option<String>,
    /// Whether this host is its end, or it is forwarded; both when left out.
    #[arg(long)]
    routing: Option<WrittenRouting>,
    /// Zone of the port that leads to who connects, for rules for TLS; each when left out.
    #[arg(long)]
    client_zone: Option<String>,
    /// A fragment: the first, or a later one whose first was not seen.
    #[arg(long)]
    fragment: Option<WrittenPiece>,
    /// TCP: a segment of a connection that stands, in place of the one that opens it.
    #[arg(long)]
    established: bool,
    /// Ask the policy of this file, or of this folder (with its own ravelin.toml, if it has one), in place of the one in force.
    #[arg(long, value_name = "FILE|FOLDER")]
    candidate: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WrittenRouting {
    Local,
    Routed,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum WrittenPiece {
    First,
    Later,
}

impl From<Mistake> for Failure {
    fn from(mistake: Mistake) -> Self {
        Self::Usage(mistake.to_string())
    }
}

pub(crate) async fn test(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let question = question(arguments)?;
    let answer: Answer = match &arguments.candidate {
        Some(path) => {
            let asked = candidate(session, path)?.0.ask(&question);
            asked.map_err(|mistake| Failure::Refused(mistake.to_string()))?
        }
        None => ask(&session.socket()?, Method::POST, "/v1/policy/test", Some(&question)).await?,
    };
    show(session, &answer)
}

pub(crate) async fn why(session: &Session, arguments: &Arguments) -> Result<(), Failure> {
    let question = question(arguments)?;
    let reason: Reason = match &arguments.candidate {
        Some(path) => {
            let (explainer, rings) = candidate(session, path)?;
            let reason = explainer.reason(&question);
            let mut reason = reason.map_err(|mistake| Failure::Refused(mistake.to_string()))?;
            reason.own(&rings);
            reason
        }
        None => ask(&session.socket()?, Method::POST, "/v1/policy/why", Some(&question)).await?,
    };
    if session.json {
        return Ok(print_json(&reason)?);
    }
    show(session, &reason.answer)?;
    let rows = behind(&reason);
    if rows.is_empty() {
        return Ok(writeln!(std::io::stdout(), "no key protects it")?);
    }
    print(session, &reason, ["KEYS", "VALUE"], rows)
}

/// What stands behind the answer, line by line.
fn behind(reason: &Reason) -> Vec<[String; 2]> {
    let mut rows = Vec::new();
    let mut row = |field: &str, value: String| rows.push([field.to_owned(), value]);
    for tunnel in &reason.tunnels {
        row("tunnel", format!("{} {}, {} mode", tunnel.name, tunnel.place, tunnel.mode));
        row("keys", tunnel.keys.clone());
        if let Some(peer) = &tunnel.peer {
            let [ours, theirs] = &peer.identities;
            row("peer", format!("{} {}", peer.name, peer.place));
            row("we are", format!("{ours}, by {}", peer.own_key));
            row("the peer is", format!("{theirs}, by {}", peer.peer_proof));
        }
        for sa in &tunnel.sas {
            row("SA", format!("{}: {}", sa.spis, sa.state));
        }
    }
    for tls in &reason.tls {
        row("TLS rule", tls.rule.clone());
        for key in &tls.own_keys {
            row("our certificate", key.clone());
        }
        for [key, value, from] in &tls.settings {
            row(key, format!("{value} ({from})"));
        }
    }
    rows
}

fn question(arguments: &Arguments) -> Result<Question, Failure> {
    let (fields, direction) = match arguments.rest.as_slice() {
        [direction] => ([None, None], direction),
        [first, second, direction] => ([Some(first.as_str()), Some(second.as_str())], direction),
        _ => {
            let refusal =
                "after the protocol come both ports (or ICMP type and code), or none, and then in or out";
            return Err(Failure::Usage(refusal.to_owned()));
        }
    };
    let [first, second] = fields;
    let Arguments { source, destination, protocol, .. } = arguments;
    let mut question = Words { source, destination, protocol, first, second, direction }.question()?;
    let zone = |text: &Option<String>| {
        let zone = text.as_ref().map(|text| Name::new(text.as_str())).transpose();
        zone.map_err(|error| Failure::Usage(error.to_string()))
    };
    question.zone = zone(&arguments.zone)?;
    question.client_zone = zone(&arguments.client_zone)?;
    question.routing = arguments.routing.map(|routing| match routing {
        WrittenRouting::Local => Routing::Local,
        WrittenRouting::Routed => Routing::Routed,
    });
    question.piece = match arguments.fragment {
        None => Piece::Whole,
        Some(WrittenPiece::First) => Piece::First,
        Some(WrittenPiece::Later) => Piece::Later,
    };
    question.established = arguments.established;
    question.check()?;
    Ok(question)
}

/// The policy of a file or folder. Nobody asks whether it locks anyone out: `policy check` does.
fn candidate(session: &Session, path: &Path) -> Result<(Explainer, Rings), Failure> {
    let findings = |findings: ravelin_config::diagnostic::Findings| Failure::Files(findings.render(false));
    let own = path.join("ravelin.toml");
    let (appliance, paths) = if own.exists() {
        let (appliance, _) = Appliance::load(&own).map_err(findings)?;
        let paths = Paths::of(&appliance.control);
        (appliance, paths)
    } else {
        let appliance = session.appliance()?;
        let paths = match path.is_dir() {
            true => Paths {
                policy: vec![path.join("ipsec.toml")],
                keys: path.join("keys.toml"),
                attls: path.join("attls.toml"),
                expect: path.join("expect.toml"),
            },
            false => Paths { policy: vec![path.to_owned()], ..Paths::of(&appliance.control) },
        };
        (appliance, paths)
    };
    // What is expected of it is the question of `policy check`.
    let files = Files { expect: None, ..Files::read(&paths).map_err(findings)? };
    let compiled = files.compile(&Site::with(&appliance.zones())).map_err(findings)?;
    let rings = Rings::at(&appliance.control.rings);
    Ok((Explainer::new(&compiled.snapshot, compiled.origins, "candidate"), rings))
}

fn show(session: &Session, answer: &Answer) -> Result<(), Failure> {
    if let [case] = answer.cases.as_slice() {
        return print(session, answer, ["FIELD", "VALUE"], one(answer, case));
    }
    if !session.json {
        writeln!(std::io::stdout(), "{}: hangs on what was left open", answer.flow)?;
    }
    let rows = answer.cases.iter().map(|case| {
        let when: Vec<_> = case.when.iter().map(|(name, values)| format!("{name} {values}")).collect();
        let (rule, place) = cited(case.rule.as_ref());
        let tls = case.tls.as_ref().map_or_else(|| "-".to_owned(), |tls| tls.verdict.clone());
        [when.join("; "), verdict(case), rule, place, tls]
    });
    print(session, answer, ["WHEN", "VERDICT", "RULE", "WHERE", "TLS"], rows)
}

fn one(answer: &Answer, case: &Case) -> Vec<[String; 2]> {
    let row = |field: &str, value: String| [field.to_owned(), value];
    let mut rows = vec![
        row("packet", answer.flow.clone()),
        row("filters", answer.filters.clone()),
        row("verdict", verdict(case)),
        row("effect", case.effect.clone()),
    ];
    let (rule, place) = cited(case.rule.as_ref());
    rows.push(row("rule", rule));
    if let Some(rule) = &case.rule {
        rows.push(row("stands at", place));
        rows.push(row("says", rule.text.clone()));
    }
    rows.push(row("logged", if case.logged { "yes" } else { "no" }.to_owned()));
    for next in &case.behind {
        let (rule, place) = cited(Some(next));
        rows.push(row("behind it", format!("{rule} {place} {}", next.text)));
    }
    if let Some(tls) = &case.tls {
        rows.push(row("TLS", format!("{}: {}", tls.verdict, tls.effect)));
        if let Some(rule) = &tls.rule {
            let (name, place) = cited(Some(rule));
            rows.push(row("TLS rule", format!("{name} {place} {}", rule.text)));
        }
    }
    rows
}

fn verdict(case: &Case) -> String {
    match &case.tunnel {
        Some(tunnel) => format!("{} by {tunnel}", case.verdict),
        None => case.verdict.clone(),
    }
}

fn cited(rule: Option<&Citation>) -> (String, String) {
    match rule {
        Some(rule) => (format!("{}.{}", rule.name, rule.extension), rule.place()),
        None => ("none".to_owned(), "-".to_owned()),
    }
}
