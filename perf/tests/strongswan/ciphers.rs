//! Every cipher, hash and group that strongSwan and we share, each with either side beginning, and with new keys of the
//! same kind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on ends")]

use std::time::Duration;

use ravelin_perf::gateway_and_swan::GatewayAndSwan;
use ravelin_perf::lab::{Connection, Watch, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A case: proposals of the IKE SA and of the child, and how strongSwan lists each.
struct Case {
    ike: &'static str,
    ike_listed: &'static str,
    esp: &'static str,
    esp_listed: &'static str,
}

const fn case(
    ike: &'static str,
    ike_listed: &'static str,
    esp: &'static str,
    esp_listed: &'static str,
) -> Case {
    Case { ike, ike_listed, esp, esp_listed }
}

const AEAD: &[Case] = &[
    case(
        "aes256gcm16-prfsha384-x25519",
        "AES_GCM_16-256/PRF_HMAC_SHA2_384/CURVE_25519",
        "aes256gcm16-modp4096",
        "ESP:AES_GCM_16-256/MODP_4096",
    ),
    case(
        "aes128gcm16-prfsha256-ecp256",
        "AES_GCM_16-128/PRF_HMAC_SHA2_256/ECP_256",
        "aes128gcm16-x25519",
        "ESP:AES_GCM_16-128/CURVE_25519",
    ),
    case(
        "chacha20poly1305-prfsha512-ecp384",
        "CHACHA20_POLY1305/PRF_HMAC_SHA2_512/ECP_384",
        "chacha20poly1305-ecp256",
        "ESP:CHACHA20_POLY1305/ECP_256",
    ),
];

const CBC: &[Case] = &[
    case(
        "aes256-sha256-ecp521",
        "AES_CBC-256/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/ECP_521",
        "aes256-sha256-ecp384",
        "ESP:AES_CBC-256/HMAC_SHA2_256_128/ECP_384",
    ),
    case(
        "aes256-sha384-modp2048",
        "AES_CBC-256/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/MODP_2048",
        "aes256-sha384-ecp521",
        "ESP:AES_CBC-256/HMAC_SHA2_384_192/ECP_521",
    ),
    case(
        "aes256-sha512-modp3072",
        "AES_CBC-256/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/MODP_3072",
        "aes256-sha512-modp2048",
        "ESP:AES_CBC-256/HMAC_SHA2_512_256/MODP_2048",
    ),
    case(
        "aes128-sha256-modp4096",
        "AES_CBC-128/HMAC_SHA2_256_128/PRF_HMAC_SHA2_256/MODP_4096",
        "aes128-sha256-modp3072",
        "ESP:AES_CBC-128/HMAC_SHA2_256_128/MODP_3072",
    ),
    case(
        "aes128-sha384-x25519",
        "AES_CBC-128/HMAC_SHA2_384_192/PRF_HMAC_SHA2_384/CURVE_25519",
        "aes128-sha384-x25519",
        "ESP:AES_CBC-128/HMAC_SHA2_384_192/CURVE_25519",
    ),
    case(
        "aes128-sha512-ecp256",
        "AES_CBC-128/HMAC_SHA2_512_256/PRF_HMAC_SHA2_512/ECP_256",
        "aes128-sha512-ecp256",
        "ESP:AES_CBC-128/HMAC_SHA2_512_256/ECP_256",
    ),
];

const GROUPS: &str = r#"["curve25519", "ecp256", "ecp384", "ecp521", "modp2048", "modp3072", "modp4096"]"#;

/// We offer all of a kind, so that a peer with one group makes us begin again with it (RFC 7296 1.2).
fn policy(ciphers: &str, integrity: &str, suites: &str) -> String {
    let peer = format!("ciphers = {ciphers}\n{integrity}\ngroups = {GROUPS}");
    GatewayAndSwan::policy(&peer, &format!("algorithms = {suites}\npfs = {GROUPS}")).unwrap()
}

fn with_aead() -> String {
    let suites = r#"["aes256-gcm16", "aes128-gcm16", "chacha20-poly1305"]"#;
    policy(suites, "", suites)
}

fn with_cbc() -> String {
    let integrity = r#"integrity = ["hmac-sha2-256", "hmac-sha2-384", "hmac-sha2-512"]"#;
    let suites: Vec<_> = [256, 128]
        .into_iter()
        .flat_map(|size| [256, 384, 512].map(|hash| format!("\"aes{size}-cbc-hmac-sha2-{hash}\"")))
        .collect();
    policy(r#"["aes256-cbc", "aes128-cbc"]"#, integrity, &format!("[{}]", suites.join(", ")))
}

fn try_all(label: &str, policy: &str, cases: &[Case]) {
    let stand = GatewayAndSwan::start(label, &Connection::default()).unwrap();
    stand.a.apply_text(policy).unwrap();
    let watch = Watch::start(&stand.sites).unwrap();
    for case in cases {
        stand.b.load(&Connection::with_suites(case.ike, case.esp)).unwrap();
        we_begin(&stand, case);
        stand.end().unwrap();
        strongswan_begins(&stand, case);
        stand.end().unwrap();
    }
    watch.ensure_nothing_else().unwrap();
}

fn we_begin(stand: &GatewayAndSwan, case: &Case) {
    stand.a.ravelin("ike up gw-b").unwrap();
    let stands = || stand.a.spis().unwrap().len() == 1;
    wait_until("a child to stand", PATIENCE, stands)
        .unwrap_or_else(|e| panic!("{} {}: {e}\n{}", case.ike, case.esp, stand.told()));
    ensure_listed(stand, case.ike_listed);
    stand.ensure_carries(10).unwrap();
    let old = stand.a.spis().unwrap();
    stand.a.ravelin("ike rekey gw-b").unwrap();
    stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
    ensure_listed(stand, case.esp_listed);
    ensure_listed(stand, case.ike_listed);
    stand.ensure_carries(10).unwrap();
}

fn strongswan_begins(stand: &GatewayAndSwan, case: &Case) {
    stand.called().unwrap();
    ensure_listed(stand, case.ike_listed);
    stand.ensure_carries(10).unwrap();
    let old = stand.a.spis().unwrap();
    stand.b.swanctl(&["--rekey", "--child", "a"]).unwrap();
    stand.a.wait_for_other_keys(&old, PATIENCE).unwrap();
    ensure_listed(stand, case.esp_listed);
    stand.ensure_carries(10).unwrap();
}

fn ensure_listed(stand: &GatewayAndSwan, words: &str) {
    let listed = || stand.b.sas().unwrap();
    wait_until(words, PATIENCE, || listed().contains(words))
        .unwrap_or_else(|e| panic!("{e}\n{}\n{}", listed(), stand.told()));
}

#[test]
fn every_aead_and_group() {
    try_all("swanaead", &with_aead(), AEAD);
}

#[test]
fn every_cbc_cipher_with_every_hash_and_group() {
    try_all("swancbc", &with_cbc(), CBC);
}
