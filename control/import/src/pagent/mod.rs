//! Files of the z/OS Policy Agent.
//!
//! [`tree`] reads the text, [`include`] the files that files name, [`book`] finds statements by name and tells of attributes that
//! [`grammar`] does not know, [`condition`] reads what rules match by; [`attls`] makes
//! `attls.toml` of it, [`ipsec`] `ipsec.toml`.

mod attls;
mod book;
mod condition;
mod grammar;
mod include;
mod ipsec;
mod tree;

use std::collections::BTreeSet;
use std::path::PathBuf;

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::similar::did_you_mean;
use ravelin_config::source::Source;

use crate::name::{at, ours as our_name};
use crate::report::{Imported, Notes, Output};
use book::Book;
use tree::Node;

/// What the operator says beside the files.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Files for paths that policy files name. Others are looked for by their last part, beside the file that names them.
    pub map: Vec<(String, PathBuf)>,
    /// The `TcpImage` to take, where a main file has several.
    pub image: Option<String>,
    /// Nobody but the jobs and users of the rules uses their addresses and ports.
    pub any_job: bool,
}

/// Statements that say how the agent itself works.
const AGENT: [&str; 10] = [
    "LogLevel",
    "Codepage",
    "AutoMonitorParms",
    "AutoMonitorApps",
    "ClientConnection",
    "ServicesConnection",
    "ServerConnection",
    "DynamicConfigPolicyLoad",
    "PolicyPerfMonitorForSDR",
    "PolicyPerformanceCollection",
];
/// Statements by which policies come from elsewhere.
const ELSEWHERE: [&str; 2] = ["PolicyServer", "ReadFromDirectory"];
/// Policies of other kinds: how their statements begin.
const OTHERS: [&str; 9] = [
    "IDS",
    "QOS",
    "Policy",
    "Routing",
    "RouteTable",
    "SetSubnetPrioTosMask",
    "Ip",
    "KeyExchange",
    "LocalDynVpn",
];

/// Takes policies over. Nothing comes of files whose structure is not understood, or that cannot be found: what is missing might
/// protect.
///
/// # Errors
/// Everything that is wrong with the files.
pub fn import(files: &[Source], options: &Options) -> Result<Imported, Findings> {
    let errors = Collector::default();
    let nodes = include::gather(files, options, &errors);
    let notes = Notes::default();
    nodes.iter().for_each(|node| top_level(node, &notes, &errors));
    if errors.has_errors() {
        return Err(errors.finish());
    }
    let book = Book::new(nodes.iter(), &notes);
    let all: Vec<&Node> = nodes.iter().collect();
    let attls = attls::convert(&all, &book, options);
    let ipsec = ipsec::convert(&all, &book);
    nodes.iter().for_each(|node| tell_unused(node, &notes));
    let attls = attls.map(|text| Output { name: "attls.toml", text });
    let ipsec = ipsec.map(|text| Output { name: "ipsec.toml", text });
    Ok(Imported { files: ipsec.into_iter().chain(attls).collect(), report: notes.finish() })
}

/// A statement that nobody knows may be one that protects, mistyped.
fn top_level(node: &Node, notes: &Notes, errors: &Collector) {
    let any = |words: &[&str]| words.iter().any(|word| node.is(word));
    let begins =
        |word: &&str| node.keyword.get(..word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word));
    if grammar::keys(&node.keyword).is_some() {
        if node.block.is_none() {
            let message = format!("`{}` has no attributes", node.shown());
            errors.error(node.place.clone(), message, "write them between braces on lines of their own");
        }
    } else if include::KEYWORDS.iter().any(|word| node.is(word)) {
        notes.exact(&node.place, &node.shown(), "");
    } else if any(&ELSEWHERE) {
        let message =
            format!("`{}`: policies come from another machine, and are not in these files", node.shown());
        errors.error(node.place.clone(), message, "import the files of that machine");
    } else if any(&AGENT) {
        notes.ignored(&node.place, &node.shown(), "it is for the Policy Agent itself");
    } else if OTHERS.iter().any(begins) {
        let said = "policies of this kind are not taken over";
        notes.refused(&node.place, &node.shown(), said, "say it in our files, or leave it to z/OS");
    } else {
        let known = grammar::statements().chain(include::KEYWORDS);
        let remedy = did_you_mean(&node.keyword, known, "remove it, or mend it");
        errors.error(node.place.clone(), format!("there is no statement `{}`", node.keyword), remedy);
    }
}

/// What nothing was said of, nothing uses.
fn tell_unused(node: &Node, notes: &Notes) {
    node.walk(&mut |node| {
        if !notes.knows(&node.place) {
            // Values may be secrets.
            notes.ignored(&node.place, &node.keyword, "nothing uses it");
        }
    });
}

/// The ring of ours for a key ring, a token or a key database; `None` for none.
fn ring_name(name: &str) -> Option<String> {
    let name = name.strip_prefix("*TOKEN*/").unwrap_or(name);
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let text: String = name.trim_matches('/').chars().map(|c| if fits(c) { c } else { '.' }).collect();
    let text = text.trim_matches('.').to_owned();
    (!text.is_empty() && text.len() <= 64).then_some(text)
}

/// The name, or with a number behind it where it is taken.
fn unused(name: &str, taken: &mut BTreeSet<String>) -> String {
    let numbered = (2..).map(|number| format!("{name}.{number}"));
    let free = std::iter::once(name.to_owned()).chain(numbered).find(|name| !taken.contains(name));
    let free = free.unwrap_or_default();
    taken.insert(free.clone());
    free
}
