//! After a restart of either process the policy is sent again when the packet process does not hold it.

use std::sync::Arc;
use std::time::Duration;

use ravelin_contract::message::{Event, Reply, Request};
use tracing::{info, warn};

use super::{Agent, Applied, Paths};
use crate::io::dataplane::LinkError;
use crate::report::events;

/// How often events are fetched, and so how soon a restart of the packet process is seen.
const PERIOD: Duration = Duration::from_millis(100);

impl Agent {
    /// Brings back what was applied before our own start. Nothing was: the operator's files are applied, if there are any.
    pub async fn recover(&self) {
        let held = loop {
            match self.dataplane.greet().await {
                Ok(greeting) => break greeting.policy,
                Err(error) => {
                    warn!(%error, "waiting for the packet process");
                    tokio::time::sleep(PERIOD * 5).await;
                }
            }
        };
        self.finish_interrupted_apply(held.as_deref());
        match self.history.applied() {
            Some(files) => self.resume(&files, held.as_deref()).await,
            None if self.files.policy.iter().any(|file| file.exists()) => self.apply_at_start().await,
            None => info!("no policy yet: default filters are in force until `ravelin policy apply`"),
        }
    }

    /// A crash between install and promote left `staged`: it counts when the packet process took it.
    fn finish_interrupted_apply(&self, held: Option<&str>) {
        let Some(staged) = self.history.staged() else { return };
        let taken = self.compile(&staged).is_ok_and(|c| Some(c.snapshot.fingerprint.as_str()) == held);
        let promoted = taken && self.history.promote().is_ok();
        warn!(promoted, "an apply was interrupted; the policy that the packet process holds stays");
        if !promoted {
            self.history.discard();
        }
    }

    async fn resume(&self, files: &Paths, held: Option<&str>) {
        let compiled = match self.compile(files) {
            Ok(compiled) => compiled,
            Err(findings) => {
                return warn!(%findings, "the policy applied before does not compile any more; what is in force stays");
            }
        };
        let same = held == Some(compiled.snapshot.fingerprint.as_str());
        *self.applied.lock().await = Some(Applied { snapshot: compiled.snapshot });
        match same {
            true => info!("the packet process already holds the policy"),
            false => self.install_again().await,
        }
    }

    async fn apply_at_start(&self) {
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

    async fn install_again(&self) {
        let applied = self.applied.lock().await;
        let Some(applied) = applied.as_ref() else { return };
        match self.install(&applied.snapshot).await {
            Ok((generation, took_us)) => info!(generation, took_us, "policy installed again"),
            Err(error) => warn!(%error, "the policy could not be installed again"),
        }
    }

    /// Fetches events for ever, and sends the policy again when the packet process has restarted.
    pub async fn watch(self: Arc<Self>) {
        let (mut connected, mut met) = (true, self.dataplane.incarnation());
        loop {
            tokio::time::sleep(PERIOD).await;
            let result = self.take_events().await;
            if let Err(error) = &result
                && connected
            {
                warn!(%error, "lost the packet process");
            }
            connected = result.is_ok();
            if connected && self.dataplane.incarnation() != met {
                met = self.dataplane.incarnation();
                self.meet_again().await;
            }
        }
    }

    async fn meet_again(&self) {
        let Ok(greeting) = self.dataplane.greet().await else { return };
        let applied = self.fingerprint().await;
        if applied.is_some() && applied != greeting.policy {
            self.install_again().await;
        }
    }

    async fn take_events(&self) -> Result<(), LinkError> {
        let Reply::Events(events) = self.dataplane.ask(Request::TakeEvents).await? else {
            return Err(LinkError::Unexpected("TakeEvents"));
        };
        events.iter().for_each(|event: &Event| events::write(event));
        Ok(())
    }
}
