#!/bin/sh
# Runs every test. cargo-nextest keeps the tests that build network namespaces apart from each other (.config/nextest.toml);
# without it `cargo test` does the same work in another order.
set -eu
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
    echo "make test: must be root, because the tests build network namespaces and load an XDP program" >&2
    exit 1
fi

# The end-to-end tests start the programs as processes, so these must stand before any test runs. Together with the tests, because
# programs alone would be built with other features of their dependencies, and half of those once more for the tests.
cargo build --workspace --bins --tests --locked

# First, so that what stands last on the screen is the result that counts.
cargo test --workspace --locked --doc

# What cryptography leaves behind, and what it goes by, is asked of the code that ships. Only these two need that build.
cargo test --release --locked --package ravelin-crypto-accel --test residue --test constant_time

if cargo nextest --version >/dev/null 2>&1; then
    cargo nextest run --workspace --locked --no-fail-fast
else
    # One at a time: `cargo test` knows no groups, and tests that make namespaces must not run beside each other.
    echo "cargo-nextest is not installed: using cargo test, one test at a time"
    cargo test --workspace --locked --no-fail-fast --lib --bins --tests -- --test-threads=1
fi
