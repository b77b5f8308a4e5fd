//! AT-TLS rules as `attls.toml`.

mod cipher;
mod effective;
mod rule;
mod settings;

use std::collections::{BTreeMap, BTreeSet};

use super::Options;
use super::book::Book;
use super::tree::Node;
use crate::write::{Page, Value};
use effective::Effective;
use rule::{Rule, Side};
pub(super) use settings::switch;

/// A setting of ours.
pub(super) type Setting = (&'static str, Value);

/// `attls.toml`; `None` when there is no rule.
pub(super) fn convert<'n>(nodes: &[&'n Node], book: &Book<'n>, options: &Options) -> Option<String> {
    let meant = nodes.iter().filter(|node| node.is("TTLSRule") && book.is_last(node));
    let mut rules: Vec<Rule<'n>> = meant.flat_map(|node| rule::read(node, book, options)).collect();
    if rules.is_empty() {
        return None;
    }
    name(&mut rules);
    keep_order(&mut rules);
    let mut page = Page::default();
    page.comment("Made by `ravelin import pagent`. Read its report before you put it in force.");
    let environments = environments(&rules);
    for (settings, (name, origin)) in &environments {
        page.gap();
        page.comment(origin);
        page.head(&format!("[environments.{}]", Value::text(name.clone())));
        page.keys(settings.iter());
    }
    for rule in &rules {
        page.gap();
        write_rule(rule, &environments, &mut page);
    }
    Some(page.into_text())
}

/// Environments by their settings: rules that say the same share one. Each has the name of the action that it comes from.
type Environments = BTreeMap<Vec<Setting>, (String, String)>;

fn environments(rules: &[Rule<'_>]) -> Environments {
    let mut taken = BTreeSet::new();
    let mut found = Environments::new();
    for rule in rules {
        let Some((settings, actions)) = &rule.settings else { continue };
        if found.contains_key(settings) {
            continue;
        }
        let name = super::unused(&super::our_name(&actions.name()), &mut taken);
        found.insert(settings.clone(), (name, actions.origin()));
    }
    found
}

/// Names that we allow, each once. What becomes of one rule in two directions bears the direction.
fn name(rules: &mut [Rule<'_>]) {
    let mut taken = BTreeSet::from(["on-no-match".to_owned()]);
    for rule in rules {
        let wanted = super::our_name(&rule.name);
        rule.our_name = super::unused(&wanted, &mut taken);
    }
}

/// On z/OS names decide among equal priorities. Where ours would sort otherwise, priorities are counted out.
fn keep_order(rules: &mut [Rule<'_>]) {
    let zos = |rule: &Rule<'_>| (std::cmp::Reverse(rule.priority), rule.name.clone(), rule.side);
    let ours = |rule: &Rule<'_>| (std::cmp::Reverse(rule.priority), rule.our_name.clone());
    rules.sort_by_key(zos);
    if rules.is_sorted_by_key(ours) {
        return;
    }
    let count = rules.len();
    for (at, rule) in rules.iter_mut().enumerate() {
        rule.priority = (count - at) as u32;
    }
}

fn write_rule(rule: &Rule<'_>, environments: &Environments, page: &mut Page) {
    let at = super::at(&rule.node.place);
    page.comment(&format!("{}, {at}", rule.node.shown()));
    if rule.refused && rule.passes {
        page.comment("Left out, because a part of it cannot be said here: what it let pass in clear is not let pass by it.");
        return;
    }
    if rule.refused {
        page.comment("A part of it cannot be said here, so that all connections that it may be for are refused: see the report.");
    }
    page.head("[[rule]]");
    page.key("name", &Value::text(rule.our_name.clone()));
    page.key("priority", &Value::Number(u64::from(rule.priority)));
    page.keys(&rule.conditions());
    if rule.passes {
        page.key("enabled", &Value::text("off"));
    } else if rule.refused {
        page.key("enabled", &Value::text("refuse"));
    }
    let environment = rule.settings.as_ref().and_then(|(settings, _)| environments.get(settings));
    if let Some((name, _)) = environment {
        page.key("environment", &Value::text(name.clone()));
    }
}

impl Side {
    /// What tells the two rules of one apart.
    pub(super) fn suffix(self) -> &'static str {
        match self {
            Self::Inbound => ".in",
            Self::Outbound => ".out",
        }
    }
}

/// The actions that a rule names.
#[derive(Clone, Copy)]
pub(super) struct Actions<'n> {
    pub(super) group: &'n Node,
    pub(super) environment: Option<&'n Node>,
    pub(super) connection: Option<&'n Node>,
}

impl<'n> Actions<'n> {
    fn each(&self) -> impl Iterator<Item = &'n Node> {
        [Some(self.group), self.environment, self.connection].into_iter().flatten()
    }

    /// The innermost's name.
    fn name(&self) -> String {
        let named = self.connection.or(self.environment).unwrap_or(self.group);
        if named.first().is_empty() { format!("line{}", named.line()) } else { named.first().to_owned() }
    }

    fn origin(&self) -> String {
        let shown = self.each().map(|node| format!("{}, {}", node.shown(), super::at(&node.place)));
        shown.collect::<Vec<_>>().join("; ")
    }

    /// Whether connections pass in clear by them.
    fn are_off(&self) -> bool {
        let mut said = self.each().flat_map(|node| node.block.iter().flatten());
        said.any(|node| node.is("TTLSEnabled") && node.first().eq_ignore_ascii_case("off"))
    }

    /// What they say together.
    fn effective(&self, book: &Book<'n>) -> Effective<'n> {
        Effective::of(self.each(), book)
    }
}
