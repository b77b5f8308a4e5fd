//! The text of `swanctl.conf` as a tree: `name { .. }` and `name = value`.

use ravelin_config::diagnostic::Collector;
use ravelin_config::source::{Place, Source};

/// Sections in sections, at most this deep.
const DEPTH: usize = 16;

/// A setting or a section.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) name: String,
    pub(super) place: Place,
    /// Of a setting; empty of a section.
    pub(super) value: String,
    /// It has braces.
    pub(super) braces: bool,
    /// What stands between them.
    pub(super) sections: Vec<Entry>,
}

/// An entry with braces.
pub(super) struct Section<'e> {
    pub(super) name: &'e str,
    pub(super) place: &'e Place,
    pub(super) entries: &'e [Entry],
}

/// The file.
pub(super) struct Root {
    pub(super) entries: Vec<Entry>,
}

impl Root {
    pub(super) fn walk(&self, visit: &mut impl FnMut(&Entry)) {
        self.entries.iter().for_each(|entry| entry.walk(visit));
    }
}

impl Entry {
    fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        self.sections.iter().for_each(|entry| entry.walk(visit));
    }

    /// `name = value`.
    pub(super) fn shown(&self) -> String {
        format!("{} = {}", self.name, self.value)
    }

    pub(super) fn as_section(&self) -> Section<'_> {
        Section { name: &self.name, place: &self.place, entries: &self.sections }
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = Section<'_>> {
        self.sections.iter().filter(|entry| entry.braces).map(Self::as_section)
    }
}

impl<'e> Section<'e> {
    /// The setting of this name; the last, as for strongSwan.
    pub(super) fn value(&self, name: &str) -> Option<&'e Entry> {
        self.entries.iter().rfind(|entry| !entry.braces && entry.name == name)
    }

    pub(super) fn settings(&self) -> impl Iterator<Item = &'e Entry> {
        self.entries.iter().filter(|entry| !entry.braces)
    }

    /// Sections of this name.
    pub(super) fn all(&self, name: &str) -> impl Iterator<Item = Section<'e>> {
        self.entries.iter().filter(move |entry| entry.braces && entry.name == name).map(Entry::as_section)
    }

    pub(super) fn sections(&self) -> impl Iterator<Item = Section<'e>> {
        self.entries.iter().filter(|entry| entry.braces).map(Entry::as_section)
    }
}

/// Reads a file. Nothing comes of one whose braces do not pair, or that includes another.
pub(super) fn parse(source: &Source, errors: &Collector) -> Option<Root> {
    let mut open: Vec<Vec<Entry>> = vec![Vec::new()];
    let mut at = 0;
    for line in source.text().split_inclusive('\n') {
        let end = line
            .match_indices('#')
            .find(|(hash, _)| !line[..*hash].contains('"'))
            .map_or(line.len(), |(hash, _)| hash);
        pieces(&line[..end], at, source, errors, &mut open)?;
        at += line.len();
    }
    if open.len() != 1 {
        let last = open.iter().rev().nth(1).and_then(|list| list.last())?;
        errors.error(last.place.clone(), format!("`{}` is not closed", last.name), "add }");
        return None;
    }
    Some(Root { entries: open.pop()? })
}

/// What stands in one line: several braces and a setting may.
fn pieces(
    line: &str,
    begin: usize,
    source: &Source,
    errors: &Collector,
    open: &mut Vec<Vec<Entry>>,
) -> Option<()> {
    let mut rest = line;
    loop {
        let trimmed = rest.trim_start();
        let at = begin + (line.len() - trimmed.len());
        if trimmed.trim_end().is_empty() {
            return Some(());
        }
        if let Some(after) = trimmed.strip_prefix('}') {
            let sections = open.pop()?;
            let Some(section) = open.last_mut().and_then(|list| list.last_mut()) else {
                errors.error(source.place(at..at + 1), "a brace closes what none opened", "remove it");
                return None;
            };
            section.sections = sections;
            rest = after;
            continue;
        }
        let stop = trimmed.find(['{', '=', '}']).unwrap_or(trimmed.len());
        let name = trimmed[..stop].trim();
        let place = source.place(at..at + name.len());
        let mut entry = Entry {
            name: name.to_owned(),
            place: place.clone(),
            value: String::new(),
            braces: false,
            sections: Vec::new(),
        };
        match trimmed[stop..].chars().next() {
            Some('{') if !name.is_empty() && !name.contains([' ', ':']) && open.len() <= DEPTH => {
                entry.braces = true;
                open.last_mut()?.push(entry);
                open.push(Vec::new());
                rest = &trimmed[stop + 1..];
            }
            Some('=') if !name.is_empty() => {
                let (value, after) = value(&trimmed[stop + 1..]);
                entry.value = value.trim().trim_matches('"').to_owned();
                open.last_mut()?.push(entry);
                rest = after;
            }
            _ => {
                let remedy = "write name = value or name {; put what other files have into this one";
                errors.error(place, "neither a setting nor a section of its own", remedy);
                return None;
            }
        }
    }
}

/// A value ends with the line, or where the section closes.
fn value(text: &str) -> (&str, &str) {
    let quoted = text.trim_start().starts_with('"');
    match text.find('}').filter(|_| !quoted) {
        Some(end) => text.split_at(end),
        None => (text, ""),
    }
}
