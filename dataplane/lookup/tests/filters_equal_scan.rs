//! The compiled policy and the linear scan give the same answer, for rules and packets that meet at boundaries.

#![expect(clippy::unwrap_used, reason = "helpers of tests may panic")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;
use proptest::sample::select;
use ravelin_contract::address::{AddressRange, Family, NumberRange};
use ravelin_contract::identity::IdentityId;
use ravelin_contract::name::Name;
use ravelin_contract::rule::{
    Action, Direction, Discard, FilterSettings, Fragments, Log, Opening, Routing, Rule, TunnelId, ZoneId,
};
use ravelin_contract::selector::{FlowKey, Selector, Upper};
use ravelin_lookup::filters::{Filters, Peer, Query};
use ravelin_lookup::scan;

/// Few corners, so that ranges and packets often share them.
const CORNERS: [u16; 8] = [0, 1, 79, 80, 443, 1024, 65534, 65535];
const PROTOCOLS: [u8; 7] = [0, 1, 6, 17, 50, 58, 255];

fn address(family: Family) -> BoxedStrategy<IpAddr> {
    let high = select(vec![0u32, 10, 11, 127, 128, 255]);
    let low = prop_oneof![3 => select(vec![0u32, 1, 255, 256, 65535, 0xFF_FFFF]), 1 => 0..0x100_0000u32];
    (high, low, 0..3u32)
        .prop_map(move |(high, low, step)| {
            let bits = ((high << 24) | low).wrapping_add(step).wrapping_sub(1);
            match family {
                Family::V4 => Ipv4Addr::from_bits(bits).into(),
                // Both halves vary, so that no comparison of one half can pass.
                Family::V6 => Ipv6Addr::from_bits((u128::from(bits) << 96) | u128::from(bits ^ 5)).into(),
            }
        })
        .boxed()
}

fn addresses(family: Family) -> BoxedStrategy<AddressRange> {
    let width = if family == Family::V4 { 32u8 } else { 128 };
    prop_oneof![
        1 => Just(AddressRange::all(family)),
        2 => address(family).prop_map(AddressRange::single),
        3 => (address(family), 0..=width).prop_map(|(a, length)| AddressRange::prefix(a, length).unwrap()),
        3 => (address(family), address(family)).prop_map(|(a, b)| AddressRange::new(a.min(b), a.max(b)).unwrap()),
    ]
    .boxed()
}

fn numbers() -> impl Strategy<Value = NumberRange> {
    let corner = || select(CORNERS.to_vec());
    prop_oneof![
        2 => Just(NumberRange::ALL),
        2 => corner().prop_map(NumberRange::single),
        3 => (corner(), corner()).prop_map(|(a, b)| NumberRange::new(a.min(b), a.max(b)).unwrap()),
    ]
}

fn upper() -> impl Strategy<Value = Upper> {
    prop_oneof![
        2 => Just(Upper::Any),
        2 => select(PROTOCOLS.to_vec()).prop_map(Upper::Protocol),
        4 => (select(vec![6u8, 17]), numbers(), numbers())
            .prop_map(|(protocol, source, destination)| Upper::Ports { protocol, source, destination }),
        2 => (select(vec![1u8, 58]), numbers(), numbers())
            .prop_map(|(protocol, types, codes)| Upper::Icmp { protocol, types, codes }),
    ]
}

fn selector() -> impl Strategy<Value = Selector> {
    select(vec![Family::V4, Family::V6])
        .prop_flat_map(|family| (addresses(family), addresses(family), upper()))
        .prop_map(|(source, destination, upper)| Selector { source, destination, upper })
}

fn direction() -> impl Strategy<Value = Direction> {
    select(vec![Direction::Inbound, Direction::Outbound])
}

fn rule() -> impl Strategy<Value = Rule> {
    let action = select(vec![
        Action::Permit,
        Action::Deny(Discard::Silent),
        Action::Deny(Discard::Icmp),
        Action::Protect(TunnelId(0)),
    ]);
    let traits = (
        select(vec![Routing::Either, Routing::Either, Routing::Local, Routing::Routed]),
        prop_oneof![2 => Just(None), 1 => (0..3u8).prop_map(|zone| Some(ZoneId(zone)))],
        select(vec![Fragments::Any, Fragments::Any, Fragments::Only]),
        select(vec![Opening::Allowed, Opening::Allowed, Opening::Excluded]),
    );
    // Half of the rules that protect are for some peers alone.
    let whom = prop_oneof![
        1 => Just(Vec::new()),
        1 => prop::collection::vec((0..4u32).prop_map(IdentityId), 1..3),
    ];
    (direction(), selector(), traits, action, whom).prop_map(|(direction, selector, traits, action, whom)| {
        let (routing, zone, fragments, opening) = traits;
        let name = Name::new("rule").unwrap();
        Rule {
            name,
            extension: 1,
            direction,
            selector,
            routing,
            zone,
            fragments,
            opening,
            action,
            log: Log::No,
            identities: if matches!(action, Action::Protect(_)) { whom } else { Vec::new() },
        }
    })
}

fn flow() -> impl Strategy<Value = FlowKey> {
    let port = || prop_oneof![4 => select(CORNERS.to_vec()), 1 => any::<u16>()];
    let upper = prop_oneof![3 => (port(), port()).prop_map(Some), 1 => Just(None)];
    select(vec![Family::V4, Family::V6])
        .prop_flat_map(move |family| {
            (address(family), address(family), select(PROTOCOLS.to_vec()), upper.clone())
        })
        .prop_map(|(source, destination, protocol, upper)| FlowKey { source, destination, protocol, upper })
}

fn query() -> impl Strategy<Value = Query> {
    let zone = prop_oneof![1 => Just(None), 3 => (0..4u8).prop_map(|zone| Some(ZoneId(zone)))];
    (direction(), flow(), any::<bool>(), zone, any::<bool>(), any::<bool>()).prop_map(
        |(direction, flow, local, zone, fragment, opens_tcp)| Query {
            direction,
            flow,
            local,
            zone,
            fragment,
            opens_tcp,
        },
    )
}

/// Moves a packet to an edge of a rule: exactly on it, or one beside.
fn aim(mut query: Query, rule: &Rule, corner: u8) -> Query {
    let (source, destination) = (rule.selector.source, rule.selector.destination);
    let edge = |range: AddressRange, low: bool, beside: bool| match (low, beside) {
        (true, false) => range.first(),
        (false, false) => range.last(),
        (true, true) => step(range.first(), -1),
        (false, true) => step(range.last(), 1),
    };
    query.direction = rule.direction;
    query.flow.source = edge(source, corner & 1 != 0, corner & 6 == 6);
    query.flow.destination = edge(destination, corner & 8 != 0, corner & 0x30 == 0x30);
    match rule.selector.upper {
        Upper::Any => {}
        Upper::Protocol(protocol) | Upper::Ports { protocol, .. } | Upper::Icmp { protocol, .. } => {
            query.flow.protocol = protocol;
        }
    }
    query
}

fn step(address: IpAddr, by: i8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => Ipv4Addr::from_bits(v4.to_bits().wrapping_add_signed(by.into())).into(),
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits().wrapping_add_signed(by.into())).into(),
    }
}

/// Settings unlike the usual ones, so that both sides must look at them.
const SETTINGS: FilterSettings =
    FilterSettings { log: true, log_implicit: true, implicit_discard: Discard::Icmp, pre_decap: false };

fn compile(rules: Vec<Rule>) -> Filters {
    Filters::compile(rules, SETTINGS)
}

/// The SA at hand is of a peer that fits the patterns of these bits; with the highest there is none.
fn agree(policy: &Filters, query: &Query, fits: u8) -> Result<(), TestCaseError> {
    let peer = |_, whom: &[IdentityId]| match whom.iter().any(|one| fits >> one.0 & 1 == 1) {
        _ if fits >= 16 => Peer::Absent,
        true => Peer::Meant,
        false => Peer::Other,
    };
    let model = scan::lookup(policy.rules(), policy.settings(), query, &peer);
    prop_assert_eq!(policy.lookup(query, &peer), model, "{:?}", query);
    let portless = Query { flow: FlowKey { upper: None, ..query.flow }, ..*query };
    let model = scan::is_decided_without_ports(policy.rules(), &portless, &peer)
        .then(|| scan::lookup(policy.rules(), policy.settings(), &portless, &peer));
    prop_assert_eq!(policy.lookup_without_ports(&portless, &peer), model, "{:?}", portless);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// 400 tables of up to 60 rules, 500 packets each.
    #[test]
    fn small_tables_answer_like_the_scan(
        rules in prop::collection::vec(rule(), 1..60),
        queries in prop::collection::vec((query(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>(), 0..20u8), 500),
    ) {
        let policy = compile(rules);
        for (query, target, corner, aimed, fits) in queries {
            let query = if aimed { aim(query, target.get(policy.rules()), corner) } else { query };
            agree(&policy, &query, fits)?;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6, max_shrink_iters: 64, ..ProptestConfig::default() })]

    /// Few tables of thousands of rules, so that trees grow deep.
    #[test]
    fn large_tables_answer_like_the_scan(
        rules in prop::collection::vec(rule(), 1500..3000),
        queries in prop::collection::vec((query(), any::<prop::sample::Index>(), any::<u8>(), 0..20u8), 1500),
    ) {
        let policy = compile(rules);
        for (query, target, corner, fits) in queries {
            agree(&policy, &aim(query, target.get(policy.rules()), corner), fits)?;
        }
    }
}
