# Every target brings what it needs: `make test` and `make demo` work in a fresh clone on a fresh Debian 12 with Rust, as root.
# Both run the same build, so whoever does one waits less for the other.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

export RAVELIN_PYTHON := $(CURDIR)/.venv/bin/python

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z0-9-]+: .*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{ printf "  %-14s %s\n", $$1, $$2 }'

.PHONY: ready
ready: ## Install what building and testing need (Debian packages, .venv)
	@perf/provision.sh

.PHONY: build
build: ready ## Build everything, optimised
	cargo build --workspace --release --locked

.PHONY: lint
lint: ready ## Formatting, clippy, licences (with cargo-deny), shell scripts
	@perf/lint.sh

.PHONY: test
test: ready lint ## All tests: properties, twins, namespaces, both processes end to end
	@perf/test.sh

.PHONY: tls-programs
tls-programs: ## TLS with programs that cost much to bring: Go, Java, PostgreSQL, Chromium (some 1 GB)
	@perf/provision.sh tls-programs
	cargo build --workspace --locked --bins
	cargo test --workspace --locked --test attls long:: -- --ignored --nocapture --test-threads=1

.PHONY: tls-scan
tls-scan: ## Scanners at our TLS server and at plain rustls; fails on what only we have. TLSFUZZER=folder, a copy of it
	@perf/provision.sh tls-programs
	cargo build --workspace --locked --bins
	RAVELIN_TLSFUZZER="$(if $(TLSFUZZER),$(abspath $(TLSFUZZER)))" cargo test --workspace --locked --test attls scan:: -- --include-ignored --nocapture --test-threads=1

.PHONY: demo
demo: ready ## Two sites, two gateways, a tunnel, on this machine. KEEP=1 leaves it running
	cargo build --workspace --locked --bins
	@target/debug/ravelin-demo $(if $(KEEP),--keep)

.PHONY: bench
bench: ready ## Ticks per packet of whole breaths from memory
	cargo bench --locked --package ravelin-dataplane --bench breathe

.PHONY: soak
soak: ready ## A million simulated exchanges between two IKE endpoints (SEED=1 says where to begin); ten million packets judged three ways; control killed at 100 steps of an apply
	RAVELIN_IKE_EXCHANGES=1000000 RAVELIN_IKE_SEED=$(or $(SEED),1) cargo test --locked --package ravelin-ike --test sim chaos -- --nocapture
	RAVELIN_PAIRS=10000000 cargo test --workspace --locked --test compile_keeps_meaning -- --nocapture
	cargo build --workspace --locked --bins
	RAVELIN_KILLS=110 cargo test --workspace --locked --test gateway killed:: -- --nocapture --test-threads=1

.PHONY: scale
scale: ready ## Ten thousand peers at one gateway, and twenty seconds of 50,000 spoofed first messages each. PEERS=10000
	cargo build --workspace --release --locked --bins --test ike
	RAVELIN_PEERS=$(or $(PEERS),10000) RAVELIN_FLOOD_SECONDS=20 cargo test --workspace --release --locked --test ike many:: -- --nocapture

.PHONY: bench-ike
bench-ike: ready ## Processor time and memory of IKE set-ups beside strongSwan; writes target/bench/ike.json. QUICK=1
	cargo build --workspace --release --locked --bins
	@target/release/ravelin-bench-ike $(if $(QUICK),--rounds 1 --setups 400 --pairs 500)

.PHONY: bench-apply
bench-apply: ready ## How long one changed rule in 100,000 takes to be in force while packets pass; writes target/bench/apply.json. RULES=100000
	cargo build --workspace --release --locked --bins
	@target/release/ravelin-bench-apply --rules $(or $(RULES),100000)

.PHONY: bench-tls
bench-tls: ## TLS before a server in clear: ours beside nginx, HAProxy and stunnel; writes target/bench/tls.json. QUICK=1
	@perf/provision.sh tls-peers
	cargo build --workspace --release --locked --bins
	@target/release/ravelin-bench-tls $(if $(QUICK),--rounds 1 --connections 500 --octets 50000000 --idle 200)

.PHONY: bench-crypto
bench-crypto: ready ## AES-GCM and ChaCha20-Poly1305 beside other libraries; writes target/bench/crypto.json. QUICK=1, ROWS="seal size=64"
	cargo bench --locked --package ravelin-crypto-accel --bench crypto --features peers -- $(if $(QUICK),--quick) $(ROWS)

.PHONY: bench-splice
bench-splice: ready ## What a segment costs in the TCP splice, 110,000 TLS connections in one worker, and goodput beside the kernel's
	cargo bench --locked --package ravelin-splice --bench segment
	cargo bench --locked --package ravelin-dataplane --bench crowd
	cargo test --release --locked --package ravelin-splice --test linux goodput -- --ignored --nocapture

.PHONY: constant-time
constant-time: ready ## Cryptography goes by no secret: valgrind, step by step, machine code, and timing at length (20 rounds; keep the machine quiet)
	RAVELIN_TIMING_ROUNDS=20 cargo test --release --locked --package ravelin-crypto-accel --test constant_time -- --nocapture --test-threads=1

.PHONY: asan
asan: ready ## The tests of the cryptography under AddressSanitizer. QUICK=1 takes published vectors only
	@crypto-accel/sanitize.sh asan

.PHONY: miri
miri: ready ## Published vectors under Miri, portable back end (nightly compiler)
	@crypto-accel/sanitize.sh miri

.PHONY: test-aarch64
test-aarch64: ready ## The tests of cryptography and contract on aarch64, emulated (qemu-user, gcc-aarch64-linux-gnu)
	@perf/aarch64.sh

.PHONY: limbo
limbo: ready ## Our judge of certificates over the cases of x509-limbo. FILE=limbo.json
	RAVELIN_LIMBO="$(abspath $(or $(FILE),limbo.json))" cargo test --locked --package ravelin-rings --test trust limbo -- --ignored --nocapture

.PHONY: fuzz
fuzz: ready ## Fuzz every parser, and the cryptography against its oracle, for ten minutes each (nightly compiler, cargo-fuzz)
	@dataplane/fuzz/run.sh 600
	@dataplane/records/fuzz/run.sh 600
	@crypto-accel/fuzz/run.sh 600
	@control/ike/fuzz/run.sh 600
	@control/rings/fuzz/run.sh 600

.PHONY: fuzz-short
fuzz-short: ready ## The same for a minute each
	@dataplane/fuzz/run.sh 60
	@dataplane/records/fuzz/run.sh 60
	@crypto-accel/fuzz/run.sh 60
	@control/ike/fuzz/run.sh 60
	@control/rings/fuzz/run.sh 60
