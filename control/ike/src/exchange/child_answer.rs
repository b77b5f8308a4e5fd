//! Answering a request for a child SA, in IKE_AUTH and in CREATE_CHILD_SA alike (RFC 7296 1.2, 1.3, 2.9).

use std::collections::VecDeque;
use std::sync::Arc;

use ravelin_contract::sa::Spi;
use ravelin_contract::secret::Secret;

use super::child::{
    Agreed, Failure, NONCE, Parties, Want, Within, build, from_wire, original_ends, read_chosen, sides,
    substitute, to_wire, transport_notify,
};
use super::view::View;
use crate::child::{Child, ChildSa};
use crate::context::Context;
use crate::crypto::{ChildSuite, Group};
use crate::part::{agreement, collision, narrowing, proposal, resources};
use crate::policy::{self, Encapsulation, Traffic, traffic};
use crate::random;
use crate::sa::IkeSa;
use crate::wire::{KeyExchange, Nonce, NotifyType, Payload, Proposal, ProposalSpi, SecurityAssociation};

/// A child that both agreed on and that lacks nothing but keys.
#[derive(Debug)]
pub(crate) struct Half {
    want: Want,
    agreed: Agreed,
    /// The initiator's and the responder's of this exchange.
    nonces: (Vec<u8>, Vec<u8>),
    /// The secret of its key exchange, if it has one.
    pub(crate) secret: Option<Secret>,
}

impl Half {
    /// Its SPI of what comes in.
    pub(crate) fn inbound(&self) -> Spi {
        self.agreed.inbound
    }

    /// The first secret and the key exchanges that are to follow, if any are (RFC 9370). Without a first there are none: see
    /// [`policy::EspOffer::with_additional`].
    pub(crate) fn additional(&self) -> Option<(Secret, VecDeque<Group>)> {
        let more: VecDeque<_> = self.agreed.suite.additional.iter().map(|(_, group)| group).collect();
        self.secret.clone().filter(|_| !more.is_empty()).map(|first| (first, more))
    }

    /// The nonces' lower one (RFC 7296 2.8.1).
    pub(crate) fn lowest(&self) -> [u8; NONCE] {
        collision::lowest(&self.nonces.0, &self.nonces.1)
    }

    /// With keys out of all secrets, the first exchange's first.
    pub(crate) fn whole(
        self,
        ctx: &mut Context<'_>,
        sa: &IkeSa,
        parties: &Parties<'_>,
        secrets: &[Secret],
    ) -> Result<(ChildSa, Child), Failure> {
        let (inbound, (first, second)) = (self.agreed.inbound, &self.nonces);
        let built =
            build(ctx, sa, parties, &self.want, self.agreed, secrets, (first.as_slice(), second.as_slice()));
        built.inspect_err(|_| ctx.shared.release_spi(inbound))
    }
}

/// What came with an answer that made a child at once.
pub(crate) type Made = (Vec<Payload<'static>>, ChildSa, Child);

/// Answers the peer's request in IKE_AUTH, where no key exchange follows. `nonces` are those of IKE_SA_INIT.
pub(crate) fn in_auth(
    ctx: &mut Context<'_>,
    sa: &IkeSa,
    parties: &Parties<'_>,
    request: View<'_>,
    nonces: (&[u8], &[u8]),
) -> Result<Made, Failure> {
    let (payloads, half) = answer(ctx, sa, parties, request, None, (Within::Auth, nonces.0, nonces.1))?;
    let (installed, child) = half.whole(ctx, sa, parties, &[])?;
    Ok((payloads, installed, child))
}

/// Answers the peer's [`super::child::ask`]. `only` is the child policy to take, when its child is being rekeyed.
pub(crate) fn answer(
    ctx: &mut Context<'_>,
    sa: &IkeSa,
    parties: &Parties<'_>,
    request: View<'_>,
    only: Option<&Want>,
    (within, peer_nonce, auth_nonce): (Within, &[u8], &[u8]),
) -> Result<(Vec<Payload<'static>>, Half), Failure> {
    let (Some(offered), Some(tsi), Some(tsr)) = (request.sa(), request.tsi(), request.tsr()) else {
        return Err(Failure::new(NotifyType::InvalidSyntax, "the request lacks SA or traffic selectors"));
    };
    let with_groups = within != Within::Auth;
    let offered = if with_groups { offered.clone() } else { proposal::without_groups(offered) };
    let transport = request.has(NotifyType::UseTransportMode);
    let (mut local, mut remote) = (from_wire(tsr), from_wire(tsi));
    let original = original_ends(transport, sa, &local, &remote);
    if transport {
        substitute(sa, &mut local, &mut remote);
    }
    let sought = Sought { offered: &offered, local: &local, remote: &remote, transport, with_groups };
    let found = choose(sa, parties, &sought, only)?;
    let (suite, outbound) = found.read(&offered)?;
    let resource = match only {
        Some(want) => want.resource,
        None => resources::bind(parties.children, &found.child, (&found.local, &found.remote), request)?,
    };
    let mut payloads = Vec::new();
    let secret = match suite.group {
        None => None,
        Some(group) => {
            let (share, secret) = key_exchange(ctx, group, request.ke())?;
            payloads.push(share);
            Some(secret)
        }
    };
    let fits = |spi| resources::fits(spi, &found.child, resource);
    let inbound = ctx.shared.take_spi(sa.id, fits, ctx.random);
    let chosen = Proposal { spi: ProposalSpi::Child(inbound.get()), ..found.chosen.clone() };
    let nonce: [u8; NONCE] = random::array(ctx.random);
    payloads.insert(0, Payload::SecurityAssociation(SecurityAssociation { proposals: vec![chosen] }));
    let nonces = if with_groups {
        payloads.extend(Nonce::new(nonce.to_vec()).map(Payload::Nonce));
        (peer_nonce.to_vec(), nonce.to_vec())
    } else {
        (peer_nonce.to_vec(), auth_nonce.to_vec())
    };
    payloads.push(Payload::TsInitiator(to_wire(&found.remote)));
    payloads.push(Payload::TsResponder(to_wire(&found.local)));
    payloads.extend(transport_notify(found.transport));
    let speaks = request.has(NotifyType::SaResourceInfo);
    payloads.extend(resources::announcement(&found.child, resource).filter(|_| speaks));
    let want = Want { child: Arc::clone(&found.child), flow: None, resource };
    let agreed = Agreed {
        suite,
        inbound,
        outbound,
        local: found.local,
        remote: found.remote,
        transport: found.transport,
        original: original.filter(|_| found.transport),
        initiator: false,
    };
    Ok((payloads, Half { want, agreed, nonces, secret }))
}

struct Sought<'a> {
    offered: &'a SecurityAssociation,
    local: &'a [Traffic],
    remote: &'a [Traffic],
    transport: bool,
    with_groups: bool,
}

struct Found {
    child: Arc<policy::Child>,
    chosen: Proposal,
    local: Vec<Traffic>,
    remote: Vec<Traffic>,
    transport: bool,
}

impl Found {
    /// The suite, and the peer's SPI out of the proposal that was chosen.
    fn read(&self, offered: &SecurityAssociation) -> Result<(ChildSuite, Spi), Failure> {
        let spi = offered
            .proposals
            .iter()
            .find(|proposal| {
                proposal.number == self.chosen.number && proposal.protocol == self.chosen.protocol
            })
            .map_or(ProposalSpi::None, |proposal| proposal.spi);
        read_chosen(&Proposal { spi, ..self.chosen.clone() })
    }
}

/// The first child of the policy that fits traffic, mode and algorithms.
fn choose(
    sa: &IkeSa,
    parties: &Parties<'_>,
    sought: &Sought<'_>,
    only: Option<&Want>,
) -> Result<Found, Failure> {
    let candidates: Vec<&Arc<policy::Child>> = match only {
        Some(want) => vec![&want.child],
        None => parties.peer.children.iter().collect(),
    };
    let mut failure = None;
    for child in &candidates {
        let (ours, theirs) = sides(sa, child, parties);
        let local = narrowing::narrow(sought.local, &ours, child.narrowing);
        let remote = narrowing::narrow(sought.remote, &theirs, child.narrowing);
        if local.is_empty() || remote.is_empty() {
            continue;
        }
        let transport = sought.transport && child.encapsulation != Encapsulation::Tunnel;
        if !transport && child.encapsulation == Encapsulation::Transport {
            let text = format!("child {} wants transport mode, the peer asks for a tunnel", child.name);
            failure.get_or_insert(Failure::new(NotifyType::NoProposalChosen, text));
            continue;
        }
        let own: Vec<_> = child.offers.iter().map(|offer| offer.proposal(0, 0, sought.with_groups)).collect();
        match proposal::choose(&own, sought.offered, ProposalSpi::None) {
            Some(chosen) => return Ok(Found { child: Arc::clone(child), chosen, local, remote, transport }),
            None => {
                let text = format!("child {}: {}", child.name, proposal::both(&own, sought.offered));
                failure.get_or_insert(Failure::new(NotifyType::NoProposalChosen, text));
            }
        }
    }
    Err(failure.unwrap_or_else(|| no_traffic(sa, parties, sought, &candidates)))
}

fn no_traffic(
    sa: &IkeSa,
    parties: &Parties<'_>,
    sought: &Sought<'_>,
    candidates: &[&Arc<policy::Child>],
) -> Failure {
    let ours = |child: &&Arc<policy::Child>| {
        let (local, remote) = sides(sa, child, parties);
        format!("{}: {} to {}", child.name, traffic::list(&local), traffic::list(&remote))
    };
    let ours: Vec<_> = candidates.iter().map(ours).collect();
    let text = format!(
        "the peer wants {} to {}; we have {}",
        traffic::list(sought.local),
        traffic::list(sought.remote),
        ours.join("; ")
    );
    Failure::new(NotifyType::TsUnacceptable, text)
}

/// Our share and the secret, or the group that the peer should have begun with.
pub(crate) fn key_exchange(
    ctx: &mut Context<'_>,
    group: Group,
    ke: Option<&KeyExchange<'_>>,
) -> Result<(Payload<'static>, Secret), Failure> {
    let Some(ke) = ke.filter(|ke| ke.group == group.id()) else {
        let text = format!("the peer began with another key exchange than {group}");
        return Err(Failure { notify: NotifyType::InvalidKePayload, group: Some(group), text });
    };
    agreement::answer(group, ke, ctx.random)
        .map_err(|refused| Failure::new(NotifyType::InvalidSyntax, refused.to_string()))
}
