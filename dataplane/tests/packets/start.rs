//! What the packet process does not start with.

use std::process::Command;

/// A back end that an operator meant to be off must not be on because of a slip of the pen.
#[test]
fn an_unknown_back_end_is_not_turned_off_in_silence() {
    let mut gateway = Command::new(env!("CARGO_BIN_EXE_ravelin-dataplane"));
    gateway.args(["--config", "/nonexistent/ravelin.toml"]).env("RAVELIN_CRYPTO_DISABLE", "vaes512,avx10");
    let ended = gateway.output().unwrap();
    assert!(!ended.status.success());
    let said = String::from_utf8(ended.stderr).unwrap();
    assert!(said.contains("RAVELIN_CRYPTO_DISABLE: there is no back end `avx10`"), "{said}");
}
