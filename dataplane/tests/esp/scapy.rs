//! Another implementation agrees: scapy's IPsec layer opens what we seal, and we open what it seals, for each algorithm,
//! mode, family pair, number width and carrier.
//!
//! `RAVELIN_PYTHON` names a Python that has scapy and cryptography; without it `.venv/bin/python` of the workspace is used.

#![allow(clippy::unwrap_used, reason = "this is test code, which the lint sees only in test functions")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::esp_support::*;
use ravelin_contract::sa::{Hash, Mode, Transform};

/// Lengths of the innermost data: shortest, odd, on and beside the alignments, and a long one.
const LENGTHS: [usize; 6] = [0, 1, 13, 14, 64, 1300];

/// The running script.
struct Scapy {
    child: Child,
    requests: ChildStdin,
    replies: BufReader<ChildStdout>,
}

impl Scapy {
    fn start() -> Self {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("RAVELIN_PYTHON")
            .map_or_else(|| tests.parent().unwrap().join(".venv/bin/python"), PathBuf::from);
        let mut child = Command::new(&python)
            .arg(tests.join("tests/scapy_esp.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{}: {error}; `make test` prepares a Python with scapy", python.display())
            });
        let (requests, replies) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        Self { child, requests, replies }
    }

    fn ask(&mut self, verb: &str, kind: &Kind, number: u64, packet: &[u8]) -> Vec<u8> {
        let request = format!("{verb} {} {number} {}", parameters(kind), hex(packet));
        writeln!(self.requests, "{request}").unwrap();
        let mut reply = String::new();
        self.replies.read_line(&mut reply).unwrap();
        assert!(!reply.is_empty() && !reply.starts_with("error"), "{reply}for {kind:?}, {request}");
        unhex(&reply)
    }
}

impl Drop for Scapy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hex(octets: &[u8]) -> String {
    if octets.is_empty() { "-".into() } else { octets.iter().map(|octet| format!("{octet:02x}")).collect() }
}

fn parameters(kind: &Kind) -> String {
    let hmac = |hash| match hash {
        Hash::Sha256 => "SHA2-256-128",
        Hash::Sha384 => "SHA2-384-192",
        Hash::Sha512 => "SHA2-512-256",
    };
    let salted = |name, key: &[u8], salt: &[u8; 4]| (name, [key, salt].concat(), "-", vec![]);
    let (crypt, crypt_key, auth, auth_key) = match &kind.transform {
        Transform::AesGcm16 { key, salt } => salted("AES-GCM", key.expose(), salt),
        Transform::AesGmac { key, salt } => salted("AES-NULL-GMAC", key.expose(), salt),
        Transform::ChaCha20Poly1305 { key, salt } => salted("CHACHA20-POLY1305", key.expose(), salt),
        Transform::AesCbc { key, integrity } => {
            ("AES-CBC", key.expose().to_vec(), hmac(integrity.hash), integrity.key.expose().to_vec())
        }
        Transform::Null { integrity } => {
            ("NULL", vec![], hmac(integrity.hash), integrity.key.expose().to_vec())
        }
    };
    let mode = if kind.mode == Mode::Tunnel { "tunnel" } else { "transport" };
    let (local, remote) = kind.endpoints();
    let (esn, udp) = (u8::from(kind.extended), u8::from(kind.udp));
    format!("{crypt} {} {auth} {} {mode} {local} {remote} {esn} {udp} {SPI}", hex(&crypt_key), hex(&auth_key))
}

#[test]
fn scapy_opens_what_we_seal_and_we_open_what_it_seals() {
    let mut scapy = Scapy::start();
    for kind in kinds() {
        let mut number = if kind.extended { (5 << 32) + 0xffff_ff00 } else { 77 };
        let mut pair = Pair::from(&kind.outbound(), &kind.inbound(), number);
        for inner in LENGTHS.iter().flat_map(|length| inner_packets(&kind, *length)) {
            let ours = pair.seal(&inner).unwrap();
            number += 1;
            assert_eq!(hex(&scapy.ask("open", &kind, number, &ours)), hex(&inner), "we sealed: {kind:?}");
            let theirs = scapy.ask("seal", &kind, number, &inner);
            assert_eq!(
                pair.open(&theirs).map(|opened| hex(&opened)),
                Ok(hex(&inner)),
                "scapy sealed: {kind:?}"
            );
        }
    }
}

/// The script does not say yes to everything.
#[test]
#[should_panic(expected = "IPSecIntegrityError")]
fn scapy_refuses_what_was_changed() {
    let kind = kinds().remove(0);
    let mut pair = Pair::new(&kind);
    let mut sealed = pair.seal(&inner_packets(&kind, 50)[0]).unwrap();
    *sealed.last_mut().unwrap() ^= 1;
    Scapy::start().ask("open", &kind, 1, &sealed);
}
