//! Whether anybody can still reach this gateway by its ports once a policy is in force (row B2).

use ravelin_config::appliance::{Appliance, Management};
use ravelin_config::default_filters::DefaultFilters;
use ravelin_config::diagnostic::{Collector, Findings};
use ravelin_config::source::{Place, Source};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Fragments, Opening, Routing, Rule, ZoneId};
use ravelin_contract::selector::{Upper, protocol};
use ravelin_events::catalogue::{CHECK_LOCK_OUT, CHECK_UNMANAGED};

use super::lint;

const REMEDY: &str = "permit it, as `ssh` and `ssh-answers` of configs/filters-only do, or write management = \"elsewhere\" \
                      in ravelin.toml when a console or an interface that is no port serves for it";

/// What a policy must know of the gateway that it is for.
#[derive(Debug, Clone, Default)]
pub struct Site {
    /// Its zones, in the order of [`Appliance::zones`].
    pub zones: Vec<Name>,
    /// How it is managed by its ports; `None` when it is not, or nobody asks.
    pub managed: Option<Managed>,
}

/// A gateway that is managed by its ports.
#[derive(Debug, Clone)]
pub struct Managed {
    /// Zones with a protected port: what this host sends to them is not filtered.
    pub protected: Vec<ZoneId>,
    /// The file of default filters.
    pub place: Place,
    /// Default filters.
    pub defaults: Vec<Rule>,
}

impl Site {
    /// One of these zones, of which nobody asks how it is managed.
    pub fn with(zones: &[Name]) -> Self {
        Self { zones: zones.to_vec(), managed: None }
    }

    /// Of an appliance file and the default filters that it names; no file permits nothing. Warnings come with the value.
    pub fn of(appliance: &Appliance) -> Result<(Self, Findings), Findings> {
        let zones = appliance.zones();
        if appliance.management == Management::Elsewhere {
            return Ok((Self { zones, managed: None }, Findings::default()));
        }
        let path = &appliance.dataplane.default_filters;
        let (source, filters, notes) = if path.try_exists().unwrap_or(true) {
            let source = Source::read(path)?;
            let (filters, notes) = DefaultFilters::parse(&source, &zones)?;
            (source, filters, notes)
        } else {
            let nothing = Source::from_text(path.display().to_string(), "");
            (nothing, DefaultFilters::default(), Findings::default())
        };
        let trusted = |zone: &Name| appliance.ports.iter().any(|port| port.protected && port.zone == *zone);
        let numbered = (0..).map(ZoneId).zip(&zones);
        let protected = numbered.filter(|(_, zone)| trusted(zone)).map(|(id, _)| id).collect();
        let managed = Managed { protected, place: source.whole(), defaults: filters.rules };
        Ok((Self { zones, managed: Some(managed) }, notes))
    }

    /// The same without the question whether anybody reaches it.
    pub fn unasked(&self) -> Self {
        Self { zones: self.zones.clone(), managed: None }
    }
}

/// Tells when a policy ends the management that the default filters permit (an error), when the default filters would end
/// that of the policy, and when neither permits any (warnings).
pub fn check(policy: &[Rule], place: Place, managed: &Managed, notes: &Collector) {
    let filters = managed.place.source.name();
    match (managed.reachable_by(policy), managed.reachable_by(&managed.defaults)) {
        (true, true) => {}
        (true, false) => {
            let message = format!(
                "with the default filters of {filters} nobody reaches this gateway by its ports: `ravelin filter default` \
                 would lock out whoever manages it"
            );
            notes.warning(managed.place.clone(), CHECK_UNMANAGED.of(message), REMEDY);
        }
        (false, true) => {
            let message = format!(
                "no rule permits a TCP connection to this gateway, though {filters} does: the policy would lock out \
                 whoever manages it by its ports"
            );
            notes.error(place, CHECK_LOCK_OUT.of(message), REMEDY);
        }
        (false, false) => {
            let message = format!(
                "neither a rule nor {filters} permits a TCP connection to this gateway: nobody can manage it by its ports"
            );
            notes.warning(place, CHECK_UNMANAGED.of(message), REMEDY);
        }
    }
}

impl Managed {
    /// Whether somebody could open a TCP connection to this host, and be answered.
    fn reachable_by(&self, rules: &[Rule]) -> bool {
        let answered = |way: &Rule| {
            let trusted = match way.zone {
                Some(zone) => self.protected.contains(&zone),
                None => !self.protected.is_empty(),
            };
            trusted || open(rules, Direction::Outbound).any(|answer| answers(answer, way))
        };
        open(rules, Direction::Inbound).any(|way| way.opening == Opening::Allowed && answered(way))
    }
}

/// Rules that permit TCP from or to this host, and that no earlier one makes void.
fn open(rules: &[Rule], direction: Direction) -> impl Iterator<Item = &Rule> {
    let permits = move |rule: &Rule| {
        rule.direction == direction
            && rule.action == Action::Permit
            && rule.routing != Routing::Routed
            && rule.fragments == Fragments::Any
            && carries_tcp(&rule.selector.upper)
    };
    let void = |(number, rule): (usize, &Rule)| {
        rules[..number].iter().any(|first| first.action != Action::Permit && lint::covers(first, rule))
    };
    rules
        .iter()
        .enumerate()
        .filter(move |(number, rule)| permits(rule) && !void((*number, rule)))
        .map(|(_, rule)| rule)
}

fn carries_tcp(upper: &Upper) -> bool {
    match *upper {
        Upper::Any => true,
        Upper::Protocol(number) | Upper::Ports { protocol: number, .. } => number == protocol::TCP,
        Upper::Icmp { .. } => false,
    }
}

/// Whether `answer` lets anything of what `way` let in go back.
fn answers(answer: &Rule, way: &Rule) -> bool {
    let back = way.selector.reversed();
    let common = |a: &ravelin_contract::address::AddressRange,
                  b: &ravelin_contract::address::AddressRange| {
        a.family() == b.family() && a.first() <= b.last() && b.first() <= a.last()
    };
    let ports = match (answer.selector.upper, back.upper) {
        (Upper::Ports { source, destination, .. }, Upper::Ports { source: from, destination: to, .. }) => {
            source.first() <= from.last()
                && from.first() <= source.last()
                && destination.first() <= to.last()
                && to.first() <= destination.last()
        }
        _ => true,
    };
    ports
        && common(&answer.selector.source, &back.source)
        && common(&answer.selector.destination, &back.destination)
}
