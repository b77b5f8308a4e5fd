#!/bin/bash
# The tests of the cryptography with every access checked: `sanitize.sh asan` by AddressSanitizer, on all back ends that this
# processor has; `sanitize.sh miri` by Miri, which knows no assembly, so on the portable one, without what ring carries out.
# Miri, and with QUICK=1 AddressSanitizer too, takes published vectors and the crate's own tests only.
set -eu
cd "$(dirname "$0")/.."
tool=${1:?usage: sanitize.sh asan|miri}

asan() {
    # The check is in every rustc; asking for it takes a nightly one, or this variable.
    export RUSTC_BOOTSTRAP=1
    # Each access calls its check: that takes the compiler some minutes for the kernels. Written out, checks take hours.
    export RUSTFLAGS="-Zsanitizer=address -Cllvm-args=-asan-instrumentation-with-call-threshold=0"
    # The tests of what is left in memory stay out: residue, wiped and constant_time look where they have no business by design.
    local tests="--lib --test vectors"
    [ -n "${QUICK:-}" ] || tests="$tests --test back_ends_agree --test cavp --test properties"
    # shellcheck disable=SC2086 # words apart
    cargo test --locked --package ravelin-crypto-accel --target x86_64-unknown-linux-gnu --target-dir target/asan $tests
}

miri() {
    rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
    rustup component add --toolchain nightly rust-src miri >/dev/null 2>&1
    export MIRIFLAGS=-Zmiri-disable-isolation
    # A million of anything takes Miri hours, and so do the properties; the twin is held to ring, which is C and assembly.
    cargo +nightly miri test --locked --package ravelin-crypto-accel --target-dir target/miri --lib --test vectors -- --skip a_million --skip its_twin
}

case $tool in
asan) asan ;;
miri) miri ;;
*) echo "sanitize.sh: asan or miri, not $tool" >&2 && exit 2 ;;
esac
