//! The contract socket, knocked at by other users. Needs root, as only root can be somebody else.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use crate::support::{Rig, Setup};
use ravelin_contract::codec;
use ravelin_contract::message::Request;
use ravelin_dataplane::inbox;

const ALLOWED: u32 = 4711;
const STRANGER: u32 = 4712;

/// Sends a greeting as this user; the number of octets that come back before the other side closes or has answered.
fn answered(user: u32, socket: &Path, greeting: &str) -> usize {
    let script = "import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(60)
s.connect(sys.argv[1])
try:
    s.sendall(bytes.fromhex(sys.argv[2]))
    print(len(s.recv(100)))
except (BrokenPipeError, ConnectionResetError):
    print(0)
";
    let mut python = Command::new("/usr/bin/python3");
    python.args(["-I", "-c", script]).arg(socket).arg(greeting);
    let output = python.current_dir("/").uid(user).gid(user).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    String::from_utf8_lossy(&output.stdout).trim().parse().unwrap_or_else(|_| panic!("{said}"))
}

#[test]
fn a_foreign_user_is_refused_and_a_named_one_is_not() {
    let place = tempfile::tempdir().unwrap();
    // Nothing but the door itself keeps anybody out.
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let socket = place.path().join("dataplane.sock");
    let allowed = [0, ALLOWED];
    let listener = inbox::bind(&socket, &allowed).unwrap();
    let rig = Rig::new(Setup::of(1));
    let engine = Arc::clone(&rig.engine);
    // It accepts for ever; the thread ends with the test.
    std::thread::spawn(move || inbox::serve(&listener, &engine, &allowed));
    let mut octets = Vec::new();
    codec::write(&mut octets, &Request::Hello { version: ravelin_contract::VERSION }).unwrap();
    let greeting: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    let got = [0, ALLOWED, STRANGER].map(|user| answered(user, &socket, &greeting));
    assert!(got[0] > 0 && got[1] > 0, "{got:?}");
    assert_eq!(got[2], 0, "a stranger got an answer");
}
