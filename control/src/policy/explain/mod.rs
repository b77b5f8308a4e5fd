//! What a policy makes of a packet, and by which rule (rows B71, D28): the same compiled tables as the workers', asked about
//! packets that nobody sent.
//!
//! A [`Question`] may leave ports, zones and routing open. Then every part that rules could tell apart is asked, and the
//! answer says what it hangs on, so what is said of "any port" holds for each.

pub mod answer;
mod cases;
pub mod keyed;
pub mod question;

use std::collections::BTreeSet;

use ravelin_contract::address::NumberRange;
use ravelin_contract::identity::{IdentityId, Pattern};
use ravelin_contract::name::Name;
use ravelin_contract::rule::{
    Action, Direction, Discard, FilterSettings, Fragments, Opening, Routing, Rule, TunnelId, ZoneId,
};
use ravelin_contract::selector::{FlowKey, Selector, Upper, protocol};
use ravelin_contract::snapshot::{Snapshot, Tunnel};
use ravelin_contract::tls::{Secure, TlsAction, TlsRule};
use ravelin_contract::tls_session::Role;
use ravelin_lookup::crossing::{Crossing, Shown, Side};
use ravelin_lookup::filters::{Filters, Peer, Query};
use ravelin_lookup::judge::{self, Outcome, Peers};
use ravelin_lookup::tls::TlsTable;

use super::describe;
use super::origin::{At, Origins};
use answer::{Answer, Case, Citation, Tls};
use cases::{Axis, Group};
use keyed::Reason;
use question::{Mistake, Piece, Question};

/// Rules behind the deciding one that an answer names at most.
const BEHIND: usize = 16;

/// A policy that can be asked.
#[derive(Debug)]
pub struct Explainer {
    filters: Filters,
    tls: TlsTable,
    /// Zones and tunnels by number, and nothing else.
    names: Snapshot,
    origins: Origins,
    source: String,
    fingerprint: Option<String>,
}

/// What one lookup says, and what rules for TLS say then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Found {
    /// The deciding rule; `None` where none matches.
    rule: Option<u32>,
    /// Nobody can say: a later fragment without its first.
    hidden: bool,
    in_clear: &'static str,
    logged: bool,
    tls: OfTls,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum OfTls {
    NotAsked,
    NoRule,
    Rule(u32),
    Fragment,
}

/// The parts of what a question leaves open.
struct Axes {
    first: Axis<u16>,
    second: Axis<u16>,
    zone: Axis<Option<ZoneId>>,
    local: Axis<bool>,
    client: Axis<Option<ZoneId>>,
}

/// One packet with nothing left open.
#[derive(Debug, Clone, Copy)]
struct Spot {
    shown: Shown,
    side: Side,
    client: Option<ZoneId>,
}

/// No SA stands: what a rule for some peers alone speaks of is its own, unless another rule protects it for all (row B18).
struct Nobody;

impl Peers for Nobody {
    fn sender(&self, _: TunnelId, _: &[IdentityId]) -> Peer {
        Peer::Absent
    }

    fn receiver(&self, _: TunnelId, _: &FlowKey, _: &[IdentityId]) -> Peer {
        Peer::Absent
    }
}

impl Explainer {
    /// Of a policy, whose answers are said to be of `source`.
    pub fn new(snapshot: &Snapshot, origins: Origins, source: &str) -> Self {
        Self {
            filters: Filters::compile(snapshot.rules.clone(), snapshot.filter),
            tls: TlsTable::compile(snapshot.tls.clone(), snapshot.fingerprint.clone()),
            names: names(&snapshot.zones, &snapshot.tunnels, &snapshot.identities),
            origins,
            source: source.to_owned(),
            fingerprint: Some(snapshot.fingerprint.clone()),
        }
    }

    /// Of filters alone, such as the default ones.
    pub fn of_filters(rules: Vec<Rule>, settings: FilterSettings, zones: &[Name], source: &str) -> Self {
        Self {
            filters: Filters::compile(rules, settings),
            tls: TlsTable::default(),
            names: names(zones, &[], &[]),
            origins: Origins::default(),
            source: source.to_owned(),
            fingerprint: None,
        }
    }

    /// What becomes of the packet.
    ///
    /// # Errors
    /// It names a zone that is not there, or leaves too much open.
    pub fn ask(&self, question: &Question) -> Result<Answer, Mistake> {
        question.check()?;
        let axes = self.axes(question)?;
        let lengths =
            [axes.first.len(), axes.second.len(), axes.zone.len(), axes.local.len(), axes.client.len()];
        let groups = cases::all(lengths, |spot| self.find(question, &axes.spot(question, spot)));
        let mut groups = groups.ok_or_else(|| Mistake {
            message: "the answer hangs on too many ports".to_owned(),
            remedy: "say the ports".to_owned(),
        })?;
        groups.sort_by_key(|group| group.answer.rule.unwrap_or(u32::MAX));
        Ok(Answer {
            flow: question.to_string(),
            filters: self.source.clone(),
            policy: self.fingerprint.clone(),
            cases: groups.iter().map(|group| self.case(question, &axes, group)).collect(),
        })
    }

    /// What becomes of the packet, and whose keys protect it.
    ///
    /// # Errors
    /// As of [`Self::ask`].
    pub fn reason(&self, question: &Question) -> Result<Reason, Mistake> {
        let answer = self.ask(question)?;
        let each = |names: BTreeSet<String>| names.into_iter().filter_map(|name| Name::new(name).ok());
        let tunnels = each(answer.cases.iter().filter_map(|case| case.tunnel.clone()).collect());
        let tunnels = tunnels.filter_map(|name| self.origins.tunnels.get(&name));
        let tunnels = tunnels.map(|tunnel| keyed::Tunnel::clone(tunnel)).collect();
        let rules = answer.cases.iter().filter_map(|case| case.tls.as_ref()?.rule.as_ref());
        let plans = each(rules.map(|rule| rule.name.clone()).collect());
        let plans = plans.filter_map(|name| self.origins.attls.plans.get(&name));
        let tls = plans.map(|plan| keyed::Tls::of(plan)).collect();
        Ok(Reason { answer, tunnels, tls })
    }

    fn find(&self, question: &Question, spot: &Spot) -> Found {
        let side = |direction| (question.direction.direction() == direction).then_some(spot.side);
        let (inbound, outbound) = (side(Direction::Inbound), side(Direction::Outbound));
        let crossing = Crossing { shown: spot.shown, came_by: None, inbound, outbound };
        let hidden = question.piece == Piece::Later && question.has_fields();
        let judgement = match hidden {
            true => judge::judge_without_ports(&self.filters, &crossing, &Nobody),
            false => Some(judge::judge(&self.filters, &crossing, &Nobody)),
        };
        let Some(judgement) = judgement else {
            let in_clear = "fragment_unknown";
            return Found { rule: None, hidden: true, in_clear, logged: false, tls: OfTls::NotAsked };
        };
        let finding = if inbound.is_some() { judgement.inbound } else { judgement.outbound };
        let in_clear = match judgement.outcome {
            Outcome::Clear => "pass",
            Outcome::Protect(_) => "protected",
            Outcome::Drop { verdict, .. } => verdict.name(),
        };
        let action = self.action(finding.rule());
        let tls =
            if matches!(action, Action::Deny(_)) { OfTls::NotAsked } else { self.find_tls(question, spot) };
        Found { rule: finding.rule(), hidden: false, in_clear, logged: finding.is_logged(), tls }
    }

    fn find_tls(&self, question: &Question, spot: &Spot) -> OfTls {
        let flow = &spot.shown.flow;
        if flow.protocol != protocol::TCP || question.established {
            return OfTls::NotAsked;
        }
        match question.piece {
            Piece::Whole => self.tls.position(flow, spot.client).map_or(OfTls::NoRule, OfTls::Rule),
            _ if self.tls.may_concern(flow) => OfTls::Fragment,
            _ => OfTls::NotAsked,
        }
    }

    fn action(&self, rule: Option<u32>) -> Action {
        let discard = self.filters.settings().implicit_discard;
        rule.and_then(|index| self.filters.rule(index)).map_or(Action::Deny(discard), |rule| rule.action)
    }

    fn axes(&self, question: &Question) -> Result<Axes, Mistake> {
        let rules: Vec<&Rule> = self.filters.rules().iter().filter(|rule| concerns(rule, question)).collect();
        let tls = self.tls.rules().iter().filter(|rule| selects(&rule.selector, question));
        let tls: Vec<&TlsRule> = if question.protocol == protocol::TCP { tls.collect() } else { Vec::new() };
        let selectors =
            || rules.iter().map(|rule| &rule.selector).chain(tls.iter().map(|rule| &rule.selector));
        let fields = question.has_fields() && question.piece != Piece::Later;
        let most = if protocol::is_icmp(question.protocol) { 255 } else { u16::MAX };
        let axis = |said: Option<u16>, of: fn(&Selector) -> Option<NumberRange>| match said {
            Some(number) => Axis::fixed(number),
            None if fields => Axis::numbers(selectors().filter_map(of), most),
            None => Axis::fixed(0),
        };
        let named =
            |zones: &mut dyn Iterator<Item = Option<ZoneId>>| zones.flatten().collect::<BTreeSet<_>>();
        let all = &self.names.zones;
        let zone = match self.zone(question.zone.as_ref())? {
            Some(zone) => Axis::fixed(Some(zone)),
            None => Axis::zones(&named(&mut rules.iter().map(|rule| rule.zone)), all, None),
        };
        let client = match self.zone(question.client_zone.as_ref())? {
            Some(zone) => Axis::fixed(Some(zone)),
            None => Axis::zones(&named(&mut tls.iter().map(|rule| rule.zone)), all, Some("this host")),
        };
        let local = match question.routing {
            Some(routing) => Axis::fixed(routing == question::Routing::Local),
            None if rules.iter().all(|rule| rule.routing == Routing::Either) => Axis::fixed(false),
            None => Axis::either("local", "routed"),
        };
        let (first, second) = (axis(question.first, first_field), axis(question.second, second_field));
        Ok(Axes { first, second, zone, local, client })
    }

    fn zone(&self, name: Option<&Name>) -> Result<Option<ZoneId>, Mistake> {
        let Some(name) = name else { return Ok(None) };
        let found = self.names.zones.iter().zip(0u8..).find(|(zone, _)| *zone == name);
        match found {
            Some((_, number)) => Ok(Some(ZoneId(number))),
            None => {
                let zones: Vec<_> = self.names.zones.iter().map(Name::as_str).collect();
                let remedy = format!("write one of {}", zones.join(", "));
                Err(Mistake { message: format!("no port has zone `{name}`"), remedy })
            }
        }
    }

    fn case(&self, question: &Question, axes: &Axes, group: &Group<Found>) -> Case {
        let Group { parts, answer: found } = group;
        let action = self.action(found.rule);
        let (verdict, tunnel) = match action {
            _ if found.hidden => ("unknown", None),
            Action::Permit => ("permit", None),
            Action::Deny(_) => ("deny", None),
            Action::Protect(tunnel) => ("ipsec", self.names.tunnels.get(tunnel.0 as usize)),
        };
        let tunnel = tunnel.map(|tunnel| tunnel.name.to_string());
        Case {
            when: axes.when(question, parts),
            verdict: verdict.to_owned(),
            effect: effect(question, found, action, tunnel.as_deref()),
            in_clear: found.in_clear.to_owned(),
            tunnel,
            logged: found.logged,
            rule: found.rule.and_then(|index| self.cite(index)),
            behind: self.behind(question, axes, group),
            tls: self.say_tls(found.tls),
        }
    }

    fn cite(&self, index: u32) -> Option<Citation> {
        let rule = self.filters.rule(index)?;
        let text = describe::rule(rule, &self.names);
        Some(citation(&rule.name, rule.extension, self.origins.rules.get(&rule.name), text))
    }

    /// Rules behind the deciding one that match too.
    fn behind(&self, question: &Question, axes: &Axes, group: &Group<Found>) -> Vec<Citation> {
        let Some(decides) = group.answer.rule else { return Vec::new() };
        let here = group.parts.each_ref().map(|parts| parts.first().copied().unwrap_or(0));
        // Where it holds for several parts, what stands behind it may differ from one to the next.
        let [first, second, zone, local, _] = &group.parts;
        if [first, second, zone, local].iter().any(|parts| parts.len() > 1) {
            return Vec::new();
        }
        let Spot { shown, side, .. } = axes.spot(question, here);
        let query = Query {
            direction: question.direction.direction(),
            flow: shown.flow,
            local: side.local,
            zone: side.zone,
            fragment: shown.fragment,
            opens_tcp: shown.opens_tcp,
        };
        let all = std::iter::successors(Some(decides), |index| self.filters.next_match(&query, *index));
        all.skip(1).take(BEHIND).filter_map(|index| self.cite(index)).collect()
    }

    fn say_tls(&self, found: OfTls) -> Option<Tls> {
        let said = |verdict: &str, effect: &str, rule| {
            Some(Tls { verdict: verdict.to_owned(), effect: effect.to_owned(), rule })
        };
        match found {
            OfTls::NotAsked => None,
            OfTls::NoRule => said("none", "no rule for TLS speaks of it: it passes as it is", None),
            OfTls::Fragment => said(
                "refuse",
                "dropped (tls_fragment): it may belong to a connection that a rule for TLS speaks of",
                None,
            ),
            OfTls::Rule(position) => {
                let rule = self.tls.rules().get(position as usize)?;
                let at = self.origins.tls.get(&rule.name);
                let cited = citation(&rule.name, rule.extension, at, describe::tls_rule(rule, &self.names));
                let (verdict, effect) = match rule.action {
                    TlsAction::Pass => ("off", "it passes as it is"),
                    TlsAction::Refuse => ("refuse", "refused with a reset"),
                    TlsAction::Secure(Secure { role: Role::Client, .. }) => {
                        ("client", "we speak TLS to the server in the client's name")
                    }
                    TlsAction::Secure(Secure { role: Role::Server, .. }) => {
                        ("server", "we speak TLS to the client in the server's name")
                    }
                };
                said(verdict, effect, Some(cited))
            }
        }
    }
}

impl Axes {
    fn spot(&self, question: &Question, parts: [usize; 5]) -> Spot {
        let [first, second, zone, local, client] = parts;
        let shows = question.has_fields() && question.piece != Piece::Later;
        let flow = FlowKey {
            source: question.source,
            destination: question.destination,
            protocol: question.protocol,
            upper: shows.then(|| (self.first.example(first), self.second.example(second))),
        };
        let opens_tcp = flow.protocol == protocol::TCP && shows && !question.established;
        Spot {
            shown: Shown { flow, fragment: question.piece != Piece::Whole, opens_tcp },
            side: Side { zone: self.zone.example(zone), local: self.local.example(local) },
            client: self.client.example(client),
        }
    }

    fn when(&self, question: &Question, parts: &[Vec<usize>; 5]) -> Vec<(String, String)> {
        let [first, second, zone, local, client] = parts;
        let fields = match protocol::is_icmp(question.protocol) {
            true => ["ICMP type", "ICMP code"],
            false => ["source port", "destination port"],
        };
        let labels = [
            (fields[0], self.first.label(first)),
            (fields[1], self.second.label(second)),
            ("zone", self.zone.label(zone)),
            ("routing", self.local.label(local)),
            ("client zone", self.client.label(client)),
        ];
        labels.into_iter().filter_map(|(name, label)| Some((name.to_owned(), label?))).collect()
    }
}

fn names(zones: &[Name], tunnels: &[Tunnel], identities: &[Pattern]) -> Snapshot {
    let (zones, tunnels, identities) = (zones.to_vec(), tunnels.to_vec(), identities.to_vec());
    Snapshot { zones, tunnels, identities, ..Snapshot::default() }
}

fn citation(name: &Name, extension: u16, at: Option<&At>, text: String) -> Citation {
    Citation {
        name: name.to_string(),
        extension,
        file: at.map(|at| at.file.to_string()),
        line: at.map(|at| at.line),
        text,
    }
}

/// Whether the rule could decide the packet, whatever was left open.
fn concerns(rule: &Rule, question: &Question) -> bool {
    let opens = question.protocol == protocol::TCP && question.piece != Piece::Later && !question.established;
    rule.direction == question.direction.direction()
        && (rule.fragments == Fragments::Any || question.piece != Piece::Whole)
        && (rule.opening == Opening::Allowed || !opens)
        && selects(&rule.selector, question)
}

fn selects(selector: &Selector, question: &Question) -> bool {
    let within = |range: NumberRange, said: Option<u16>| said.is_none_or(|number| range.contains(number));
    let upper = match selector.upper {
        Upper::Any => true,
        Upper::Protocol(protocol) => protocol == question.protocol,
        Upper::Ports { protocol, source: first, destination: second }
        | Upper::Icmp { protocol, types: first, codes: second } => {
            protocol == question.protocol && within(first, question.first) && within(second, question.second)
        }
    };
    upper && selector.source.contains(question.source) && selector.destination.contains(question.destination)
}

fn first_field(selector: &Selector) -> Option<NumberRange> {
    match selector.upper {
        Upper::Ports { source: first, .. } | Upper::Icmp { types: first, .. } => Some(first),
        Upper::Any | Upper::Protocol(_) => None,
    }
}

fn second_field(selector: &Selector) -> Option<NumberRange> {
    match selector.upper {
        Upper::Ports { destination: second, .. } | Upper::Icmp { codes: second, .. } => Some(second),
        Upper::Any | Upper::Protocol(_) => None,
    }
}

/// What happens, in plain words.
fn effect(question: &Question, found: &Found, action: Action, tunnel: Option<&str>) -> String {
    let tunnel = tunnel.unwrap_or("-");
    match action {
        _ if found.hidden => {
            "hangs on the ports, which the first fragment shows; dropped (fragment_unknown) where \
                              that was not seen"
                .to_owned()
        }
        Action::Permit => "passes in clear".to_owned(),
        Action::Protect(_) => match question.direction {
            question::Way::Inbound => format!(
                "passes out of an SA of tunnel {tunnel}; dropped in clear (cleartext_refused) and out of another \
                 tunnel (wrong_tunnel)"
            ),
            question::Way::Outbound => {
                format!(
                    "leaves under an SA of tunnel {tunnel}, never in clear; dropped (no_sa) while there is none"
                )
            }
        },
        Action::Deny(discard) => {
            let why = if found.rule.is_none() { "no rule matches: " } else { "" };
            let told = match discard {
                Discard::Silent => "dropped silently",
                Discard::Icmp => "dropped, and its sender is told by ICMP",
            };
            format!("{why}{told} ({})", found.in_clear)
        }
    }
}
