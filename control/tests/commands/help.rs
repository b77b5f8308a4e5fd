//! The help of the whole command, as an operator reads it. `RAVELIN_BLESS=1` writes what is said now; read the difference
//! before committing it.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::path::Path;
use std::process::Command;

/// The help of one verb and, below it, of all verbs that it names.
fn help(words: &[String], into: &mut String) {
    let output = Command::new(env!("CARGO_BIN_EXE_ravelin")).args(words).arg("--help").output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let title = ["ravelin"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>().join(" ");
    *into += &format!("=== {title} --help\n{text}\n");
    let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    for line in commands.take_while(|line| line.starts_with("  ")) {
        // Lines that go on are indented deeper.
        let verb = line[2..].split(' ').next().unwrap();
        if !verb.is_empty() && verb != "help" {
            help(&[words, &[verb.to_owned()]].concat(), into);
        }
    }
}

#[test]
fn every_verb_says_what_it_said() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/help.txt");
    let mut said = String::new();
    help(&[], &mut said);
    if std::env::var_os("RAVELIN_BLESS").is_some() {
        std::fs::write(&path, &said).unwrap();
    }
    assert_eq!(said, std::fs::read_to_string(&path).unwrap(), "see {}", path.display());
}
