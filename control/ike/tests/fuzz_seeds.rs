//! Feeds the fuzz target its own seeds, the recorded exchanges, and writes them down for `make fuzz`.

mod fuzzed;
#[path = "common/hex.rs"]
mod hex;

use std::fs;
use std::path::Path;

fn seeds() -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures");
    let mut seeds = Vec::new();
    for entry in fs::read_dir(folder).expect("captures").flatten() {
        let text = fs::read_to_string(entry.path()).expect("text");
        let datagrams = text.lines().filter_map(|line| line.strip_prefix("datagram "));
        seeds.extend(datagrams.map(|line| hex::hex(line.rsplit(' ').next().expect("octets"))));
    }
    seeds
}

#[test]
fn the_target_takes_its_seeds() {
    let seeds = seeds();
    assert!(seeds.len() > 50, "only {} datagrams", seeds.len());
    seeds.iter().for_each(|seed| fuzzed::ike_message(seed));
    // The chains behind the headers too, as the target reads them.
    seeds.iter().for_each(|seed| fuzzed::ike_message(&[&seed[16..17], &seed[28..]].concat()));
}

/// With `RAVELIN_CORPUS` set, writes the seeds there.
#[test]
fn the_corpus_is_written() {
    let Some(place) = std::env::var_os("RAVELIN_CORPUS") else { return };
    let folder = Path::new(&place).join("ike_message");
    fs::create_dir_all(&folder).expect("a folder");
    for (number, seed) in seeds().iter().enumerate() {
        fs::write(folder.join(format!("seed-{number}")), seed).expect("written");
        let chain = [&seed[16..17], &seed[28..]].concat();
        fs::write(folder.join(format!("chain-{number}")), chain).expect("written");
    }
}
