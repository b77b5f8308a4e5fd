//! Policies of the past: which there are, what they said, what differs, and one of them in force again (row D21).

use std::sync::Arc;

use ravelin_config::diagnostic::Findings;
use ravelin_contract::snapshot::Snapshot;
use ravelin_events::tell;

use super::asked::{Asked, Cause};
use super::history::{Entry, Record};
use super::{Agent, ApplyError, Done, Ready, off_thread, ready};
use crate::attls::Served;
use crate::policy::files::{Files, Paths};

/// Most changes that the log tells one by one.
const CHANGES: usize = 50;

/// What one side of a comparison is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Side {
    /// The policy that is applied; nothing when none is.
    Applied,
    /// One that is kept.
    Kept(u64),
    /// Files.
    Files(Paths),
}

impl Agent {
    /// Every policy that is kept, the newest first.
    ///
    /// # Errors
    /// They cannot be read.
    pub fn kept(&self) -> Result<Vec<Entry>, ApplyError> {
        self.history.list().map_err(|source| self.unreadable(source))
    }

    /// One of them with its texts.
    ///
    /// # Errors
    /// There is no such policy, or it is not what was applied.
    pub fn texts(&self, number: u64) -> Result<(Entry, Files), ApplyError> {
        let entry = self.kept()?.into_iter().find(|entry| entry.record.number == number);
        let entry = entry.ok_or(ApplyError::NoSuch(number))?;
        let texts = self.history.texts(&entry.record).map_err(ApplyError::Files)?;
        Ok((entry, texts))
    }

    /// The record of the applied policy, if any.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn record(&self) -> Result<Option<Record>, ApplyError> {
        self.history.applied().map_err(|source| self.unreadable(source))
    }

    /// Whether the configured files say, octet for octet, something else than what is applied. Files that cannot be read do.
    ///
    /// # Errors
    /// What is applied cannot be read.
    pub fn files_differ(&self) -> Result<bool, ApplyError> {
        let Some(record) = self.record()? else {
            return Ok(self.files.policy.iter().any(|file| file.exists()));
        };
        let applied = self.history.texts(&record).map_err(ApplyError::Files)?;
        Ok(Files::read(&self.files).map_or(true, |now| !now.says_the_same(&applied)))
    }

    /// What one side of a comparison installs.
    ///
    /// # Errors
    /// There is no such policy, or it has errors.
    pub async fn snapshot_of(&self, side: &Side) -> Result<Snapshot, ApplyError> {
        match side {
            Side::Applied => Ok(self.snapshot().await.unwrap_or_default()),
            Side::Files(files) => Ok(self.compile(files).await.map_err(ApplyError::Files)?.snapshot),
            Side::Kept(number) => {
                let (_, texts) = self.texts(*number)?;
                Ok(self.recall_texts(texts).await.map_err(ApplyError::Files)?.compiled.snapshot)
            }
        }
    }

    /// Puts a policy of the past in force, with all checks and expectations of now, as a new one. Without a number it is the
    /// one before; of a policy that waits to be confirmed, the one that would come back.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub async fn roll_back(self: &Arc<Self>, number: Option<u64>, asked: Asked) -> Result<Done, ApplyError> {
        let agent = Arc::clone(self);
        self.to_its_end(async move {
            let reader = Arc::clone(&agent);
            let read = move || {
                let to = number.map_or_else(|| reader.one_before(), Ok)?;
                reader.texts(to).map(|(_, texts)| (to, texts))
            };
            let (to, texts) = off_thread(read).await?;
            let site = agent.site.clone();
            let ready = off_thread(move || ready(texts, &site)).await.map_err(ApplyError::Files)?;
            let served = agent.attls.prepare(&ready.compiled.attls).await.map_err(ApplyError::Files)?;
            let asked = Asked { cause: Cause::Rollback { to }, ..asked };
            let mut applied = agent.applied.lock().await;
            // It ends the waiting of the one that is applied, so it cannot begin another.
            if asked.confirm.is_some() {
                agent.waiting.refuse_another()?;
            }
            agent.put_in_force(&mut applied, ready, served, &asked).await
        })
        .await
    }

    /// The configured files again, as SIGHUP asks; the log tells what changed.
    pub async fn reload(self: &Arc<Self>) {
        let asked = Asked { tell_changes: true, ..Asked::by_ourselves(Cause::Reload) };
        match self.apply(&self.files, asked).await {
            Ok(done) => {
                let changes = done.changes.unwrap_or_default();
                let (number, changes_made) = (done.number, changes.0.len());
                let fingerprint = done.fingerprint;
                tell!(POLICY_APPLIED, number, fingerprint, changes = changes_made, by = "SIGHUP");
                changes.0.iter().take(CHANGES).for_each(|change| {
                    tell!(POLICY_CHANGED, kind = %change.kind, object = %change.object, name = change.name);
                });
            }
            Err(ApplyError::Files(findings)) => {
                tell!(POLICY_NOT_APPLIED, error = %findings, by = "SIGHUP");
            }
            Err(error) => tell!(POLICY_NOT_APPLIED, %error, by = "SIGHUP"),
        }
    }

    fn one_before(&self) -> Result<u64, ApplyError> {
        let waits = self.waiting.get().and_then(|(_, unconfirmed)| unconfirmed.back_to);
        if let Some(to) = waits {
            return Ok(to);
        }
        self.kept()?.get(1).map(|entry| entry.record.number).ok_or(ApplyError::NoneBefore)
    }

    /// A policy that was in force, as it comes back by itself: nobody asks whom it locks out or what is expected of it, and a
    /// ring that has gone since costs its own connections, not the policy.
    pub(super) async fn recall(&self, record: &Record) -> Result<(Ready, Served), Findings> {
        let ready = self.recall_texts(self.history.texts(record)?).await?;
        let (served, problems) = self.attls.prepare_anyway(&ready.compiled.attls).await;
        problems.iter().for_each(|problem| tell!(POLICY_RING, %problem));
        Ok((ready, served))
    }

    async fn recall_texts(&self, texts: Files) -> Result<Ready, Findings> {
        let site = self.site.unasked();
        let unasked = Files { expect: None, ..texts.clone() };
        let Ready { compiled, .. } = off_thread(move || ready(unasked, &site)).await?;
        Ok(Ready { texts, compiled })
    }
}
