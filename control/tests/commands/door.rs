//! The operator's socket, knocked at by other users. Needs root, as only root can be somebody else.
#![expect(clippy::unwrap_used, reason = "a helper that fails fails its test")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

const ALLOWED: u32 = 4711;
const STRANGER: u32 = 4712;

/// What curl gets as this user: the HTTP status, or nothing when nobody answers.
fn status_for(user: u32, socket: &str) -> Option<String> {
    let mut curl = Command::new("curl");
    curl.args(["--silent", "--max-time", "60", "--output", "/dev/null", "--write-out", "%{http_code}"]);
    curl.args(["--unix-socket", socket, "http://ravelin/v1/policy/diff", "--json", "{}"]);
    let output =
        curl.current_dir("/").env_clear().env("PATH", "/usr/bin:/bin").uid(user).gid(user).output().unwrap();
    output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_foreign_user_is_refused_and_a_named_one_is_not() {
    let place = tempfile::tempdir().unwrap();
    let path = place.path();
    // Nothing but the door itself keeps anybody out.
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(path.join("ipsec.toml"), "[[rule]]\naction = \"permit\"\n").unwrap();
    let socket = format!("{}/control.sock", path.display());
    let appliance = format!(
        "management = \"elsewhere\"\n[[port]]\ninterface = \"lan0\"\nside = \"protected\"\n\
         [dataplane]\nsocket = \"{0}/dataplane.sock\"\nstate = \"{0}/state\"\n\
         [control]\nsocket = \"{socket}\"\nmetrics = \"off\"\nallow = [0, {ALLOWED}]\n",
        path.display()
    );
    fs::write(path.join("ravelin.toml"), appliance).unwrap();
    let mut control = Command::new(env!("CARGO_BIN_EXE_ravelin-control"));
    control
        .arg("--config")
        .arg(path.join("ravelin.toml"))
        .stderr(fs::File::create(path.join("log")).unwrap());
    let mut control = control.spawn().unwrap();
    let begun = Instant::now();
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        assert!(begun.elapsed() < Duration::from_secs(60), "it does not listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let answers = [0, ALLOWED, STRANGER].map(|user| status_for(user, &socket));
    let log = || fs::read_to_string(path.join("log")).unwrap();
    for code in ["RVL-CONTROL-READY", "RVL-CONFIG-NOTE", "RVL-DATAPLANE-AWAITED", "RVL-DOOR-REFUSED"] {
        while !log().contains(code) {
            assert!(begun.elapsed() < Duration::from_secs(120), "no {code}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    control.kill().unwrap();
    control.wait().unwrap();
    let ok = Some("200".to_owned());
    assert_eq!(answers, [ok.clone(), ok, None]);
}
