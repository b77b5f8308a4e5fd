//! `default-filters.toml`: what passes while no policy is in force (rows B20 to B24). Permits only; all else is denied.

use std::path::Path;

use ravelin_contract::name::Name;
use ravelin_contract::rule::Rule;

use crate::diagnostic::{Collector, Findings};
use crate::document::{self, Table};
use crate::filter::compile::{Scope, Tunnels, compile};
use crate::filter::objects::Objects;
use crate::filter::read::{self, Kind, Names};
use crate::source::Source;

/// The whole file, compiled.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DefaultFilters {
    /// Filters in order, all of them permits; none at all is a file that denies everything.
    pub rules: Vec<Rule>,
    /// Whether implicit denies are logged; yes when not written.
    pub log_implicit: bool,
}

const KEYS: &[&str] = &["log_implicit", "rule", "addresses", "services"];

impl DefaultFilters {
    /// Reads the file at `path` for an appliance with these zones, in the order of
    /// [`crate::appliance::Appliance::zones`]. Warnings come with the value.
    pub fn load(path: &Path, zones: &[Name]) -> Result<(Self, Findings), Findings> {
        Self::parse(&Source::read(path)?, zones)
    }

    /// The same from text at hand.
    pub fn parse(source: &Source, zones: &[Name]) -> Result<(Self, Findings), Findings> {
        let notes = Collector::default();
        let filters = document::read(source, &notes, KEYS, |file| filters(file, zones));
        notes.conclude(filters)
    }
}

fn filters(file: &Table<'_>, zones: &[Name]) -> Option<DefaultFilters> {
    let notes = file.context().notes;
    let mut objects = Objects::default();
    objects.read(file);
    let written = read::rules(file, Kind::Default, 0, &mut Names::default());
    let log_implicit = file.get("log_implicit").map_or(Some(true), |value| value.flag());
    let scope = Scope { objects: &objects, zones, tunnels: &Tunnels::default(), notes };
    let rules: Vec<_> = written.iter().map(|rule| compile(rule, &scope)).collect();
    objects.check(notes);
    let rules: Option<Vec<_>> = rules.into_iter().collect();
    Some(DefaultFilters { rules: rules?.into_iter().flatten().collect(), log_implicit: log_implicit? })
}
