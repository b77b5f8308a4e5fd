#!/bin/sh
# Formatting, lints as errors, licences and advisories, syntax of the shell scripts.
set -eu
cd "$(dirname "$0")/.."

cargo fmt --all --check
cargo clippy --workspace --all-targets --locked -- --deny warnings
for script in perf/*.sh perf/*/*.sh perf/src/lab/*.sh .ci/run; do
    [ ! -f "$script" ] || sh -n "$script"
done

if cargo deny --version >/dev/null 2>&1; then
    cargo deny --offline check bans licenses sources
else
    echo "cargo-deny is not installed: licences of dependencies not checked (deny.toml says what is allowed)"
fi
