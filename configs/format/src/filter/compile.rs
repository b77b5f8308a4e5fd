//! One operator's rule into simple filters: one family, one direction, one range of each kind (row B14).

use ravelin_contract::address::Family;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{Action, Direction, Fragments, Opening, Rule, TunnelId, ZoneId};
use ravelin_contract::selector::{Selector, Upper, protocol};
use ravelin_events::catalogue::{CHECK_LIMIT, CHECK_NEVER, FILE_NO_SUCH};

use crate::diagnostic::Collector;
use crate::filter::objects::{Endpoint, Objects};
use crate::filter::{Connect, FilterRule, Traffic, Way, WrittenAction};
use crate::service::Part;
use crate::similar::did_you_mean;
use crate::source::Place;

/// What a rule may refer to.
#[derive(Clone, Copy)]
pub struct Scope<'a> {
    /// Named addresses and services.
    pub objects: &'a Objects,
    /// Zones of the appliance.
    pub zones: &'a [Name],
    /// Tunnels of the policy; none for default filters.
    pub tunnels: &'a Tunnels,
    /// Takes findings.
    pub notes: &'a Collector,
}

/// Tunnels by name.
#[derive(Debug, Default)]
pub struct Tunnels(std::collections::HashMap<Name, TunnelId>);

impl Tunnels {
    /// The tunnels of a generation, each with its index as number.
    pub fn new<'n>(names: impl IntoIterator<Item = &'n Name>) -> Self {
        Self(names.into_iter().zip(0..).map(|(name, id)| (name.clone(), TunnelId(id))).collect())
    }
}

/// The simple filters of `rule`, numbered from 1 and for whoever it is; `None` when the rule cannot be enforced as it is written.
pub fn compile(rule: &FilterRule, scope: &Scope<'_>) -> Option<Vec<Rule>> {
    let services = scope.objects.parts(&rule.traffic.services, scope.notes);
    let services = services.filter(|services| check_services(rule, services, scope.notes));
    let zone = match &rule.zone {
        None => Some(None),
        Some((name, place)) => find_zone(name, place, scope).map(Some),
    };
    let action = find_action(rule, scope);
    let selectors = expand(&rule.traffic, services, scope)?;
    let pattern = Pattern { rule, zone: zone?, action: action? };
    let directed = selectors.into_iter().flat_map(|selector| directed(rule.direction, selector));
    Some(directed.zip(1..).map(|((direction, selector), n)| pattern.rule(direction, selector, n)).collect())
}

/// The selectors that `traffic` was split into; `None` when a part of it could never match.
pub fn selectors(traffic: &Traffic, scope: &Scope<'_>) -> Option<Vec<Selector>> {
    expand(traffic, scope.objects.parts(&traffic.services, scope.notes), scope)
}

/// Addresses are looked up even when the services are wrong, so that both are told.
fn expand(traffic: &Traffic, services: Option<Vec<Part>>, scope: &Scope<'_>) -> Option<Vec<Selector>> {
    let sources = scope.objects.endpoints(&traffic.source, scope.notes);
    let destinations = scope.objects.endpoints(&traffic.destination, scope.notes);
    combine(&traffic.place, &sources?, &destinations?, &services?, scope.notes)
}

/// What all filters of one rule have in common.
struct Pattern<'a> {
    rule: &'a FilterRule,
    zone: Option<ZoneId>,
    action: Action,
}

impl Pattern<'_> {
    fn rule(&self, direction: Direction, selector: Selector, extension: u16) -> Rule {
        Rule {
            name: self.rule.name.clone(),
            extension,
            direction,
            selector,
            routing: self.rule.routing,
            zone: self.zone,
            fragments: if self.rule.fragments_only { Fragments::Only } else { Fragments::Any },
            opening: opening(self.rule.connect.0, direction, &selector.upper),
            action: self.action,
            log: self.rule.log,
            identities: Vec::new(),
        }
    }
}

/// A selector in each direction that the rule is for. An inbound twin answers the outbound one.
fn directed(way: Way, selector: Selector) -> impl Iterator<Item = (Direction, Selector)> {
    let outbound = (Direction::Outbound, selector);
    let (first, second) = match way {
        Way::Outbound => (outbound, None),
        Way::Inbound => ((Direction::Inbound, selector), None),
        Way::Both => (outbound, Some((Direction::Inbound, selector.reversed()))),
    };
    [Some(first), second].into_iter().flatten()
}

fn opening(connect: Connect, direction: Direction, upper: &Upper) -> Opening {
    let excluded = matches!(
        (connect, direction),
        (Connect::Inbound, Direction::Outbound) | (Connect::Outbound, Direction::Inbound)
    );
    if excluded && may_be_tcp(upper) { Opening::Excluded } else { Opening::Allowed }
}

fn may_be_tcp(upper: &Upper) -> bool {
    match *upper {
        Upper::Any => true,
        Upper::Protocol(number) | Upper::Ports { protocol: number, .. } => number == protocol::TCP,
        Upper::Icmp { .. } => false,
    }
}

/// The zone of this name.
pub fn find_zone(name: &Name, place: &Place, scope: &Scope<'_>) -> Option<ZoneId> {
    let found = scope.zones.iter().position(|zone| zone == name);
    if found.is_none() {
        let names = scope.zones.iter().map(Name::as_str);
        let remedy = did_you_mean(name.as_str(), names, "name a zone of a [[port]] in ravelin.toml");
        scope.notes.error(place.clone(), FILE_NO_SUCH.of(format!("no port has zone `{name}`")), remedy);
    }
    found.and_then(|index| u8::try_from(index).ok()).map(ZoneId)
}

fn find_action(rule: &FilterRule, scope: &Scope<'_>) -> Option<Action> {
    let (name, place) = match &rule.action {
        WrittenAction::Permit => return Some(Action::Permit),
        WrittenAction::Deny(discard) => return Some(Action::Deny(*discard)),
        WrittenAction::Ipsec(name, place) => (name, place),
    };
    let found = scope.tunnels.0.get(name).copied();
    if found.is_none() {
        let names = scope.tunnels.0.keys().map(Name::as_str);
        let remedy = did_you_mean(name.as_str(), names, "add a [[tunnel]] with this name");
        scope.notes.error(place.clone(), FILE_NO_SUCH.of(format!("there is no tunnel `{name}`")), remedy);
    }
    found.map(Action::Protect)
}

/// What `connect` and `fragments_only` ask of the services.
fn check_services(rule: &FilterRule, services: &[Part], notes: &Collector) -> bool {
    if let (Connect::Inbound | Connect::Outbound, Some(place)) = &rule.connect
        && !services.iter().any(|part| may_be_tcp(&part.upper))
    {
        let message = CHECK_NEVER.of("`connect` in a rule that no TCP packet matches");
        notes.error(place.clone(), message, "write protocol = \"tcp\", or remove the line");
        return false;
    }
    let has_fields = |part: &&Part| matches!(part.upper, Upper::Ports { .. } | Upper::Icmp { .. });
    if let Some(part) = services.iter().find(has_fields).filter(|_| rule.fragments_only) {
        let message =
            CHECK_NEVER.of("`fragments_only` with ports or ICMP types, which later fragments do not show");
        notes.error(part.place.clone(), message, "leave the ports or types out");
        return false;
    }
    true
}

/// Every source with every destination and every service of its family. Families never mix, and what remains without
/// a partner is an error: it reads as if it were enforced.
fn combine(
    place: &Place,
    sources: &[Endpoint],
    destinations: &[Endpoint],
    services: &[Part],
    notes: &Collector,
) -> Option<Vec<Selector>> {
    let most = usize::from(u16::MAX) / 2;
    if sources.len().saturating_mul(destinations.len()).saturating_mul(services.len()) > most {
        let message = CHECK_LIMIT.of(format!("the rule would become more than {most} filters"));
        notes.error(place.clone(), message, "use prefixes and ranges in place of lists, or split the rule");
        return None;
    }
    let mut selectors = Vec::new();
    let mut used = Used::new(sources.len(), destinations.len(), services.len());
    for (s, source) in sources.iter().enumerate() {
        for (d, destination) in destinations.iter().enumerate() {
            let family = source.range.family();
            let fits = |part: &Part| part.family.is_none_or(|of| of == family);
            for (p, part) in services.iter().enumerate().filter(|(_, part)| fits(part)) {
                if destination.range.family() == family {
                    used.mark(s, d, p);
                    let (source, destination) = (source.range, destination.range);
                    selectors.push(Selector { source, destination, upper: part.upper });
                }
            }
        }
    }
    used.check(sources, destinations, services, notes).then_some(selectors)
}

/// Which of the written parts became part of a filter.
struct Used {
    sources: Vec<bool>,
    destinations: Vec<bool>,
    services: Vec<bool>,
}

impl Used {
    fn new(sources: usize, destinations: usize, services: usize) -> Self {
        let none = |length| vec![false; length];
        Self { sources: none(sources), destinations: none(destinations), services: none(services) }
    }

    fn mark(&mut self, source: usize, destination: usize, service: usize) {
        self.sources[source] = true;
        self.destinations[destination] = true;
        self.services[service] = true;
    }

    fn check(
        &self,
        sources: &[Endpoint],
        destinations: &[Endpoint],
        services: &[Part],
        notes: &Collector,
    ) -> bool {
        let idle_sources = check_endpoints(sources, &self.sources, "destination", notes);
        let idle_destinations = check_endpoints(destinations, &self.destinations, "source", notes);
        let mut whole = idle_sources && idle_destinations;
        for (part, _) in services.iter().zip(&self.services).filter(|(_, used)| !**used) {
            // A service of both families is unused only where addresses have no partner, and that is told above.
            let Some(family) = part.family else { continue };
            let message = CHECK_NEVER.of(format!(
                "{} is for {}, and the rule has no such addresses",
                part.text,
                shown(family)
            ));
            let other = if family == Family::V4 { "icmpv6" } else { "icmp" };
            notes.error(part.place.clone(), message, format!("remove it, or did you mean \"{other}\"?"));
            whole = false;
        }
        whole
    }
}

/// `any` stands for both families and may lose one of them, but not both.
fn check_endpoints(endpoints: &[Endpoint], used: &[bool], partner: &str, notes: &Collector) -> bool {
    let mut whole = true;
    for (endpoint, _) in endpoints.iter().zip(used).filter(|(endpoint, used)| !**used && !endpoint.any) {
        let family = shown(endpoint.range.family());
        let message = CHECK_NEVER.of(format!(
            "{} can never match: no {partner} or service of the rule is {family}",
            endpoint.range
        ));
        notes.error(endpoint.place.clone(), message, format!("add one of {family}, or remove this one"));
        whole = false;
    }
    whole
}

fn shown(family: Family) -> &'static str {
    match family {
        Family::V4 => "IPv4",
        Family::V6 => "IPv6",
    }
}
