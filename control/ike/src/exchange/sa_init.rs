//! IKE_SA_INIT (RFC 7296 1.2): algorithms, shares, nonces, and what each side says it can.

use std::time::Duration;

use ravelin_contract::secret::Secret;

use super::child::NONCE;
use super::child_answer;
use super::view::View;
use crate::context::Context;
use crate::crypto::IkeSuite;
use crate::event::Code;
use crate::input::{IkeId, Path};
use crate::part::nat_detection::{self, Nat};
use crate::part::{certificates, proposal};
use crate::policy::Peer;
use crate::random;
use crate::sa::{IkeSa, Role};
use crate::state::initiated::{Initiated, Plan};
use crate::state::responding::Responding;
use crate::time::Time;
use crate::wire::{
    Content, ExchangeType, Gateway, Header, IkeSpi, Message, Nonce, Notify, NotifyType, Payload, Proposal,
    ProposalSpi, SecurityAssociation, SignatureHash,
};

/// What both sides said in IKE_SA_INIT.
#[derive(Debug, Clone, Default)]
pub(crate) struct Said {
    /// Hash algorithms that the peer takes in signatures (RFC 7427); empty: it knows none of them.
    pub(crate) hashes: Vec<u16>,
    /// Authorities that the peer asks for, by the SHA-1 of their keys.
    pub(crate) authorities: Vec<[u8; 20]>,
    /// Both use post-quantum pre-shared keys.
    pub(crate) ppk: bool,
    /// The responder makes IKE SAs without children.
    pub(crate) childless: bool,
    /// The initiator follows redirects.
    pub(crate) redirect: bool,
}

/// An agreed IKE_SA_INIT, for what follows.
#[derive(Debug)]
pub(crate) struct Agreed {
    pub(crate) sa: IkeSa,
    pub(crate) plan: Plan,
    pub(crate) said: Said,
    /// Both first messages as they were on the wire: each side's AUTH covers its own.
    pub(crate) request: Vec<u8>,
    pub(crate) response: Vec<u8>,
    pub(crate) ni: Vec<u8>,
    pub(crate) nr: Vec<u8>,
    pub(crate) since: Time,
    /// The peer named our post-quantum pre-shared key.
    pub(crate) ppk_used: bool,
    /// When the first certificate ends that proves one of us.
    pub(crate) good_until: Option<Time>,
}

impl Agreed {
    /// A proof is good for so long.
    pub(crate) fn limit(&mut self, now: Time, good_for: Option<Duration>) {
        let end = good_for.map(|span| now + span);
        self.good_until = [self.good_until, end].into_iter().flatten().min();
    }

    /// Octets held on the heap, without what the cryptographic library holds.
    pub(crate) fn heap(&self) -> usize {
        let messages = [&self.request, &self.response, &self.ni, &self.nr];
        let said = self.said.hashes.capacity() * size_of::<u16>() + self.said.authorities.capacity() * 20;
        self.sa.heap() + messages.map(Vec::capacity).iter().sum::<usize>() + said
    }
}

/// Our proposals for this peer.
pub(crate) fn offered(peer: &Peer) -> Vec<Proposal> {
    peer.offers
        .iter()
        .zip(1..=u8::MAX)
        .map(|(offer, number)| offer.proposal(number, ProposalSpi::None, true))
        .collect()
}

fn needs_intermediate(peer: &Peer) -> bool {
    peer.offers.iter().any(crate::policy::IkeOffer::has_additional)
}

fn header(initiator: u64, responder: u64, response: bool) -> Header {
    Header {
        initiator_spi: IkeSpi(initiator),
        responder_spi: IkeSpi(responder),
        exchange: ExchangeType::IkeSaInit,
        from_initiator: !response,
        response,
        message_id: 0,
    }
}

fn write(header: &Header, payloads: &[Payload<'_>]) -> Vec<u8> {
    Message::write(header, payloads).expect("what policy allows fits a message")
}

fn status(kind: NotifyType) -> Payload<'static> {
    Payload::Notify(Notify::new(kind, Vec::new()))
}

/// Our hash algorithms, and both NAT detections. A side that wants UDP whatever the path says so by a source that cannot be.
fn common(spis: (u64, u64), path: Path, peer: &Peer) -> Vec<Payload<'static>> {
    let mut source = nat_detection::hash(spis, path.local);
    if peer.force_udp {
        source = [0; 20];
    }
    let destination = nat_detection::hash(spis, path.remote);
    let hashes =
        [SignatureHash::Sha2_256, SignatureHash::Sha2_384, SignatureHash::Sha2_512, SignatureHash::Identity];
    let mut payloads = vec![
        Payload::Notify(Content::NatDetectionSource(source).notify()),
        Payload::Notify(Content::NatDetectionDestination(destination).notify()),
        status(NotifyType::FragmentationSupported),
        Payload::Notify(Content::SignatureHashes(hashes.to_vec()).notify()),
    ];
    if peer.ppk.is_some() {
        payloads.push(status(NotifyType::UsePpk));
    }
    payloads
}

/// The request as it goes out.
pub(crate) fn request(this: &Initiated) -> Vec<u8> {
    let peer = &this.plan.peer;
    let mut payloads = Vec::new();
    payloads.extend(this.cookie.as_ref().map(|cookie| Payload::Notify(Content::Cookie(cookie).notify())));
    payloads.push(Payload::SecurityAssociation(SecurityAssociation { proposals: this.offered.clone() }));
    payloads.push(this.share.payload());
    payloads.extend(Nonce::new(this.nonce.to_vec()).map(Payload::Nonce));
    payloads.extend(common((this.id.0, 0), this.path, peer));
    payloads.push(status(NotifyType::RedirectSupported));
    if needs_intermediate(peer) {
        payloads.push(status(NotifyType::IntermediateExchangeSupported));
    }
    write(&header(this.id.0, 0, false), &payloads)
}

/// Whether a message is the answer to our first request.
pub(crate) fn is_response(message: &Message<'_>, spi: u64) -> bool {
    message.header.exchange == ExchangeType::IkeSaInit
        && message.header.response
        && !message.header.from_initiator
        && message.header.message_id == 0
        && message.header.initiator_spi == IkeSpi(spi)
        && message.sealed.is_none()
}

/// Reads the answer to our request. On failure the state goes on waiting: anybody could have sent this.
pub(crate) fn accept(
    this: Box<Initiated>,
    path: Path,
    message: &Message<'_>,
    datagram: &[u8],
) -> Result<Agreed, (Option<Box<Initiated>>, String)> {
    let view = View(&message.payloads);
    let responder = message.header.responder_spi;
    let (Some(answered), Some(ke), Some(nonce)) = (view.sa(), view.ke(), view.nonce()) else {
        return Err((Some(this), "the answer to IKE_SA_INIT lacks SA, KE or nonce".into()));
    };
    if responder.is_zero() {
        return Err((Some(this), "the responder's SPI is zero".into()));
    }
    let Some(chosen) = proposal::is_answer_to(answered, &this.offered) else {
        let text = format!("the answer {answered} is none of the proposals that we sent");
        return Err((Some(this), text));
    };
    let suite = match IkeSuite::from_proposal(&chosen) {
        Ok(suite) => suite,
        Err(error) => return Err((Some(this), error.to_string())),
    };
    if !suite.additional.is_empty() && !view.has(NotifyType::IntermediateExchangeSupported) {
        return Err((Some(this), "the peer chose additional key exchanges without IKE_INTERMEDIATE".into()));
    }
    let spis = (this.id.0, responder.0);
    let (sources, destinations) =
        (view.data(NotifyType::NatDetectionSourceIp), view.data(NotifyType::NatDetectionDestinationIp));
    let nat = Nat::detect(spis, (path.local, path.remote), &sources, &destinations);
    let peer = this.plan.peer.clone();
    if nat.is_some_and(Nat::is_any) && !peer.allow_nat {
        return Err((Some(this), "there is a NAT on the way, which policy does not allow".into()));
    }
    let secret = match this.share.agree(suite.group, Some(ke)) {
        Ok(secret) => secret,
        Err(refused) => return Err((None, refused.to_string())),
    };
    let nr = nonce.octets().to_vec();
    let made = IkeSa::first(Role::Initiator, spis, path, suite, &secret, (&this.nonce, &nr));
    let mut sa = made.map_err(|error| (None, error.to_string()))?;
    sa.fragment_above = view.has(NotifyType::FragmentationSupported).then_some(peer.fragment_above);
    sa.meet_nat(nat, &peer);
    let said = Said {
        hashes: hashes(view),
        authorities: view.authorities(),
        ppk: peer.ppk.is_some() && view.has(NotifyType::UsePpk),
        childless: view.has(NotifyType::ChildlessSupported),
        redirect: false,
    };
    Ok(Agreed {
        sa,
        plan: this.plan,
        said,
        request: this.request,
        response: datagram.to_vec(),
        ni: this.nonce.to_vec(),
        nr,
        since: this.since,
        ppk_used: false,
        good_until: None,
    })
}

fn hashes(view: View<'_>) -> Vec<u16> {
    match view.content(NotifyType::SignatureHashAlgorithms) {
        Some(Content::SignatureHashes(list)) => list.into_iter().map(u16::from).collect(),
        _ => Vec::new(),
    }
}

/// A request from a stranger that may be answered: its octets prove nothing yet.
pub(crate) struct Stranger<'a> {
    pub(crate) path: Path,
    pub(crate) message: &'a Message<'a>,
    pub(crate) datagram: &'a [u8],
}

impl Stranger<'_> {
    fn header(&self) -> Header {
        header(self.message.header.initiator_spi.0, 0, true)
    }

    /// An answer that leaves nothing behind.
    pub(crate) fn turn_away(&self, notify: Notify<'static>) -> Vec<u8> {
        write(&self.header(), &[Payload::Notify(notify)])
    }
}

/// What becomes of a stranger's request.
pub(crate) enum Response {
    /// An IKE SA that waits for its proof.
    Stands(Box<Responding>),
    /// An answer that leaves nothing behind.
    Away(Vec<u8>),
}

/// Answers a stranger whose address needs no further proof.
pub(crate) fn respond(ctx: &mut Context<'_>, id: IkeId, stranger: &Stranger<'_>) -> Response {
    let path = stranger.path;
    let view = View(&stranger.message.payloads);
    let away = |kind| Response::Away(stranger.turn_away(Notify::new(kind, Vec::new())));
    let (Some(offered), Some(ke), Some(nonce)) = (view.sa(), view.ke(), view.nonce()) else {
        ctx.event(Code::Malformed, None, id, path, "an IKE_SA_INIT request lacks SA, KE or nonce");
        return away(NotifyType::InvalidSyntax);
    };
    let (peer, chosen) = match choose_peer(ctx, path, offered) {
        Ok(found) => found,
        Err((code, text)) => {
            ctx.event(code, None, id, path, text);
            return away(NotifyType::NoProposalChosen);
        }
    };
    if let Some(gateway) = peer.redirect_to.filter(|_| view.has(NotifyType::RedirectSupported)) {
        ctx.event(Code::Redirected, Some(&peer), id, path, format!("sent a new peer to {gateway}"));
        let nonce = nonce.octets();
        return Response::Away(
            stranger.turn_away(Content::Redirect { gateway: Gateway::Address(gateway), nonce }.notify()),
        );
    }
    let suite = match IkeSuite::from_proposal(&chosen) {
        Ok(suite) => suite,
        Err(error) => {
            ctx.event(Code::NoProposal, Some(&peer), id, path, error.to_string());
            return away(NotifyType::NoProposalChosen);
        }
    };
    match child_answer::key_exchange(ctx, suite.group, Some(ke)) {
        Ok((share, secret)) => answer(ctx, id, stranger, &peer, (chosen, suite), (share, &secret)),
        Err(failure) => {
            if failure.group.is_none() {
                ctx.event(Code::Malformed, Some(&peer), id, path, failure.text.clone());
            }
            match failure.payload() {
                Payload::Notify(notify) => Response::Away(stranger.turn_away(notify)),
                _ => away(NotifyType::InvalidSyntax),
            }
        }
    }
}

/// Row B28: the rule for now, by address; of several, the most specific that shares a proposal with the peer.
fn choose_peer(
    ctx: &Context<'_>,
    path: Path,
    theirs: &SecurityAssociation,
) -> Result<(std::sync::Arc<Peer>, Proposal), (Code, String)> {
    let fitting = ctx.policy.by_address(path.local.ip(), path.remote.ip());
    let Some(first) = fitting.first() else {
        return Err((Code::NoPeer, format!("no rule is for a peer at {}", path.remote.ip())));
    };
    for peer in &fitting {
        if let Some(chosen) = proposal::choose(&offered(peer), theirs, ProposalSpi::None) {
            return Ok((peer.clone(), chosen));
        }
    }
    let weak = if proposal::only_weak(theirs) {
        "; everything that the peer offers is obsolete (RFC 8247)"
    } else {
        ""
    };
    Err((Code::NoProposal, format!("peer {}: {}{weak}", first.name, proposal::both(&offered(first), theirs))))
}

fn answer(
    ctx: &mut Context<'_>,
    id: IkeId,
    stranger: &Stranger<'_>,
    peer: &std::sync::Arc<Peer>,
    (chosen, suite): (Proposal, IkeSuite),
    (share, secret): (Payload<'static>, &Secret),
) -> Response {
    let view = View(&stranger.message.payloads);
    let path = stranger.path;
    let spis = (stranger.message.header.initiator_spi.0, id.0);
    let before = (spis.0, 0);
    let (sources, destinations) =
        (view.data(NotifyType::NatDetectionSourceIp), view.data(NotifyType::NatDetectionDestinationIp));
    let nat = Nat::detect(before, (path.local, path.remote), &sources, &destinations);
    if nat.is_some_and(Nat::is_any) && !peer.allow_nat {
        ctx.event(
            Code::NegotiationFailed,
            Some(peer),
            id,
            path,
            "there is a NAT on the way, which policy does not allow",
        );
        return Response::Away(stranger.turn_away(Notify::new(NotifyType::NoProposalChosen, Vec::new())));
    }
    let nonce: [u8; NONCE] = random::array(ctx.random);
    let ni = view.nonce().map(|nonce| nonce.octets().to_vec()).unwrap_or_default();
    let mut payloads =
        vec![Payload::SecurityAssociation(SecurityAssociation { proposals: vec![chosen] }), share];
    payloads.extend(Nonce::new(nonce.to_vec()).map(Payload::Nonce));
    payloads.extend(common(spis, path, peer));
    if !suite.additional.is_empty() {
        payloads.push(status(NotifyType::IntermediateExchangeSupported));
    }
    payloads.push(status(NotifyType::ChildlessSupported));
    // Who it is shows later, and then another rule may hold.
    let candidates = ctx.policy.by_address(path.local.ip(), path.remote.ip());
    payloads.extend(certificates::request(ctx.policy, candidates.iter().map(AsRef::as_ref)));
    let ppk = peer.ppk.is_some() && view.has(NotifyType::UsePpk);
    if !ppk {
        payloads.retain(
            |payload| !matches!(payload, Payload::Notify(notify) if notify.kind == NotifyType::UsePpk),
        );
    }
    let response = write(&header(spis.0, spis.1, true), &payloads);
    ctx.send(path, [&response]);
    let made = IkeSa::first(Role::Responder, spis, path, suite, secret, (&ni, &nonce));
    let Ok(mut sa) = made else {
        return Response::Away(stranger.turn_away(Notify::new(NotifyType::NoProposalChosen, Vec::new())));
    };
    sa.fragment_above = view.has(NotifyType::FragmentationSupported).then_some(peer.fragment_above);
    sa.meet_nat(nat, peer);
    let said = Said {
        hashes: hashes(view),
        // The initiator asks in IKE_AUTH.
        authorities: Vec::new(),
        ppk,
        childless: true,
        redirect: view.has(NotifyType::RedirectSupported),
    };
    let plan = Plan {
        peer: peer.clone(),
        ends: None,
        wants: Vec::new(),
        supersedes: None,
        redirects: 0,
        initial_contact: false,
        wishes: Vec::new(),
    };
    let agreed = Agreed {
        sa,
        plan,
        said,
        request: stranger.datagram.to_vec(),
        response,
        ni,
        nr: nonce.to_vec(),
        since: ctx.now,
        ppk_used: false,
        good_until: None,
    };
    Response::Stands(Box::new(Responding::new(ctx, agreed)))
}
