//! What the filters in force make of a packet (row B71).

use std::sync::Arc;

use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::FilterSettings;

use super::Agent;
use crate::api::view::filter_mode;
use crate::io::dataplane::LinkError;
use crate::policy::explain::Explainer;
use crate::policy::explain::answer::Answer;
use crate::policy::explain::question::{Mistake, Question};
use crate::report::gather;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ExplainError {
    /// The question is wrong.
    #[error(transparent)]
    Question(#[from] Mistake),
    /// The packet process does not say what it holds.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Both processes hold different policies, as for a moment after a restart.
    #[error("the packet process holds another policy than was applied last; ask again, or apply it again")]
    Unsettled,
}

impl Agent {
    /// What becomes of a packet by the filters in force, whichever these are.
    ///
    /// # Errors
    /// See [`ExplainError`].
    pub async fn explain(&self, question: &Question) -> Result<Answer, ExplainError> {
        Ok(self.explainer().await?.ask(question)?)
    }

    async fn explainer(&self) -> Result<Arc<Explainer>, ExplainError> {
        let status = gather::status(&self.dataplane).await?;
        if status.mode == FilterMode::Policy {
            let applied = self.applied.lock().await;
            let held =
                applied.as_ref().filter(|held| status.policy.as_ref() == Some(&held.snapshot.fingerprint));
            return held.map(|held| held.explainer()).ok_or(ExplainError::Unsettled);
        }
        let rules = gather::rules(&self.dataplane).await?.into_iter().map(|status| status.rule).collect();
        let (settings, source) = (FilterSettings::default(), filter_mode(status.mode));
        Ok(Arc::new(Explainer::of_filters(rules, settings, &self.site.zones, source)))
    }
}
