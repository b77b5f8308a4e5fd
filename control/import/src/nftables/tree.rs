//! The text of an nft script: blocks in braces, lines that end with the line or a semicolon, sets kept whole.

use ravelin_config::diagnostic::Collector;
use ravelin_config::source::{Place, Source};

/// One statement.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) place: Place,
    /// Its words; a set is one, from brace to brace.
    pub(super) words: Vec<String>,
}

impl Line {
    /// As it is written, with single blanks.
    pub(super) fn shown(&self) -> String {
        self.words.join(" ")
    }
}

/// A statement, with what stands in its braces.
#[derive(Debug)]
pub(super) struct Block {
    pub(super) head: Line,
    pub(super) blocks: Vec<Block>,
    pub(super) lines: Vec<Line>,
}

/// Words that open a block in a table.
const OF_A_TABLE: [&str; 12] = [
    "chain",
    "set",
    "map",
    "flowtable",
    "counter",
    "quota",
    "limit",
    "ct",
    "synproxy",
    "secmark",
    "tunnel",
    "meter",
];

/// Whether braces behind this word, in so many blocks, are a block. In a chain all braces are sets: `counter` and `limit` begin
/// rules there.
fn opens(word: &str, depth: usize) -> bool {
    match depth {
        0 => word == "table",
        1 => OF_A_TABLE.contains(&word),
        _ => false,
    }
}

/// Reads a file; `None` when its braces do not pair.
pub(super) fn parse(source: &Source, errors: &Collector) -> Option<Vec<Block>> {
    let mut open: Vec<Block> = Vec::new();
    let mut done: Vec<Block> = Vec::new();
    let mut line: Option<Line> = None;
    let mut set: Option<String> = None;
    for (at, token) in tokens(source.text()) {
        let place = source.place(at..at + token.len());
        if token.starts_with('"') && (token.len() == 1 || !token.ends_with('"')) {
            errors.error(place, "a quote is not closed on its line", "add the quote");
            return None;
        }
        if let Some(text) = &mut set {
            if token == "{" {
                errors.error(place, "braces in the braces of a rule", "write the rules of inner braces out");
                return None;
            }
            text.push_str(if token == "\n" { " " } else { token });
            text.push(' ');
            if token == "}" {
                let text = text.trim().to_owned();
                line.as_mut()?.words.push(text);
                set = None;
            }
            continue;
        }
        match (token, line.take()) {
            ("{", Some(head)) if head.words.first().is_some_and(|word| opens(word, open.len())) => {
                open.push(Block { head, blocks: Vec::new(), lines: Vec::new() });
            }
            ("{", Some(of)) => {
                set = Some("{ ".to_owned());
                line = Some(of);
            }
            ("}", last) => {
                let Some(mut block) = open.pop() else {
                    errors.error(place, "a brace closes what none opened", "remove it");
                    return None;
                };
                block.lines.extend(last);
                open.last_mut().map_or(&mut done, |outer| &mut outer.blocks).push(block);
            }
            ("\n" | ";", Some(ended)) => match open.last_mut() {
                Some(block) => block.lines.push(ended),
                None => done.push(Block { head: ended, blocks: Vec::new(), lines: Vec::new() }),
            },
            ("\n" | ";", None) => {}
            (word, None) => line = Some(Line { place, words: vec![word.to_owned()] }),
            (word, Some(mut of)) => {
                of.words.push(word.to_owned());
                line = Some(of);
            }
        }
    }
    if let Some(block) = open.last() {
        errors.error(block.head.place.clone(), format!("`{}` is not closed", block.head.shown()), "add }");
        return None;
    }
    if set.is_some() {
        errors.error(source.whole(), "a set is not closed", "add }");
        return None;
    }
    done.extend(line.map(|head| Block { head, blocks: Vec::new(), lines: Vec::new() }));
    Some(done)
}

/// Words, braces, ends of lines; quoted text is one word, comments are none, and commas stay where they are.
fn tokens(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\n' | ';' | '{' | '}' | ',' => found.push((at, &text[at..at + 1])),
            '#' => while chars.next_if(|(_, c)| *c != '\n').is_some() {},
            // The next line goes on with this one.
            '\\' if chars.next_if(|(_, next)| *next == '\n').is_some() => {}
            '\\' => found.push((at, "\\")),
            '"' => {
                while chars.next_if(|(_, c)| *c != '"' && *c != '\n').is_some() {}
                let end = chars.next_if(|(_, c)| *c == '"').map_or(at + 1, |(end, _)| end + 1);
                let end = chars.peek().map_or(text.len(), |(next, _)| *next).max(end);
                found.push((at, &text[at..end]));
            }
            c if c.is_whitespace() => {}
            _ => {
                let in_word = |c: char| !c.is_whitespace() && !"\n;{},#\"\\".contains(c);
                while chars.next_if(|(_, c)| in_word(*c)).is_some() {}
                let end = chars.peek().map_or(text.len(), |(next, _)| *next);
                found.push((at, &text[at..end]));
            }
        }
    }
    found
}
