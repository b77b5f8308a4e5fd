//! The policy that is applied, compiled: what both processes go by.

use std::sync::{Arc, OnceLock};

use ravelin_contract::snapshot::Snapshot;

use crate::attls::Served;
use crate::policy::explain::Explainer;
use crate::policy::origin::Origins;
use crate::policy::peers::Ike;

/// What is applied.
#[derive(Debug)]
pub struct Applied {
    /// As it was installed.
    pub snapshot: Snapshot,
    /// What IKE negotiates by under it.
    pub ike: Ike,
    /// How TLS is spoken under it.
    pub attls: Served,
    origins: Origins,
    /// Made when somebody asks first.
    explainer: OnceLock<Arc<Explainer>>,
}

impl Applied {
    /// A policy that is about to be in force.
    pub fn new(snapshot: Snapshot, ike: Ike, attls: Served, origins: Origins) -> Self {
        Self { snapshot, ike, attls, origins, explainer: OnceLock::new() }
    }

    /// What answers for it.
    pub fn explainer(&self) -> Arc<Explainer> {
        let make = || Arc::new(Explainer::new(&self.snapshot, self.origins.clone(), "policy"));
        Arc::clone(self.explainer.get_or_init(make))
    }
}
