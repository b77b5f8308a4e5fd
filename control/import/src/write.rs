//! Our files, line by line: tables, keys, comments.

/// A file in the making.
#[derive(Debug, Default)]
pub(crate) struct Page(String);

impl Page {
    /// A line of comment. What would end the line is shown, not written.
    pub(crate) fn comment(&mut self, text: &str) {
        let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.0 += &format!("# {text}\n");
    }

    /// An empty line, but never two, and none in front.
    pub(crate) fn gap(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    /// The head of a table, brackets included.
    pub(crate) fn head(&mut self, head: &str) {
        self.0 += &format!("{head}\n");
    }

    /// `key = value`.
    pub(crate) fn key(&mut self, key: &str, value: &Value) {
        self.0 += &format!("{key} = {value}\n");
    }

    /// All of them, in order.
    pub(crate) fn keys<'a>(&mut self, keys: impl IntoIterator<Item = &'a (&'static str, Value)>) {
        keys.into_iter().for_each(|(key, value)| self.key(key, value));
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }
}

/// A value of TOML.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Value {
    Text(String),
    Number(u64),
    Flag(bool),
    List(Vec<Value>),
    Table(Vec<(&'static str, Value)>),
}

impl Value {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// One alone, or a list.
    pub(crate) fn one_or_more(mut list: Vec<Self>) -> Self {
        match list.len() {
            1 => list.remove(0),
            _ => Self::List(list),
        }
    }

    /// Texts, as [`Self::one_or_more`].
    pub(crate) fn texts<T: Into<String>>(list: impl IntoIterator<Item = T>) -> Self {
        Self::one_or_more(list.into_iter().map(Self::text).collect())
    }

    /// Texts, always as a list.
    pub(crate) fn list<T: Into<String>>(list: impl IntoIterator<Item = T>) -> Self {
        Self::List(list.into_iter().map(Self::text).collect())
    }
}

impl std::fmt::Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => quoted(text, f),
            Self::Number(number) => write!(f, "{number}"),
            Self::Flag(flag) => write!(f, "{flag}"),
            Self::List(list) => {
                f.write_str("[")?;
                for (at, value) in list.iter().enumerate() {
                    write!(f, "{}{value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str("]")
            }
            Self::Table(keys) => {
                f.write_str("{ ")?;
                for (at, (key, value)) in keys.iter().enumerate() {
                    write!(f, "{}{key} = {value}", if at > 0 { ", " } else { "" })?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// A basic string.
fn quoted(text: &str, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
    f.write_str("\"")?;
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(f, "\\{c}")?,
            c if c.is_control() => write!(f, "\\u{:04X}", u32::from(c))?,
            c => write!(f, "{c}")?,
        }
    }
    f.write_str("\"")
}
