//! Files as they are read: bounds, access of key files, positions, and what a diagnostic shows.

#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use proptest::prelude::*;
use ravelin_config::diagnostic::Diagnostic;
use ravelin_config::source::{FILE, Position, Source};

fn file(text: &[u8], mode: u32) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("file.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    (directory, path)
}

#[test]
fn a_key_file_is_for_its_owner_alone() {
    for (mode, allowed) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
        let (_directory, path) = file(b"x = 1", mode);
        let read = Source::read_secret(&path);
        assert_eq!(read.is_ok(), allowed, "{mode:o}");
        if let Err(found) = read {
            assert!(found.remedy.contains("chmod 0600"), "{found}");
            assert_eq!(found.kind.code, "RVL-FILE-ACCESS");
        }
    }
}

#[test]
fn a_file_too_long_or_not_text_or_no_file_is_refused() {
    let (directory, path) = file(b"name = \"\xff\"", 0o644);
    let found = Source::read(&path).unwrap_err();
    assert_eq!(found.position(), Some(Position { line: 1, column: 9 }), "{found}");
    let found = Source::read(directory.path()).unwrap_err();
    assert!(found.message.contains("not a regular file"), "{found}");
    assert_eq!(found.kind.code, "RVL-FILE-UNREADABLE");
    std::fs::File::create(&path).unwrap().set_len(FILE + 1).unwrap();
    let found = Source::read(&path).unwrap_err();
    assert!(found.message.contains("longer than"), "{found}");
}

#[test]
fn a_diagnostic_shows_the_line_but_never_a_secret_one() {
    let text = "a = 1\nkey = \"c0ffee\"\n";
    let show = |source: Source| Diagnostic::error(source.place(12..20), "wrong", "do it right").render(false);
    let open = show(Source::from_text("f.toml", text));
    assert!(open.contains("f.toml:2:7") && open.contains("c0ffee") && open.contains("do it right"), "{open}");
    let secret = show(Source::from_secret("f.toml", text));
    assert!(secret.contains("f.toml:2:7") && !secret.contains("c0ffee"), "{secret}");
    assert!(!format!("{:?}", Source::from_secret("f.toml", text)).contains("c0ffee"));
}

#[test]
fn colour_comes_only_when_asked_for() {
    let found = Diagnostic::error(Source::from_text("f", "x").place(0..1), "wrong", "do it right");
    assert!(!found.render(false).contains('\x1b'));
    assert!(found.render(true).contains('\x1b'));
}

#[test]
fn a_program_reads_the_same() {
    let found = Diagnostic::warning(Source::from_text("f", "\n xy").place(2..4), "odd", "look");
    let expected = serde_json::json!({
        "severity": "warning", "code": "RVL-FILE-VALUE", "file": "f", "line": 2, "column": 2, "message": "odd", "remedy": "look"
    });
    assert_eq!(serde_json::to_value(found).unwrap(), expected);
}

proptest! {
    /// A position is found again by counting lines and characters by hand.
    #[test]
    fn positions_count_lines_and_characters(text in "[aé\n]{0,40}", offset in 0usize..60) {
        let source = Source::from_text("f", text.clone());
        let end = text.floor_char_boundary(offset);
        let before = &text[..end];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
        prop_assert_eq!(source.position(offset), Position { line, column });
        Diagnostic::error(source.place(offset..offset + 3), "m", "r").render(false);
    }
}
