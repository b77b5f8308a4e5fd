//! What the tests share: foreign programs, and rings in a folder that goes away.

use std::path::{Path, PathBuf};
use std::process::Command;

use ravelin_rings::access::{Access, Owner};
use ravelin_rings::name::{Label, Place, RingName};
use ravelin_rings::passphrase::Source;
use ravelin_rings::store::{NewRing, Rings, StoreKind};

pub(crate) fn name(text: &str) -> RingName {
    RingName::new(text).expect("a name")
}

pub(crate) fn label(text: &str) -> Label {
    Label::new(text).expect("a label")
}

pub(crate) fn place(text: &str) -> Place {
    text.parse().expect("a place")
}

/// A ring of user 1000 in its own folder, with a stash.
pub(crate) fn new_ring() -> NewRing {
    NewRing {
        owner: Owner::User(1000),
        access: Access::default(),
        store: StoreKind::Directory,
        passphrase: Source::stash(),
    }
}

/// A folder with an empty ring `web`.
pub(crate) fn with_ring(new: NewRing) -> (tempfile::TempDir, Rings) {
    let folder = tempfile::tempdir().expect("a folder");
    let rings = Rings::at(folder.path().join("rings"));
    rings.create(&name("web"), new).expect("a ring");
    (folder, rings)
}

/// Runs a program in `folder`; its standard output.
pub(crate) fn run(folder: &Path, program: impl AsRef<Path>, arguments: &str) -> String {
    run_words(folder, program, &arguments.split_whitespace().collect::<Vec<_>>())
}

/// The same, with arguments as words.
pub(crate) fn run_words(folder: &Path, program: impl AsRef<Path>, arguments: &[&str]) -> String {
    let program = program.as_ref();
    let output = Command::new(program).args(arguments).current_dir(folder).output().expect("a program");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{} {arguments:?}: {err}{out}", program.display());
    out.into_owned()
}

/// The interpreter that has `cryptography`.
pub(crate) fn python() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.venv/bin/python");
    std::env::var_os("RAVELIN_PYTHON").map_or(own, PathBuf::from)
}

/// SHA-256 in hexadecimal digits, as the judges print it.
pub(crate) fn sha256(octets: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, octets);
    ravelin_rings::certificate::hex(digest.as_ref())
}
