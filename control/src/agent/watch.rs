//! The operator's files, watched: what changes is told or applied (row C14). Only a change after the start counts: what was edited
//! while control was down may be what nobody confirmed.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ravelin_config::appliance::Watch;
use ravelin_events::tell;
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use rustix::io::Errno;
use tokio::time::{sleep, timeout};

use super::asked::{Asked, Cause};
use super::{Agent, ApplyError, off_thread};
use crate::policy::files::{Files, Paths};

/// An editor or a copy writes several times: what counts is what stands there after so long without a change.
const QUIET: Duration = Duration::from_millis(500);
/// But nobody puts it off for longer by changing something all the time.
const LONGEST: Duration = Duration::from_secs(10);
/// Between two looks whether something has changed.
const LOOK: Duration = Duration::from_millis(100);
/// Between two tries to watch.
const PAUSE: Duration = Duration::from_secs(10);

impl Agent {
    /// Watches the configured files for ever.
    pub async fn watch_files(self: Arc<Self>, watch: Watch) {
        if watch == Watch::Off {
            return;
        }
        let mut seen = self.texts_now().await.ok();
        loop {
            // Before the look, so that no change falls between the two.
            match Folders::watch(&self.files) {
                Ok(mut folders) => {
                    self.look(watch, &mut seen).await;
                    folders.settle().await;
                }
                Err(error) => {
                    tell!(POLICY_NOT_WATCHED, %error);
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn texts_now(&self) -> Result<Files, ApplyError> {
        let paths = self.files.clone();
        off_thread(move || Files::read(&paths)).await.map_err(ApplyError::Files)
    }

    /// Acts when the files say something that they did not say at the last look, and that is not applied.
    async fn look(self: &Arc<Self>, watch: Watch, seen: &mut Option<Files>) {
        let now = match self.texts_now().await {
            Ok(now) => now,
            Err(error) => return complain(&error),
        };
        if seen.as_ref().is_some_and(|seen| seen.says_the_same(&now)) {
            return;
        }
        *seen = Some(now);
        match (self.files_differ(), watch) {
            (Ok(false), _) => {}
            (Err(error), _) => complain(&error),
            (Ok(true), Watch::Apply) => {
                match self.apply(&self.files, Asked::by_ourselves(Cause::Watch)).await {
                    Ok(done) => {
                        let (number, fingerprint) = (done.number, done.fingerprint);
                        tell!(POLICY_APPLIED, number, fingerprint, by = "files");
                    }
                    Err(error) => complain(&error),
                }
            }
            (Ok(true), _) => tell!(POLICY_FILES_DIFFER),
        }
    }
}

fn complain(error: &ApplyError) {
    match error {
        ApplyError::Files(findings) => {
            tell!(POLICY_FILES_BAD, %findings);
        }
        error => tell!(POLICY_NOT_APPLIED, %error, by = "files"),
    }
}

/// The folders that files lie in: editors put a new file in the place of the old one.
struct Folders(OwnedFd);

impl Folders {
    fn watch(files: &Paths) -> io::Result<Self> {
        let notes = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        let what = WatchFlags::CLOSE_WRITE
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO;
        for folder in folders(files) {
            inotify::add_watch(&notes, &folder, what)?;
        }
        Ok(Self(notes))
    }

    /// Returns when something has changed, and then nothing for a while.
    async fn settle(&mut self) {
        self.change().await;
        let quiet = async { while timeout(QUIET, self.change()).await.is_ok() {} };
        // Long enough is as good as quiet.
        let _ = timeout(LONGEST, quiet).await;
    }

    /// The kernel keeps what happened until it is read, so looking now and then misses nothing.
    async fn change(&self) {
        let mut octets = [0; 4096];
        loop {
            match rustix::io::read(&self.0, &mut octets) {
                Ok(_) => return,
                Err(Errno::AGAIN | Errno::INTR) => sleep(LOOK).await,
                Err(_) => return sleep(PAUSE).await,
            }
        }
    }
}

/// Where the files lie, and where those lie that they link to.
fn folders(files: &Paths) -> BTreeSet<PathBuf> {
    let others = [&files.keys, &files.attls, &files.expect];
    let all = files.policy.iter().chain(others);
    let folder = |path: &Path| path.parent().map(Path::to_owned);
    let both = all.flat_map(|path| [folder(path), path.canonicalize().ok().as_deref().and_then(folder)]);
    both.flatten().filter(|folder| folder.is_dir()).collect()
}
