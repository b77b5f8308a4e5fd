//! Foreign programs: implementations that judge ours, and the scripts that drive them.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::lab::{MOMENT, check};

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    // `perf` is a direct child of it.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("/")).to_owned()
}

/// The interpreter that has scapy: `RAVELIN_PYTHON`, or the one in `.venv` that provisioning made.
pub fn interpreter() -> Result<PathBuf> {
    let default = || workspace().join(".venv/bin/python");
    let path = std::env::var_os("RAVELIN_PYTHON").map_or_else(default, PathBuf::from);
    ensure!(path.exists(), "{} is missing; `make ready` makes it", path.display());
    Ok(path)
}

/// A script in `perf/scripts`, to be run as `command PROGRAM ARGUMENTS`: `command` makes the command, in a namespace or not.
pub fn script(command: impl FnOnce(&Path) -> Command, name: &str) -> Result<Command> {
    let path = workspace().join("perf/scripts").join(name);
    ensure!(path.exists(), "there is no script {}", path.display());
    let mut command = command(&interpreter()?);
    command.arg(path);
    Ok(command)
}

/// A foreign program such as `promtool`: one that is installed, or the one that provisioning unpacked into `target/tools`.
pub fn tool(package: &str, program: &str) -> Result<PathBuf> {
    let unpacked = |folder| workspace().join("target/tools").join(package).join(folder).join(program);
    let installed = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&installed)
        .map(|directory| directory.join(program))
        .chain(["usr/bin", "usr/sbin"].map(unpacked))
        .find(|path| path.exists())
        .with_context(|| format!("{program} is missing; `make ready` brings it"))
}

/// Runs OpenSSL in a folder, with words parted by spaces; it has to succeed.
pub fn openssl(folder: &Path, words: &str) -> Result<()> {
    let mut command = Command::new("openssl");
    check(command.args(words.split_ascii_whitespace()).current_dir(folder), MOMENT).map(drop)
}

/// One of our own programs, built beside the program that asks.
pub fn program(name: &str) -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    // Tests lie in `deps`, one deeper than programs.
    own.ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join(name))
        .find(|path| path.is_file())
        .with_context(|| format!("{name} is not built; `cargo build --workspace --bins` does it"))
}
