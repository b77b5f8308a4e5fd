//! The model into rules of the packet process and plans of control: ordered, names found, split.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use ravelin_config::filter::compile::{Scope, find_zone, selectors};
use ravelin_config::similar::did_you_mean;
use ravelin_contract::address::{AddressRange, Family, NumberRange};
use ravelin_contract::name::Name;
use ravelin_contract::selector::{Selector, Upper, protocol};
use ravelin_contract::tls::{TlsAction, TlsRule};
use ravelin_events::catalogue::{CHECK_UNUSED, FILE_NO_SUCH};

use super::model::{Level, Model, OnNoMatch, Rule};
use super::parse::NO_MATCH;
use super::settings::Stack;
use super::{Attls, Plan, lint};

/// The rules in order, and how their connections are served; `None` when anything cannot be done as it is written.
pub(in crate::policy) fn compile(model: &Model, scope: &Scope<'_>) -> Option<(Vec<TlsRule>, Attls)> {
    let ordered = ordered(&model.rules);
    let compiled: Vec<_> = ordered.iter().map(|rule| one(rule, model, scope)).collect();
    warn_unused(model, scope);
    let compiled = compiled.into_iter().collect::<Option<Vec<_>>>()?;
    let mut plans = BTreeMap::new();
    let mut rules = Vec::new();
    for (split, plan) in compiled {
        rules.extend(split);
        plans.extend(plan.map(|plan| (plan.rule.clone(), Arc::new(plan))));
    }
    lint::check(&ordered, &rules, scope.notes);
    rules.extend(no_match(model));
    Some((rules, Attls { plans }))
}

/// Higher priorities first, and names decide among equal ones, as on z/OS (row A25). Rules without come behind all that have
/// one, in order of the file.
fn ordered(rules: &[Rule]) -> Vec<&Rule> {
    let (mut first, last): (Vec<_>, Vec<_>) = rules.iter().partition(|rule| rule.priority.is_some());
    let priority = |rule: &Rule| rule.priority.as_ref().map(|(priority, _)| *priority);
    first.sort_by(|a, b| priority(b).cmp(&priority(a)).then_with(|| a.name.cmp(&b.name)));
    first.into_iter().chain(last).collect()
}

/// Every part is looked at, so that all mistakes of a rule are told at once.
fn one(rule: &Rule, model: &Model, scope: &Scope<'_>) -> Option<(Vec<TlsRule>, Option<Plan>)> {
    let selectors = selectors(&rule.traffic, scope);
    let zone = match &rule.zone {
        None => Some(None),
        Some((name, place)) => find_zone(name, place, scope).map(Some),
    };
    let decided = stack(rule, model, scope).and_then(|stack| stack.decide());
    let (selectors, zone, (action, plan)) = (selectors?, zone?, decided?);
    let split = selectors.into_iter().zip(1..).map(|(selector, extension)| TlsRule {
        name: rule.name.clone(),
        extension,
        selector,
        zone,
        action,
    });
    Some((split.collect(), plan))
}

fn stack<'a>(rule: &'a Rule, model: &'a Model, scope: &Scope<'a>) -> Option<Stack<'a>> {
    let mut layers = vec![(format!("rule {}", rule.name), &rule.own)];
    let mut whole = true;
    for (level, named) in Level::ALL.into_iter().zip(&rule.named).rev() {
        let Some((name, place)) = named else { continue };
        match model.actions.get(&(level, name.clone())) {
            Some(action) => layers.push((format!("{} {name}", level.key()), &action.layer)),
            None => {
                let known = model.actions.keys().filter(|(of, _)| *of == level);
                let remedy = format!("add [{}.{name}]", level.section());
                let remedy = did_you_mean(name.as_str(), known.map(|(_, name)| name.as_str()), &remedy);
                scope.notes.error(
                    place.clone(),
                    FILE_NO_SUCH.of(format!("there is no {} `{name}`", level.key())),
                    remedy,
                );
                whole = false;
            }
        }
    }
    whole.then_some(Stack { rule, layers, notes: scope.notes })
}

fn warn_unused(model: &Model, scope: &Scope<'_>) {
    let named = |rule: &Rule| {
        let named = Level::ALL.into_iter().zip(rule.named.clone());
        named.filter_map(|(level, named)| Some((level, named?.0))).collect::<Vec<_>>()
    };
    let used: HashSet<(Level, Name)> = model.rules.iter().flat_map(named).collect();
    for ((level, name), action) in &model.actions {
        // A rule that could not be read may be the one that uses it.
        if !used.contains(&(*level, name.clone())) && !scope.notes.has_errors() {
            let message = CHECK_UNUSED.of(format!("no rule uses the {} `{name}`", level.key()));
            scope.notes.warning(action.place.clone(), message, "name it in a rule, or remove it");
        }
    }
}

/// What becomes of connections to marked ports that no rule spoke of (row A13).
fn no_match(model: &Model) -> Vec<TlsRule> {
    let Some((ports, OnNoMatch::Deny)) = &model.secure else { return Vec::new() };
    let Ok(name) = Name::new(NO_MATCH) else { return Vec::new() };
    let families = [Family::V4, Family::V6];
    let selectors = ports.iter().flat_map(|ports| families.map(|family| to(*ports, family)));
    let rule = |(selector, extension)| TlsRule {
        name: name.clone(),
        extension,
        selector,
        zone: None,
        action: TlsAction::Refuse,
    };
    selectors.zip(1..).map(rule).collect()
}

fn to(ports: NumberRange, family: Family) -> Selector {
    let all = AddressRange::all(family);
    let upper = Upper::Ports { protocol: protocol::TCP, source: NumberRange::ALL, destination: ports };
    Selector { source: all, destination: all, upper }
}
