#!/bin/sh
# Fuzzes every target for so many seconds, beginning with good input. Stops at the first find.
set -eu
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")/.."

rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo +nightly install cargo-fuzz --locked --version 0.13.2

RAVELIN_CORPUS="$PWD/fuzz/corpus" cargo test --quiet --locked --package ravelin-dataplane --test packets corpora

# The memory of a pool is never freed, as in the product; the targets count its frames themselves.
export ASAN_OPTIONS=detect_leaks=0
export RUSTC_WRAPPER="$PWD/fuzz/rustc.sh"

[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
for target in "$@"; do
    echo "fuzzing $target for $seconds s"
    cargo +nightly fuzz run --features control "$target" -- -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 -close_fd_mask=1
done
