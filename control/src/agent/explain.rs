//! What the filters in force make of a packet (row B71).

use std::sync::Arc;

use ravelin_contract::report::FilterMode;
use ravelin_contract::rule::FilterSettings;

use super::Agent;
use crate::api::view::{Sa, filter_mode};
use crate::ike::Question;
use crate::ike::view::IkeSa;
use crate::io::dataplane::LinkError;
use crate::policy::explain::Explainer;
use crate::policy::explain::answer::Answer;
use crate::policy::explain::keyed::{Reason, Standing, Tunnel};
use crate::policy::explain::question::{Mistake, Question as Packet};
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
    pub async fn explain(&self, question: &Packet) -> Result<Answer, ExplainError> {
        Ok(self.explainer().await?.ask(question)?)
    }

    /// The same, and whose keys protect the packet: tunnels with the SAs that stand, rings with their owners (row G26).
    ///
    /// # Errors
    /// See [`ExplainError`].
    pub async fn reason(&self, question: &Packet) -> Result<Reason, ExplainError> {
        let explainer = self.explainer().await?;
        let (rings, question) = (self.attls.rings().clone(), question.clone());
        let work = move || {
            let mut reason = explainer.reason(&question)?;
            reason.own(&rings);
            Ok::<_, Mistake>(reason)
        };
        let mut reason = match tokio::task::spawn_blocking(work).await {
            Ok(reason) => reason?,
            Err(panicked) => std::panic::resume_unwind(panicked.into_panic()),
        };
        self.find_standing(&mut reason.tunnels).await?;
        Ok(reason)
    }

    /// The SAs of tunnels, each side asked once for all of them.
    async fn find_standing(&self, tunnels: &mut [Tunnel]) -> Result<(), LinkError> {
        let (mut manual, mut negotiated) = (Vec::new(), Vec::new());
        if tunnels.iter().any(|tunnel| tunnel.peer.is_none()) {
            manual.extend(gather::sas(&self.dataplane).await?.into_iter().map(Sa::from));
        }
        if tunnels.iter().any(|tunnel| tunnel.peer.is_some()) {
            // While IKE does not answer nothing is known of its SAs.
            negotiated = self.ike.ask(Question::List).await.unwrap_or_default();
        }
        for tunnel in tunnels {
            tunnel.sas = match &tunnel.peer {
                None => installed(&manual, &tunnel.name),
                Some(_) => agreed(&negotiated, &tunnel.name),
            };
        }
        Ok(())
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

/// SAs with manual keys.
fn installed(sas: &[Sa], tunnel: &str) -> Vec<Standing> {
    let own = sas.iter().filter(|sa| sa.tunnel == tunnel).map(|sa| Standing {
        spis: format!("{} {}", sa.direction, sa.spi),
        state: format!("{} packets, {}", sa.packets, sa.algorithm),
    });
    own.collect()
}

/// SAs that IKE agreed on.
fn agreed(list: &[IkeSa], tunnel: &str) -> Vec<Standing> {
    let children = list.iter().flat_map(|ike| ike.children.iter().map(move |child| (ike, child)));
    let own = children.filter(|(_, child)| child.tunnel == tunnel).map(|(ike, child)| Standing {
        spis: format!("in {} out {}", child.inbound_spi, child.outbound_spi),
        state: format!(
            "{} with {} at {}: {} to {}",
            child.state,
            ike.identity,
            ike.remote,
            child.local.join(" "),
            child.remote.join(" ")
        ),
    });
    own.collect()
}
