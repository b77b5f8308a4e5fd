//! Where rules and tunnels stand in the operator's files, for whoever asks later why something was decided.

use std::cell::RefCell;
use std::collections::HashMap;
use std::sync::Arc;

use ravelin_config::source::Place;
use ravelin_contract::name::Name;

use super::attls::Attls;
use super::explain::keyed;
use super::model::{Model, Tunnel};

/// File and line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// Name of the file, as it was given.
    pub file: Arc<str>,
    /// From 1.
    pub line: usize,
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// Places by name. They do not keep the files' text.
#[derive(Debug, Clone, Default)]
pub struct Origins {
    /// Filter rules.
    pub rules: HashMap<Name, At>,
    /// Rules for TLS.
    pub tls: HashMap<Name, At>,
    /// Tunnels, and whose keys they use.
    pub tunnels: HashMap<Name, Arc<keyed::Tunnel>>,
    /// How TLS is spoken by the rules that want it.
    pub attls: Attls,
}

impl Origins {
    /// Of all that a model names.
    pub(super) fn of(model: &Model, attls: &Attls) -> Self {
        let files: RefCell<HashMap<String, Arc<str>>> = RefCell::default();
        let at = |place: &Place| {
            let source = &place.source;
            let mut files = files.borrow_mut();
            let file = files.entry(source.name().to_owned()).or_insert_with(|| source.name().into());
            let line = place.span.as_ref().map_or(1, |span| source.position(span.start).line);
            At { file: Arc::clone(file), line }
        };
        let rules = model.rules.iter().map(|rule| (rule.name.clone(), at(&rule.traffic.place))).collect();
        let tls = model.attls.places().map(|(name, place)| (name.clone(), at(place))).collect();
        let tunnel = |tunnel: &Tunnel| (tunnel.name.clone(), Arc::new(keyed::Tunnel::of(tunnel, model, at)));
        let tunnels = model.tunnels.iter().map(tunnel).collect();
        Self { rules, tls, tunnels, attls: attls.clone() }
    }
}
