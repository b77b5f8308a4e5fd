#!/bin/sh
# Builds the crates that are the same on every processor for aarch64 and runs their tests there, emulated by qemu.
set -eu
cd "$(dirname "$0")/.."

missing=
command -v aarch64-linux-gnu-gcc >/dev/null || missing="$missing gcc-aarch64-linux-gnu libc6-dev-arm64-cross"
command -v qemu-aarch64 >/dev/null || missing="$missing qemu-user"
[ -z "$missing" ] || {
    echo "aarch64: install these Debian packages first:$missing" >&2
    exit 1
}
rustup target add aarch64-unknown-linux-gnu >/dev/null 2>&1

export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -L /usr/aarch64-linux-gnu"
cargo test --locked --target aarch64-unknown-linux-gnu --package ravelin-crypto-accel --package ravelin-contract
