//! Keys agreed, the peer began: additional key exchanges, then its proof, then ours.

use std::collections::VecDeque;
use std::sync::Arc;

use ravelin_contract::secret::Secret;

use super::State;
use super::closing::Closing;
use super::eap_server::Talk;
use super::established::{Established, Features};
use crate::action::{Action, Ask};
use crate::context::{Context, Effect};
use crate::crypto::{Group, SignedOctets};
use crate::event::Code;
use crate::exchange::auth::{self, Intermediate, OurProof, Shown, TheirProof};
use crate::exchange::child::Failure;
use crate::exchange::child_answer;
use crate::exchange::configuration::Given;
use crate::exchange::sa_init::{self, Agreed};
use crate::exchange::view::View;
use crate::exchange::{configuration, intermediate};
use crate::input::{Answer, Path};
use crate::part::proposal;
use crate::policy::{Demand, Identity, Peer};
use crate::sa::{Incoming, Role};
use crate::sealed::Plain;
use crate::time::Time;
use crate::wire::{AuthMethod, ExchangeType, Notify, NotifyType, Payload, ProposalSpi, SecurityAssociation};

/// Rules that a refusal names, at most.
const NAMED: usize = 5;

/// The peer's first IKE_AUTH while there is more to find out, and whom it makes the peer.
#[derive(Debug)]
pub(super) struct Held {
    pub(super) plain: Plain,
    /// Number of its IKE_AUTH that is to be answered.
    pub(super) id: u32,
    pub(super) identity: Identity,
    /// Whether EAP proves the peer.
    pub(super) eap: bool,
}

#[derive(Debug)]
pub(super) enum Step {
    /// The peer's next message is awaited.
    Waiting,
    /// The peer's certificates are being judged.
    Verifying(Held),
    /// Our signature is being made.
    Signing(Held),
    /// EAP proves the peer.
    Eap(Box<Talk>),
}

/// The peer began and has keys; nobody knows who it is.
#[derive(Debug)]
pub(crate) struct Responding {
    pub(crate) agreed: Agreed,
    pub(super) step: Step,
    more: VecDeque<Group>,
    intermediate: Intermediate,
    question: u64,
    pub(super) until: Time,
}

impl Responding {
    pub(crate) fn new(ctx: &Context<'_>, agreed: Agreed) -> Self {
        Self {
            more: agreed.sa.suite.additional.iter().map(|(_, group)| group).collect(),
            agreed,
            step: Step::Waiting,
            intermediate: Intermediate::default(),
            question: 0,
            until: ctx.now + ctx.policy.limits.patience,
        }
    }

    pub(super) fn stay(self) -> State {
        State::Responding(Box::new(self))
    }

    pub(super) fn event(&self, ctx: &mut Context<'_>, code: Code, text: impl Into<String>) {
        ctx.event(code, Some(&self.agreed.plan.peer), self.agreed.sa.id, self.agreed.sa.path, text);
    }

    /// A message for this SA. A repetition of the first one is answered as the first time.
    pub(crate) fn message(mut self, ctx: &mut Context<'_>, path: Path, datagram: &[u8]) -> State {
        if datagram == self.agreed.request {
            ctx.send(path, [&self.agreed.response]);
            return self.stay();
        }
        match self.agreed.sa.receive(ctx, path, datagram) {
            Incoming::Request { exchange, id, plain, header } => {
                self.request(ctx, exchange, id, plain, &header)
            }
            Incoming::Nothing | Incoming::Response { .. } => self.stay(),
        }
    }

    fn request(
        mut self,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        id: u32,
        plain: Plain,
        header: &[u8; 28],
    ) -> State {
        match (exchange, std::mem::replace(&mut self.step, Step::Waiting)) {
            (ExchangeType::IkeAuth, Step::Eap(talk)) if talk.awaits_peer() => {
                return self.eap_message(ctx, *talk, id, &plain);
            }
            (ExchangeType::Informational, Step::Eap(talk)) if gives_up(&plain) => {
                return self.eap_given_up(ctx, *talk, id);
            }
            (_, step) => self.step = step,
        }
        let waiting = matches!(self.step, Step::Waiting);
        match exchange {
            ExchangeType::Intermediate if waiting && !self.more.is_empty() => {
                self.add_secret(ctx, id, &plain, header)
            }
            ExchangeType::IkeAuth if waiting && self.more.is_empty() => self.identify(ctx, id, plain),
            _ => {
                self.event(
                    ctx,
                    Code::Malformed,
                    format!("{exchange} out of place before the peer has proved itself"),
                );
                self.agreed.sa.respond(ctx, exchange, id, &[auth::status(NotifyType::InvalidSyntax)]);
                State::Closing(Box::new(Closing::linger(ctx, self.agreed.sa, self.agreed.plan.peer)))
            }
        }
    }

    fn add_secret(mut self, ctx: &mut Context<'_>, id: u32, plain: &Plain, header: &[u8; 28]) -> State {
        let payloads = plain.payloads().unwrap_or_default();
        let answered = match self.more.front() {
            Some(group) => child_answer::key_exchange(ctx, *group, View(&payloads).ke()),
            None => Err(Failure::new(NotifyType::InvalidSyntax, "no key exchange is left")),
        };
        let (share, secret) = match answered {
            Ok(answered) => answered,
            Err(failure) => {
                return self.refuse(ctx, ExchangeType::Intermediate, id, Code::NegotiationFailed, &failure);
            }
        };
        self.more.pop_front();
        let sa = &mut self.agreed.sa;
        intermediate::bind(sa, Role::Initiator, &mut self.intermediate, header, plain);
        let sent = sa.respond(ctx, ExchangeType::Intermediate, id, &[share]);
        intermediate::bind(sa, Role::Responder, &mut self.intermediate, &sent.header, &sent.plain);
        match sa.add_secret(&secret, (&self.agreed.ni, &self.agreed.nr)) {
            Ok(()) => self.stay(),
            Err(error) => {
                self.event(ctx, Code::NegotiationFailed, error.to_string());
                State::Gone
            }
        }
    }

    /// Who is it? Row B28: the rule that fits both address and identity takes over.
    fn identify(mut self, ctx: &mut Context<'_>, id: u32, plain: Plain) -> State {
        let payloads = match plain.payloads() {
            Ok(payloads) => payloads,
            Err(error) => {
                let failure = Failure::new(NotifyType::InvalidSyntax, error.to_string());
                return self.refuse(ctx, ExchangeType::IkeAuth, id, Code::Malformed, &failure);
            }
        };
        let view = View(&payloads);
        let Some(idi) = view.idi() else {
            let failure = Failure::new(NotifyType::InvalidSyntax, "IKE_AUTH lacks the peer's identity");
            return self.refuse(ctx, ExchangeType::IkeAuth, id, Code::Malformed, &failure);
        };
        let Some(identity) = Identity::from_wire(idi) else {
            return self.unbelieved(ctx, id, Code::NoPeer, &format!("policy cannot name the identity {idi}"));
        };
        let wanted = view.idr().and_then(Identity::from_wire);
        self.agreed.said.authorities = view.authorities();
        let octets_of = idi.body();
        match self.choose(ctx, &identity, wanted.as_ref(), view) {
            Some(peer) => self.settle(ctx, peer),
            None => {
                let wanted =
                    wanted.map(|wanted| format!(" that wants to reach {wanted}")).unwrap_or_default();
                let proof = view.auth().map_or("EAP".into(), |auth| auth.method.to_string());
                let ours = self.wanted_here(ctx);
                let text = format!(
                    "no rule is for {identity}{wanted}, proving itself by {proof}, with what was agreed; we want {ours}"
                );
                return self.unbelieved(ctx, id, Code::NoPeer, &text);
            }
        }
        let peer = Arc::clone(&self.agreed.plan.peer);
        let held = Held { plain: plain.clone(), id, identity: identity.clone(), eap: false };
        if let (Demand::Eap(eap), None) = (&peer.demand, view.auth()) {
            let alone = eap.alone && view.has(NotifyType::EapOnlyAuthentication);
            return self.meet_user(ctx, eap, Held { eap: true, ..held }, alone);
        }
        let octets = match self.settle_ppk(view) {
            Ok(()) => self.theirs(&octets_of),
            Err(text) => return self.unbelieved(ctx, id, Code::AuthenticationFailed, &text),
        };
        let payloads = self.proof_that_counts(payloads);
        let view = View(&payloads);
        match auth::judge(&self.agreed, &peer, &identity, view, &octets) {
            Ok(TheirProof::Good) => self.prove(ctx, held),
            Ok(TheirProof::Ask(ask)) => {
                self.step = Step::Verifying(held);
                self.inquire(ctx, ask);
                self.stay()
            }
            Err(text) => {
                let text = format!("{identity}: {text}");
                self.unbelieved(ctx, id, Code::AuthenticationFailed, &text)
            }
        }
    }

    /// The most specific rule that fits address, identity, kind of proof, and the algorithms agreed on before.
    fn choose(
        &self,
        ctx: &Context<'_>,
        identity: &Identity,
        wanted: Option<&Identity>,
        view: View<'_>,
    ) -> Option<Arc<Peer>> {
        let path = self.agreed.sa.path;
        let agreed = self.agreed.sa.suite.to_proposal(1, ProposalSpi::None);
        let agreed = SecurityAssociation { proposals: vec![agreed] };
        let method = view.auth().map(|auth| auth.method);
        let fits = |peer: &Arc<Peer>| {
            let proof = match peer.demand {
                Demand::SharedKey(_) => method == Some(AuthMethod::SharedKey),
                Demand::Certificate(_) => method.is_some_and(|method| method != AuthMethod::SharedKey),
                Demand::Eap(_) => method.is_none(),
            };
            proof && proposal::choose(&sa_init::offered(peer), &agreed, ProposalSpi::None).is_some()
        };
        let ends = (path.local.ip(), path.remote.ip());
        ctx.policy.by_identity(ends, identity, wanted).into_iter().find(fits)
    }

    fn settle(&mut self, ctx: &mut Context<'_>, peer: Arc<Peer>) {
        if peer.name != self.agreed.plan.peer.name {
            let text = format!("rule {} gives way to {} by identity", self.agreed.plan.peer.name, peer.name);
            self.event(ctx, Code::PeerReplaced, text);
            self.agreed.plan.peer = peer;
        }
    }

    /// RFC 8784 3: with the PPK if we know it by name, without if neither insists.
    pub(super) fn settle_ppk(&mut self, view: View<'_>) -> Result<(), String> {
        let Some(ppk) = self.agreed.plan.peer.ppk.clone() else { return Ok(()) };
        let named = match view.content(NotifyType::PpkIdentity) {
            Some(crate::wire::Content::PpkIdentity { kind: 2, id }) => id == ppk.id,
            _ => false,
        };
        if named && self.agreed.said.ppk {
            self.agreed.sa.mix_ppk(&ppk.key);
            self.agreed.ppk_used = true;
            return Ok(());
        }
        if ppk.required {
            return Err("policy wants a post-quantum pre-shared key, the peer does not name ours".into());
        }
        Ok(())
    }

    /// Where neither side insists on a PPK and the peer's is not ours, its second proof stands for the first (RFC 8784 3).
    fn proof_that_counts<'a>(&self, mut payloads: Vec<Payload<'a>>) -> Vec<Payload<'a>> {
        let without = self.agreed.said.ppk && !self.agreed.ppk_used;
        let second = View(&payloads).notify(NotifyType::NoPpkAuth).filter(|_| without);
        let Some(data) = second.map(|notify| notify.data.to_vec()) else { return payloads };
        for payload in &mut payloads {
            if let Payload::Authentication(auth) = payload {
                auth.data = data.clone().into();
            }
        }
        payloads
    }

    pub(super) fn theirs(&self, id: &[u8]) -> SignedOctets {
        let sk_pi = self.agreed.sa.sk_p(Role::Initiator, None);
        let how = (&self.intermediate, self.auth_id());
        auth::signed(&self.agreed, Role::Initiator, sk_pi.expose(), id, how)
    }

    /// Whom the rules for these addresses want, and as whom they know us.
    fn wanted_here(&self, ctx: &Context<'_>) -> String {
        let path = self.agreed.sa.path;
        let rules = ctx.policy.by_address(path.local.ip(), path.remote.ip());
        let named = |peer: &Arc<Peer>| format!("{} for {}", peer.remote_identity, peer.local_identity);
        let mut list: Vec<_> = rules.iter().take(NAMED).map(named).collect();
        if rules.len() > NAMED {
            list.push(format!("{} more", rules.len() - NAMED));
        }
        list.join(", ")
    }

    /// Number of the first IKE_AUTH: one for IKE_SA_INIT and one for each additional key exchange came before.
    fn auth_id(&self) -> u32 {
        1 + u32::try_from(self.agreed.sa.suite.additional.iter().count()).unwrap_or(0)
    }

    pub(super) fn inquire(&mut self, ctx: &mut Context<'_>, ask: Ask) {
        self.question += 1;
        ctx.act(Action::Ask { question: self.question, ike: self.agreed.sa.id, ask });
    }

    /// An answer from outside.
    pub(crate) fn answer(mut self, ctx: &mut Context<'_>, question: u64, answer: Answer) -> State {
        if question != self.question {
            return self.stay();
        }
        match (std::mem::replace(&mut self.step, Step::Waiting), answer) {
            (Step::Verifying(held), Answer::Trusted { public_key, good_for }) => {
                self.agreed.limit(ctx.now, good_for);
                self.verified(ctx, held, &public_key)
            }
            (Step::Verifying(held), Answer::Refused(why)) => {
                let text = format!("{}: {why}", held.identity);
                self.unbelieved(ctx, held.id, Code::AuthenticationFailed, &text)
            }
            (Step::Signing(held), Answer::Signature { scheme, signature, chain, good_for }) => {
                self.agreed.limit(ctx.now, good_for);
                match Shown::signed(scheme, &signature, chain) {
                    Ok(made) => self.proved(ctx, held, made),
                    Err(why) => self.unbelieved(ctx, held.id, Code::AuthenticationFailed, why),
                }
            }
            (Step::Signing(held), Answer::Refused(why)) => {
                self.unbelieved(ctx, held.id, Code::AuthenticationFailed, &format!("we cannot sign: {why}"))
            }
            (Step::Eap(talk), answer) => self.eap_answer(ctx, *talk, answer),
            (step, _) => {
                self.step = step;
                self.stay()
            }
        }
    }

    fn verified(self, ctx: &mut Context<'_>, held: Held, public_key: &[u8]) -> State {
        let judged = {
            let payloads = self.proof_that_counts(held.plain.payloads().unwrap_or_default());
            let view = View(&payloads);
            let body = view.idi().map(crate::wire::Identity::body).unwrap_or_default();
            auth::verify(&self.agreed.plan.peer, public_key, view.auth(), &self.theirs(&body))
        };
        match judged {
            Ok(()) => self.prove(ctx, held),
            Err(text) => {
                let text = format!("{}: {text}", held.identity);
                self.unbelieved(ctx, held.id, Code::AuthenticationFailed, &text)
            }
        }
    }

    /// The peer is who it says; now we.
    pub(super) fn prove(mut self, ctx: &mut Context<'_>, held: Held) -> State {
        let peer = Arc::clone(&self.agreed.plan.peer);
        match auth::prove(&self.agreed, &peer, &self.ours()) {
            OurProof::Made(made) => self.proved(ctx, held, Shown::alone(made)),
            OurProof::Cannot(why) => self.unbelieved(ctx, held.id, Code::AuthenticationFailed, why),
            OurProof::Ask(ask) => {
                self.step = Step::Signing(held);
                self.inquire(ctx, ask);
                self.stay()
            }
            OurProof::Later => self.unbelieved(
                ctx,
                held.id,
                Code::AuthenticationFailed,
                "a responder cannot prove itself by EAP",
            ),
        }
    }

    pub(super) fn ours(&self) -> SignedOctets {
        let sk_pr: Secret = self.agreed.sa.sk_p(Role::Responder, None);
        let body = self.agreed.plan.peer.local_identity.to_wire().body();
        let how = (&self.intermediate, self.auth_id());
        auth::signed(&self.agreed, Role::Responder, sk_pr.expose(), &body, how)
    }

    /// Our proof is made: it goes out, with EAP or with everything else.
    fn proved(self, ctx: &mut Context<'_>, held: Held, made: Shown) -> State {
        if held.eap { self.open_eap(ctx, held, Some(made)) } else { self.finish(ctx, &held, made) }
    }

    /// Both have proved themselves.
    pub(super) fn finish(self, ctx: &mut Context<'_>, held: &Held, mut made: Shown) -> State {
        let Agreed { mut sa, plan, said, ni, nr, since, ppk_used, good_until, .. } = self.agreed;
        let payloads = held.plain.payloads().unwrap_or_default();
        let view = View(&payloads);
        let peer = plan.peer;
        sa.now_proved();
        let mut answer = Vec::new();
        if !held.eap {
            answer.push(Payload::IdResponder(peer.local_identity.to_wire()));
            answer.extend(made.certificates());
        }
        answer.push(Payload::Authentication(made.auth));
        if ppk_used {
            answer.push(auth::status(NotifyType::PpkIdentity));
        }
        let mut clock = Established::clock(ctx, &peer);
        let birth = Established::birth(ctx, &sa, since);
        let features = Features {
            mobike: peer.mobike && view.has(NotifyType::MobikeSupported),
            redirect: said.redirect,
            childless: true,
        };
        if features.mobike {
            answer.push(auth::status(NotifyType::MobikeSupported));
        }
        clock.end_with_proof(ctx, good_until);
        // Only the peer can begin anew: it is told when to (RFC 4478).
        if peer.initiate.is_none()
            && let Some(due) = clock.reauthenticate.take()
        {
            let seconds = u32::try_from(due.since(ctx.now).as_secs()).unwrap_or(u32::MAX);
            answer.push(Payload::Notify(crate::wire::Content::AuthLifetime(seconds).notify()));
        }
        let mut this = Established::new(sa, peer, held.identity.clone(), features, birth, clock);
        let text =
            format!("IKE SA with {} ({}) stands, {}", this.identity, this.peer.demand.word(), this.sa.suite);
        ctx.event(Code::IkeUp, Some(&this.peer), this.sa.id, this.sa.path, text);
        if view.has(NotifyType::InitialContact) && this.peer.unique {
            ctx.out.push(Effect::Only { identity: held.identity.clone(), since });
        }
        let addressed = give_addresses(&mut this, ctx, view, &mut answer);
        if view.sa().is_some() && addressed {
            answer.extend(first_child(&mut this, ctx, view, &ni, &nr));
        }
        this.sa.respond(ctx, ExchangeType::IkeAuth, held.id, &answer);
        ctx.out.push(Effect::Proved);
        this.go_on(ctx)
    }

    /// AUTHENTICATION_FAILED is all that a peer hears that we do not believe (RFC 7296 2.21.2).
    pub(super) fn unbelieved(self, ctx: &mut Context<'_>, id: u32, code: Code, text: &str) -> State {
        let failure = Failure::new(NotifyType::AuthenticationFailed, text);
        self.refuse(ctx, ExchangeType::IkeAuth, id, code, &failure)
    }

    pub(super) fn refuse(
        self,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        id: u32,
        code: Code,
        failure: &Failure,
    ) -> State {
        self.event(ctx, code, failure.text.clone());
        let notify = Notify::new(failure.notify, Vec::new());
        self.last_words(ctx, exchange, id, &[Payload::Notify(notify)])
    }

    /// Answers for the last time.
    pub(super) fn last_words(
        mut self,
        ctx: &mut Context<'_>,
        exchange: ExchangeType,
        id: u32,
        payloads: &[Payload<'_>],
    ) -> State {
        self.agreed.sa.respond(ctx, exchange, id, payloads);
        State::Closing(Box::new(Closing::linger(ctx, self.agreed.sa, self.agreed.plan.peer)))
    }

    /// Time has passed.
    pub(crate) fn timer(self, ctx: &mut Context<'_>) -> State {
        if self.until > ctx.now {
            return self.stay();
        }
        self.event(ctx, Code::NegotiationFailed, "the peer began and did not go on");
        State::Gone
    }

    /// When [`Self::timer`] has something to do next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        Some(self.until)
    }
}

/// Whether the peer says that nothing will come of it, outside IKE_AUTH (RFC 7296 2.21.2).
fn gives_up(plain: &Plain) -> bool {
    plain.payloads().is_ok_and(|payloads| View(&payloads).has(NotifyType::AuthenticationFailed))
}

/// Addresses for a road warrior. False when it gets none where policy has some for it, and so no child.
fn give_addresses(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
    answer: &mut Vec<Payload<'static>>,
) -> bool {
    let peer = Arc::clone(&this.peer);
    let Some(lease) = peer.lease.as_ref().filter(|_| view.sa().is_some() || view.cp().is_some()) else {
        return true;
    };
    let sole = peer.unique && view.has(NotifyType::InitialContact);
    match configuration::answer(ctx, lease, &this.identity, sole, view) {
        Given::Addresses(payload, leased) => {
            answer.push(payload);
            this.leased = leased;
            true
        }
        Given::Failed(failure) => {
            ctx.event(Code::NoAddress, Some(&peer), this.sa.id, this.sa.path, failure.text.clone());
            answer.push(failure.payload());
            false
        }
    }
}

/// The child that came with IKE_AUTH. Its failure leaves the IKE SA standing (RFC 7296 1.2).
fn first_child(
    this: &mut Established,
    ctx: &mut Context<'_>,
    view: View<'_>,
    ni: &[u8],
    nr: &[u8],
) -> Vec<Payload<'static>> {
    match child_answer::in_auth(ctx, &this.sa, &this.parties(), view, (ni, nr)) {
        Ok((payloads, sa, child)) => {
            this.install(ctx, sa, child);
            payloads
        }
        Err(failure) => {
            ctx.event(Code::ChildFailed, Some(&this.peer), this.sa.id, this.sa.path, failure.text.clone());
            vec![failure.payload()]
        }
    }
}
