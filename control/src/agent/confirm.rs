//! A policy that is in force for now: unless somebody confirms it in time, the one before comes back (row C24).

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ravelin_events::tell;

use super::asked::{Asked, Cause};
use super::history::{Head, Record};
use super::unconfirmed::Unconfirmed;
use super::{Agent, Applied, ApplyError};
use crate::io::dataplane::LinkError;

/// What is known, without asking the disk, of a policy that must be confirmed.
#[derive(Debug, Default)]
pub(super) struct Waiting(Mutex<Option<(u64, Unconfirmed)>>);

impl Waiting {
    pub(super) fn get(&self) -> Option<(u64, Unconfirmed)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// As the disk says.
    pub(super) fn follow(&self, head: Option<&Head>) {
        let waiting = head.and_then(|head| Some((head.applied, head.unconfirmed.clone()?)));
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = waiting;
    }

    /// A policy on top of one that may yet go would leave nobody knowing what comes back.
    pub(super) fn refuse_another(&self) -> Result<(), ApplyError> {
        let Some((number, unconfirmed)) = self.get() else { return Ok(()) };
        let left = unconfirmed.left().map_or(0, |left| left.as_secs());
        Err(ApplyError::Waiting { number, left })
    }

    /// Whether the time is over.
    pub(super) fn is_overdue(&self) -> bool {
        self.get().is_some_and(|(_, unconfirmed)| unconfirmed.left().is_none())
    }
}

impl Agent {
    /// The applied policy stays.
    ///
    /// # Errors
    /// Nothing waits for it, it comes too late, or it cannot be written down.
    pub async fn confirm(&self) -> Result<u64, ApplyError> {
        let _applied = self.applied.lock().await;
        let (number, unconfirmed) = self.waiting.get().ok_or(ApplyError::NothingToConfirm)?;
        if unconfirmed.left().is_none() {
            return Err(ApplyError::TooLate(number));
        }
        self.settle_waiting().map_err(|source| self.unreadable(source))?;
        Ok(number)
    }

    /// Number, time left in seconds and where it would go back to, of a policy that must be confirmed.
    pub fn waiting(&self) -> Option<(u64, u64, Option<u64>)> {
        let (number, unconfirmed) = self.waiting.get()?;
        // Rounded up: while any time is left, it is not 0.
        let left = unconfirmed.left().map_or(0, |left| left.as_millis().div_ceil(1000) as u64);
        Some((number, left, unconfirmed.back_to))
    }

    /// Makes what is staged the applied policy. Its time to be confirmed begins now that it is in force.
    pub(super) fn promote(&self, staged: &Record, confirm: Option<Duration>) -> io::Result<()> {
        let back_to = staged.unconfirmed.as_ref().and_then(|unconfirmed| unconfirmed.back_to);
        let unconfirmed = confirm.map(|limit| Unconfirmed::within(limit, back_to)).transpose()?;
        self.promote_as(staged, unconfirmed)
    }

    /// The same with a time that began before.
    pub(super) fn promote_as(&self, staged: &Record, unconfirmed: Option<Unconfirmed>) -> io::Result<()> {
        let head = Head { applied: staged.number, unconfirmed };
        // Also when the disk is full it goes when its time is over.
        self.waiting.follow(Some(&head));
        self.history.promote(&head)?;
        if let Err(error) = self.history.prune() {
            tell!(POLICY_NOT_PRUNED, %error);
        }
        Ok(())
    }

    /// What waits becomes what is applied, also on a disk that was full when it came into force.
    fn settle_waiting(&self) -> io::Result<()> {
        if let Some((applied, _)) = self.waiting.get() {
            self.history.promote(&Head { applied, unconfirmed: None })?;
        }
        self.waiting.follow(self.history.head()?.as_ref());
        self.history.prune()
    }

    /// Takes back what nobody confirmed, when its time is over.
    pub(super) async fn take_back_if_overdue(self: &Arc<Self>) -> Result<(), ApplyError> {
        if !self.waiting.is_overdue() {
            return Ok(());
        }
        let mut applied = self.applied.lock().await;
        self.take_back(&mut applied).await
    }

    /// Takes back what nobody confirmed, if that is still so. The packet process changes from one policy to the other in one
    /// step: nothing passes in between that neither permits.
    pub(super) async fn take_back(&self, applied: &mut Option<Applied>) -> Result<(), ApplyError> {
        let Some((number, unconfirmed)) = self.waiting.get().filter(|_| self.waiting.is_overdue()) else {
            return Ok(());
        };
        let failed = match unconfirmed.back_to {
            None => None,
            Some(to) => match self.bring_back(applied, to).await {
                Ok(done) => {
                    let in_force = "the one before";
                    tell!(POLICY_NOT_CONFIRMED, policy = number, in_force, back_to = to, number = done);
                    return Ok(());
                }
                // The link may come back; `watch` tries again.
                Err(ApplyError::Link(error)) if !matches!(error, LinkError::Refused(_)) => {
                    return Err(error.into());
                }
                // It is in force all the same; a start before this is mended takes back what was not confirmed once more.
                Err(error @ ApplyError::NotKept { .. }) => return Err(error),
                Err(error) => Some(error),
            },
        };
        self.use_default_filters().await?;
        self.settle_waiting().map_err(|source| self.unreadable(source))?;
        let (in_force, error) = ("default filters", failed.map(tracing::field::display));
        tell!(POLICY_NOT_CONFIRMED, policy = number, in_force, error);
        Ok(())
    }

    async fn bring_back(&self, applied: &mut Option<Applied>, to: u64) -> Result<u64, ApplyError> {
        let record = self.history.record(to).map_err(|source| self.unreadable(source))?;
        let (ready, served) = self.recall(&record).await.map_err(ApplyError::Files)?;
        let asked = Asked::by_ourselves(Cause::NotConfirmed { to });
        self.put_in_force(applied, ready, served, &asked).await.map(|done| done.number)
    }

    pub(super) fn unreadable(&self, source: io::Error) -> ApplyError {
        ApplyError::History { path: self.history.directory().to_owned(), source }
    }
}
