//! What the policy makes of a crossing: inbound first, then outbound (RFC 4301 5.1 and 5.2).

use ravelin_contract::identity::IdentityId;
use ravelin_contract::rule::{Action, Direction, Discard, Log, TunnelId};
use ravelin_contract::selector::FlowKey;
use ravelin_contract::verdict::Verdict;

use crate::crossing::{Crossing, Shown, Side};
use crate::filters::{Ask, Filters, Match, Peer, Query};

/// Who is at the other ends of SAs, for rules that are for some peers alone (row B18).
pub trait Peers {
    /// Whether the peer whose SA of this tunnel brought the packet is one of these.
    fn sender(&self, tunnel: TunnelId, identities: &[IdentityId]) -> Peer;
    /// Whether the peer is whose SA of this tunnel would take it.
    fn receiver(&self, tunnel: TunnelId, flow: &FlowKey, identities: &[IdentityId]) -> Peer;
}

/// How a packet goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// In clear, or inside the protected side.
    Clear,
    /// Under an SA of this tunnel.
    Protect(TunnelId),
    /// Not at all.
    Drop {
        /// Why.
        verdict: Verdict,
        /// Whether the sender is told by ICMP (row B7).
        answer: bool,
    },
}

/// What one lookup found, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finding(u32);

impl Finding {
    /// No lookup was made.
    pub const NONE: Self = Self(Self::INDEX);
    /// Marks a match to be logged.
    const LOGGED: u32 = 1 << 31;
    /// All other bits: the rule, or one of the two highest numbers.
    const INDEX: u32 = Self::LOGGED - 1;
    /// No rule matched.
    const IMPLICIT: u32 = Self::INDEX - 1;

    fn new(index: Option<u32>, logged: bool) -> Self {
        Self(index.unwrap_or(Self::IMPLICIT) | if logged { Self::LOGGED } else { 0 })
    }

    /// The rule that matched.
    #[inline]
    pub fn rule(self) -> Option<u32> {
        let index = self.0 & Self::INDEX;
        (index < Self::IMPLICIT).then_some(index)
    }

    /// Whether the match is to be logged.
    #[inline]
    pub fn is_logged(self) -> bool {
        self.0 & Self::LOGGED != 0
    }
}

const _: () = assert!(ravelin_contract::limits::RULES < Finding::IMPLICIT as usize);

/// The whole answer; hangs on nothing but the policy, the crossing and, where rules ask, on who the peers are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Judgement {
    /// What the inbound lookup found.
    pub inbound: Finding,
    /// What the outbound lookup found.
    pub outbound: Finding,
    /// How the packet goes on.
    pub outcome: Outcome,
}

/// The answer for a packet whose ports are as the crossing says.
pub fn judge(filters: &Filters, crossing: &Crossing, peers: &dyn Peers) -> Judgement {
    match judge_by(crossing, peers, |query, peer| Some(filters.lookup(query, peer))) {
        Some(judgement) => judgement,
        // The lookup above always answers.
        None => Judgement { outcome: drop_for(Verdict::ImplicitlyDenied), ..Judgement::CLEAR },
    }
}

/// The answer for a packet whose ports are hidden; `None` when it hangs on them.
pub fn judge_without_ports(filters: &Filters, crossing: &Crossing, peers: &dyn Peers) -> Option<Judgement> {
    judge_by(crossing, peers, |query, peer| filters.lookup_without_ports(query, peer))
}

impl Judgement {
    /// Nothing to ask.
    const CLEAR: Self = Self { inbound: Finding::NONE, outbound: Finding::NONE, outcome: Outcome::Clear };
}

fn judge_by(
    crossing: &Crossing,
    peers: &dyn Peers,
    lookup: impl Fn(&Query, Ask<'_>) -> Option<Match>,
) -> Option<Judgement> {
    let mut judgement = Judgement::CLEAR;
    if let Some(side) = crossing.inbound {
        // In clear nobody is known, and it is refused whoever the rule is for.
        let from = |tunnel, identities: &[IdentityId]| match crossing.came_by {
            None => Peer::Meant,
            Some(by) if by == tunnel => peers.sender(tunnel, identities),
            Some(_) => Peer::Other,
        };
        let found = lookup(&query(crossing, Direction::Inbound, side), &from)?;
        judgement.outcome = admit(&found, crossing.came_by);
        judgement.inbound = finding(&found, judgement.outcome);
    }
    if let (Outcome::Clear, Some(side)) = (judgement.outcome, crossing.outbound) {
        let flow = &crossing.shown.flow;
        let to = |tunnel, identities: &[IdentityId]| peers.receiver(tunnel, flow, identities);
        let found = lookup(&query(crossing, Direction::Outbound, side), &to)?;
        judgement.outcome = release(&found);
        judgement.outbound = finding(&found, judgement.outcome);
    }
    Some(judgement)
}

fn query(crossing: &Crossing, direction: Direction, side: Side) -> Query {
    let Shown { flow, fragment, opens_tcp } = crossing.shown;
    Query { direction, flow, local: side.local, zone: side.zone, fragment, opens_tcp }
}

/// RFC 4301 5.2: what must come protected is refused in clear, and by another tunnel than the rule's.
fn admit(found: &Match, came_by: Option<TunnelId>) -> Outcome {
    match (found.action, came_by) {
        (Action::Permit, _) => Outcome::Clear,
        (Action::Protect(_), None) => drop_for(Verdict::CleartextRefused),
        (Action::Protect(wanted), Some(tunnel)) if wanted != tunnel => drop_for(Verdict::WrongTunnel),
        (Action::Protect(_), Some(_)) if found.peer != Peer::Meant => drop_for(Verdict::WrongIdentity),
        (Action::Protect(_), Some(_)) => Outcome::Clear,
        (Action::Deny(discard), _) => deny(found, discard),
    }
}

/// RFC 4301 5.1: bypass, protect or discard. Without an SA nothing is sealed, and control hears that one is wanted.
fn release(found: &Match) -> Outcome {
    match found.action {
        Action::Permit => Outcome::Clear,
        Action::Protect(_) if found.peer == Peer::Other => drop_for(Verdict::WrongIdentity),
        Action::Protect(tunnel) => Outcome::Protect(tunnel),
        Action::Deny(discard) => deny(found, discard),
    }
}

fn deny(found: &Match, discard: Discard) -> Outcome {
    let verdict = if found.index.is_some() { Verdict::Denied } else { Verdict::ImplicitlyDenied };
    Outcome::Drop { verdict, answer: discard == Discard::Icmp }
}

fn drop_for(verdict: Verdict) -> Outcome {
    Outcome::Drop { verdict, answer: false }
}

/// `outcome` is what this match alone led to.
fn finding(found: &Match, outcome: Outcome) -> Finding {
    let dropped = matches!(outcome, Outcome::Drop { .. });
    let logged = match found.log {
        Log::No => false,
        Log::Yes => true,
        Log::Permitted => !dropped,
        Log::Denied => dropped,
    };
    Finding::new(found.index, logged)
}
