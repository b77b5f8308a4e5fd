//! One file: its name, its text, and which line and column an offset is.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::ops::Range;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rustix::fs::OFlags;
use zeroize::Zeroizing;

use crate::diagnostic::Diagnostic;
use ravelin_events::catalogue::{FILE_ACCESS, FILE_UNREADABLE};

/// Longest file that is read, in octets. 100,000 rules take about a quarter of it.
pub const FILE: u64 = 64 << 20;

/// A file's text. Clones share it, and the last one wipes it.
#[derive(Clone)]
pub struct Source(Arc<Inner>);

struct Inner {
    name: String,
    text: Zeroizing<String>,
    secret: bool,
    /// Offset at which each line begins; the first is 0, ascending.
    lines: Vec<usize>,
}

/// Where in a text, both counted from 1. The column counts characters, not octets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Column.
    pub column: usize,
}

/// A part of a source, for diagnostics.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub source: Source,
    /// Octets of its text; `None` for the file as a whole.
    pub span: Option<Range<usize>>,
}

impl Source {
    /// A source from text at hand.
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name.into(), Zeroizing::new(text.into()), false)
    }

    /// As [`Self::from_text`], for text that no diagnostic may show.
    pub fn from_secret(name: impl Into<String>, text: impl Into<String>) -> Self {
        Self::new(name.into(), Zeroizing::new(text.into()), true)
    }

    /// Reads a file of at most [`FILE`] octets.
    pub fn read(path: &Path) -> Result<Self, Diagnostic> {
        Self::load(path, false)
    }

    /// Reads a file of keys. It must belong to this process's user or to root, and nobody else may have any access.
    pub fn read_secret(path: &Path) -> Result<Self, Diagnostic> {
        Self::load(path, true)
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// The text.
    pub fn text(&self) -> &str {
        &self.0.text
    }

    /// Whether diagnostics must not show the text.
    pub fn is_secret(&self) -> bool {
        self.0.secret
    }

    /// The line and column of an offset. One past the end, or in the middle of a character, is taken as the nearest
    /// earlier character's.
    pub fn position(&self, offset: usize) -> Position {
        let text = self.text();
        let offset = text.floor_char_boundary(offset);
        let line = self.0.lines.partition_point(|begin| *begin <= offset);
        let begin = self.0.lines[line - 1];
        Position { line, column: text[begin..offset].chars().count() + 1 }
    }

    /// The line that holds an offset: its number from 1, the offset of its begin, and its text.
    pub fn line(&self, offset: usize) -> (usize, usize, &str) {
        let number = self.position(offset).line;
        let begin = self.0.lines[number - 1];
        let rest = &self.text()[begin..];
        (number, begin, rest.lines().next().unwrap_or(rest))
    }

    /// The file as a whole.
    pub fn whole(&self) -> Place {
        Place { source: self.clone(), span: None }
    }

    /// A part of it.
    pub fn place(&self, span: Range<usize>) -> Place {
        Place { source: self.clone(), span: Some(span) }
    }

    fn new(name: String, text: Zeroizing<String>, secret: bool) -> Self {
        let ends = text.match_indices('\n').map(|(at, _)| at + 1);
        let lines = std::iter::once(0).chain(ends).collect();
        Self(Arc::new(Inner { name, text, secret, lines }))
    }

    fn load(path: &Path, secret: bool) -> Result<Self, Diagnostic> {
        let name = path.display().to_string();
        let empty = || Self::from_text(name.clone(), "").whole();
        let refuse =
            |message: String, remedy: &str| Diagnostic::error(empty(), FILE_UNREADABLE.of(message), remedy);
        let failed = |e: std::io::Error| {
            refuse(format!("cannot read the file: {e}"), "check that the path is right and may be read")
        };
        let file = open(path).map_err(failed)?;
        let about = file.metadata().map_err(failed)?;
        if !about.is_file() {
            return Err(refuse("not a regular file".to_owned(), "name a regular file"));
        }
        if secret {
            check_access(about.mode(), about.uid()).map_err(|(message, remedy)| {
                Diagnostic::error(empty(), FILE_ACCESS.of(message), remedy.replace("FILE", &name))
            })?;
        }
        let octets = read_bounded(file, about.len()).map_err(failed)?;
        if octets.len() as u64 > FILE {
            return Err(refuse(format!("the file is longer than {FILE} octets"), "split it"));
        }
        let text = std::str::from_utf8(&octets).map_err(|e| not_text(&name, &octets, e, secret))?;
        Ok(Self::new(name.clone(), Zeroizing::new(text.to_owned()), secret))
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Source({}, {} octets)", self.0.name, self.0.text.len())
    }
}

/// Without blocking, so that a pipe in the place of a file does not stop a start.
fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path)
}

/// Room for all is taken at once: a growing buffer would leave copies of keys behind.
fn read_bounded(file: File, expected: u64) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let mut octets = Zeroizing::new(Vec::with_capacity(expected.min(FILE) as usize + 1));
    file.take(FILE + 1).read_to_end(&mut octets)?;
    Ok(octets)
}

/// Message and remedy when others than `owner` could read or change the file.
fn check_access(mode: u32, owner: u32) -> Result<(), (String, &'static str)> {
    let user = rustix::process::geteuid().as_raw();
    if owner != user && owner != 0 {
        let message = format!("the file holds keys and belongs to user {owner}, not to user {user} or root");
        return Err((message, "chown root FILE"));
    }
    match mode & 0o077 {
        0 => Ok(()),
        _ => {
            let mode = mode & 0o777;
            let message = format!("the file holds keys and has mode {mode:04o}, so others may use it");
            Err((message, "chmod 0600 FILE, and change the keys if others could have read them"))
        }
    }
}

fn not_text(name: &str, octets: &[u8], error: std::str::Utf8Error, secret: bool) -> Diagnostic {
    let good = String::from_utf8_lossy(&octets[..error.valid_up_to()]).into_owned();
    let end = good.len();
    let source = Source::new(name.to_owned(), Zeroizing::new(good), secret);
    Diagnostic::error(
        source.place(end..end),
        FILE_UNREADABLE.of("the file is not UTF-8 text"),
        "save it as UTF-8",
    )
}
