#!/bin/bash
# Stands before rustc while targets are built: the kernels are compiled without instrumentation. They are one long run of vector
# instructions, which with every edge counted and every access checked takes the compiler more than an hour.
# crypto-accel/fuzz is the one that fuzzes them.
set -eu
rustc=$1; shift
case " $* " in
*" --crate-name ravelin_crypto_accel "*)
    kept=()
    for word in "$@"; do
        case $word in
        -Cpasses=sancov-module | -Cllvm-args=-sanitizer-coverage* | -Zsanitizer=*) ;;
        *) kept+=("$word") ;;
        esac
    done
    set -- "${kept[@]}" ;;
esac
exec "$rustc" "$@"
