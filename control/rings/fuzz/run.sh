#!/bin/sh
# Fuzzes every target for so many seconds, beginning with files that OpenSSL makes. Stops at the first find.
set -eu
seconds=${1:?usage: run.sh SECONDS [TARGET...]}
shift
cd "$(dirname "$0")/.."

rustup toolchain list | grep -q '^nightly' || rustup toolchain install nightly --profile minimal
cargo fuzz --version >/dev/null 2>&1 || cargo +nightly install cargo-fuzz --locked --version 0.13.2

# What an operator may write by hand: rules, standing orders, and the index of a ring.
written_seeds() {
    cat >"$corpus/rules/all" <<'END'
[[rule]]
name = "ops"
identity = "operator"
issuer = "CN=Root,O=Example"
subject = "OU=Branch *,O=Example"
san = "email:*@ops.example"
[[rule]]
name = "hosts"
identity = "host"
san = "dns:*.example"
END
    cat >"$corpus/orders/all" <<'END'
[[order]]
directory = "https://acme.example/dir"
names = ["dns:a.example", "ip:192.0.2.1"]
key = "p256"
listen = "0.0.0.0:80"
root = "/etc/ssl/root.pem"
contact = ["mailto:ops@example"]
trust = ["ca"]
place = { ring = "web", label = "main" }
END
    cat >"$corpus/ring_index/all" <<'END'
version = 1
generation = 3
default = "site"
[owner]
user = 0
[store]
kind = "directory"
[passphrase]
source = "stash"
file = "stash-0"
[access]
users = [1000]
groups = [50]
units = ["web.service"]
[[entry]]
label = "site"
usage = "identity"
trust = "trusted"
chain = "c1-1.pem"
key = "k1-2.pem"
[[entry]]
label = "root"
usage = "trust-anchor"
trust = "not-trusted"
[entry.connected]
ring = "ca"
label = "root"
END
}

# What the authority $cert with $key says of revocation: a list with an entry, and an OCSP response.
authority_seeds() {
    printf 'R\t401231235959Z\t260101000000Z,keyCompromise\t12\tunknown\t/CN=bad\n' >"$work/index"
    printf '[ca]\ndefault_ca=a\n[a]\ndatabase=%s\ncrlnumber=%s\ndefault_md=sha256\ncrl_extensions=e\n[e]\nauthorityKeyIdentifier=keyid\n' \
        "$work/index" "$work/number" >"$work/ca.cnf"
    echo 01 >"$work/number"
    openssl ca -config "$work/ca.cnf" -gencrl -keyfile "$key" -cert "$cert" -crldays 9 -out "$work/crl.pem" 2>/dev/null
    openssl crl -in "$work/crl.pem" -outform DER -out "$corpus/crl/$name"
    openssl ocsp -index "$work/index" -CA "$cert" -rsigner "$cert" -rkey "$key" -issuer "$cert" -serial 0x12 \
        -respout "$corpus/ocsp/$name" -ndays 9 >/dev/null 2>&1 || true
}

seeds() {
    corpus=$PWD/fuzz/corpus
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for target in pem certificate pkcs7 pkcs8 pkcs8_encrypted pkcs12 pkcs1 sec1 crl request chain ocsp rules orders ring_index; do mkdir -p "$corpus/$target"; done
    written_seeds
    for kind in "RSA -pkeyopt rsa_keygen_bits:2048" "EC -pkeyopt ec_paramgen_curve:P-256" \
        "EC -pkeyopt ec_paramgen_curve:P-384" "EC -pkeyopt ec_paramgen_curve:P-521" "ED25519"; do
        name=$(echo "$kind" | tr -cd 'A-Z0-9')
        key=$work/$name.key cert=$work/$name.pem
        # shellcheck disable=SC2086 # an algorithm and its options
        openssl genpkey -algorithm $kind -out "$key" 2>/dev/null
        openssl req -new -x509 -key "$key" -subj "/O=Seed/CN=$name" -addext subjectAltName=DNS:a,IP:10.0.0.1 -out "$cert"
        cat "$cert" "$key" >"$corpus/pem/$name"
        openssl x509 -in "$cert" -outform DER -out "$corpus/certificate/$name"
        openssl req -new -key "$key" -subj "/CN=$name" -outform DER -out "$corpus/certificate/request-$name"
        cp "$corpus/certificate/request-$name" "$corpus/request/$name"
        cp "$corpus/certificate/$name" "$corpus/chain/$name"
        authority_seeds
        openssl crl2pkcs7 -nocrl -certfile "$cert" -outform DER -out "$corpus/pkcs7/$name"
        openssl pkey -in "$key" -outform DER -out "$corpus/pkcs8/$name"
        openssl pkcs8 -topk8 -in "$key" -passout pass:secret -iter 1 -outform DER -out "$corpus/pkcs8_encrypted/$name"
        openssl pkcs8 -topk8 -in "$key" -passout pass:secret -scrypt -scrypt_N 2 -outform DER \
            -out "$corpus/pkcs8_encrypted/scrypt-$name"
        p12="openssl pkcs12 -export -inkey $key -in $cert -passout pass:secret -iter 1 -name seed"
        $p12 -out "$corpus/pkcs12/$name"
        $p12 -legacy -out "$corpus/pkcs12/legacy-$name"
        # Without a MAC, so that changed octets are looked at.
        $p12 -nomac -out "$corpus/pkcs12/no-mac-$name"
        $p12 -nomac -keypbe NONE -certpbe NONE -out "$corpus/pkcs12/open-$name"
        case $name in
        RSA*) openssl pkey -in "$key" -traditional -outform DER -out "$corpus/pkcs1/$name" ;;
        EC*) openssl pkey -in "$key" -traditional -outform DER -out "$corpus/sec1/$name" ;;
        esac
    done
}
seeds

[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
for target in "$@"; do
    echo "fuzzing $target for $seconds s"
    cargo +nightly fuzz run "$target" -- -max_total_time="$seconds" -print_final_stats=1 -verbosity=0 -close_fd_mask=1
done
