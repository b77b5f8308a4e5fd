//! A parsed file, and its tables. Opening a table reports every key that it does not know.

use std::ops::Range;

use ravelin_events::Finding;
use ravelin_events::catalogue::{FILE_MISSING, FILE_SYNTAX, FILE_TWICE, FILE_TYPE, FILE_UNKNOWN_KEY};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::{Collector, Diagnostic};
use crate::similar::did_you_mean;
use crate::source::{Place, Source};
use crate::value::Value;

/// Where a reader stands: the file, and the list that takes what is wrong.
#[derive(Clone, Copy)]
pub struct Context<'d> {
    /// The file.
    pub source: &'d Source,
    /// Takes findings.
    pub notes: &'d Collector,
}

impl Context<'_> {
    /// Adds an error at a part of the file.
    pub fn error(&self, span: Range<usize>, message: impl Into<Finding>, remedy: impl Into<String>) {
        self.notes.error(self.source.place(span), message, remedy);
    }
}

/// A table whose possible keys are known.
pub struct Table<'d> {
    context: Context<'d>,
    entries: &'d DeTable<'d>,
    span: Range<usize>,
    /// As messages call it, such as `a rule`.
    what: &'static str,
    keys: &'static [&'static str],
}

/// Parses `source` and hands its root table, which knows `keys`, to `reader`. `None` when it is not TOML.
pub fn read<T>(
    source: &Source,
    notes: &Collector,
    keys: &'static [&'static str],
    reader: impl FnOnce(&Table<'_>) -> Option<T>,
) -> Option<T> {
    let document = parse(source, notes)?;
    let context = Context { source, notes };
    reader(&Table::open(context, document.get_ref(), 0..0, "the file", keys))
}

/// Parses `source`, whose keys are the operator's own names, and hands each with its value to `reader`, in order of
/// the file. `None` when it is not TOML.
pub fn read_named(
    source: &Source,
    notes: &Collector,
    mut reader: impl FnMut(Place, Value<'_>),
) -> Option<()> {
    let document = parse(source, notes)?;
    let context = Context { source, notes };
    named(context, document.get_ref()).into_iter().for_each(|(place, value)| reader(place, value));
    Some(())
}

fn parse<'d>(source: &'d Source, notes: &Collector) -> Option<Spanned<DeTable<'d>>> {
    let (document, errors) = DeTable::parse_recoverable(source.text());
    for error in &errors {
        notes.add(syntax(source, error));
    }
    // A key that stands twice leaves the rest readable; anything else would only be misread.
    errors.iter().all(is_duplicate).then_some(document)
}

/// A table's keys and values, in order of the file.
pub(crate) fn named<'d>(context: Context<'d>, entries: &'d DeTable<'d>) -> Vec<(Place, Value<'d>)> {
    let mut list: Vec<_> = entries
        .iter()
        .map(|(key, value)| (context.source.place(key.span()), Value::new(context, key.get_ref(), value)))
        .collect();
    list.sort_by_key(|(place, _)| place.span.as_ref().map(|span| span.start));
    list
}

impl<'d> Table<'d> {
    pub(crate) fn open(
        context: Context<'d>,
        entries: &'d DeTable<'d>,
        span: Range<usize>,
        what: &'static str,
        keys: &'static [&'static str],
    ) -> Self {
        let table = Self { context, entries, span, what, keys };
        entries.iter().for_each(|(key, value)| table.check_key(key, value));
        table
    }

    /// The value of `key`, one of the table's known keys.
    pub fn get(&self, key: &'static str) -> Option<Value<'d>> {
        debug_assert!(self.keys.contains(&key), "{} does not list the key {key}", self.what);
        let (_, value) = self.entries.get_key_value(key)?;
        Some(Value::new(self.context, key, value))
    }

    /// What `reader` makes of the value of `key`: `Some(None)` when nothing is written, `None` when it is wrong.
    pub fn optional<T>(
        &self,
        key: &'static str,
        reader: impl FnOnce(&Value<'d>) -> Option<T>,
    ) -> Option<Option<T>> {
        match self.get(key) {
            None => Some(None),
            Some(value) => reader(&value).map(Some),
        }
    }

    /// The same as [`Self::get`], and an error when it is missing. `example` is a line that would do.
    pub fn need(&self, key: &'static str, example: &str) -> Option<Value<'d>> {
        let value = self.get(key);
        if value.is_none() {
            let message = FILE_MISSING.of(format!("{} has no `{key}`", self.what));
            self.error(message, format!("add a line such as: {example}"));
        }
        value
    }

    /// The tables of `[[key]]`, in order.
    pub fn tables(
        &self,
        key: &'static str,
        what: &'static str,
        keys: &'static [&'static str],
    ) -> Vec<Table<'d>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        if matches!(value.raw(), DeValue::Table(_)) {
            value.error(FILE_TYPE.of(format!("`{key}` is a list of tables")), format!("write [[{key}]]"));
            return Vec::new();
        }
        value.items().into_iter().filter_map(|item| item.table(what, keys)).collect()
    }

    /// The table of `[key]`, if it is there.
    pub fn table(
        &self,
        key: &'static str,
        what: &'static str,
        keys: &'static [&'static str],
    ) -> Option<Table<'d>> {
        self.get(key)?.table(what, keys)
    }

    /// The place of the table's head.
    pub fn place(&self) -> Place {
        self.context.source.place(self.span.clone())
    }

    /// The file and its list of findings.
    pub fn context(&self) -> Context<'d> {
        self.context
    }

    /// Adds an error at the table's head.
    pub fn error(&self, message: impl Into<Finding>, remedy: impl Into<String>) {
        self.context.error(self.span.clone(), message, remedy);
    }

    fn check_key(&self, key: &Spanned<std::borrow::Cow<'_, str>>, value: &Spanned<DeValue<'_>>) {
        let name: &str = key.get_ref();
        if self.keys.contains(&name) {
            return;
        }
        let place = self.context.source.place(key.span());
        let mut known = self.keys.to_vec();
        known.sort_unstable();
        let remedy = did_you_mean(
            name,
            known.iter().copied(),
            &format!("{} may have {}", self.what, known.join(", ")),
        );
        let hide = self.context.source.is_secret() || is_like_a_key(name);
        let message = match hide {
            true => format!("{} has a key that it may not have", self.what),
            false => format!("{} has no key `{name}`", self.what),
        };
        let found = Diagnostic::error(place, FILE_UNKNOWN_KEY.of(message), remedy);
        let secret = hide || value.get_ref().as_str().is_some_and(is_like_a_key);
        self.context.notes.add(if secret { found.hidden() } else { found });
    }
}

/// Whether text may be a key in hexadecimal, which nothing may print, wherever it was written by mistake.
pub fn is_like_a_key(text: &str) -> bool {
    let digits = text.chars().filter(char::is_ascii_hexdigit).count();
    digits >= 32 && text.chars().all(|c| c.is_ascii_hexdigit() || matches!(c, ':' | ' ' | '_' | 'x'))
}

fn is_duplicate(error: &toml::de::Error) -> bool {
    error.message().starts_with("duplicate key")
}

/// What the parser of TOML says, with a remedy where its words allow one.
fn syntax(source: &Source, error: &toml::de::Error) -> Diagnostic {
    let message = error.message();
    let remedy = match message {
        _ if is_duplicate(error) => "remove one of the two",
        _ if message.contains("must be quoted") => "put the text between double quotes",
        _ if message.contains("unclosed") => "close the bracket",
        _ if message.contains("assignment") || message.contains("key with no value") => {
            "write each setting as: key = value"
        }
        _ if message.contains("comma") => "put exactly one comma between two values",
        _ if message.contains("basic string") || message.contains("literal string") => "close the quote",
        _ if message.contains("leading zero") => "write the number without the zero in front",
        _ if message.contains("missing value") => "write a value behind the equals sign",
        _ => "see https://toml.io/en/v1.1.0 for how a file is written",
    };
    let message = match is_duplicate(error) {
        true => FILE_TWICE.of("the key or section stands twice"),
        false => FILE_SYNTAX.of(format!("not TOML: {message}")),
    };
    let place = error.span().map_or_else(|| source.whole(), |span| source.place(span));
    Diagnostic::error(place, message, remedy)
}
