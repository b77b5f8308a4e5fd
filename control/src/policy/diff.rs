//! Two snapshots into the list of what differs, in the operator's names.

use std::collections::{HashMap, HashSet};

use ravelin_contract::rule::{Discard, FilterSettings, Rule};
use ravelin_contract::sa::Sa;
use ravelin_contract::snapshot::Snapshot;
use ravelin_contract::tls::TlsRule;
use serde::{Deserialize, Serialize};

use crate::policy::describe;

/// What differs, in the order rules, rules for TLS, tunnels, SAs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Diff(pub Vec<Change>);

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub kind: Kind,
    /// To what: a rule, a rule for TLS, a tunnel, an SA, or the setting for implicit denies.
    pub object: Object,
    /// Its name; an SA's with its direction.
    pub name: String,
    /// How it was and is, in words; never keys.
    pub details: Vec<String>,
}

/// What happened to an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It is another.
    Changed,
    /// It is the same, but stands elsewhere among the rules.
    Moved,
}

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Object {
    /// A rule, with all its filters.
    Rule,
    /// A rule for TLS, with all that it was split into.
    #[serde(rename = "tls rule")]
    TlsRule,
    /// A tunnel.
    Tunnel,
    /// An SA.
    Sa,
    /// A setting.
    Setting,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Moved => "moved",
        })
    }
}

impl std::fmt::Display for Object {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Rule => "rule",
            Self::TlsRule => "tls rule",
            Self::Tunnel => "tunnel",
            Self::Sa => "sa",
            Self::Setting => "setting",
        })
    }
}

/// What differs between `old` and `new`. Numbers of zones and tunnels may differ where their names do not.
pub fn diff(old: &Snapshot, new: &Snapshot) -> Diff {
    let mut list = rules(Object::Rule, &written(old), &written(new));
    list.extend(rules(Object::TlsRule, &written_tls(old), &written_tls(new)));
    list.extend(tunnels(old, new));
    list.extend(sas(old, new));
    list.extend(settings(&old.filter, &new.filter));
    Diff(list)
}

/// By the names of `[filter]`.
fn settings(old: &FilterSettings, new: &FilterSettings) -> Vec<Change> {
    let discard = |settings: &FilterSettings| match settings.implicit_discard {
        Discard::Silent => "silent".to_owned(),
        Discard::Icmp => "icmp".to_owned(),
    };
    let pairs = [
        ("log", old.log.to_string(), new.log.to_string()),
        ("log_implicit", old.log_implicit.to_string(), new.log_implicit.to_string()),
        ("implicit_discard", discard(old), discard(new)),
        ("pre_decap", old.pre_decap.to_string(), new.pre_decap.to_string()),
    ];
    let change = |(name, before, after): (&str, String, String)| Change {
        kind: Kind::Changed,
        object: Object::Setting,
        name: name.to_owned(),
        details: vec![format!("{before} to {after}")],
    };
    pairs.into_iter().filter(|(_, before, after)| before != after).map(change).collect()
}

impl std::fmt::Display for Diff {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for change in &self.0 {
            let sign = match change.kind {
                Kind::Added => '+',
                Kind::Removed => '-',
                Kind::Changed => '~',
                Kind::Moved => '^',
            };
            let object = match change.object {
                Object::Rule => "rule",
                Object::TlsRule => "TLS rule",
                Object::Tunnel => "tunnel",
                Object::Sa => "SA",
                Object::Setting => "setting",
            };
            writeln!(f, "{sign} {object} {}", change.name)?;
            change.details.iter().try_for_each(|detail| writeln!(f, "    {detail}"))?;
        }
        Ok(())
    }
}

/// Rules in order: name, and each simple one in words with names in place of numbers.
type Written<'a> = [(&'a str, Vec<String>)];

fn written(snapshot: &Snapshot) -> Vec<(&str, Vec<String>)> {
    let same = |a: &Rule, b: &Rule| a.name == b.name;
    let group = |rules: &[Rule]| rules.iter().map(|rule| describe::rule(rule, snapshot)).collect();
    snapshot.rules.chunk_by(same).map(|rules| (rules[0].name.as_str(), group(rules))).collect()
}

fn written_tls(snapshot: &Snapshot) -> Vec<(&str, Vec<String>)> {
    let same = |a: &TlsRule, b: &TlsRule| a.name == b.name;
    let group = |rules: &[TlsRule]| rules.iter().map(|rule| describe::tls_rule(rule, snapshot)).collect();
    snapshot.tls.chunk_by(same).map(|rules| (rules[0].name.as_str(), group(rules))).collect()
}

fn rules(object: Object, before: &Written<'_>, after: &Written<'_>) -> Vec<Change> {
    let change = |kind, name: &str, details| Change { kind, object, name: name.to_owned(), details };
    let places: HashMap<_, _> = before.iter().enumerate().map(|(at, (name, _))| (*name, at)).collect();
    let kept: HashSet<_> = after.iter().map(|(name, _)| *name).collect();
    let common: Vec<usize> = after.iter().filter_map(|(name, _)| places.get(name).copied()).collect();
    let steady = longest_ascending(&common);
    let gone = before.iter().filter(|(name, _)| !kept.contains(name));
    let mut list: Vec<_> =
        gone.map(|(name, filters)| change(Kind::Removed, name, prefixed("- ", filters))).collect();
    for (name, filters) in after {
        match places.get(name) {
            None => list.push(change(Kind::Added, name, prefixed("+ ", filters))),
            Some(at) if before[*at].1 != *filters => {
                let details = [prefixed("- ", &before[*at].1), prefixed("+ ", filters)].concat();
                list.push(change(Kind::Changed, name, details));
            }
            Some(at) if !steady.contains(at) => list.push(change(Kind::Moved, name, Vec::new())),
            Some(_) => {}
        }
    }
    list
}

fn prefixed(sign: &str, lines: &[String]) -> Vec<String> {
    lines.iter().map(|line| format!("{sign}{line}")).collect()
}

/// The members of one longest ascending subsequence: rules in it kept their order, the others moved.
fn longest_ascending(positions: &[usize]) -> HashSet<usize> {
    // `ends[n]` is the index of the least last element of an ascending run of n + 1 elements.
    let mut ends: Vec<usize> = Vec::new();
    let mut previous = vec![None; positions.len()];
    for (index, position) in positions.iter().enumerate() {
        let length = ends.partition_point(|end| positions[*end] < *position);
        previous[index] = length.checked_sub(1).map(|shorter| ends[shorter]);
        match ends.get_mut(length) {
            Some(end) => *end = index,
            None => ends.push(index),
        }
    }
    let steps = std::iter::successors(ends.last().copied(), |index| previous[*index]);
    steps.map(|index| positions[index]).collect()
}

fn tunnels(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let change = |kind, name: &str| {
        let name = name.to_owned();
        Change { kind, object: Object::Tunnel, name, details: Vec::new() }
    };
    let missing = |from: &Snapshot, of: &Snapshot, kind| -> Vec<Change> {
        let there: HashSet<_> = from.tunnels.iter().map(|tunnel| &tunnel.name).collect();
        let not = of.tunnels.iter().filter(|tunnel| !there.contains(&tunnel.name));
        not.map(|tunnel| change(kind, tunnel.name.as_str())).collect()
    };
    [missing(new, old, Kind::Removed), missing(old, new, Kind::Added)].concat()
}

fn sas(old: &Snapshot, new: &Snapshot) -> Vec<Change> {
    let key = |sa: &Sa| (sa.name.as_str().to_owned(), sa.is_outbound());
    let change = |kind, sa: &Sa, details| {
        let direction = if sa.is_outbound() { "outbound" } else { "inbound" };
        Change { kind, object: Object::Sa, name: format!("{} {direction}", sa.name), details }
    };
    let before: HashMap<_, _> = old.sas.iter().map(|sa| (key(sa), sa)).collect();
    let after: HashSet<_> = new.sas.iter().map(key).collect();
    let gone = old.sas.iter().filter(|sa| !after.contains(&key(sa)));
    let mut list: Vec<_> = gone.map(|sa| change(Kind::Removed, sa, Vec::new())).collect();
    for sa in &new.sas {
        match before.get(&key(sa)) {
            None => {
                let details = describe::sa(sa).into_iter().map(|(what, is)| format!("{what}: {is}"));
                list.push(change(Kind::Added, sa, details.collect()));
            }
            Some(was) => {
                let details = sa_details(was, sa);
                if !details.is_empty() {
                    list.push(change(Kind::Changed, sa, details));
                }
            }
        }
    }
    list
}

fn sa_details(old: &Sa, new: &Sa) -> Vec<String> {
    let pairs = describe::sa(old).into_iter().zip(describe::sa(new));
    let mut details: Vec<_> = pairs
        .filter(|(was, is)| was != is)
        .map(|((what, was), (_, is))| format!("{what}: {was} to {is}"))
        .collect();
    if old.transform != new.transform {
        details.push("keys: changed".to_owned());
    }
    details
}
