//! Programs that run for a while.

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::command::{ends_within, wait_for_exit, wait_until};

/// How much of a log an error message carries.
const TAIL_LINES: usize = 30;

/// A program that was started. Dropping it kills and reaps it.
#[derive(Debug)]
pub struct Process {
    name: String,
    /// `None` after it was reaped or left to itself.
    child: Option<Child>,
    log: PathBuf,
    /// Octets that were in the log before.
    begin: usize,
}

impl Process {
    /// Starts a command whose output goes to `log`, appended. The name is for messages.
    pub fn spawn(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let file = File::options().create(true).append(true).open(log)?;
        let begin = usize::try_from(file.metadata()?.len())?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        // A group of its own: an interrupt from the terminal is for us to handle, in order.
        let child =
            command.process_group(0).spawn().with_context(|| format!("starting {name}: {command:?}"))?;
        Ok(Self { name: name.to_owned(), child: Some(child), log: log.to_owned(), begin })
    }

    /// Its process id, while it was not reaped.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// What it printed so far, without what the log held before.
    pub fn log(&self) -> String {
        let log = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(log.get(self.begin..).unwrap_or_default()).into_owned()
    }

    /// Whether it has not ended.
    pub fn is_running(&self) -> bool {
        self.child.as_ref().is_some_and(|child| !ends_within(child, Duration::ZERO).unwrap_or(true))
    }

    /// Waits until its log contains this text.
    pub fn wait_for_line(&self, text: &str, limit: Duration) -> Result<()> {
        self.wait_while_running(&format!("a line with {text:?}"), limit, || self.log().contains(text))
    }

    /// Waits until it accepts connections at this Unix socket.
    pub fn wait_for_socket(&self, path: &Path, limit: Duration) -> Result<()> {
        let what = format!("a listener at {}", path.display());
        self.wait_while_running(&what, limit, || UnixStream::connect(path).is_ok())
    }

    fn wait_while_running(&self, what: &str, limit: Duration, mut is_so: impl FnMut() -> bool) -> Result<()> {
        let mut met = false;
        let waited = wait_until(what, limit, || {
            met = is_so();
            met || !self.is_running()
        });
        waited.with_context(|| self.describe())?;
        // What it wrote just before its end counts too.
        ensure!(met || is_so(), "{} ended before {what}\n{}", self.name, self.tail());
        Ok(())
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        let Some(child) = &self.child else { bail!("{} has ended", self.name) };
        // Not reaped yet, so the number cannot belong to another process.
        kill_process(Pid::from_child(child), signal).with_context(|| format!("signalling {}", self.name))
    }

    /// Kills it as `kill -9` does, and reaps it.
    pub fn kill(&mut self) -> Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits for that. An error when it does not within `limit`; it is killed then.
    pub fn terminate(&mut self, limit: Duration) -> Result<ExitStatus> {
        self.signal(Signal::TERM)?;
        self.wait(limit)
    }

    /// Waits for its end. An error when it does not end within `limit`; it is killed then.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let Some(mut child) = self.child.take() else { bail!("{} was waited for before", self.name) };
        wait_for_exit(&mut child, limit).with_context(|| self.describe())
    }

    /// Leaves it running after this process.
    pub fn leave(mut self) {
        self.child = None;
    }

    fn describe(&self) -> String {
        format!("{} ({})\n{}", self.name, self.log.display(), self.tail())
    }

    /// The last lines of its log.
    pub fn tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The log goes away with the lab; what a failed test needs of it is said now.
            eprintln!("--- {}", self.describe());
        }
        if let Err(error) = self.kill() {
            eprintln!("{} was not killed: {error:#}", self.name);
        }
    }
}
