//! Feeds the fuzz targets their own seeds, and writes them down for `make fuzz`; holds every state to what each message does there.

#[path = "fuzzed/endpoint.rs"]
mod endpoint;
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

/// Scripts for an endpoint: every way to begin, then each step in each of its forms.
fn scripts() -> Vec<Vec<u8>> {
    let mut scripts = Vec::new();
    for begin in 0..6u8 {
        scripts.push(vec![begin]);
        for step in [1, 3, 9, 33, 35, 41, 65, 97, 129] {
            for kind in (0..15u8).map(|kind| kind << 4) {
                for shape in [0, 2, 3, 4] {
                    // What the peer says, then time, then a command, then it says it again.
                    scripts.push(vec![
                        begin,
                        step,
                        kind | shape,
                        1,
                        41,
                        4,
                        0,
                        1,
                        2,
                        3,
                        4,
                        5,
                        12,
                        4,
                        2,
                        step,
                        kind,
                    ]);
                }
            }
        }
        for command in 0..12 {
            scripts.push(vec![
                begin, 4, command, 3, 0x22, 1, 6, 1, 0, 6, 2, 9, 100, 4, command, 5, 16, 4, command,
            ]);
        }
    }
    scripts.extend(log_ins());
    scripts
}

/// By each way to prove oneself, with a world that answers at once or late: an honest log-in, cut off at each step and gone on with.
fn log_ins() -> Vec<Vec<u8>> {
    let mut scripts = Vec::new();
    for first in (0..0x100u16).map(|first| first as u8).filter(|first| first & 6 == 4 && first >> 3 & 15 < 5)
    {
        let step: &[u8] = if first & 1 == 0 { &[65, 0xb0, 0] } else { &[3, 0xb0, 0] };
        for steps in 0..5 {
            for answer in [10, 11] {
                let tail = [4, answer, step[0], step[1], 0, 4, answer, 5, 4, 4, 4, step[0], 0xa0, 0];
                scripts.push([&[first], &step.repeat(steps)[..], &tail].concat());
            }
        }
    }
    scripts
}

/// Each kind of exchange in each state, as request and as response, under the right keys, with what a peer may or may not put
/// into it. A change of the table is a change of what peers see; `RAVELIN_STATES=FILE` writes it anew.
#[test]
fn every_state_with_every_message() {
    let mut found = String::new();
    let clear = endpoint::clear::STATES.map(|state| (state, endpoint::clear::effects(state)));
    let sealed = endpoint::states::STATES.map(|state| (state, endpoint::states::effects(state)));
    for (state, rows) in clear.into_iter().chain(sealed) {
        for (what, effects) in rows {
            found += &format!("{state}, {what}:\n");
            for (effect, contents) in effects {
                found += &format!("    {effect}: {}\n", contents.join(", "));
            }
        }
    }
    if let Some(place) = std::env::var_os("RAVELIN_STATES") {
        fs::write(place, &found).expect("written");
    }
    let expected = include_str!("fuzzed/states.txt");
    let differ = found.lines().zip(expected.lines()).find(|(a, b)| a != b);
    assert!(found == expected, "first difference: {differ:?}");
}

/// What fuzzing found.
const FINDS: [&[u8]; 2] = [
    // An answer that makes no sense to the rekey of a child: the SPI of the new one was never given back.
    &[4, 4, 2, 3, 0x04, 0, 33, 3, 0, 1, 2, 3],
    // A stranger's datagram comes when the delete of a child is due that had waited for the rekey of the IKE SA.
    &[5, 4, 4, 0x5d, 4, 4, 0x5d, 0x21, 0x82, 0, 0, 0, 0, 4, 0x52],
];

#[test]
fn what_was_found_stays_mended() {
    FINDS.iter().for_each(|script| endpoint::ike_endpoint(script));
}

#[test]
fn an_endpoint_outlives_whatever_a_peer_says() {
    let live = |script: &[u8]| {
        let outcome = std::panic::catch_unwind(|| endpoint::ike_endpoint(script));
        outcome.unwrap_or_else(|_| panic!("the script {script:?}"));
    };
    let scripts = scripts();
    scripts.iter().for_each(|script| live(script));
    // The same again with noise after it, the same in every run.
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    for script in scripts.iter().step_by(3) {
        let mut script = script.clone();
        for _ in 0..120 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            script.push((noise >> 40) as u8);
        }
        live(&script);
    }
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
    let folder = Path::new(&place).join("ike_endpoint");
    fs::create_dir_all(&folder).expect("a folder");
    for (number, script) in scripts().iter().enumerate() {
        fs::write(folder.join(format!("script-{number}")), script).expect("written");
    }
}
