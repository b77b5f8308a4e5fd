//! Facts about the code itself that ARCHITECTURE.md promises, checked like any other test.

use std::fs;
use std::path::{Path, PathBuf};

/// Where unsafe code may stand, in the product itself.
const UNSAFE: &[&str] = &[
    "crypto-accel/src/low/",
    "crypto-accel/src/text.rs",
    "dataplane/src/frame.rs",
    "dataplane/src/kernel/tun.rs",
    "dataplane/src/port/xdp/",
    "dataplane/src/table/publish.rs",
];

/// Lines of a file beyond which it hardly tells one story.
const LONGEST_FILE: usize = 600;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate lies in the workspace").to_owned()
}

/// Every Rust file of the crates' `src` folders, by its path from the root.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for part in ["configs", "control", "crypto-accel", "dataplane", "perf"] {
        collect(&root().join(part), &mut found);
    }
    assert!(found.len() > 100, "only {} files: looked in the wrong place", found.len());
    found
}

fn collect(folder: &Path, found: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let name = path.strip_prefix(root()).expect("below the root").to_string_lossy().into_owned();
        if path.is_dir() && !name.ends_with("/target") {
            collect(&path, found);
        } else if name.ends_with(".rs") && name.contains("/src/") {
            found.push((name, fs::read_to_string(&path).expect("text")));
        }
    }
}

fn offenders(offends: impl Fn(&str, &str) -> bool) -> Vec<String> {
    sources().into_iter().filter(|(name, text)| offends(name, text)).map(|(name, _)| name).collect()
}

#[test]
fn unsafe_code_stands_only_where_it_may() {
    let found = offenders(|name, text| {
        let unlocked = text.contains("expect(unsafe_code") || text.contains("    unsafe_code,");
        unlocked && !UNSAFE.iter().any(|place| name.starts_with(place))
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn no_file_is_let_off_the_lints_without_a_reason() {
    let found = offenders(|_, text| text.contains("#![allow(") || text.contains("#[allow("));
    assert_eq!(found, Vec::<String>::new(), "use #[expect(.., reason = ..)]");
}

#[test]
fn every_file_says_first_what_it_is() {
    let found = offenders(|_, text| !text.starts_with("//! "));
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn control_and_dataplane_do_not_know_each_other() {
    let forbidden = [
        ("control", ["ravelin-dataplane", "ravelin-crypto-accel"].as_slice()),
        ("dataplane", &["ravelin-control"]),
        ("dataplane/contract", &["ravelin-config", "ravelin-crypto-accel", "ravelin-control", "tokio"]),
        (
            "dataplane/lookup",
            &["ravelin-config", "ravelin-control", "ravelin-dataplane", "ravelin-splice", "tokio"],
        ),
        ("dataplane/records", &["ravelin-dataplane", "ravelin-control", "ravelin-tls", "tokio"]),
        (
            "dataplane/splice",
            &["ravelin-config", "ravelin-contract", "ravelin-control", "ravelin-dataplane", "tokio"],
        ),
        (
            "control/import",
            &["ravelin-control", "ravelin-dataplane", "ravelin-ike", "ravelin-rings", "ravelin-tls", "tokio"],
        ),
        ("control/tls", &["ravelin-dataplane", "ravelin-crypto-accel", "ravelin-records", "tokio"]),
        ("configs/format", &["ravelin-control", "ravelin-dataplane", "ravelin-crypto-accel"]),
        ("crypto-accel", &["ravelin-contract", "ravelin-config", "ravelin-control", "ravelin-dataplane"]),
    ];
    for (krate, names) in forbidden {
        let manifest = fs::read_to_string(root().join(krate).join("Cargo.toml")).expect("a manifest");
        let depends = |name: &str| manifest.lines().any(|line| line.starts_with(&format!("{name}.")));
        assert_eq!(names.iter().find(|name| depends(name)), None, "{krate} must not depend on it");
    }
}

#[test]
fn stages_do_not_know_the_worker_and_the_worker_not_the_engine() {
    let stages = ["esp", "classify", "forward", "port", "table", "tls", "wire", "report"];
    let found = offenders(|name, text| {
        let in_stage = stages.iter().any(|stage| name.starts_with(&format!("dataplane/src/{stage}/")));
        let upwards = ["crate::worker", "crate::engine", "crate::gateway", "crate::inbox"];
        (in_stage && upwards.iter().any(|path| text.contains(path)))
            || (name.starts_with("dataplane/src/worker/") && text.contains("crate::engine"))
    });
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn files_stay_readable() {
    let found = offenders(|_, text| text.lines().count() > LONGEST_FILE);
    assert_eq!(found, Vec::<String>::new(), "split what has become two stories");
}
