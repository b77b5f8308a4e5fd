//! What the filters say of each packet: pass, protect or drop, and who is told of it.
//!
//! A judgement hangs on the policy and on the [`Crossing`] alone, so it can be remembered: most packets cost one
//! look at one cache line ([`flow_cache`]), the first of a flow costs one or two walks through the policy. Later
//! fragments first get the ports of their first fragment back ([`fragment`]).

mod crossing;
mod ends;
mod flow_cache;
mod fragment;
mod tally;
#[cfg(test)]
mod tests;

use ravelin_contract::address::Family;
use ravelin_contract::rule::TunnelId;
use ravelin_contract::selector::protocol;
use ravelin_contract::verdict::Verdict;
use ravelin_lookup::crossing::Crossing;
use ravelin_lookup::judge::{self, Finding, Judgement, Outcome};

use crate::clock::Now;
use crate::forward::icmp_error::{self, Limiter};
use crate::frame::Pool;
use crate::packet::{Batch, Decision, Origin, Packet, Route};
use crate::report::events::{EventSink, Matched};
use crate::table::Tables;
use crate::wire::icmp::Error;
use crate::wire::ip::Fragment;
use ends::Ends;
use flow_cache::FlowCache;
use fragment::{Fragments, Shown};
use tally::Tally;

/// Flows that a worker remembers: half a megabyte, so that it stays in the second-level cache.
const FLOWS: usize = 8192;
/// Fragmented packets that a worker remembers.
const FRAGMENTED: usize = 4096;

/// What one worker remembers from packet to packet.
#[derive(Debug)]
pub struct Flows {
    cache: FlowCache,
    fragments: Fragments,
}

impl Flows {
    /// Nothing remembered. Takes all the memory that it will ever take.
    pub fn new() -> Self {
        Self { cache: FlowCache::new(FLOWS), fragments: Fragments::new(FRAGMENTED) }
    }
}

impl Default for Flows {
    fn default() -> Self {
        Self::new()
    }
}

/// What this stage uses up and writes to.
#[derive(Debug)]
pub struct Means<'a> {
    /// Time of the breath.
    pub now: Now,
    /// Index of the worker.
    pub worker: usize,
    /// Frames for ICMP answers.
    pub pool: &'a mut Pool,
    /// Limit of those answers.
    pub limiter: &'a mut Limiter,
    /// Where matches are told.
    pub events: &'a EventSink,
}

/// Asks the filters about every packet that has a route and no decision yet.
///
/// Afterwards each of them is [`Decision::Clear`], [`Decision::Protect`] or ended: `Denied`, `ImplicitlyDenied`,
/// `CleartextRefused`, `WrongTunnel`, `WrongIdentity`, `FragmentUnknown`, `NoSuchSa`. ICMP answers are added to the
/// batch without a route: `OwnExempt` to a packet that came in clear, `Own` (so to be asked about like any other) to one
/// that came by an SA, since it quotes what was protected. A later fragment whose ports are known gets them into its
/// headers, so that SAs can be chosen by them.
pub fn decide(batch: &mut Batch, tables: &Tables, flows: &mut Flows, means: &mut Means<'_>) {
    let mut tally = Tally::default();
    for index in 0..batch.packets.len() {
        let packet = &mut batch.packets[index];
        if !packet.travels() || packet.sealed || packet.decision != Decision::Pending {
            continue;
        }
        let Some(judgement) = consider(packet, tables, flows, means) else { continue };
        tally.add(tables, means.worker, &judgement, packet.ip.total_len);
        conclude(packet, &judgement);
        tell(packet, &judgement, tables, means);
        if let Outcome::Drop { answer: true, .. } = judgement.outcome {
            answer(batch, index, tables, means);
        }
    }
    tally.finish(tables, means.worker);
}

/// Asks the filters about packets of SAs as they came, before they are opened, where the policy wants that (row B15).
/// `is_sealed` says which they are: ESP, or ESP in UDP, to an address of ours, and whole.
///
/// Afterwards each of them is as it was, or ended: `Denied`, `ImplicitlyDenied`, `CleartextRefused`.
pub fn admit_sealed(
    batch: &mut Batch,
    tables: &Tables,
    flows: &mut Flows,
    means: &mut Means<'_>,
    is_sealed: impl Fn(&Packet) -> bool,
) {
    if !tables.policy.filters().settings().pre_decap {
        return;
    }
    let mut tally = Tally::default();
    for index in 0..batch.packets.len() {
        let packet = &mut batch.packets[index];
        if !is_sealed(packet) {
            continue;
        }
        let crossing = crossing::to_us(packet, tables);
        let ends = Ends { tables, worker: means.worker, sa: None };
        let judge = || judge::judge(tables.policy.filters(), &crossing, &ends);
        let judgement = flows.cache.get(tables.generation, &crossing, None, judge);
        tally.add(tables, means.worker, &judgement, packet.ip.total_len);
        // What passes is told when its inside has been judged: only then is it known how it ends.
        if let Outcome::Drop { answer: answered, .. } = judgement.outcome {
            conclude(packet, &judgement);
            tell(packet, &judgement, tables, means);
            if answered {
                answer(batch, index, tables, means);
            }
        }
    }
    tally.finish(tables, means.worker);
}

/// What the policy says of the packet; `None` when the packet was dealt with, or is not to be judged yet.
fn consider(packet: &mut Packet, tables: &Tables, flows: &mut Flows, means: &Means<'_>) -> Option<Judgement> {
    if packet.origin == Origin::OwnExempt {
        packet.decision = Decision::Clear;
        return None;
    }
    if packet.route == Route::Unknown {
        return None;
    }
    let Ok(came_by) = tunnel_of(packet, tables) else {
        packet.end(Verdict::NoSuchSa);
        return None;
    };
    let mut crossing = crossing::of(packet, came_by, tables);
    if crossing.inbound.is_none() && crossing.outbound.is_none() {
        packet.decision = Decision::Clear;
        return None;
    }
    let ends = Ends { tables, worker: means.worker, sa: packet.opened_by };
    match complete(packet, &mut crossing, flows, means.now) {
        Ports::Shown => {
            let judge = || judge::judge(tables.policy.filters(), &crossing, &ends);
            Some(flows.cache.get(tables.generation, &crossing, packet.opened_by, judge))
        }
        Ports::Hidden => {
            let judgement = judge::judge_without_ports(tables.policy.filters(), &crossing, &ends);
            judgement.or_else(|| {
                packet.end(Verdict::FragmentUnknown);
                None
            })
        }
    }
}

/// The tunnel of the SA that opened the packet, `None` when it came in clear.
fn tunnel_of(packet: &Packet, tables: &Tables) -> Result<Option<TunnelId>, ()> {
    let tunnel = |sa| tables.sas.inbound_tunnel(sa).ok_or(());
    packet.opened_by.map(tunnel).transpose()
}

/// What is known of a packet's ports (or ICMP type and code).
enum Ports {
    /// They are in the crossing, or the protocol has none.
    Shown,
    /// It is a later fragment, and its first was not seen.
    Hidden,
}

/// Notes what a first fragment shows, and gives it to later ones. (Parsing has refused those that would replace it.)
fn complete(packet: &mut Packet, crossing: &mut Crossing, flows: &mut Flows, now: Now) -> Ports {
    let shows =
        protocol::has_ports(crossing.shown.flow.protocol) || protocol::is_icmp(crossing.shown.flow.protocol);
    match packet.ip.fragment {
        Fragment::First { id } => {
            if let Some(upper) = crossing.shown.flow.upper {
                let shown = Shown { upper, opens_tcp: crossing.shown.opens_tcp };
                flows.fragments.remember(crossing, id, shown, now);
            }
            Ports::Shown
        }
        Fragment::Later { id, .. } if shows => match flows.fragments.recall(crossing, id, now) {
            Some(shown) => {
                packet.ip.flow.upper = Some(shown.upper);
                crossing.shown.flow.upper = Some(shown.upper);
                crossing.shown.opens_tcp = shown.opens_tcp;
                Ports::Shown
            }
            None => Ports::Hidden,
        },
        Fragment::Later { .. } | Fragment::Whole => Ports::Shown,
    }
}

fn conclude(packet: &mut Packet, judgement: &Judgement) {
    match judgement.outcome {
        Outcome::Clear => packet.decision = Decision::Clear,
        Outcome::Protect(tunnel) => packet.decision = Decision::Protect(tunnel),
        Outcome::Drop { verdict, .. } => packet.end(verdict),
    }
}

/// Tells of the matches whose rules ask for it (rows B6, B13).
fn tell(packet: &Packet, judgement: &Judgement, tables: &Tables, means: &Means<'_>) {
    for finding in [judgement.inbound, judgement.outbound] {
        if finding.is_logged() {
            log(packet, finding, judgement, tables, means);
        }
    }
}

#[cold]
fn log(packet: &Packet, finding: Finding, judgement: &Judgement, tables: &Tables, means: &Means<'_>) {
    let verdict = match judgement.outcome {
        Outcome::Drop { verdict, .. } => verdict,
        Outcome::Protect(_) => Verdict::Protected,
        Outcome::Clear if packet.route == Route::Local => Verdict::Local,
        Outcome::Clear => Verdict::Forwarded,
    };
    let matched = Matched {
        generation: tables.generation,
        rule: finding.rule().and_then(|index| Some((index, tables.policy.filters().rule(index)?))),
        verdict,
        flow: packet.ip.flow,
        port: tables.port(packet.ingress).map_or("", |port| &port.name),
        length: packet.ip.total_len.into(),
        fragment: packet.ip.fragment != Fragment::Whole,
    };
    means.events.matched(means.now, &matched);
}

/// Tells the sender that a rule forbids the packet (row B7), if there is room in the batch.
#[cold]
fn answer(batch: &mut Batch, index: usize, tables: &Tables, means: &mut Means<'_>) {
    let cause = &batch.packets[index];
    if batch.packets.is_full() || cause.origin != Origin::Wire {
        return;
    }
    let origin = if cause.opened_by.is_some() { Origin::Own } else { Origin::OwnExempt };
    let family = Family::of(cause.ip.flow.source);
    let Some(source) = tables.forwarding.own_address(cause.ingress, family) else { return };
    let (now, pool, limiter) = (means.now, &mut *means.pool, &mut *means.limiter);
    let made = icmp_error::answer(cause, Error::Prohibited, source, origin, now, pool, limiter);
    batch.packets.extend(made);
}
