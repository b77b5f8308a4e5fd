//! What became of each line of a foreign policy.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use ravelin_config::diagnostic::{Collector, Diagnostic, Findings};
use ravelin_config::source::Place;
use ravelin_events::catalogue::{IMPORT_APPROXIMATED, IMPORT_REFUSED};
use serde::{Serialize, Serializer};

/// What became of one line. Later ones are worse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Fate {
    /// It has no meaning here, or nothing uses it.
    Ignored,
    /// It means the same here.
    Exact,
    /// It is not the same here, and protects no less.
    Approximated,
    /// It cannot be said here.
    Refused,
}

impl Fate {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Exact, Self::Approximated, Self::Refused, Self::Ignored];

    /// As reports write it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Ignored => "ignored",
            Self::Exact => "exact",
            Self::Approximated => "approximated",
            Self::Refused => "refused",
        }
    }
}

/// One line of the report.
#[derive(Debug, Clone)]
pub struct Item {
    /// What became of it.
    pub fate: Fate,
    /// Where it stands.
    pub place: Place,
    /// The statement or attribute as it is written.
    pub what: String,
    /// What it became, or why it did not.
    pub said: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
}

impl Item {
    fn diagnostic(&self) -> Option<Diagnostic> {
        let message = format!("{}: {}", self.what, self.said);
        match self.fate {
            Fate::Refused => {
                Some(Diagnostic::error(self.place.clone(), IMPORT_REFUSED.of(message), self.remedy.clone()))
            }
            Fate::Approximated => Some(Diagnostic::warning(
                self.place.clone(),
                IMPORT_APPROXIMATED.of(message),
                self.remedy.clone(),
            )),
            Fate::Exact | Fate::Ignored => None,
        }
    }
}

/// `file:line:column: fate: what: said; remedy`, on one line.
impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.place.source.name())?;
        if let Some(span) = &self.place.span {
            let at = self.place.source.position(span.start);
            write!(f, ":{}:{}", at.line, at.column)?;
        }
        write!(f, ": {}: {}", self.fate.word(), self.what)?;
        if !self.said.is_empty() {
            write!(f, ": {}", self.said)?;
        }
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

impl Serialize for Item {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Record<'a> {
            fate: Fate,
            file: &'a str,
            line: Option<usize>,
            column: Option<usize>,
            what: &'a str,
            said: &'a str,
            remedy: &'a str,
        }
        let at = self.place.span.as_ref().map(|span| self.place.source.position(span.start));
        let Self { fate, place, what, said, remedy } = self;
        let (line, column) = (at.map(|at| at.line), at.map(|at| at.column));
        Record { fate: *fate, file: place.source.name(), line, column, what, said, remedy }
            .serialize(serializer)
    }
}

/// All lines of the report, by file in the order in which they were read, and position.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Report(Vec<Item>);

impl Report {
    /// All lines.
    pub fn items(&self) -> &[Item] {
        &self.0
    }

    /// How many lines have this fate.
    pub fn count(&self, fate: Fate) -> usize {
        self.0.iter().filter(|item| item.fate == fate).count()
    }

    /// Whether anything could not be said.
    pub fn has_refusals(&self) -> bool {
        self.count(Fate::Refused) > 0
    }

    /// `12 exact, 1 approximated, 0 refused, 3 ignored`.
    pub fn summary(&self) -> String {
        let counts = Fate::ALL.map(|fate| format!("{} {}", self.count(fate), fate.word()));
        counts.join(", ")
    }

    /// What is not the same, as `ravelin policy check` shows findings.
    pub fn findings(&self) -> Findings {
        let notes = Collector::default();
        self.0.iter().filter_map(Item::diagnostic).for_each(|found| notes.add(found));
        notes.finish()
    }
}

/// One item a line, and the counts.
impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|item| writeln!(f, "{item}"))?;
        writeln!(f, "{}", self.summary())
    }
}

/// One file of ours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Output {
    /// Its name, `attls.toml` or `ipsec.toml`.
    pub name: &'static str,
    /// Its text.
    pub text: String,
}

/// A policy that was taken over.
#[derive(Debug, Clone, Serialize)]
pub struct Imported {
    /// Files to put beside each other.
    pub files: Vec<Output>,
    /// What became of each line.
    pub report: Report,
}

/// Takes what is said of lines while they are read. Of several things said of one line the worst stays.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    items: RefCell<BTreeMap<(String, usize), Item>>,
    refusals: Cell<usize>,
}

impl Notes {
    pub(crate) fn exact(&self, place: &Place, what: &str, said: impl Into<String>) {
        self.add(Fate::Exact, place, what, said.into(), "");
    }

    pub(crate) fn ignored(&self, place: &Place, what: &str, said: impl Into<String>) {
        self.add(Fate::Ignored, place, what, said.into(), "");
    }

    pub(crate) fn approximated(&self, place: &Place, what: &str, said: impl Into<String>, remedy: &str) {
        self.add(Fate::Approximated, place, what, said.into(), remedy);
    }

    pub(crate) fn refused(&self, place: &Place, what: &str, said: impl Into<String>, remedy: &str) {
        self.refusals.set(self.refusals.get() + 1);
        self.add(Fate::Refused, place, what, said.into(), remedy);
    }

    /// How often anything was refused so far, the same thing again included: what two rules use spoils both.
    pub(crate) fn refusals(&self) -> usize {
        self.refusals.get()
    }

    /// Whether anything was said of the line that begins there.
    pub(crate) fn knows(&self, place: &Place) -> bool {
        self.items.borrow().contains_key(&key(place))
    }

    pub(crate) fn finish(self) -> Report {
        Report(self.items.into_inner().into_values().collect())
    }

    fn add(&self, fate: Fate, place: &Place, what: &str, said: String, remedy: &str) {
        let item =
            Item { fate, place: place.clone(), what: what.to_owned(), said, remedy: remedy.to_owned() };
        let mut items = self.items.borrow_mut();
        match items.entry(key(place)) {
            std::collections::btree_map::Entry::Vacant(empty) => {
                empty.insert(item);
            }
            std::collections::btree_map::Entry::Occupied(mut held) => {
                if held.get().fate < fate {
                    held.insert(item);
                }
            }
        }
    }
}

fn key(place: &Place) -> (String, usize) {
    (place.source.name().to_owned(), place.span.as_ref().map_or(0, |span| span.start))
}
