//! After a restart of either process the policy is sent again when the packet process does not hold it.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use ravelin_contract::limits;
use ravelin_contract::message::{Reply, Request};
use ravelin_events::tell;

use super::asked::{Asked, Cause};
use super::{Agent, Applied};
use crate::io::dataplane::LinkError;
use crate::policy::Compiled;
use crate::report::events;

/// How often events are fetched, and so how soon a restart of the packet process is seen.
const PERIOD: Duration = Duration::from_millis(100);
/// Periods between two tries to bring both sides together again.
const DOUBT: u32 = 20;
/// Periods between two looks whether a policy was not confirmed in time.
const OVERDUE: u32 = 5;

impl Agent {
    /// Brings back what was applied before our own start. Nothing was: the operator's files are applied, if there are any.
    /// An operator who applies a policy first has the last word.
    pub async fn recover(self: &Arc<Self>) {
        while let Err(error) = self.dataplane.greet().await {
            tell!(DATAPLANE_AWAITED, %error);
            tokio::time::sleep(PERIOD * 5).await;
        }
        if self.recover_applied().await {
            return;
        }
        match self.files.policy.iter().any(|file| file.exists()) {
            true => self.apply_at_start().await,
            false => tell!(POLICY_NONE),
        }
    }

    /// Whether there was anything. No apply comes in between.
    async fn recover_applied(self: &Arc<Self>) -> bool {
        let mut applied = self.applied.lock().await;
        if applied.is_some() {
            return true;
        }
        let held = self.held_for_good().await;
        let record =
            match self.finish_interrupted_apply(held.as_deref()).and_then(|()| self.history.applied()) {
                Ok(Some(record)) => record,
                Ok(None) => return false,
                Err(error) => {
                    tell!(POLICY_UNREADABLE, %error);
                    return true;
                }
            };
        if let Err(error) = self.take_back(&mut applied).await {
            tell!(POLICY_NOT_TAKEN_BACK, %error);
            return true;
        }
        if applied.is_some() {
            return true;
        }
        let (ready, attls) = match self.recall(&record).await {
            Ok(recalled) => recalled,
            Err(findings) => {
                tell!(POLICY_STALE, %findings);
                return true;
            }
        };
        let Compiled { snapshot, ike, origins, .. } = ready.compiled;
        let applied = applied.insert(Applied::new(snapshot, ike, attls, origins));
        match held.as_deref() == Some(applied.snapshot.fingerprint.as_str()) {
            true => {
                tell!(POLICY_HELD);
                self.announce(applied);
            }
            false => self.install_again(applied).await,
        }
        true
    }

    /// What the packet process holds once it has done all that our last run asked for: its answer to this request waits for an
    /// install that has begun, and none begins whose asker has gone.
    async fn held_for_good(&self) -> Option<String> {
        if let Err(error) = self.dataplane.ask(Request::Children(Vec::new())).await {
            tell!(DATAPLANE_UNSURE, %error);
        }
        self.dataplane.greet().await.ok().and_then(|greeting| greeting.policy)
    }

    /// A crash between install and promote left something staged: it counts when the packet process took it.
    fn finish_interrupted_apply(&self, held: Option<&str>) -> std::io::Result<()> {
        if let Some(staged) = self.history.staged()? {
            let taken = held == Some(staged.fingerprint.as_str());
            tell!(POLICY_INTERRUPTED, taken, number = staged.number);
            if taken {
                self.promote_as(&staged, staged.unconfirmed.clone())?;
            }
        }
        self.history.discard()?;
        self.waiting.follow(self.history.head()?.as_ref());
        Ok(())
    }

    async fn apply_at_start(self: &Arc<Self>) {
        match self.apply(&self.files, Asked::by_ourselves(Cause::Start)).await {
            Ok(done) => {
                tell!(
                    POLICY_APPLIED,
                    generation = done.generation,
                    fingerprint = done.fingerprint,
                    by = "start"
                )
            }
            Err(super::ApplyError::Files(findings)) => {
                tell!(POLICY_FINDINGS, %findings)
            }
            Err(error) => tell!(POLICY_NOT_APPLIED, %error, by = "start"),
        }
    }

    async fn install_again(&self, applied: &Applied) {
        self.attls.coming(&applied.snapshot.fingerprint, &applied.attls);
        match self.install(&applied.snapshot).await {
            Ok((generation, took_us)) => {
                tell!(POLICY_AGAIN, generation, took_us);
                self.announce(applied);
            }
            Err(error) => {
                tell!(POLICY_NOT_AGAIN, %error);
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
                tell!(DATAPLANE_LOST, %error);
            }
            connected = result.is_ok();
            turn = turn.wrapping_add(1);
            if connected
                && turn.is_multiple_of(OVERDUE)
                && let Err(error) = self.take_back_if_overdue().await
            {
                tell!(POLICY_NOT_TAKEN_BACK, %error);
            }
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
        // What goes anyway does not come back for a moment.
        let Some(applied) = applied.as_ref().filter(|_| !self.waiting.is_overdue()) else { return };
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
