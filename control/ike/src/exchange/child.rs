//! Negotiating one child SA, in IKE_AUTH and in CREATE_CHILD_SA alike (RFC 7296 1.2, 1.3, 2.9, 2.17, 2.23.1).

use std::net::IpAddr;
use std::sync::Arc;

use ravelin_contract::sa::{Mode, Spi};
use ravelin_contract::secret::Secret;
use ravelin_contract::selector::FlowKey;

use super::view::View;
use crate::child::{Child, ChildSa};
use crate::context::Context;
use crate::crypto::{ChildSuite, Group};
use crate::part::agreement::Share;
use crate::part::narrowing;
use crate::part::proposal;
use crate::part::resources;
use crate::policy::{self, Encapsulation, Identity, Narrowing, Peer, Traffic, traffic};
use crate::random;
use crate::sa::IkeSa;
use crate::wire::{
    Content, Nonce, Notify, NotifyType, Payload, Ports, Proposal, ProposalSpi, SecurityAssociation,
    TrafficSelector, TrafficSelectors,
};

/// Octets of our nonces.
pub(crate) const NONCE: usize = 32;

/// A child that is to be.
#[derive(Debug, Clone)]
pub(crate) struct Want {
    pub(crate) child: Arc<policy::Child>,
    /// The packet that asked for it.
    pub(crate) flow: Option<FlowKey>,
    /// The worker core that it is bound to (RFC 9611).
    pub(crate) resource: Option<u16>,
}

impl Want {
    pub(crate) fn all_of(child: &Arc<policy::Child>) -> Self {
        Self { child: Arc::clone(child), flow: None, resource: None }
    }
}

/// Who the child is for.
pub(crate) struct Parties<'a> {
    pub(crate) peer: &'a Peer,
    /// Who the peer proved to be.
    pub(crate) identity: &'a Identity,
    /// Addresses that the peer's pool gave us.
    pub(crate) assigned: &'a [IpAddr],
    /// Addresses that our pool gave the peer. Where policy has a pool for it, it speaks of nothing else.
    pub(crate) leased: &'a [IpAddr],
    /// Children that stand.
    pub(crate) children: &'a [Child],
}

/// What we asked for.
#[derive(Debug)]
pub(crate) struct ChildAsk {
    pub(crate) want: Want,
    pub(crate) inbound: Spi,
    pub(crate) nonce: [u8; NONCE],
    pub(crate) share: Option<Share>,
    /// Of additional key exchanges that followed (RFC 9370).
    pub(crate) more: Vec<Secret>,
    pub(crate) offered: Vec<Proposal>,
    local: Vec<Traffic>,
    remote: Vec<Traffic>,
}

/// Why there is no child.
#[derive(Debug)]
pub(crate) struct Failure {
    /// What the peer is told, or told us.
    pub(crate) notify: NotifyType,
    /// The group that would do, with INVALID_KE_PAYLOAD.
    pub(crate) group: Option<Group>,
    /// For the operator.
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(notify: NotifyType, text: impl Into<String>) -> Self {
        Self { notify, group: None, text: text.into() }
    }

    /// The notification that tells the peer.
    pub(crate) fn payload(&self) -> Payload<'static> {
        Payload::Notify(match self.group {
            Some(group) => Content::InvalidKePayload(group.id()).notify(),
            None => Notify::new(self.notify, Vec::new()),
        })
    }
}

/// Whether the exchange carries a key exchange and nonces of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Within {
    /// IKE_AUTH: nonces of IKE_SA_INIT, no key exchange.
    Auth,
    /// CREATE_CHILD_SA, beginning with this group, or with the first of ours.
    Create(Option<Group>),
}

/// Our side's and the peer's traffic as policy has it, with what is only known now.
pub(super) fn sides(
    sa: &IkeSa,
    child: &policy::Child,
    parties: &Parties<'_>,
) -> (Vec<Traffic>, Vec<Traffic>) {
    let fill = |given: &[Traffic], pool: Option<&[IpAddr]>, otherwise: IpAddr| match (given, pool) {
        (given, Some(addresses)) => of_addresses(given, addresses),
        ([], None) => vec![Traffic::single(otherwise)],
        (given, None) => given.to_vec(),
    };
    let assigned = Some(parties.assigned).filter(|list| parties.peer.request_address && !list.is_empty());
    let leased = Some(parties.leased).filter(|_| parties.peer.lease.is_some());
    (fill(&child.local, assigned, sa.path.local.ip()), fill(&child.remote, leased, sa.path.remote.ip()))
}

/// What of `given` has to do with addresses out of a pool; nothing given is everything.
fn of_addresses(given: &[Traffic], addresses: &[IpAddr]) -> Vec<Traffic> {
    let all = traffic::everything();
    let given = if given.is_empty() { &all } else { given };
    let own = addresses.iter().copied().map(Traffic::single);
    own.flat_map(|own| given.iter().filter_map(move |one| one.intersect(&own))).collect()
}

pub(super) fn to_wire(list: &[Traffic]) -> TrafficSelectors {
    let one = |traffic: &Traffic| TrafficSelector {
        protocol: traffic.protocol,
        ports: Ports::Range(traffic.ports),
        addresses: traffic.addresses,
    };
    TrafficSelectors::new(list.iter().take(255).map(one).collect())
}

/// Selectors that ask for OPAQUE ports are not among what we can carry; they fall away.
pub(super) fn from_wire(selectors: &TrafficSelectors) -> Vec<Traffic> {
    let one = |selector: &TrafficSelector| match selector.ports {
        Ports::Range(ports) => {
            Some(Traffic { addresses: selector.addresses, protocol: selector.protocol, ports })
        }
        Ports::Opaque => None,
    };
    selectors.list.iter().filter_map(one).collect()
}

/// Builds the payloads that ask for a child. TS payloads name the initiator of this exchange first, which is us.
pub(crate) fn ask(
    ctx: &mut Context<'_>,
    sa: &IkeSa,
    parties: &Parties<'_>,
    want: Want,
    within: Within,
) -> Result<(ChildAsk, Vec<Payload<'static>>), Failure> {
    let fits = |spi| resources::fits(spi, &want.child, want.resource);
    let inbound = ctx.shared.take_spi(sa.id, fits, ctx.random);
    let offers = want.child.offers.iter().zip(1..=u8::MAX);
    let with_groups = within != Within::Auth;
    let offered: Vec<_> =
        offers.map(|(offer, number)| offer.proposal(number, inbound.get(), with_groups)).collect();
    let (mut local, mut remote) = sides(sa, &want.child, parties);
    if parties.peer.request_address && want.child.local.is_empty() && parties.assigned.is_empty() {
        local = traffic::everything();
    }
    if let Some(flow) = &want.flow {
        (local, remote) = for_packet(flow, local, remote, want.child.narrowing);
    }
    let share = match within {
        Within::Auth => None,
        Within::Create(group) => {
            first_share(ctx, &want.child, group).inspect_err(|_| ctx.shared.release_spi(inbound))?
        }
    };
    let nonce = random::array(ctx.random);
    let mut payloads = vec![Payload::SecurityAssociation(SecurityAssociation { proposals: offered.clone() })];
    if with_groups {
        payloads.extend(Nonce::new(nonce.to_vec()).map(Payload::Nonce));
    }
    payloads.extend(share.as_ref().map(Share::payload));
    payloads.push(Payload::TsInitiator(to_wire(&local)));
    payloads.push(Payload::TsResponder(to_wire(&remote)));
    payloads.extend(transport_notify(want.child.encapsulation != Encapsulation::Tunnel));
    payloads.extend(resources::announcement(&want.child, want.resource));
    let more = Vec::new();
    Ok((ChildAsk { want, inbound, nonce, share, more, offered, local, remote }, payloads))
}

/// RFC 7296 2.9: the packet first, then the rule; or the packet alone.
fn for_packet(
    flow: &FlowKey,
    mut local: Vec<Traffic>,
    mut remote: Vec<Traffic>,
    narrowing: Narrowing,
) -> (Vec<Traffic>, Vec<Traffic>) {
    let (ours, theirs) = Traffic::of_flow(flow);
    match narrowing {
        Narrowing::Packet => (vec![ours], vec![theirs]),
        Narrowing::Rule => {
            local.insert(0, ours);
            remote.insert(0, theirs);
            (local, remote)
        }
    }
}

fn first_share(
    ctx: &mut Context<'_>,
    child: &policy::Child,
    group: Option<Group>,
) -> Result<Option<Share>, Failure> {
    let first = || child.offers.first().and_then(policy::EspOffer::first_group);
    match group.or_else(first) {
        None => Ok(None),
        Some(group) => Share::new(group, ctx.random)
            .map(Some)
            .map_err(|refused| Failure::new(NotifyType::NoProposalChosen, refused.to_string())),
    }
}

pub(super) fn transport_notify(transport: bool) -> Option<Payload<'static>> {
    transport.then(|| Payload::Notify(Notify::new(NotifyType::UseTransportMode, Vec::new())))
}

/// Reads the answer to [`ask`]. `nonces` are the initiator's and the responder's of this exchange.
pub(crate) fn accept(
    ctx: &mut Context<'_>,
    sa: &IkeSa,
    parties: &Parties<'_>,
    ask: ChildAsk,
    answer: View<'_>,
    nonces: (&[u8], &[u8]),
) -> Result<(ChildSa, Child), Failure> {
    let inbound = ask.inbound;
    accept_inner(ctx, sa, parties, ask, answer, nonces).inspect_err(|_| ctx.shared.release_spi(inbound))
}

fn accept_inner(
    ctx: &mut Context<'_>,
    sa: &IkeSa,
    parties: &Parties<'_>,
    ask: ChildAsk,
    answer: View<'_>,
    nonces: (&[u8], &[u8]),
) -> Result<(ChildSa, Child), Failure> {
    if let Some(notify) = answer.error() {
        let mut failure = Failure::new(notify, format!("the peer answers {notify}; {}", offered_text(&ask)));
        if let Some(Content::InvalidKePayload(group)) = answer.content(NotifyType::InvalidKePayload) {
            failure.group = Group::from_id(group);
        }
        return Err(failure);
    }
    resources::demand(&ask.want.child, answer)?;
    let syntax = |text: &str| Failure::new(NotifyType::InvalidSyntax, text);
    let (Some(answered), Some(tsi), Some(tsr)) = (answer.sa(), answer.tsi(), answer.tsr()) else {
        return Err(syntax("the answer lacks SA or traffic selectors"));
    };
    let chosen = proposal::is_answer_to(answered, &ask.offered)
        .ok_or_else(|| syntax("the answer is none of the proposals that we sent"))?;
    let (suite, outbound) = read_chosen(&chosen)?;
    let secret = match (ask.share, suite.group) {
        (Some(share), Some(group)) => {
            Some(share.agree(group, answer.ke()).map_err(|refused| syntax(&refused.to_string()))?)
        }
        (None, Some(_)) => return Err(syntax("the answer wants a key exchange that we did not begin")),
        (_, None) => None,
    };
    let transport = answer.has(NotifyType::UseTransportMode);
    let (mut local, mut remote) = (from_wire(tsi), from_wire(tsr));
    let original = original_ends(transport, sa, &local, &remote);
    if transport {
        substitute(sa, &mut local, &mut remote);
    }
    let widened = !narrowing::is_within(&local, &ask.local) || !narrowing::is_within(&remote, &ask.remote);
    if widened {
        return Err(Failure::new(
            NotifyType::TsUnacceptable,
            format!(
                "the peer widened the traffic that we asked for: it answers {} and {}",
                traffic::list(&local),
                traffic::list(&remote)
            ),
        ));
    }
    let wanted = ask.want.child.encapsulation;
    if transport == (wanted == Encapsulation::Tunnel) && wanted != Encapsulation::Either {
        return Err(Failure::new(
            NotifyType::NoProposalChosen,
            "the peer does not agree to the mode that policy wants",
        ));
    }
    let agreed =
        Agreed { suite, inbound: ask.inbound, outbound, local, remote, transport, original, initiator: true };
    let secrets: Vec<Secret> = secret.into_iter().chain(ask.more).collect();
    build(ctx, sa, parties, &ask.want, agreed, &secrets, nonces)
}

fn offered_text(ask: &ChildAsk) -> String {
    let offered = SecurityAssociation { proposals: ask.offered.clone() };
    format!("we offered {offered} for {} to {}", traffic::list(&ask.local), traffic::list(&ask.remote))
}

/// The suite and the SPI of a chosen proposal.
pub(super) fn read_chosen(chosen: &Proposal) -> Result<(ChildSuite, Spi), Failure> {
    let ProposalSpi::Child(spi) = chosen.spi else {
        return Err(Failure::new(NotifyType::InvalidSyntax, "the proposal has no SPI of four octets"));
    };
    let spi = Spi::new(spi)
        .ok_or_else(|| Failure::new(NotifyType::InvalidSyntax, "the SPI is one of the reserved"))?;
    let suite = ChildSuite::from_proposal(chosen)
        .map_err(|error| Failure::new(NotifyType::NoProposalChosen, error.to_string()))?;
    Ok((suite, spi))
}

/// What both sides agreed on.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) suite: ChildSuite,
    pub(super) inbound: Spi,
    pub(super) outbound: Spi,
    pub(super) local: Vec<Traffic>,
    pub(super) remote: Vec<Traffic>,
    pub(super) transport: bool,
    pub(super) original: Option<(IpAddr, IpAddr)>,
    /// Whether we began this exchange.
    pub(super) initiator: bool,
}

/// RFC 7296 2.23.1: in transport mode through a NAT, selectors name addresses that only the other side knows.
pub(super) fn substitute(sa: &IkeSa, local: &mut [Traffic], remote: &mut [Traffic]) {
    let put = |list: &mut [Traffic], address: IpAddr| {
        for traffic in list.iter_mut().filter(|traffic| traffic.addresses.first() == traffic.addresses.last())
        {
            traffic.addresses = Traffic::single(address).addresses;
        }
    };
    if sa.nat.here {
        put(local, sa.path.local.ip());
    }
    if sa.nat.there {
        put(remote, sa.path.remote.ip());
    }
}

pub(super) fn original_ends(
    transport: bool,
    sa: &IkeSa,
    local: &[Traffic],
    remote: &[Traffic],
) -> Option<(IpAddr, IpAddr)> {
    let first = |list: &[Traffic]| list.first().map(|traffic| traffic.addresses.first());
    if transport && sa.nat.is_any() { Some((first(local)?, first(remote)?)) } else { None }
}

pub(super) fn build(
    ctx: &mut Context<'_>,
    sa: &IkeSa,
    parties: &Parties<'_>,
    want: &Want,
    agreed: Agreed,
    secrets: &[Secret],
    nonces: (&[u8], &[u8]),
) -> Result<(ChildSa, Child), Failure> {
    let keys = sa
        .child_keys(&agreed.suite, secrets, nonces)
        .map_err(|error| Failure::new(NotifyType::NoProposalChosen, error.to_string()))?;
    let (outbound_transform, inbound_transform) = if agreed.initiator {
        (keys.from_initiator, keys.from_responder)
    } else {
        (keys.from_responder, keys.from_initiator)
    };
    let installed = ChildSa {
        peer: parties.peer.name.clone(),
        name: want.child.name.clone(),
        ike: sa.id,
        identity: parties.identity.clone(),
        inbound: agreed.inbound,
        outbound: agreed.outbound,
        inbound_transform,
        outbound_transform,
        extended_sequence: agreed.suite.extended_sequence,
        mode: if agreed.transport { Mode::Transport } else { Mode::Tunnel },
        path: sa.path,
        udp: sa.udp,
        local: agreed.local,
        remote: agreed.remote,
        original: agreed.original,
        lifetime: want.child.lifetime,
        replaces: None,
        use_at_once: true,
        resource: want.resource,
    };
    let remembered = Child::new(&installed, Arc::clone(&want.child), ctx.now, ctx.random);
    Ok((installed, remembered))
}
