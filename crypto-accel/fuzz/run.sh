#!/bin/sh
# Fuzzes the back ends against the portable one for so many seconds. Stops at the first find.
set -eu
seconds=${1:?usage: run.sh SECONDS}
cd "$(dirname "$0")/.."

rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo +nightly install cargo-fuzz --locked --version 0.13.2

export RUSTC_WRAPPER="$PWD/fuzz/rustc.sh"
echo "fuzzing back_ends for $seconds s"
cargo +nightly fuzz run back_ends -- -max_total_time="$seconds" -max_len=2048 -len_control=20 -print_final_stats=1 -verbosity=0 -close_fd_mask=1
