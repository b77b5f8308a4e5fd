//! After a restart of either process the policy is sent again when the packet process does not hold it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ravelin_contract::limits;
use ravelin_contract::message::{Reply, Request};
use tracing::{info, warn};

use super::{Agent, Applied};
use crate::io::dataplane::LinkError;
use crate::policy::Compiled;
use crate::report::events;

/// How often events are fetched, and so how soon a restart of the packet process is seen.
const PERIOD: Duration = Duration::from_millis(100);
/// Periods between two tries to bring both sides together again.
const DOUBT: u32 = 20;

impl Agent {
    /// Brings back what was applied before our own start. Nothing was: the operator's files are applied, if there are any.
    /// An operator who applies a policy first has the last word.
    pub async fn recover(self: &Arc<Self>) {
        while let Err(error) = self.dataplane.greet().await {
            warn!(%error, "waiting for the packet process");
            tokio::time::sleep(PERIOD * 5).await;
        }
        if self.recover_applied().await {
            return;
        }
        match self.files.policy.iter().any(|file| file.exists()) {
            true => self.apply_at_start().await,
            false => info!("no policy yet: default filters are in force until `ravelin policy apply`"),
        }
    }

    /// Whether there was anything. No apply comes in between.
    async fn recover_applied(&self) -> bool {
        let mut applied = self.applied.lock().await;
        if applied.is_some() {
            return true;
        }
        // What was held before we had the lock may be history.
        let held = self.dataplane.greet().await.ok().and_then(|greeting| greeting.policy);
        self.finish_interrupted_apply(held.as_deref()).await;
        let Some(files) = self.history.applied() else { return false };
        let compiled = match self.compile(&files).await {
            Ok(compiled) => compiled,
            Err(findings) => {
                warn!(%findings, "the policy applied before does not compile any more; what is in force stays");
                return true;
            }
        };
        let Compiled { snapshot, ike, attls, origins, .. } = compiled;
        // A ring that has gone since costs its own connections, not the policy.
        let (attls, problems) = self.attls.prepare_anyway(&attls).await;
        problems.iter().for_each(|problem| warn!(%problem, "connections that need this ring are refused"));
        let applied = applied.insert(Applied::new(snapshot, ike, attls, origins));
        match held.as_deref() == Some(applied.snapshot.fingerprint.as_str()) {
            true => {
                info!("the packet process already holds the policy");
                self.announce(applied);
            }
            false => self.install_again(applied).await,
        }
        true
    }

    /// A crash between install and promote left `staged`: it counts when the packet process took it. A crash within
    /// promote came after the install, so there it counts in any case.
    async fn finish_interrupted_apply(&self, held: Option<&str>) {
        if let Err(error) = self.history.mend() {
            warn!(%error, "an apply was interrupted, and what was kept cannot be put right");
        }
        let Some(staged) = self.history.staged() else { return };
        let fingerprint = self.compile(&staged).await.ok().map(|compiled| compiled.snapshot.fingerprint);
        let taken = fingerprint.is_some() && fingerprint.as_deref() == held;
        let done = if taken { self.history.promote() } else { self.history.discard() };
        warn!(taken, ?done, "an apply was interrupted; the policy that the packet process holds stays");
    }

    async fn apply_at_start(self: &Arc<Self>) {
        match self.apply(&self.files).await {
            Ok(done) => {
                info!(generation = done.generation, fingerprint = done.fingerprint, "policy applied at start")
            }
            Err(super::ApplyError::Files(findings)) => {
                warn!(%findings, "the policy has errors; default filters stay")
            }
            Err(error) => warn!(%error, "the policy was not applied; default filters stay"),
        }
    }

    async fn install_again(&self, applied: &Applied) {
        self.attls.coming(&applied.snapshot.fingerprint, &applied.attls);
        match self.install(&applied.snapshot).await {
            Ok((generation, took_us)) => {
                info!(generation, took_us, "policy installed again");
                self.announce(applied);
            }
            Err(error) => {
                warn!(%error, "the policy could not be installed again");
                self.doubt.store(true, Ordering::Relaxed);
            }
        }
    }

    /// Fetches events for ever, and sends the policy again when the packet process has restarted.
    pub async fn watch(self: Arc<Self>) {
        let (mut connected, mut met, mut turn) = (true, self.dataplane.incarnation(), 0u32);
        loop {
            tokio::time::sleep(PERIOD).await;
            let result = self.take_events().await;
            if let Err(error) = &result
                && connected
            {
                warn!(%error, "lost the packet process");
            }
            connected = result.is_ok();
            turn = turn.wrapping_add(1);
            let restarted = self.dataplane.incarnation() != met;
            let doubted = turn.is_multiple_of(DOUBT) && self.doubt.swap(false, Ordering::Relaxed);
            if connected && (restarted || doubted) {
                met = self.dataplane.incarnation();
                self.meet_again().await;
            } else if doubted {
                self.doubt.store(true, Ordering::Relaxed);
            }
        }
    }

    async fn meet_again(&self) {
        let applied = self.applied.lock().await;
        let Some(applied) = applied.as_ref() else { return };
        match self.dataplane.greet().await {
            Ok(greeting) if greeting.policy.as_ref() == Some(&applied.snapshot.fingerprint) => {}
            Ok(_) => self.install_again(applied).await,
            Err(_) => self.doubt.store(true, Ordering::Relaxed),
        }
    }

    async fn take_events(&self) -> Result<(), LinkError> {
        loop {
            let Reply::Events(events) = self.dataplane.ask(Request::TakeEvents).await? else {
                return Err(LinkError::Unexpected("TakeEvents"));
            };
            for event in &events {
                events::write(event);
                self.ike.hear(event);
            }
            if events.len() < limits::ENTRIES {
                return Ok(());
            }
        }
    }
}
