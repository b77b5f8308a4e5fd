//! What is wrong with a file, where, and what to do about it.

use std::cell::RefCell;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use ravelin_events::{Entry, Finding};
use serde::{Serialize, Serializer};

use crate::source::{Place, Position};

/// Most diagnostics that one reading keeps; who has made a thousand mistakes will not read more.
const KEPT: usize = 1000;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Nothing of the file is used.
    Error,
    /// The file is used as it is.
    Warning,
}

/// One finding.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// How bad.
    pub severity: Severity,
    /// What kind of finding it is.
    pub kind: &'static Entry,
    /// Where.
    pub place: Place,
    /// What is wrong, without a full stop.
    pub message: String,
    /// What to do, without a full stop.
    pub remedy: String,
    /// The line holds what looks like a key, though its file is not a file of keys, and is not to be shown.
    pub hidden: bool,
}

/// A [`Diagnostic`] as programs read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record<'a> {
    /// How bad.
    pub severity: Severity,
    /// Stable code of its kind; `ravelin explain` says more.
    pub code: &'static str,
    /// Name of the file.
    pub file: &'a str,
    /// From 1; absent for the file as a whole.
    pub line: Option<usize>,
    /// From 1, in characters.
    pub column: Option<usize>,
    /// What is wrong.
    pub message: &'a str,
    /// What to do.
    pub remedy: &'a str,
}

impl Diagnostic {
    /// An error.
    pub fn error(place: Place, message: impl Into<Finding>, remedy: impl Into<String>) -> Self {
        let Finding { kind, text } = message.into();
        Self { severity: Severity::Error, kind, place, message: text, remedy: remedy.into(), hidden: false }
    }

    /// A warning.
    pub fn warning(place: Place, message: impl Into<Finding>, remedy: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(place, message, remedy) }
    }

    /// The same, but its line is never shown.
    pub fn hidden(self) -> Self {
        Self { hidden: true, ..self }
    }

    /// Line and column, unless it speaks of the whole file.
    pub fn position(&self) -> Option<Position> {
        self.place.span.as_ref().map(|span| self.place.source.position(span.start))
    }

    /// For programs.
    pub fn record(&self) -> Record<'_> {
        let position = self.position();
        Record {
            severity: self.severity,
            code: self.kind.code,
            file: self.place.source.name(),
            line: position.map(|p| p.line),
            column: position.map(|p| p.column),
            message: &self.message,
            remedy: &self.remedy,
        }
    }

    /// For people: several lines, with the part of the file unless that may not be shown.
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour { Renderer::styled() } else { Renderer::plain() };
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let help = Level::HELP.message(self.remedy.as_str());
        let title = level.primary_title(self.message.as_str()).id(self.kind.code);
        let group = match (&self.place.span, self.is_hidden()) {
            (Some(span), false) => title.element(self.snippet(span.clone())),
            _ => title.element(self.origin()),
        };
        let group: Group<'_> = if self.remedy.is_empty() { group } else { group.element(help) };
        renderer.decor_style(DecorStyle::Ascii).render(&[group])
    }

    /// Keys are not shown, and neither is a line of another file that may hold one by mistake.
    fn is_hidden(&self) -> bool {
        let source = &self.place.source;
        let line = self.place.span.as_ref().map_or("", |span| source.line(span.start).2);
        let longest = line.split(|c: char| !c.is_ascii_hexdigit()).map(str::len).max();
        self.hidden || source.is_secret() || longest.is_some_and(|length| length >= 32)
    }

    /// The first line of the part: a table reaches over many, and one is enough to find it.
    fn snippet(&self, span: std::ops::Range<usize>) -> Snippet<'_, annotate_snippets::Annotation<'_>> {
        let source = &self.place.source;
        let (number, begin, line) = source.line(span.start);
        let inside = |offset: usize| line.floor_char_boundary(offset.saturating_sub(begin));
        let start = inside(span.start);
        let annotation = AnnotationKind::Primary.span(start..inside(span.end).max(start));
        Snippet::source(line).line_start(number).path(source.name()).annotation(annotation)
    }

    fn origin(&self) -> Origin<'_> {
        let origin = Origin::path(self.place.source.name());
        match self.position() {
            Some(at) => origin.line(at.line).char_column(at.column),
            None => origin,
        }
    }
}

impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.record().serialize(serializer)
    }
}

/// `file:line:column: error: message; remedy [code]`, on one line.
impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.place.source.name())?;
        if let Some(Position { line, column }) = self.position() {
            write!(f, ":{line}:{column}")?;
        }
        let severity = if self.severity == Severity::Error { "error" } else { "warning" };
        write!(f, ": {severity}: {}; {} [{}]", self.message, self.remedy, self.kind.code)
    }
}

impl std::error::Error for Diagnostic {}

/// Everything that was found, by file and position.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub struct Findings(Vec<Diagnostic>);

impl Findings {
    /// All of them.
    pub fn iter(&self) -> std::slice::Iter<'_, Diagnostic> {
        self.0.iter()
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether any is an error.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|found| found.severity == Severity::Error)
    }

    /// For people, with an empty line between two.
    pub fn render(&self, colour: bool) -> String {
        self.0.iter().map(|found| found.render(colour) + "\n").collect::<Vec<_>>().join("\n")
    }
}

impl From<Diagnostic> for Findings {
    fn from(found: Diagnostic) -> Self {
        Self(vec![found])
    }
}

impl std::fmt::Display for Findings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.iter().map(Diagnostic::to_string).collect::<Vec<_>>().join("\n"))
    }
}

impl std::error::Error for Findings {}

/// Takes findings while files are read, so that all mistakes are told at once.
#[derive(Debug, Default)]
pub struct Collector(RefCell<Vec<Diagnostic>>);

impl Collector {
    /// Adds one.
    pub fn add(&self, found: Diagnostic) {
        let mut list = self.0.borrow_mut();
        if list.len() < KEPT {
            list.push(found);
        }
    }

    /// Adds an error.
    pub fn error(&self, place: Place, message: impl Into<Finding>, remedy: impl Into<String>) {
        self.add(Diagnostic::error(place, message, remedy));
    }

    /// Adds a warning.
    pub fn warning(&self, place: Place, message: impl Into<Finding>, remedy: impl Into<String>) {
        self.add(Diagnostic::warning(place, message, remedy));
    }

    /// Whether an error was added.
    pub fn has_errors(&self) -> bool {
        self.0.borrow().iter().any(|found| found.severity == Severity::Error)
    }

    /// What was found, sorted by file and position. Of equal ones, one stays.
    pub fn finish(self) -> Findings {
        Findings::sorted(self.0.into_inner())
    }

    /// `value` with the warnings, or every finding when one is an error.
    pub fn conclude<T>(self, value: Option<T>) -> Result<(T, Findings), Findings> {
        let findings = self.finish();
        match value {
            Some(value) if !findings.has_errors() => Ok((value, findings)),
            _ => Err(findings),
        }
    }
}

impl Findings {
    /// These and others.
    pub fn and(mut self, others: Self) -> Self {
        self.0.extend(others.0);
        Self::sorted(self.0)
    }

    fn sorted(mut list: Vec<Diagnostic>) -> Self {
        let key = |d: &Diagnostic| {
            (d.place.source.name().to_owned(), d.place.span.as_ref().map(|s| s.start), d.severity)
        };
        list.sort_by_cached_key(key);
        list.dedup_by(|a, b| key(a) == key(b) && a.message == b.message);
        Self(list)
    }
}
