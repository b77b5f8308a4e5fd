//! Who removes a lab: a small shell beside the process, which also survives its `kill -9`.

use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use super::command::wait_for_exit;

/// What the janitor runs.
const SCRIPT: &str = include_str!("janitor.sh");

/// The file in a lab's directory that says: kept on purpose.
pub(super) const KEPT: &str = "kept";

/// How long cleaning may take. Removing a namespace takes some 50 ms.
const CLEANING: Duration = Duration::from_secs(20);

/// The janitor of one lab. Dropping it cleans and waits until that is done.
#[derive(Debug)]
pub(super) struct Janitor {
    shell: Child,
}

impl Janitor {
    /// Starts a janitor that waits for the end of this process.
    pub(super) fn hire(id: &str, directory: &Path) -> Result<Self> {
        // A group of its own: an interrupt from the terminal, or the end of a test's group, must not reach it.
        let shell = script(id, directory).stdin(Stdio::piped()).process_group(0).spawn();
        Ok(Self { shell: shell.context("starting the shell that removes the lab")? })
    }

    /// Sends it away with nothing cleaned.
    pub(super) fn dismiss(mut self) -> Result<()> {
        let mut pipe = self.shell.stdin.take().context("the janitor's input is closed")?;
        pipe.write_all(b"keep\n")?;
        Ok(())
    }

    fn clean(&mut self) -> Result<()> {
        drop(self.shell.stdin.take());
        wait_for_exit(&mut self.shell, CLEANING)?;
        Ok(())
    }
}

impl Drop for Janitor {
    fn drop(&mut self) {
        if let Err(error) = self.clean() {
            eprintln!("the lab was not removed in full: {error:#}");
        }
    }
}

/// Removes the labs whose process is gone and which nobody wanted to keep.
pub(super) fn sweep(root: &Path) -> Result<()> {
    for (id, directory) in labs(root)? {
        if !is_alive(&id) && !directory.join(KEPT).exists() {
            remove(&id, &directory)?;
        }
    }
    Ok(())
}

/// Removes the kept labs whose id begins so.
pub(super) fn remove_kept(root: &Path, prefix: &str) -> Result<usize> {
    let mut removed = 0;
    for (id, directory) in labs(root)? {
        if id.starts_with(prefix) && directory.join(KEPT).exists() {
            remove(&id, &directory)?;
            removed += 1;
        }
    }
    Ok(removed)
}

fn remove(id: &str, directory: &Path) -> Result<()> {
    let mut shell = script(id, directory).stdin(Stdio::null()).spawn().context("removing an old lab")?;
    wait_for_exit(&mut shell, CLEANING)?;
    Ok(())
}

fn script(id: &str, directory: &Path) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", SCRIPT, "janitor", id]).arg(directory);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

/// The labs that have a directory: id and path.
fn labs(root: &Path) -> Result<Vec<(String, PathBuf)>> {
    let Ok(entries) = fs::read_dir(root) else { return Ok(Vec::new()) };
    let mut labs = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if let Some(id) = path.file_name().and_then(|name| name.to_str()) {
            labs.push((id.to_owned(), path));
        }
    }
    Ok(labs)
}

/// Whether the process that made this lab lives. An id that is not ours counts as alive: then it is not touched.
fn is_alive(id: &str) -> bool {
    let pid = id.strip_prefix("rv-").and_then(|rest| rest.rsplit('-').nth(1));
    pid.is_none_or(|pid| Path::new("/proc").join(pid).exists())
}
