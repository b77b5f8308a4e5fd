//! Filters of nftables: base chains of input, output and forward, with addresses, protocols, ports and ICMP types.
//!
//! [`tree`] reads the text, [`rule`] one rule. Filters of ours look at each packet alone: what a chain says of states of connections
//! is left out where that opens nothing, and told.

mod rule;
mod tree;

use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::Source;

use crate::report::{Imported, Notes, Output};
use crate::write::{Page, Value};
use rule::{Rule, Verdict};
use tree::{Block, Line};

/// What the operator says beside the file.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Packets of no connection need not be dropped: each packet is judged alone.
    pub stateless: bool,
}

/// Where the packets of a chain are, in our words: directions, and whether they are this host's.
struct Hook {
    directions: &'static [&'static str],
    routing: &'static str,
}

/// Takes the filters of a file over.
///
/// # Errors
/// Everything that is wrong with the file, and what of it would leave filters out.
pub fn import(source: &Source, options: Options) -> Result<Imported, Findings> {
    let errors = Collector::default();
    let notes = Notes::default();
    let blocks = tree::parse(source, &errors).unwrap_or_default();
    let mut page = Page::default();
    page.comment("Made by `ravelin import nftables`. Read its report before you put it in force.");
    let mut seen = Vec::new();
    chains_stand_once(&blocks, &errors);
    for block in &blocks {
        table(block, options, &mut seen, &mut page, &notes, &errors);
    }
    if seen.is_empty() && !errors.has_errors() {
        errors.error(source.whole(), "there is no chain with a filter hook", "name the file that has it");
    }
    if errors.has_errors() {
        return Err(errors.finish());
    }
    let files = vec![Output { name: "ipsec.toml", text: page.into_text() }];
    Ok(Imported { files, report: notes.finish() })
}

/// nft adds blocks of one name together, in which a chain without a hook may be the rest of one that has it. Here each is read alone.
fn chains_stand_once(blocks: &[Block], errors: &Collector) {
    let mut names: Vec<(&[String], &[String])> = Vec::new();
    for table in blocks {
        let of = match table.head.words.as_slice() {
            [word, family, name @ ..] if word == "table" && family == "ip" && !name.is_empty() => name,
            words => words.get(1..).unwrap_or_default(),
        };
        for chain in table.blocks.iter().filter(|block| block.head.words[0] == "chain") {
            let name = (of, &chain.head.words[1..]);
            if names.contains(&name) {
                let message = format!("`{}` stands twice in its table", chain.head.shown());
                errors.error(chain.head.place.clone(), message, "write its rules into one: nft list ruleset");
            }
            names.push(name);
        }
    }
}

fn table(
    block: &Block,
    options: Options,
    seen: &mut Vec<(&'static str, &'static str)>,
    page: &mut Page,
    notes: &Notes,
    errors: &Collector,
) {
    let words: Vec<&str> = block.head.words.iter().map(String::as_str).collect();
    let family = match words.as_slice() {
        ["table", "inet", _] => "any",
        ["table", "ip", _] | ["table", _] => "any4",
        ["table", "ip6", _] => "any6",
        ["flush", "ruleset"] => {
            notes.ignored(&block.head.place, &block.head.shown(), "`ravelin policy apply` replaces all");
            return;
        }
        _ => {
            let remedy =
                "write tables of inet, ip or ip6 out, without variables and includes: nft list ruleset";
            errors.error(
                block.head.place.clone(),
                format!("`{}` is not taken over", block.head.shown()),
                remedy,
            );
            return;
        }
    };
    notes.exact(&block.head.place, &block.head.shown(), "");
    for line in &block.lines {
        if line.words[0] == "comment" {
            notes.ignored(&line.place, &line.shown(), "");
        } else {
            let remedy = "write tables out, without variables, includes and flags: nft list ruleset";
            errors.error(line.place.clone(), format!("`{}` is not taken over", line.shown()), remedy);
        }
    }
    for chain in &block.blocks {
        match chain.head.words.first().map(String::as_str) {
            Some("chain") => base_chain(chain, family, options, seen, page, notes, errors),
            _ => notes.ignored(&chain.head.place, &chain.head.shown(), "rules that use it are refused"),
        }
    }
}

/// A chain with a hook. Others are only reached by jumps, which are refused where they stand.
fn base_chain(
    chain: &Block,
    family: &'static str,
    options: Options,
    seen: &mut Vec<(&'static str, &'static str)>,
    page: &mut Page,
    notes: &Notes,
    errors: &Collector,
) {
    let Some(at) = chain.lines.iter().position(|line| line.words.first().is_some_and(|word| word == "type"))
    else {
        notes.ignored(&chain.head.place, &chain.head.shown(), "rules that jump to it are refused");
        chain
            .lines
            .iter()
            .for_each(|line| notes.ignored(&line.place, &line.shown(), "rules that jump to it are refused"));
        return;
    };
    let head = &chain.lines[at];
    let word = |key: &str| head.words.iter().skip_while(|word| *word != key).nth(1).map(String::as_str);
    let (hook, place) = match (word("type"), word("hook")) {
        (Some("filter"), Some("input")) => ("input", Hook { directions: &["inbound"], routing: "local" }),
        (Some("filter"), Some("output")) => ("output", Hook { directions: &["outbound"], routing: "local" }),
        (Some("filter"), Some("forward")) => {
            ("forward", Hook { directions: &["inbound", "outbound"], routing: "routed" })
        }
        _ => {
            let remedy = "leave it to a kernel in front, or write its filters into input, output or forward";
            errors.error(head.place.clone(), format!("`{}` is not taken over", head.shown()), remedy);
            return;
        }
    };
    let meets =
        |(other, of): &(&str, &str)| *other == hook && (*of == family || *of == "any" || family == "any");
    if seen.iter().any(meets) {
        let message =
            format!("a second chain of {hook}: a packet must pass both, and rules of ours decide once");
        errors.error(head.place.clone(), message, "write one chain");
        return;
    }
    seen.push((hook, family));
    notes.exact(&chain.head.place, &chain.head.shown(), "");
    notes.exact(&head.place, &head.shown(), "");
    let name = crate::name::ours(chain.head.words.get(1).map_or(hook, String::as_str));
    let name = match family {
        "any4" => format!("{name}.ip"),
        "any6" => format!("{name}.ip6"),
        _ => name,
    };
    let mut policy = Verdict::Accept;
    let mut stateful = false;
    let mut number = 0;
    for (index, line) in chain.lines.iter().enumerate() {
        match line.words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            _ if index == at => {}
            ["policy", "accept"] => notes.exact(&line.place, &line.shown(), ""),
            ["policy", "drop"] => {
                policy = Verdict::Drop;
                notes.exact(&line.place, &line.shown(), "what no rule permits is denied");
            }
            _ => {
                let read = rule::read(line, stateful, options, notes);
                stateful |= read.answers;
                number += 1;
                write(&read, line, &format!("{name}.{number}"), family, &place, page);
            }
        }
    }
    if policy == Verdict::Accept {
        let rest = Rule::of(Verdict::Accept);
        write(&rest, head, &format!("{name}.policy"), family, &place, page);
    }
}

fn write(rule: &Rule, line: &Line, name: &str, family: &str, hook: &Hook, page: &mut Page) {
    if rule.nothing {
        return;
    }
    page.gap();
    page.comment(&format!("{}, {}", line.shown(), crate::name::at(&line.place)));
    if rule.refused && rule.verdict == Verdict::Accept {
        page.comment("Left out, because a part of it cannot be said here: what it let pass is left to the rules behind it.");
        return;
    }
    if rule.refused {
        page.comment(
            "A part of it cannot be said here, so that all that it may be for is denied: see the report.",
        );
    }
    for direction in hook.directions {
        page.head("[[rule]]");
        let several = hook.directions.len() > 1;
        let name =
            if several { format!("{name}.{}", &direction[..direction.len() - 5]) } else { name.to_owned() };
        page.key("name", &Value::text(name));
        let any = rule.conditions.iter().any(|(key, _)| *key == "source" || *key == "destination");
        page.keys(&rule.conditions);
        if !any && family != "any" {
            page.key("source", &Value::text(family));
        }
        page.key("direction", &Value::text(*direction));
        page.key("routing", &Value::text(hook.routing));
        match (rule.verdict, rule.refused) {
            (Verdict::Accept, false) => page.key("action", &Value::text("permit")),
            (Verdict::Reject, _) => {
                page.key("action", &Value::text("deny"));
                page.key("discard", &Value::text("icmp"));
            }
            _ => page.key("action", &Value::text("deny")),
        }
        if rule.logged {
            page.key("log", &Value::text("yes"));
        }
        page.gap();
    }
}
