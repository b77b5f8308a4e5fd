//! `make bench-crypto`: this crate beside its peers, one run, one pinned core, interleaved.
//!
//! Each figure is the median over many batches of 32 packets, in cycles of the core per packet (the time-stamp
//! counter, corrected by a chain of additions timed just before). Peers take turns batch by batch, so that a clock
//! that drifts or a neighbour that wakes up meets all of them. Texts are worked on in place, with 8 octets of
//! associated data and a tag of 16.
//!
//! Arguments pick rows by substring: `aes128-gcm`, `seal`, `size=1420`, `keys=64`. `--quick` takes fewer batches.

mod dynamic;
mod goals;
mod ipsec_mb;
mod ipsec_mb_layout;
mod limits;
mod lock;
mod measure;
mod openssl;
mod ours;
mod peer;
mod report;
#[cfg(feature = "peers")]
mod rust_peers;

use peer::{Algorithm, Case, Operation, Peer};

const SIZES: [usize; 8] = [64, 128, 256, 512, 1024, 1420, 4096, 16384];
const KEYS: [usize; 3] = [1, 64, 4096];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let wanted: Vec<&str> =
        arguments.iter().map(String::as_str).filter(|word| !word.starts_with("--")).collect();
    measure::pin_to_one_core();
    let peers = all_peers();
    report::name_absent(&peers);
    limits::print();
    report::head();
    let mut rows = Vec::new();
    let mut goals = Vec::new();
    for case in all_cases().filter(|case| wanted.iter().all(|word| case.label().contains(word))) {
        let figures = measure::interleaved(&case, &peers, if quick { 41 } else { 301 });
        report::print(&case, &figures);
        rows.extend(report::rows(&case, &figures));
        goals.extend(goals::line(&case, &figures));
    }
    goals::print(&goals);
    report::write("target/bench/crypto.json", &rows);
}

fn all_peers() -> Vec<Peer> {
    let mut peers = ours::peers();
    peers.extend(ipsec_mb::peers());
    peers.push(openssl::peer());
    #[cfg(feature = "peers")]
    peers.extend(rust_peers::peers());
    #[cfg(not(feature = "peers"))]
    peers.extend(["aws-lc-rs", "ring"].map(|name| Peer::absent(name, "built without the feature `peers`")));
    peers
}

fn all_cases() -> impl Iterator<Item = Case> {
    let algorithms = [Algorithm::Aes128Gcm, Algorithm::Aes256Gcm, Algorithm::ChaCha20Poly1305];
    let both = [Operation::Seal, Operation::Open];
    algorithms.into_iter().flat_map(move |algorithm| {
        KEYS.into_iter().flat_map(move |keys| {
            both.into_iter().flat_map(move |operation| {
                SIZES.into_iter().map(move |size| Case { algorithm, operation, size, keys })
            })
        })
    })
}
