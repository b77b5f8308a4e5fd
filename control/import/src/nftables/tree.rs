//! The text of an nft script: blocks in braces, lines that end with the line or a semicolon, sets kept whole.

use ravelin_config::diagnostic::Collector;
use ravelin_config::source::{Place, Source};

/// Blocks in blocks, at most this deep: table, chain, and what stands in it.
const DEPTH: usize = 8;

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

/// Words that open a block rather than a set.
const OPENERS: [&str; 8] = ["table", "chain", "set", "map", "flowtable", "counter", "quota", "limit"];

/// Reads a file; `None` when its braces do not pair.
pub(super) fn parse(source: &Source, errors: &Collector) -> Option<Vec<Block>> {
    let mut open: Vec<Block> = Vec::new();
    let mut done: Vec<Block> = Vec::new();
    let mut line: Option<Line> = None;
    let mut set: Option<String> = None;
    for (at, token) in tokens(source.text()) {
        let place = source.place(at..at + token.len());
        if let Some(text) = &mut set {
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
            ("{", Some(head))
                if head.words.first().is_some_and(|word| OPENERS.contains(&word.as_str()))
                    && open.len() < DEPTH =>
            {
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
            '"' => {
                while chars.next_if(|(_, c)| *c != '"' && *c != '\n').is_some() {}
                let end = chars.next_if(|(_, c)| *c == '"').map_or(at + 1, |(end, _)| end + 1);
                let end = chars.peek().map_or(text.len(), |(next, _)| *next).max(end);
                found.push((at, &text[at..end]));
            }
            c if c.is_whitespace() => {}
            _ => {
                let in_word = |c: char| !c.is_whitespace() && !"\n;{},#\"".contains(c);
                while chars.next_if(|(_, c)| in_word(*c)).is_some() {}
                let end = chars.peek().map_or(text.len(), |(next, _)| *next);
                found.push((at, &text[at..end]));
            }
        }
    }
    found
}
