//! `ravelin test` says what a plain reading says, with everything told and with anything left open.

use ravelin_contract::name::Name;
use ravelin_contract::rule::Direction;
use ravelin_control::policy::explain::Explainer;
use ravelin_control::policy::explain::answer::{Answer, Case};
use ravelin_control::policy::explain::question::{Piece, Question, Routing, Way};

use super::{Packet, Written, ZONES, read_slowly};

/// What a question leaves open, by bits: source port, destination port, zone, routing, client's zone.
pub(crate) type Open = u8;

pub(crate) fn question(packet: &Packet, client_zone: usize, open: Open) -> Question {
    let said = |bit: u8| open & 1 << bit == 0;
    let zone = |number: usize| Name::new(ZONES[number]).unwrap();
    let flow = packet.flow;
    Question {
        source: flow.source,
        destination: flow.destination,
        protocol: flow.protocol,
        first: flow.upper.map(|(first, _)| first).filter(|_| said(0)),
        second: flow.upper.map(|(_, second)| second).filter(|_| said(1)),
        direction: match packet.direction {
            Direction::Inbound => Way::Inbound,
            Direction::Outbound => Way::Outbound,
        },
        zone: said(2).then(|| zone(packet.zone)),
        routing: said(3).then_some(if packet.local { Routing::Local } else { Routing::Routed }),
        client_zone: said(4).then(|| zone(client_zone)),
        piece: match (packet.fragment, later(packet)) {
            (false, _) => Piece::Whole,
            (true, false) => Piece::First,
            (true, true) => Piece::Later,
        },
        established: flow.protocol == 6 && !packet.opens && !later(packet),
    }
}

/// A later fragment: its protocol has ports, and it shows none.
fn later(packet: &Packet) -> bool {
    packet.fragment && packet.flow.upper.is_none()
}

/// The answer for this packet. Of the cases exactly one speaks of it.
pub(crate) fn ask(
    explainer: &Explainer,
    packet: &Packet,
    client_zone: usize,
    open: Open,
) -> Result<Case, String> {
    let question = question(packet, client_zone, open);
    let Answer { cases, .. } = explainer.ask(&question).map_err(|mistake| mistake.to_string())?;
    let mut fitting = cases.iter().filter(|case| {
        case.when.iter().all(|(name, values)| match name.as_str() {
            "zone" => values.split(", ").any(|zone| zone == ZONES[packet.zone]),
            "client zone" => values.split(", ").any(|zone| zone == ZONES[client_zone]),
            "routing" => values == if packet.local { "local" } else { "routed" },
            "source port" | "ICMP type" => holds(values, packet.flow.upper.unwrap().0),
            "destination port" | "ICMP code" => holds(values, packet.flow.upper.unwrap().1),
            other => panic!("{other}"),
        })
    });
    match (fitting.next(), fitting.next()) {
        (Some(case), None) => Ok(case.clone()),
        found => Err(format!("{found:?} of {cases:?}")),
    }
}

fn holds(ranges: &str, number: u16) -> bool {
    ranges.split(", ").any(|range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        (first.parse::<u16>().unwrap()..=last.parse().unwrap()).contains(&number)
    })
}

/// What a plain reading says: verdict and rule.
pub(crate) fn expected(rules: &[Written], packet: &Packet) -> (&'static str, Option<String>) {
    if later(packet) && hangs_on_ports(rules, packet) {
        return ("unknown", None);
    }
    match read_slowly(rules, packet) {
        Some(number) => (rules[number].action, Some(format!("r{number}"))),
        None => ("deny", None),
    }
}

/// Whether the rule that decides is another one with some ports than it is without any.
fn hangs_on_ports(rules: &[Written], packet: &Packet) -> bool {
    if !matches!(packet.flow.protocol, 1 | 6 | 17 | 58) {
        return false;
    }
    let alone = read_slowly(rules, packet);
    let numbers = || [0u16, 1, 2, 3, 4, 5, 6, 7, 8, 128];
    numbers().into_iter().flat_map(|first| numbers().map(|second| (first, second))).any(|upper| {
        let mut shown = packet.clone();
        shown.flow.upper = Some(upper);
        read_slowly(rules, &shown) != alone
    })
}
