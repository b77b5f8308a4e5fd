//! What comes of sample policies: files, report, errors. `RAVELIN_BLESS=1` writes what comes now; read the difference before
//! committing it. That the files are right is asked of the real checker, in the tests of `ravelin-control`.
//!
//! A case is a folder: `arguments` has the words of the command, `in` the files that they name, `out` what must come.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

mod never_opens;
mod no_panic;

use std::fs;
use std::path::Path;

use ravelin_config::diagnostic::Findings;
use ravelin_config::source::Source;
use ravelin_import::{Imported, nftables, pagent, stunnel, swanctl};

/// Every file that can come of a case.
const FILES: [&str; 4] = ["attls.toml", "ipsec.toml", "report.txt", "errors.txt"];

fn import(words: &[&str], folder: &Path) -> Result<Imported, Findings> {
    let read = |name: &&str| Source::read(&folder.join(name)).unwrap();
    let files: Vec<Source> = words[1..].iter().filter(|word| !word.starts_with("--")).map(read).collect();
    match words[0] {
        "pagent" => {
            let any_job = words.contains(&"--any-job");
            pagent::import(&files, &pagent::Options { any_job, ..Default::default() })
        }
        "nftables" => {
            nftables::import(&files[0], nftables::Options { stateless: words.contains(&"--stateless") })
        }
        "stunnel" => stunnel::import(&files[0]),
        "swanctl" => swanctl::import(&files[0]),
        other => panic!("{other}"),
    }
}

/// Parts of keys in the samples.
const SECRETS: [&str; 3] = ["everybody-can-read", "mistyped-name", "2233445566778899"];

/// Nothing that is said of a policy, and nothing that is made of it, holds a key.
fn assert_no_key(come: &[(&'static str, String)], rendered: &str) {
    let texts = come.iter().map(|(_, text)| text.as_str()).chain([rendered]);
    for text in texts {
        assert_eq!(SECRETS.iter().find(|secret| text.contains(**secret)), None);
    }
}

fn come(folder: &Path) -> Vec<(&'static str, String)> {
    let arguments = fs::read_to_string(folder.join("arguments")).unwrap();
    let words: Vec<&str> = arguments.split_whitespace().collect();
    match import(&words, folder) {
        Ok(imported) => {
            let files = imported.files.iter().map(|file| (file.name, file.text.clone()));
            let come = files.chain([("report.txt", imported.report.to_string())]).collect::<Vec<_>>();
            assert_no_key(&come, &imported.report.findings().render(false));
            come
        }
        Err(findings) => {
            let come = vec![("errors.txt", format!("{findings}\n"))];
            assert_no_key(&come, &findings.render(false));
            come
        }
    }
}

#[test]
fn each_sample_becomes_what_it_became() {
    let mut cases: Vec<_> = fs::read_dir("tests/golden")
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    cases.sort();
    assert!(cases.len() >= 6, "only {} cases: looked in the wrong place", cases.len());
    for folder in cases {
        let come = come(&folder);
        for name in FILES {
            let path = folder.join("out").join(name);
            let now = come.iter().find(|(of, _)| *of == name).map(|(_, text)| text.as_str());
            if std::env::var_os("RAVELIN_BLESS").is_some() {
                fs::create_dir_all(folder.join("out")).unwrap();
                match now {
                    Some(text) => fs::write(&path, text).unwrap(),
                    None => drop(fs::remove_file(&path)),
                }
            }
            assert_eq!(now, fs::read_to_string(&path).ok().as_deref(), "see {}", path.display());
        }
    }
}
