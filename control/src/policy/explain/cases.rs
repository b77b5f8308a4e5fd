//! What was left open, cut into as few parts as rules can tell apart, and put together again where they do not.

use std::collections::{BTreeSet, HashMap};
use std::hash::Hash;

use ravelin_contract::address::NumberRange;
use ravelin_contract::name::Name;
use ravelin_contract::rule::ZoneId;

/// Most combinations of parts that are looked at.
const MOST: usize = 1 << 16;

/// One thing that may be left open, as parts: within a part no rule sees a difference.
#[derive(Debug)]
pub(super) struct Axis<T> {
    parts: Vec<Part<T>>,
}

#[derive(Debug)]
struct Part<T> {
    /// Stands for all of the part.
    example: T,
    label: Label,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Label {
    Range(u16, u16),
    Words(Vec<String>),
}

impl<T: Copy> Axis<T> {
    /// It is said, or does not matter.
    pub(super) fn fixed(example: T) -> Self {
        Self { parts: vec![Part { example, label: Label::Words(Vec::new()) }] }
    }

    /// How many parts there are.
    pub(super) fn len(&self) -> usize {
        self.parts.len()
    }

    /// What stands for a part.
    pub(super) fn example(&self, part: usize) -> T {
        self.parts[part].example
    }

    /// What these parts are called; `None` for all of them, which hang on nothing.
    pub(super) fn label(&self, chosen: &[usize]) -> Option<String> {
        if chosen.len() == self.parts.len() {
            return None;
        }
        let mut words = Vec::new();
        let mut ranges: Vec<(u16, u16)> = Vec::new();
        for part in chosen.iter().map(|part| &self.parts[*part].label) {
            match (part, ranges.last_mut()) {
                (Label::Range(first, last), Some(before)) if before.1.checked_add(1) == Some(*first) => {
                    before.1 = *last;
                }
                (Label::Range(first, last), _) => ranges.push((*first, *last)),
                (Label::Words(list), _) => words.extend(list.iter().cloned()),
            }
        }
        let shown = |(first, last): (u16, u16)| match first == last {
            true => first.to_string(),
            false => format!("{first}-{last}"),
        };
        words.extend(ranges.into_iter().map(shown));
        Some(words.join(", "))
    }
}

impl Axis<u16> {
    /// Numbers up to `most`, cut where one of these ranges begins or ends.
    pub(super) fn numbers(ranges: impl Iterator<Item = NumberRange>, most: u16) -> Self {
        let mut begins = BTreeSet::from([0]);
        for range in ranges {
            begins.insert(range.first());
            begins.extend(range.last().checked_add(1));
        }
        let begins: Vec<u16> = begins.into_iter().filter(|begin| *begin <= most).collect();
        let ends = begins.iter().skip(1).map(|next| next - 1).chain([most]);
        let part = |(first, last)| Part { example: first, label: Label::Range(first, last) };
        Self { parts: begins.iter().copied().zip(ends).map(part).collect() }
    }
}

impl Axis<Option<ZoneId>> {
    /// Each zone that a rule names, and all others with `rest`, where a packet comes from no zone, as one.
    pub(super) fn zones(named: &BTreeSet<ZoneId>, all: &[Name], rest: Option<&str>) -> Self {
        if named.is_empty() {
            return Self::fixed(None);
        }
        let numbered = || (0u8..).map(ZoneId).zip(all);
        let single = |(id, name): (ZoneId, &Name)| Part {
            example: Some(id),
            label: Label::Words(vec![name.to_string()]),
        };
        let mut parts: Vec<_> = numbered().filter(|(id, _)| named.contains(id)).map(single).collect();
        let others: Vec<_> = numbered().filter(|(id, _)| !named.contains(id)).collect();
        let mut words: Vec<String> = others.iter().map(|(_, name)| name.to_string()).collect();
        words.extend(rest.map(str::to_owned));
        if !words.is_empty() {
            let example = others.first().map(|(id, _)| *id);
            parts.push(Part { example, label: Label::Words(words) });
        }
        Self { parts }
    }
}

impl Axis<bool> {
    /// Yes and no.
    pub(super) fn either(yes: &str, no: &str) -> Self {
        let part = |example, word: &str| Part { example, label: Label::Words(vec![word.to_owned()]) };
        Self { parts: vec![part(true, yes), part(false, no)] }
    }
}

/// Parts of five things that have one answer.
#[derive(Debug)]
pub(super) struct Group<A> {
    /// Parts by axis.
    pub(super) parts: [Vec<usize>; 5],
    /// The answer.
    pub(super) answer: A,
}

/// Every combination of parts with its answer, those of one answer together. `None` when there are too many.
pub(super) fn all<A: Clone + Eq + Hash>(
    lengths: [usize; 5],
    answer: impl Fn([usize; 5]) -> A,
) -> Option<Vec<Group<A>>> {
    let total = lengths.iter().try_fold(1usize, |total, length| total.checked_mul(*length))?;
    if total > MOST {
        return None;
    }
    let mut groups: Vec<Group<A>> = (0..total)
        .map(|number| {
            let mut rest = number;
            let spot = lengths.map(|length| {
                let part = rest % length;
                rest /= length;
                part
            });
            Group { parts: spot.map(|part| vec![part]), answer: answer(spot) }
        })
        .collect();
    for axis in (0..lengths.len()).rev() {
        groups = joined(groups, axis);
    }
    Some(groups)
}

/// Joins groups that differ in nothing but this axis.
fn joined<A: Clone + Eq + Hash>(groups: Vec<Group<A>>, axis: usize) -> Vec<Group<A>> {
    let mut places = HashMap::new();
    let mut found: Vec<Group<A>> = Vec::new();
    for mut group in groups {
        let own = std::mem::take(&mut group.parts[axis]);
        let place = *places.entry((group.parts.clone(), group.answer.clone())).or_insert(found.len());
        match found.get_mut(place) {
            Some(group) => group.parts[axis].extend(own),
            None => {
                group.parts[axis] = own;
                found.push(group);
            }
        }
    }
    found.iter_mut().for_each(|group| group.parts[axis].sort_unstable());
    found
}
