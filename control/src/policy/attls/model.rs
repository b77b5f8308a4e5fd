//! What an operator means by `attls.toml`, names not yet looked up.

use std::collections::HashMap;

use ravelin_config::filter::Traffic;
use ravelin_config::source::Place;
use ravelin_contract::address::NumberRange;
use ravelin_contract::name::Name;

use super::layer::Layer;

/// The file.
#[derive(Debug, Default)]
pub(in crate::policy) struct Model {
    /// In order of the file.
    pub(super) rules: Vec<Rule>,
    /// Actions of each level.
    pub(super) actions: HashMap<(Level, Name), Action>,
    /// What becomes of connections to marked ports that no rule speaks of (row A13).
    pub(super) secure: Option<(Vec<NumberRange>, OnNoMatch)>,
}

impl Model {
    /// Rules by name, and where each stands.
    pub(in crate::policy) fn places(&self) -> impl Iterator<Item = (&Name, &Place)> {
        self.rules.iter().map(|rule| (&rule.name, &rule.place))
    }
}

/// Levels of actions, the outermost first (rows A29, A31, A32).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Level {
    Group,
    Environment,
    Connection,
}

impl Level {
    pub(super) const ALL: [Self; 3] = [Self::Group, Self::Environment, Self::Connection];

    /// The key by which a rule names an action of it.
    pub(super) fn key(self) -> &'static str {
        match self {
            Self::Group => "group",
            Self::Environment => "environment",
            Self::Connection => "connection",
        }
    }

    /// The section that holds its actions.
    pub(super) fn section(self) -> &'static str {
        match self {
            Self::Group => "groups",
            Self::Environment => "environments",
            Self::Connection => "connections",
        }
    }
}

/// One action.
#[derive(Debug)]
pub(super) struct Action {
    pub(super) place: Place,
    pub(super) layer: Layer,
}

/// What becomes of connections to marked ports that no rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnNoMatch {
    Permit,
    Deny,
}

/// One `[[rule]]`.
#[derive(Debug)]
pub(super) struct Rule {
    pub(super) name: Name,
    pub(super) place: Place,
    /// Higher comes first (row A25); `None` comes last, in order of the file.
    pub(super) priority: Option<(u32, Place)>,
    /// The source is the end that connects.
    pub(super) traffic: Traffic,
    /// Zone of the port by which the first packet comes.
    pub(super) zone: Option<(Name, Place)>,
    /// The actions that it names.
    pub(super) named: [Option<(Name, Place)>; 3],
    /// What it says itself: before what the actions say.
    pub(super) own: Layer,
}
