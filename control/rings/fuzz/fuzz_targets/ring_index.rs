#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

use ravelin_rings::format::write_pem;
use ravelin_rings::issue::{Plan, Profile, self_sign};
use ravelin_rings::key::{KeyKind, PrivateKey};
use ravelin_rings::name::RingName;
use ravelin_rings::store::Rings;
use ravelin_rings::verify::parse_name;

/// A folder with the files that an index may name.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let root = std::env::temp_dir().join(format!("ravelin-fuzz-{}", std::process::id()));
    let ring = root.join("web");
    std::fs::create_dir_all(&ring).expect("a folder");
    let subject = parse_name("CN=site").expect("a name");
    let plan = Plan::new(subject, Vec::new(), Profile::Server, 1_800_000_000, 30);
    let key = PrivateKey::generate(KeyKind::P256).expect("a key");
    let chain = [self_sign(&plan, &key).expect("a certificate")];
    std::fs::write(ring.join("c1-1.pem"), write_pem(&chain).expect("PEM")).expect("written");
    std::fs::write(ring.join("lock"), "").expect("written");
    root
});

libfuzzer_sys::fuzz_target!(|text: &str| {
    // A token's module is a program: what the index names is loaded and run, so none is fuzzed.
    if text.contains("module") || text.contains('\\') {
        return;
    }
    let web = RingName::new("web").expect("a name");
    std::fs::write(FOLDER.join("web/ring.toml"), text).expect("written");
    if let Ok(ring) = Rings::at(FOLDER.as_path()).open(&web) {
        assert!(ring.entries.iter().all(|entry| !entry.chain.is_empty()));
        assert!(ring.default.as_ref().is_none_or(|label| ring.entry(label).is_ok()));
    }
});
