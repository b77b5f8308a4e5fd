//! Policy Agent text as a tree: one attribute a line, braces on lines of their own, `#` for comments (row C9).

use ravelin_config::diagnostic::Collector;
use ravelin_config::similar::nearest;
use ravelin_config::source::{Place, Source};

use super::grammar;

/// Blocks in blocks, at most this deep; no statement of the Policy Agent needs half of it.
const DEPTH: usize = 16;

/// Longest name of a statement (row C9).
pub(crate) const NAME: usize = 32;

/// One line that is no brace and no comment, with the block behind it if there is one.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    /// The first word, as written. Its case means nothing.
    pub(crate) keyword: String,
    /// Where the keyword stands.
    pub(crate) place: Place,
    /// The other words.
    pub(crate) words: Vec<String>,
    /// All behind the keyword, for values that may have blanks.
    pub(crate) rest: String,
    /// What stands between braces; `None` without braces.
    pub(crate) block: Option<Vec<Node>>,
}

impl Node {
    /// Whether it has this keyword.
    pub(crate) fn is(&self, keyword: &str) -> bool {
        self.keyword.eq_ignore_ascii_case(keyword)
    }

    /// The name of a statement, or the value of an attribute; empty when there is none.
    pub(crate) fn first(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// As it is written, with single blanks.
    pub(crate) fn shown(&self) -> String {
        let words = self.words.join(" ");
        if words.is_empty() { self.keyword.clone() } else { format!("{} {words}", self.keyword) }
    }

    /// Its line.
    pub(crate) fn line(&self) -> usize {
        self.place.span.as_ref().map_or(0, |span| self.place.source.position(span.start).line)
    }

    /// It, and all in its block.
    pub(crate) fn walk(&self, visit: &mut impl FnMut(&Self)) {
        visit(self);
        self.block.iter().flatten().for_each(|node| node.walk(visit));
    }
}

/// The statements of a file; `None` when its braces do not pair, so that nobody knows what belongs to what.
pub(crate) fn parse(source: &Source, notes: &Collector) -> Option<Vec<Node>> {
    let mut open: Vec<Vec<Node>> = vec![Vec::new()];
    // Whether the line before may have a block.
    let mut fresh = false;
    let mut begin = 0;
    for line in source.text().split_inclusive('\n') {
        let (indent, text) = significant(line);
        let at = begin + indent;
        begin += line.len();
        let place = source.place(at..at + text.len());
        match text {
            "" => {}
            "{" if !fresh => {
                notes.error(
                    place,
                    "a brace opens behind no statement",
                    "write the statement in the line before",
                );
                return None;
            }
            "{" if open.len() > DEPTH => {
                notes.error(place, format!("blocks stand more than {DEPTH} deep"), "close one before");
                return None;
            }
            "{" => {
                open.push(Vec::new());
                fresh = false;
            }
            "}" => {
                close(&mut open, place, notes)?;
                fresh = false;
            }
            text if text.starts_with(['{', '}']) || text.ends_with(" {") => {
                notes.error(place, "a brace beside other text", "put braces on lines of their own");
                return None;
            }
            text => {
                open.last_mut()?.push(node(source, at, text));
                fresh = true;
            }
        }
    }
    if let [_, .., _] = open.as_slice() {
        let unclosed = open.iter().rev().nth(1).and_then(|list| list.last())?;
        let message = format!("`{}` is not closed", unclosed.shown());
        notes.error(unclosed.place.clone(), message, "add a line with } behind its last attribute");
        return None;
    }
    open.pop()
}

/// Attributes whose values are keys or pass phrases.
const SECRETS: [&str; 7] = [
    "SharedKey",
    "KeyringPw",
    "GSK_LDAP_USER_PW",
    "AuthInboundSa",
    "AuthOutboundSa",
    "EncryptInboundSa",
    "EncryptOutboundSa",
];

/// Whether a line may hold a key, under a mistyped keyword too.
pub(crate) fn holds_secrets(text: &str) -> bool {
    let keywords = text.lines().filter_map(|line| line.split_whitespace().next());
    let secret = |word: &str| SECRETS.iter().any(|known| known.eq_ignore_ascii_case(word));
    let like = |word: &str| !grammar::is_key(word) && nearest(word, SECRETS).is_some();
    keywords.into_iter().any(|word| secret(word) || like(word))
}

/// Gives the innermost block to the statement before it.
fn close(open: &mut Vec<Vec<Node>>, place: Place, notes: &Collector) -> Option<()> {
    let block = open.pop()?;
    match open.last_mut().and_then(|list| list.last_mut()) {
        Some(statement) => statement.block = Some(block),
        None => {
            notes.error(place, "a brace closes what none opened", "remove it");
            return None;
        }
    }
    Some(())
}

/// A line without its comment and the blanks at both ends, and how far it is indented.
fn significant(line: &str) -> (usize, &str) {
    let mut end = line.len();
    for (at, _) in line.match_indices('#') {
        if line[..at].chars().next_back().is_none_or(char::is_whitespace) {
            end = at;
            break;
        }
    }
    let text = line[..end].trim_end();
    let indent = text.len() - text.trim_start().len();
    (indent, text.trim_start())
}

fn node(source: &Source, at: usize, text: &str) -> Node {
    let (keyword, rest) = text.split_once(char::is_whitespace).unwrap_or((text, ""));
    Node {
        keyword: keyword.to_owned(),
        place: source.place(at..at + keyword.len()),
        words: rest.split_whitespace().map(str::to_owned).collect(),
        rest: rest.trim().to_owned(),
        block: None,
    }
}
