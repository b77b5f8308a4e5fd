//! `expect.toml`: what the operator expects of the policy, packet by packet, asked before the policy takes effect (row C25).

use ravelin_config::diagnostic::Collector;
use ravelin_config::document::{self, Table};
use ravelin_config::source::{Place, Source};
use ravelin_config::value::Value;
use ravelin_events::catalogue::{CHECK_EXPECTATION, FILE_CONTRADICTION, FILE_MISSING};

use super::explain::Explainer;
use super::explain::answer::{Case, Citation};
use super::explain::question::{Piece, Question, Routing, Words};

const KEYS: &[&str] = &["expect"];
const EXPECT_KEYS: &[&str] = &[
    "name",
    "source",
    "destination",
    "protocol",
    "source_port",
    "destination_port",
    "icmp_type",
    "icmp_code",
    "direction",
    "zone",
    "routing",
    "client_zone",
    "fragment",
    "established",
    "verdict",
    "tunnel",
    "rule",
    "tls",
    "tls_rule",
];
const VERDICTS: [(&str, &str); 3] = [("permit", "permit"), ("deny", "deny"), ("ipsec", "ipsec")];
const TLS: [(&str, &str); 5] =
    [("none", "none"), ("off", "off"), ("refuse", "refuse"), ("client", "client"), ("server", "server")];

/// What must be so, and where that was written.
type Said = Option<(String, Place)>;

/// One `[[expect]]`.
struct Expectation {
    place: Place,
    question: Question,
    verdict: Said,
    tunnel: Said,
    rule: Said,
    tls: Said,
    tls_rule: Said,
}

/// Asks everything that the file expects. Tells of each expectation that does not hold: an error. Gives how many hold.
pub fn check(source: &Source, policy: &Explainer, notes: &Collector) -> usize {
    let read = document::read(source, notes, KEYS, |file| {
        let tables = file.tables("expect", "an expectation", EXPECT_KEYS);
        Some(tables.iter().map(expectation).collect::<Vec<_>>())
    });
    let expectations = read.into_iter().flatten().flatten();
    expectations.filter(|expectation| holds(expectation, policy, notes)).count()
}

/// Every part is read before any is asked for, so that all mistakes of a table are told at once.
fn expectation(table: &Table<'_>) -> Option<Expectation> {
    let question = question(table);
    let word = |key, choices: &'static [(&'static str, &'static str)]| {
        table.optional(key, |value| Some((value.choice(choices)?.to_owned(), value.place())))
    };
    let named = |key| table.optional(key, |value| Some((value.name()?.to_string(), value.place())));
    let (verdict, tls) = (word("verdict", &VERDICTS), word("tls", &TLS));
    let (tunnel, rule, tls_rule) = (named("tunnel"), named("rule"), named("tls_rule"));
    let says = ["verdict", "tunnel", "rule", "tls", "tls_rule"].iter().any(|key| table.get(key).is_some());
    if !says {
        table.error(
            FILE_MISSING.of("an expectation expects nothing"),
            "add a line such as: verdict = \"permit\"",
        );
    }
    let (verdict, tls, tunnel, rule, tls_rule) = (verdict?, tls?, tunnel?, rule?, tls_rule?);
    Some(Expectation { place: table.place(), question: question?, verdict, tunnel, rule, tls, tls_rule })
}

fn question(table: &Table<'_>) -> Option<Question> {
    let need = |key, example| table.need(key, example).and_then(|value| written(&value));
    let source = need("source", "source = \"10.1.0.5\"");
    let destination = need("destination", "destination = \"10.2.0.7\"");
    let protocol = need("protocol", "protocol = \"tcp\"");
    let direction = need("direction", "direction = \"outbound\"");
    let field = |port, icmp| match (table.get(port), table.get(icmp)) {
        (Some(_), Some(icmp)) => {
            icmp.error(
                FILE_CONTRADICTION.of(format!("`{}` beside `{port}`", icmp.key())),
                "remove one of the two",
            );
            None
        }
        (port, icmp) => match port.or(icmp) {
            Some(value) => written(&value).map(Some),
            None => Some(None),
        },
    };
    let (first, second) = (field("source_port", "icmp_type"), field("destination_port", "icmp_code"));
    let name = |key| table.optional(key, Value::name);
    let (zone, client_zone) = (name("zone"), name("client_zone"));
    let routing = table.optional("routing", |value| {
        value.choice(&[("local", Some(Routing::Local)), ("routed", Some(Routing::Routed)), ("either", None)])
    });
    let piece = table.optional("fragment", |value| {
        value.choice(&[("no", Piece::Whole), ("first", Piece::First), ("later", Piece::Later)])
    });
    let established = table.optional("established", Value::flag);
    let (first, second) = (first?, second?);
    let (source, destination, protocol, direction) = (source?, destination?, protocol?, direction?);
    let words = Words {
        source: &source,
        destination: &destination,
        protocol: &protocol,
        first: first.as_deref(),
        second: second.as_deref(),
        direction: &direction,
    };
    let told = |mistake: super::explain::question::Mistake| table.error(mistake.message, mistake.remedy);
    let question = words.question().map_err(told).ok()?;
    let question = Question {
        zone: zone?,
        client_zone: client_zone?,
        routing: routing?.flatten(),
        piece: piece?.unwrap_or_default(),
        established: established?.unwrap_or(false),
        ..question
    };
    question.check().map_err(told).ok()?;
    Some(question)
}

/// Text, or a number as text.
fn written(value: &Value<'_>) -> Option<String> {
    match value.as_number() {
        Some(number) => Some(number.to_string()),
        None => value.text().map(str::to_owned),
    }
}

fn holds(expectation: &Expectation, policy: &Explainer, notes: &Collector) -> bool {
    let answer = match policy.ask(&expectation.question) {
        Ok(answer) => answer,
        Err(mistake) => {
            notes.error(expectation.place.clone(), mistake.message, mistake.remedy);
            return false;
        }
    };
    let wrong = answer.cases.iter().find_map(|case| Some((case, mismatch(expectation, case)?)));
    let Some((case, (expected, place))) = wrong else { return true };
    let when: Vec<_> = case.when.iter().map(|(name, values)| format!("{name} {values}")).collect();
    let when = if when.is_empty() { String::new() } else { format!(" (with {})", when.join(", ")) };
    let message = CHECK_EXPECTATION.of(format!(
        "expected {expected} of {}{when}, but the policy says {}",
        answer.flow,
        said(case)
    ));
    notes.error(place, message, "change the rule, or what is expected");
    false
}

/// What was expected and is not so, and where that was written.
fn mismatch(expectation: &Expectation, case: &Case) -> Option<(String, Place)> {
    let tls = case.tls.as_ref();
    let name = |rule: &Option<Citation>| rule.as_ref().map(|rule| rule.name.clone());
    let pairs = [
        ("", &expectation.verdict, Some(case.verdict.clone())),
        ("tunnel ", &expectation.tunnel, case.tunnel.clone()),
        ("rule ", &expectation.rule, name(&case.rule)),
        ("TLS ", &expectation.tls, tls.map(|tls| tls.verdict.clone())),
        ("TLS rule ", &expectation.tls_rule, tls.and_then(|tls| name(&tls.rule))),
    ];
    pairs.into_iter().find_map(|(what, expected, is)| {
        let (expected, place) = expected.as_ref()?;
        (is.as_ref() != Some(expected)).then(|| (format!("{what}{expected}"), place.clone()))
    })
}

/// Such as `deny by rule lan (ipsec.toml:12), TLS refuse by rule web (attls.toml:3)`.
fn said(case: &Case) -> String {
    let by = |rule: &Option<Citation>| match rule {
        Some(rule) => format!("by rule `{}` ({})", rule.name, rule.place()),
        None => "as no rule matches".to_owned(),
    };
    let tunnel = case.tunnel.as_ref().map_or_else(String::new, |tunnel| format!(" with tunnel `{tunnel}`"));
    let tls = case.tls.as_ref().map_or_else(String::new, |tls| match &tls.rule {
        Some(_) => format!(", TLS {} {}", tls.verdict, by(&tls.rule)),
        None => format!(", TLS {}", tls.verdict),
    });
    format!("{}{tunnel} {}{tls}", case.verdict, by(&case.rule))
}
