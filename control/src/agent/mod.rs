//! Policy agent: from the operator's files to the policy in force, and back to it after a restart of either process.

pub mod applied;
pub mod asked;
pub mod confirm;
pub mod errors;
pub mod explain;
pub mod history;
pub mod install;
pub mod past;
pub mod reconcile;
pub mod unconfirmed;
pub mod watch;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use ravelin_config::diagnostic::Findings;
use ravelin_contract::message::{Reply, Request};
use ravelin_contract::name::Name;
use ravelin_contract::snapshot::Snapshot;
use tokio::sync::Mutex;

use crate::attls::{self, Served};
use crate::ike::Door;
use crate::io::dataplane::{Dataplane, LinkError};
use crate::policy::Compiled;
use crate::policy::diff::{Diff, diff};
use crate::policy::files::{Files, Paths};
use crate::policy::management::Site;
use crate::report::gather;
use applied::Applied;
use asked::Asked;
use confirm::Waiting;
pub use errors::ApplyError;
use history::History;

/// What an apply did.
#[derive(Debug, Clone)]
pub struct Done {
    /// The number under which the policy is kept.
    pub number: u64,
    /// Generation of the packet process.
    pub generation: u64,
    /// Microseconds until every worker had it.
    pub took_us: u64,
    /// Fingerprint of the policy.
    pub fingerprint: String,
    /// What differs from the policy before, when that was asked.
    pub changes: Option<Diff>,
    /// Findings that did not stop it.
    pub warnings: Findings,
}

/// The one that applies policies. Applies never overlap.
#[derive(Debug)]
pub struct Agent {
    /// The packet process.
    pub dataplane: Dataplane,
    /// A connection that waits for no long request.
    urgent: Dataplane,
    /// Where the operator's files are unless a request names others.
    pub files: Paths,
    site: Site,
    history: History,
    /// Held through every apply, recovery and new install, so that none overlaps another.
    applied: Mutex<Option<Applied>>,
    /// That the applied policy must be confirmed. Changed only under the lock above.
    waiting: Waiting,
    /// What the packet process holds may not be what was applied.
    doubt: AtomicBool,
    installs: AtomicU64,
    failures: AtomicU64,
    /// Hears what came into force.
    pub ike: Door,
    /// Hears it, too, and before: connections may come at once.
    pub attls: attls::Door,
}

/// A policy that compiles, and the texts that say so.
struct Ready {
    texts: Files,
    compiled: Compiled,
}

impl Agent {
    /// An agent that holds what was applied before its start, if anything; `keep` policies stay on the disk.
    pub fn new(
        dataplane: Dataplane,
        files: Paths,
        site: Site,
        (state, keep): (&Path, usize),
        (ike, attls): (Door, attls::Door),
    ) -> Self {
        let agent = Self {
            urgent: dataplane.another(),
            dataplane,
            files,
            site,
            history: History::new(state, keep),
            applied: Mutex::new(None),
            waiting: Waiting::default(),
            doubt: AtomicBool::new(false),
            installs: AtomicU64::new(0),
            failures: AtomicU64::new(0),
            ike,
            attls,
        };
        // Before anybody can ask for another one.
        agent.waiting.follow(agent.history.head().ok().flatten().as_ref());
        agent
    }

    /// Reads and compiles files without applying anything. Nobody asks whether they lock anyone out: what was applied must
    /// come back after a restart.
    pub async fn compile(&self, files: &Paths) -> Result<Compiled, Findings> {
        self.read(files, self.site.unasked()).await.map(|ready| ready.compiled)
    }

    /// The texts and what they mean.
    async fn read(&self, files: &Paths, site: Site) -> Result<Ready, Findings> {
        let paths = files.clone();
        off_thread(move || ready(Files::read(&paths)?, &site)).await
    }

    /// Fingerprint of the policy applied last.
    pub async fn fingerprint(&self) -> Option<String> {
        self.applied.lock().await.as_ref().map(|applied| applied.snapshot.fingerprint.clone())
    }

    /// The snapshot applied last.
    pub async fn snapshot(&self) -> Option<Snapshot> {
        self.applied.lock().await.as_ref().map(|applied| applied.snapshot.clone())
    }

    /// Names of the tunnels in force.
    pub async fn tunnels(&self) -> Vec<Name> {
        let applied = self.applied.lock().await;
        let tunnels = applied.iter().flat_map(|applied| &applied.snapshot.tunnels);
        tunnels.map(|tunnel| tunnel.name.clone()).collect()
    }

    /// Policies installed and refused since start.
    pub fn counts(&self) -> (u64, u64) {
        (self.installs.load(Ordering::Relaxed), self.failures.load(Ordering::Relaxed))
    }

    /// Compiles, keeps and installs: all or nothing (row C11). Goes on to its end also when nobody waits for it any more.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn apply(self: &Arc<Self>, files: &Paths, asked: Asked) -> Result<Done, ApplyError> {
        let (agent, files) = (Arc::clone(self), files.clone());
        self.to_its_end(async move {
            let ready = agent.read(&files, agent.site.clone()).await.map_err(ApplyError::Files)?;
            let served = agent.attls.prepare(&ready.compiled.attls).await.map_err(ApplyError::Files)?;
            let mut applied = agent.applied.lock().await;
            agent.waiting.refuse_another()?;
            agent.put_in_force(&mut applied, ready, served, &asked).await
        })
        .await
    }

    /// Runs what changes the policy in a task of its own, and counts how it went.
    async fn to_its_end(
        &self,
        work: impl Future<Output = Result<Done, ApplyError>> + Send + 'static,
    ) -> Result<Done, ApplyError> {
        let result = tokio::spawn(work).await.unwrap_or(Err(ApplyError::Ended));
        let counter = if result.is_ok() { &self.installs } else { &self.failures };
        counter.fetch_add(1, Ordering::Relaxed);
        result
    }

    /// Keeps and installs, all or nothing.
    async fn put_in_force(
        &self,
        applied: &mut Option<Applied>,
        ready: Ready,
        attls: Served,
        asked: &Asked,
    ) -> Result<Done, ApplyError> {
        let Ready { texts, compiled: Compiled { snapshot, ike, origins, warnings, .. } } = ready;
        let path = || self.history.directory().to_owned();
        // Kept before it is installed, promoted after: a crash between the two is mended by `recover`.
        let staged = self.history.stage(&texts, asked, &snapshot.fingerprint);
        let staged = staged.map_err(|source| ApplyError::Store { path: path(), source })?;
        self.attls.coming(&snapshot.fingerprint, &attls);
        let (generation, took_us) = match self.install_surely(&snapshot).await {
            Ok(in_force) => in_force,
            Err(error) => {
                if let Err(error) = self.history.discard() {
                    ravelin_events::tell!(POLICY_STAGED, %error);
                }
                return Err(error.into());
            }
        };
        let changes = asked.tell_changes.then(|| match applied.as_ref() {
            Some(before) => diff(&before.snapshot, &snapshot),
            None => diff(&Snapshot::default(), &snapshot),
        });
        let fingerprint = snapshot.fingerprint.clone();
        self.announce(applied.insert(Applied::new(snapshot, ike, attls, origins)));
        self.promote(&staged, asked.confirm)
            .map_err(|source| ApplyError::NotKept { path: path(), source })?;
        Ok(Done { number: staged.number, generation, took_us, fingerprint, changes, warnings })
    }

    /// IKE and TLS may serve what the packet process holds now.
    fn announce(&self, applied: &Applied) {
        self.attls.in_force(&applied.snapshot.fingerprint, &applied.attls);
        self.ike.in_force(applied.ike.clone(), self.dataplane.incarnation());
    }

    /// Installs; when the link broke before the answer came, asks what the packet process holds.
    async fn install_surely(&self, snapshot: &Snapshot) -> Result<(u64, u64), LinkError> {
        let error = match self.install(snapshot).await {
            Ok(in_force) => return Ok(in_force),
            Err(refused @ LinkError::Refused(_)) => return Err(refused),
            Err(error) => error,
        };
        match gather::status(&self.dataplane).await {
            Ok(status) if status.policy.as_ref() == Some(&snapshot.fingerprint) => {
                Ok((status.generation, status.publish_us))
            }
            // It may yet come into force: `watch` puts back what was applied.
            _ => {
                self.doubt.store(true, Ordering::Relaxed);
                Err(error)
            }
        }
    }

    async fn install(&self, snapshot: &Snapshot) -> Result<(u64, u64), LinkError> {
        match self.dataplane.ask_all(install::messages(snapshot)).await? {
            Reply::InForce { generation, took_us } => Ok((generation, took_us)),
            _ => Err(LinkError::Unexpected("Commit")),
        }
    }

    /// Default filters on every worker (row B22). On a connection of its own: it waits for no other request.
    pub async fn use_default_filters(&self) -> Result<(u64, u64), LinkError> {
        self.switch(Request::UseDefaultFilters).await
    }

    /// Back to the policy held.
    pub async fn use_policy(&self) -> Result<(u64, u64), LinkError> {
        self.switch(Request::UsePolicy).await
    }

    async fn switch(&self, request: Request) -> Result<(u64, u64), LinkError> {
        match self.urgent.ask(request).await? {
            Reply::InForce { generation, took_us } => Ok((generation, took_us)),
            _ => Err(LinkError::Unexpected("a switch of filters")),
        }
    }
}

fn ready(texts: Files, site: &Site) -> Result<Ready, Findings> {
    let compiled = texts.compile(site)?;
    Ok(Ready { texts, compiled })
}

/// A large policy takes its time, and must not hold up the tasks that answer.
pub(crate) async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
    }
}
