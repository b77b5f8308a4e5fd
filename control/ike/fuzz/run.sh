#!/bin/sh
# Fuzzes the reading of IKE messages, beginning with recorded exchanges, and an endpoint with a peer that keeps no rule, each for
# half of so many seconds. Stops at the first find.
set -eu
seconds=${1:?usage: run.sh SECONDS}
cd "$(dirname "$0")/.."

rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo +nightly install cargo-fuzz --locked --version 0.13.2

RAVELIN_CORPUS="$PWD/fuzz/corpus" cargo test --quiet --locked --package ravelin-ike --test fuzz_seeds
half=$((seconds / 2))
cargo +nightly fuzz run ike_message -- -max_total_time="$half" -max_len=4096 -print_final_stats=1 -verbosity=0
cargo +nightly fuzz run ike_endpoint -- -max_total_time="$half" -max_len=2048 -print_final_stats=1 -verbosity=0
