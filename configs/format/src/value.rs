//! One value of a file as what it should be. Each reader reports what is wrong and then gives `None`.

use std::net::{IpAddr, SocketAddr};
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use ravelin_contract::name::Name;
use ravelin_events::Finding;
use ravelin_events::catalogue::{FILE_RANGE, FILE_TYPE};
use toml::Spanned;
use toml::de::{DeInteger, DeValue};

use crate::diagnostic::Diagnostic;
use crate::document::{self, Context, Table, is_like_a_key};
use crate::similar::did_you_mean;
use crate::source::Place;

/// A value under its key.
#[derive(Clone, Copy)]
pub struct Value<'d> {
    context: Context<'d>,
    key: &'d str,
    value: &'d Spanned<DeValue<'d>>,
}

impl<'d> Value<'d> {
    pub(crate) fn new(context: Context<'d>, key: &'d str, value: &'d Spanned<DeValue<'d>>) -> Self {
        Self { context, key, value }
    }

    pub(crate) fn raw(&self) -> &'d DeValue<'d> {
        self.value.get_ref()
    }

    /// The key that it stands under.
    pub fn key(&self) -> &'d str {
        self.key
    }

    /// Where it stands.
    pub fn place(&self) -> Place {
        self.context.source.place(self.span())
    }

    /// Where it stands in the file's octets.
    pub fn span(&self) -> Range<usize> {
        self.value.span()
    }

    /// The file and its list of findings.
    pub fn context(&self) -> Context<'d> {
        self.context
    }

    /// Adds an error at the value. What could be a key in the wrong place is not shown.
    pub fn error(&self, message: impl Into<Finding>, remedy: impl Into<String>) {
        let found = Diagnostic::error(self.place(), message, remedy);
        let secret = self.raw().as_str().is_some_and(is_like_a_key);
        self.context.notes.add(if secret { found.hidden() } else { found });
    }

    /// Text.
    pub fn text(&self) -> Option<&'d str> {
        self.raw().as_str().or_else(|| self.wrong_type("text", "write it between double quotes"))
    }

    /// Text, or nothing said when it is of another type.
    pub fn as_text(&self) -> Option<&'d str> {
        self.raw().as_str()
    }

    /// `true` or `false`.
    pub fn flag(&self) -> Option<bool> {
        self.raw()
            .as_bool()
            .or_else(|| self.wrong_type("true or false", "write true or false without quotes"))
    }

    /// A whole number within `bounds`.
    pub fn number(&self, bounds: RangeInclusive<u64>) -> Option<u64> {
        let (low, high) = (bounds.start(), bounds.end());
        let DeValue::Integer(integer) = self.raw() else {
            return self.wrong_type("a whole number", &format!("write a number from {low} to {high}"));
        };
        let number = whole(integer).filter(|number| bounds.contains(number));
        if number.is_none() {
            self.error(
                FILE_RANGE.of(format!("`{}` is {integer}, out of bounds", self.key)),
                format!("use a number from {low} to {high}"),
            );
        }
        number
    }

    /// A whole number, or nothing said when it is of another type or negative.
    pub fn as_number(&self) -> Option<u64> {
        self.raw().as_integer().and_then(whole)
    }

    /// One of some words.
    pub fn choice<T: Copy>(&self, choices: &[(&'static str, T)]) -> Option<T> {
        let words = || choices.iter().map(|(word, _)| *word);
        let listed = words().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(", ");
        let all = format!("use one of {listed}");
        let Some(text) = self.raw().as_str() else {
            return self.wrong_type("a word", &all);
        };
        let found = choices.iter().find(|(word, _)| *word == text).map(|(_, choice)| *choice);
        if found.is_none() {
            let (message, remedy) = (self.unknown(text), did_you_mean(text, words(), &all));
            self.error(message, remedy);
        }
        found
    }

    /// A name as [`Name`] allows.
    pub fn name(&self) -> Option<Name> {
        match Name::new(self.text()?) {
            Ok(name) => Some(name),
            Err(e) => {
                self.error(format!("`{}`: {e}", self.key), "choose another name");
                None
            }
        }
    }

    /// One IP address.
    pub fn address(&self) -> Option<IpAddr> {
        let text = self.text()?;
        let address = text.parse().ok();
        if address.is_none() {
            self.error(
                format!("`{}` is not an IP address", self.key),
                "write one address such as \"192.0.2.1\" or \"2001:db8::1\"",
            );
        }
        address
    }

    /// An IP address and a port.
    pub fn socket_address(&self) -> Option<SocketAddr> {
        let text = self.text()?;
        let address = text.parse().ok();
        if address.is_none() {
            let message = format!("`{}` is not an address with a port", self.key);
            self.error(message, "write it as \"127.0.0.1:9469\" or \"[::1]:9469\"");
        }
        address
    }

    /// A path. A relative one begins where the file lies.
    pub fn path(&self) -> Option<PathBuf> {
        let text = self.text()?;
        if text.is_empty() || text.contains('\0') {
            self.error(format!("`{}` is not a path", self.key), "write the path of a file");
            return None;
        }
        let file = std::path::Path::new(self.context.source.name());
        Some(file.parent().unwrap_or(std::path::Path::new("")).join(text))
    }

    /// A list's values.
    pub fn items(&self) -> Vec<Value<'d>> {
        match self.raw() {
            DeValue::Array(array) => {
                array.iter().map(|value| Value::new(self.context, self.key, value)).collect()
            }
            _ => self.wrong_type("a list", "write it between [ and ]").unwrap_or_default(),
        }
    }

    /// A list's values, or the value alone.
    pub fn one_or_more(&self) -> Vec<Value<'d>> {
        match self.raw() {
            DeValue::Array(array) if array.is_empty() => {
                self.error(
                    format!("`{}` is an empty list", self.key),
                    "leave the line out, or list something",
                );
                Vec::new()
            }
            DeValue::Array(_) => self.items(),
            _ => vec![*self],
        }
    }

    /// A table with `keys`, which messages call `what`.
    pub fn table(&self, what: &'static str, keys: &'static [&'static str]) -> Option<Table<'d>> {
        match self.raw() {
            DeValue::Table(entries) => Some(Table::open(self.context, entries, self.span(), what, keys)),
            _ => self.wrong_type("a table", "write { key = value }, or a [section] of its own"),
        }
    }

    /// A table whose keys are the operator's own names: each with its value, in order of the file.
    pub fn named(&self) -> Vec<(Place, Value<'d>)> {
        let DeValue::Table(entries) = self.raw() else {
            return self.wrong_type("a table", "write a [section] of names and values").unwrap_or_default();
        };
        document::named(self.context, entries)
    }

    fn unknown(&self, text: &str) -> String {
        match self.context.source.is_secret() || is_like_a_key(text) {
            true => format!("`{}` has an unknown value", self.key),
            false => format!("`{}` cannot be {text:?}", self.key),
        }
    }

    fn wrong_type<T>(&self, expected: &str, remedy: &str) -> Option<T> {
        let found = match self.raw() {
            DeValue::String(_) => "text",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.error(FILE_TYPE.of(format!("`{}` must be {expected}, not {found}", self.key)), remedy);
        None
    }
}

fn whole(integer: &DeInteger<'_>) -> Option<u64> {
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}
