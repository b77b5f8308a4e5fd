//! Feeds every fuzz target its own seeds, and writes them down for `make fuzz`.
#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::fs;
use std::path::Path;

use crate::support::fuzzed::{TARGETS, texts};

#[test]
fn every_target_takes_its_seeds() {
    for target in TARGETS {
        let seeds = (target.seeds)();
        assert!(!seeds.is_empty(), "{}", target.name);
        seeds.iter().for_each(|seed| (target.run)(seed));
    }
}

/// With `RAVELIN_CORPUS` set, writes one folder of seeds per target there.
#[test]
fn corpora_are_written() {
    let Some(place) = std::env::var_os("RAVELIN_CORPUS") else { return };
    for target in TARGETS {
        write(&Path::new(&place).join(target.name), &(target.seeds)());
    }
    write(&Path::new(&place).join("policy_text"), &texts("ipsec.toml"));
    write(&Path::new(&place).join("attls_text"), &texts("attls.toml"));
    write(&Path::new(&place).join("keys_text"), &texts("keys.toml"));
}

fn write(folder: &Path, seeds: &[Vec<u8>]) {
    fs::create_dir_all(folder).unwrap();
    for (number, seed) in seeds.iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).unwrap();
    }
}
