//! Running a command to its end, always within a time.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

/// Ample for a command that only configures something.
pub const MOMENT: Duration = Duration::from_secs(15);

/// What a finished command left.
#[derive(Debug)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

/// Runs a command to its end. An error when it cannot start or is not done within `limit`; it is killed then.
pub fn run(command: &mut Command, limit: Duration) -> Result<Output> {
    run_with_input(command, &[], limit)
}

/// Like [`run`], with these octets as its input.
pub fn run_with_input(command: &mut Command, input: &[u8], limit: Duration) -> Result<Output> {
    // Files and not pipes: a full pipe would stop the command, and a grandchild could hold it open for ever.
    let mut stdin = tempfile::tempfile()?;
    stdin.write_all(input)?;
    stdin.rewind()?;
    let mut stdout = tempfile::tempfile()?;
    let mut stderr = tempfile::tempfile()?;
    command.stdin(stdin).stdout(stdout.try_clone()?).stderr(stderr.try_clone()?);
    let mut child = command.spawn().with_context(|| format!("starting {command:?}"))?;
    let status = wait_for_exit(&mut child, limit).with_context(|| format!("running {command:?}"))?;
    Ok(Output { status, stdout: read_all(&mut stdout)?, stderr: read_all(&mut stderr)? })
}

/// Runs a command that has to succeed, and returns what it printed. The error carries what it complained about.
pub fn check(command: &mut Command, limit: Duration) -> Result<String> {
    let output = run(command, limit)?;
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, output.stderr.trim());
    Ok(output.stdout)
}

/// A command from words parted by spaces.
pub(super) fn words(line: &str) -> Command {
    let mut words = line.split_whitespace();
    let mut command = Command::new(words.next().unwrap_or_default());
    command.args(words);
    command
}

/// Waits for the end of a child and reaps it. When it is not done within `limit` it is killed, and that is an error.
pub(super) fn wait_for_exit(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    if ends_within(child, limit)? {
        return Ok(child.wait()?);
    }
    child.kill()?;
    child.wait()?;
    bail!("not done within {limit:?}, so it was killed")
}

/// Whether the child ends within `limit`. Does not reap it.
pub(super) fn ends_within(child: &Child, limit: Duration) -> Result<bool> {
    let handle = pidfd_open(Pid::from_child(child), PidfdFlags::empty())?;
    let limit = Timespec::try_from(limit)?;
    Ok(poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit))? > 0)
}

/// Asks again every 10 ms until the answer is yes. An error after `limit`.
pub fn wait_until(what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Result<()> {
    let begin = Instant::now();
    while !is_so() {
        ensure!(begin.elapsed() < limit, "waited {limit:?} in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

fn read_all(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
