//! We asked; waiting for the answer to IKE_SA_INIT.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::State;
use super::authenticating::Authenticating;
use super::facts::Birth;
use crate::context::{Context, Effect};
use crate::crypto::Group;
use crate::event::Code;
use crate::exchange::child::{NONCE, Want};
use crate::exchange::sa_init;
use crate::exchange::view::View;
use crate::input::{IkeId, Path};
use crate::part::agreement::Share;
use crate::policy::Peer;
use crate::random;
use crate::time::Time;
use crate::window::{Tick, Window};
use crate::wire::{Content, Gateway, GroupId, Message, NotifyType, Proposal};

/// How often a responder may ask for a cookie or another group before we believe that it plays with us.
const DETOURS: u8 = 4;
/// Redirects followed in a row (RFC 5685 5).
pub(crate) const REDIRECTS: u8 = 5;

/// A negotiation that is to begin.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) peer: Arc<Peer>,
    /// Our end and the peer's, when not those of the policy.
    pub(crate) ends: Option<(SocketAddr, SocketAddr)>,
    pub(crate) wants: Vec<Want>,
    /// The IKE SA that ends when this one stands.
    pub(crate) supersedes: Option<Birth>,
    /// Redirects followed so far.
    pub(crate) redirects: u8,
    /// The peer has no other IKE SA with us.
    pub(crate) initial_contact: bool,
    /// Addresses that the peer's pool gave us before: we would like to keep them.
    pub(crate) wishes: Vec<IpAddr>,
}

/// An IKE SA that we asked for.
#[derive(Debug)]
pub(crate) struct Initiated {
    pub(crate) id: IkeId,
    pub(crate) plan: Plan,
    pub(crate) path: Path,
    pub(crate) nonce: [u8; NONCE],
    pub(crate) share: Share,
    pub(crate) cookie: Option<Vec<u8>>,
    pub(crate) offered: Vec<Proposal>,
    /// The request as it went out last: AUTH covers it.
    pub(crate) request: Vec<u8>,
    pub(crate) since: Time,
    window: Window,
    detours: u8,
    /// An error that anybody could have sent. It counts when the request is due again and nothing better has come.
    refusal: Option<NotifyType>,
}

impl Initiated {
    /// Sends the first message. `None` when policy does not say where to.
    pub(crate) fn begin(ctx: &mut Context<'_>, id: IkeId, plan: Plan) -> Option<Self> {
        let (local, remote) = plan.ends.or(plan.peer.initiate)?;
        let path = Path { local, remote };
        let group = plan.peer.offers.iter().flat_map(|offer| offer.groups()).next()?;
        let share = Share::new(group, ctx.random).ok()?;
        let mut this = Self {
            id,
            offered: sa_init::offered(&plan.peer),
            plan,
            path,
            nonce: random::array(ctx.random),
            share,
            cookie: None,
            request: Vec::new(),
            since: ctx.now,
            window: Window::default(),
            detours: 0,
            refusal: None,
        };
        this.send(ctx);
        Some(this)
    }

    /// Octets held on the heap, without what the cryptographic library holds.
    pub(crate) fn heap(&self) -> usize {
        let cookie = self.cookie.as_ref().map_or(0, Vec::capacity);
        self.request.capacity()
            + cookie
            + self.offered.capacity() * size_of::<Proposal>()
            + self.window.heap()
    }

    fn send(&mut self, ctx: &mut Context<'_>) {
        self.request = sa_init::request(self);
        let pace = ctx.policy.retransmission;
        self.window = Window::default();
        self.window.sent(ctx.now, vec![self.request.clone()], &pace);
        ctx.send(self.path, [&self.request]);
    }

    /// A message that carries our SPI.
    pub(crate) fn message(mut self, ctx: &mut Context<'_>, path: Path, datagram: &[u8]) -> State {
        let Ok(message) = Message::parse(datagram) else { return self.stay() };
        if !sa_init::is_response(&message, self.id.0) || path.remote != self.path.remote {
            return self.stay();
        }
        let view = View(&message.payloads);
        if let Some(Content::Cookie(cookie)) = view.content(NotifyType::Cookie) {
            self.cookie = Some(cookie.to_vec());
            return self.detour(ctx);
        }
        if let Some(Content::InvalidKePayload(group)) = view.content(NotifyType::InvalidKePayload) {
            return self.other_group(ctx, group);
        }
        if let Some(Content::Redirect { gateway: Gateway::Address(gateway), nonce }) =
            view.content(NotifyType::Redirect)
        {
            return if nonce == self.nonce { self.redirected(ctx, gateway) } else { self.stay() };
        }
        if let Some(error) = view.error() {
            self.refusal = Some(error);
            return self.stay();
        }
        let (peer, id) = (Arc::clone(&self.plan.peer), self.id);
        match sa_init::accept(Box::new(self), path, &message, datagram) {
            Ok(agreed) => Authenticating::begin(ctx, agreed),
            Err((Some(this), text)) => {
                ctx.event(Code::Malformed, Some(&this.plan.peer), this.id, this.path, text);
                this.stay()
            }
            Err((None, text)) => {
                ctx.event(Code::NegotiationFailed, Some(&peer), id, path, text);
                State::Gone
            }
        }
    }

    fn stay(self) -> State {
        State::Initiated(Box::new(self))
    }

    /// The same request again with what the responder asked for.
    fn detour(mut self, ctx: &mut Context<'_>) -> State {
        self.detours += 1;
        if self.detours > DETOURS {
            return self.fail(ctx, "the responder asks for ever new cookies or groups");
        }
        self.send(ctx);
        self.stay()
    }

    fn other_group(mut self, ctx: &mut Context<'_>, group: GroupId) -> State {
        let Some(group) = Group::from_id(group) else { return self.stay() };
        let ours = self.plan.peer.offers.iter().flat_map(|offer| offer.groups()).any(|own| own == group);
        if !ours || group == self.share.group() {
            // Anybody may have sent this; only the true responder can send what we offered.
            return self.stay();
        }
        match Share::new(group, ctx.random) {
            Ok(share) => self.share = share,
            Err(refused) => return self.fail(ctx, &refused.to_string()),
        }
        self.detour(ctx)
    }

    fn redirected(self, ctx: &mut Context<'_>, gateway: IpAddr) -> State {
        let text = format!("the peer sends us to {gateway}");
        ctx.event(Code::Redirected, Some(&self.plan.peer), self.id, self.path, text);
        if self.plan.redirects >= REDIRECTS {
            return self.fail(ctx, "redirected too often");
        }
        let mut remote = self.path.remote;
        remote.set_ip(gateway);
        let plan =
            Plan { ends: Some((self.path.local, remote)), redirects: self.plan.redirects + 1, ..self.plan };
        ctx.out.push(Effect::Begin(plan));
        State::Gone
    }

    fn fail(self, ctx: &mut Context<'_>, text: &str) -> State {
        ctx.event(Code::NegotiationFailed, Some(&self.plan.peer), self.id, self.path, text);
        State::Gone
    }

    /// Time has passed.
    pub(crate) fn timer(mut self, ctx: &mut Context<'_>) -> State {
        let pace = ctx.policy.retransmission;
        let due = self.window.deadline().is_some_and(|due| due <= ctx.now);
        if let Some(refusal) = self.refusal.filter(|_| due) {
            return self.refused(ctx, refusal);
        }
        match self.window.tick(ctx.now, &pace) {
            Tick::Idle => self.stay(),
            Tick::Again(packets) => {
                ctx.send(self.path, &packets);
                self.stay()
            }
            Tick::GaveUp => {
                let text = format!("no answer to IKE_SA_INIT after {} repetitions", pace.retries);
                ctx.event(Code::PeerSilent, Some(&self.plan.peer), self.id, self.path, text);
                State::Gone
            }
        }
    }

    fn refused(self, ctx: &mut Context<'_>, refusal: NotifyType) -> State {
        let offered = crate::wire::SecurityAssociation { proposals: self.offered.clone() };
        let code =
            if refusal == NotifyType::NoProposalChosen { Code::NoProposal } else { Code::NegotiationFailed };
        let text = format!("the peer answers {refusal}; we offered {offered}");
        ctx.event(code, Some(&self.plan.peer), self.id, self.path, text);
        State::Gone
    }

    /// When [`Self::timer`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.window.deadline()
    }
}
