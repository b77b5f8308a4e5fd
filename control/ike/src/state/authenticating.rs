//! Keys agreed, we began: additional key exchanges, then our proof, then the peer's.

use std::collections::VecDeque;

use ravelin_contract::secret::Secret;

use super::State;
use super::closing::Closing;
use super::eap_client::Login;
use super::established::{Established, Features, Task};
use crate::action::{Action, Ask};
use crate::context::{Context, Effect};
use crate::crypto::Group;
use crate::event::Code;
use crate::exchange::auth::{self, Intermediate, OurProof, Shown, TheirProof};
use crate::exchange::child::{self, ChildAsk, Parties, Want, Within};
use crate::exchange::sa_init::Agreed;
use crate::exchange::view::View;
use crate::exchange::{configuration, intermediate};
use crate::input::{Answer, Path};
use crate::part::agreement::Share;
use crate::part::certificates;
use crate::policy::{Identity, Peer, Proof};
use crate::sa::{Incoming, Role};
use crate::sealed::Plain;
use crate::time::Time;
use crate::window::Tick;
use crate::wire::{ExchangeType, NotifyType, Payload};

#[derive(Debug)]
pub(super) enum Step {
    /// An additional key exchange is on the way (RFC 9370).
    Intermediate(Share),
    /// Our signature is being made.
    Signing,
    /// IKE_AUTH is on the way.
    Waiting,
    /// The peer's certificates are being judged.
    Verifying(Plain),
    /// The peer is believed; EAP proves us.
    Eap(Box<Login>),
}

/// We began and have keys.
#[derive(Debug)]
pub(crate) struct Authenticating {
    pub(crate) agreed: Agreed,
    pub(super) step: Step,
    more: VecDeque<Group>,
    intermediate: Intermediate,
    /// Number of the first IKE_AUTH.
    auth_id: u32,
    ask: Option<ChildAsk>,
    question: u64,
}

impl Authenticating {
    /// Begins with the additional key exchanges, or with IKE_AUTH.
    pub(crate) fn begin(ctx: &mut Context<'_>, agreed: Agreed) -> State {
        let more = agreed.sa.suite.additional.iter().map(|(_, group)| group).collect();
        let this = Self {
            agreed,
            step: Step::Waiting,
            more,
            intermediate: Intermediate::default(),
            auth_id: 1,
            ask: None,
            question: 0,
        };
        this.next(ctx)
    }

    fn next(mut self, ctx: &mut Context<'_>) -> State {
        let Some(group) = self.more.pop_front() else { return self.prove(ctx) };
        match Share::new(group, ctx.random) {
            Ok(share) => {
                let payload = share.payload();
                let sent = self.agreed.sa.request(ctx, ExchangeType::Intermediate, &[payload]);
                let chains = &mut self.intermediate;
                intermediate::bind(&self.agreed.sa, Role::Initiator, chains, &sent.header, &sent.plain);
                self.step = Step::Intermediate(share);
                self.stay()
            }
            Err(error) => self.fail(ctx, Code::NegotiationFailed, &error.to_string()),
        }
    }

    pub(super) fn stay(self) -> State {
        State::Authenticating(Box::new(self))
    }

    fn id_body(&self) -> Vec<u8> {
        self.agreed.plan.peer.local_identity.to_wire().body()
    }

    /// SK_pi with the PPK in it, where both use one.
    pub(super) fn sk_pi(&self) -> Secret {
        let ppk = self.agreed.plan.peer.ppk.as_ref().filter(|_| self.agreed.said.ppk);
        self.agreed.sa.sk_p(Role::Initiator, ppk.map(|ppk| &ppk.key))
    }

    fn prove(mut self, ctx: &mut Context<'_>) -> State {
        let peer = self.agreed.plan.peer.clone();
        if peer.ppk.as_ref().is_some_and(|ppk| ppk.required) && !self.agreed.said.ppk {
            return self.fail(
                ctx,
                Code::AuthenticationFailed,
                "policy wants a post-quantum pre-shared key, the peer uses none",
            );
        }
        self.auth_id = self.agreed.sa.window.next_request();
        let octets = self.ours(&self.sk_pi());
        match auth::prove(&self.agreed, &peer, &octets) {
            OurProof::Made(made) => self.send_auth(ctx, Some(Shown::alone(made))),
            OurProof::Later => self.send_auth(ctx, None),
            OurProof::Cannot(why) => self.fail(ctx, Code::AuthenticationFailed, why),
            OurProof::Ask(ask) => {
                self.step = Step::Signing;
                self.inquire(ctx, ask);
                self.stay()
            }
        }
    }

    pub(super) fn ours(&self, sk_p: &Secret) -> crate::crypto::SignedOctets {
        let how = (&self.intermediate, self.auth_id);
        auth::signed(&self.agreed, Role::Initiator, sk_p.expose(), &self.id_body(), how)
    }

    pub(super) fn inquire(&mut self, ctx: &mut Context<'_>, ask: Ask) {
        self.question += 1;
        ctx.act(Action::Ask { question: self.question, ike: self.agreed.sa.id, ask });
    }

    fn send_auth(mut self, ctx: &mut Context<'_>, mut made: Option<Shown>) -> State {
        let peer = self.agreed.plan.peer.clone();
        let mut payloads = vec![Payload::IdInitiator(peer.local_identity.to_wire())];
        payloads.extend(made.iter_mut().flat_map(Shown::certificates));
        payloads.extend(certificates::request(ctx.policy, [&*peer]));
        payloads.extend(peer.remote_identity.single().map(|id| Payload::IdResponder(id.to_wire())));
        if let Some(made) = made {
            payloads.push(Payload::Authentication(made.auth));
            payloads.extend(self.ppk_payloads());
        }
        payloads.extend(configuration::request(&peer, &self.agreed.plan.wishes));
        if let Some(want) = self.first_want() {
            let parties = Parties {
                peer: &peer,
                identity: &peer.local_identity,
                assigned: &[],
                leased: &[],
                children: &[],
            };
            match child::ask(ctx, &self.agreed.sa, &parties, want, Within::Auth) {
                Ok((ask, more)) => {
                    payloads.extend(more);
                    self.ask = Some(ask);
                }
                Err(failure) => return self.fail(ctx, Code::ChildFailed, &failure.text),
            }
        }
        if self.agreed.plan.initial_contact && !ctx.shared.knows(&peer.name) {
            payloads.push(auth::status(NotifyType::InitialContact));
        }
        if peer.mobike {
            payloads.push(auth::status(NotifyType::MobikeSupported));
        }
        self.agreed.sa.request(ctx, ExchangeType::IkeAuth, &payloads);
        self.step = Step::Waiting;
        self.stay()
    }

    /// The child that goes into IKE_AUTH; none when there is none to make and the peer does without (RFC 6023).
    fn first_want(&mut self) -> Option<Want> {
        let wants = &mut self.agreed.plan.wants;
        if wants.is_empty() && !self.agreed.said.childless {
            wants.extend(self.agreed.plan.peer.children.first().map(Want::all_of));
        }
        if wants.is_empty() { None } else { Some(wants.remove(0)) }
    }

    /// RFC 8784 3: the PPK's name, and unless it is required a proof without it.
    pub(super) fn ppk_payloads(&self) -> Vec<Payload<'static>> {
        let Some(ppk) = self.agreed.plan.peer.ppk.as_ref().filter(|_| self.agreed.said.ppk) else {
            return Vec::new();
        };
        let mut payloads = vec![auth::ppk_identity(&ppk.id)];
        if !ppk.required {
            let octets = self.ours(&self.agreed.sa.sk_p(Role::Initiator, None));
            if let OurProof::Made(made) = auth::prove(&self.agreed, &self.agreed.plan.peer, &octets) {
                payloads.push(Payload::Notify(crate::wire::Notify::new(
                    NotifyType::NoPpkAuth,
                    made.data.into_owned(),
                )));
            }
        }
        payloads
    }

    /// A message for this SA.
    pub(crate) fn message(mut self, ctx: &mut Context<'_>, path: Path, datagram: &[u8]) -> State {
        match self.agreed.sa.receive(ctx, path, datagram) {
            Incoming::Response { plain, header } => match plain.payloads() {
                Ok(payloads) => self.response(ctx, View(&payloads), &plain, &header),
                Err(error) => self.fail(ctx, Code::Malformed, &error.to_string()),
            },
            Incoming::Nothing | Incoming::Request { .. } => self.stay(),
        }
    }

    fn response(mut self, ctx: &mut Context<'_>, view: View<'_>, plain: &Plain, header: &[u8; 28]) -> State {
        match std::mem::replace(&mut self.step, Step::Waiting) {
            Step::Intermediate(share) => {
                let group = share.group();
                match share.agree(group, view.ke()) {
                    Ok(secret) => {
                        let chains = &mut self.intermediate;
                        intermediate::bind(&self.agreed.sa, Role::Responder, chains, header, plain);
                        match self.agreed.sa.add_secret(&secret, (&self.agreed.ni, &self.agreed.nr)) {
                            Ok(()) => self.next(ctx),
                            Err(error) => self.fail(ctx, Code::NegotiationFailed, &error.to_string()),
                        }
                    }
                    Err(refused) => self.fail(ctx, Code::NegotiationFailed, &refused.to_string()),
                }
            }
            Step::Waiting => self.judge(ctx, view, plain),
            Step::Eap(login) => self.log_in(ctx, *login, view),
            step => {
                self.step = step;
                self.stay()
            }
        }
    }

    /// The peer's IKE_AUTH.
    fn judge(mut self, ctx: &mut Context<'_>, view: View<'_>, plain: &Plain) -> State {
        let peer = self.agreed.plan.peer.clone();
        let Some(idr) = view.idr() else {
            let error =
                view.error().map_or("the answer to IKE_AUTH lacks the peer's identity".into(), |error| {
                    format!("the peer answers {error}")
                });
            ctx.event(Code::AuthenticationFailed, Some(&peer), self.agreed.sa.id, self.agreed.sa.path, error);
            self.forget(ctx);
            return State::Gone;
        };
        let said = Identity::from_wire(idr);
        let Some(identity) = said.clone().filter(|identity| peer.remote_identity.matches(identity)) else {
            let said = said.map_or_else(|| idr.to_string(), |said| said.to_string());
            let text = format!("the peer says to be {said}, policy wants {}", peer.remote_identity);
            return self.refuse(ctx, &text);
        };
        // With EAP the key is named when we prove ourselves, at the end.
        let settled = if by_eap(&peer) { Ok(()) } else { self.settle_ppk(view) };
        if let Err(text) = settled {
            return self.refuse(ctx, &text);
        }
        let octets = self.theirs(&idr.body());
        match auth::judge(&self.agreed, &peer, &identity, view, &octets) {
            Ok(TheirProof::Good) => self.believed(ctx, identity, view),
            Ok(TheirProof::Ask(ask)) => {
                self.step = Step::Verifying(plain.clone());
                self.inquire(ctx, ask);
                self.stay()
            }
            Err(text) => self.refuse(ctx, &text),
        }
    }

    pub(super) fn settle_ppk(&mut self, view: View<'_>) -> Result<(), String> {
        let Some(ppk) = self.agreed.plan.peer.ppk.clone().filter(|_| self.agreed.said.ppk) else {
            return Ok(());
        };
        if view.has(NotifyType::PpkIdentity) {
            self.agreed.sa.mix_ppk(&ppk.key);
            return Ok(());
        }
        if ppk.required { Err("the peer did not use the post-quantum pre-shared key".into()) } else { Ok(()) }
    }

    pub(super) fn theirs(&self, id: &[u8]) -> crate::crypto::SignedOctets {
        let sk_pr = self.agreed.sa.sk_p(Role::Responder, None);
        auth::signed(&self.agreed, Role::Responder, sk_pr.expose(), id, (&self.intermediate, self.auth_id))
    }

    /// An answer from outside.
    pub(crate) fn answer(mut self, ctx: &mut Context<'_>, question: u64, answer: Answer) -> State {
        if question != self.question {
            return self.stay();
        }
        match (std::mem::replace(&mut self.step, Step::Waiting), answer) {
            (Step::Signing, Answer::Signature { scheme, signature, chain, good_for }) => {
                self.agreed.limit(ctx.now, good_for);
                match Shown::signed(scheme, &signature, chain) {
                    Ok(made) => self.send_auth(ctx, Some(made)),
                    Err(why) => self.fail(ctx, Code::AuthenticationFailed, why),
                }
            }
            (Step::Verifying(held), Answer::Trusted { public_key, good_for }) => {
                self.agreed.limit(ctx.now, good_for);
                self.verified(ctx, &held, &public_key)
            }
            (Step::Signing, Answer::Refused(why)) => {
                self.fail(ctx, Code::AuthenticationFailed, &format!("we cannot sign: {why}"))
            }
            (Step::Verifying(_), Answer::Refused(why)) => self.refuse(ctx, &why),
            (Step::Eap(login), answer) => self.log_in_answer(ctx, *login, answer),
            (step, _) => {
                self.step = step;
                self.stay()
            }
        }
    }

    fn verified(self, ctx: &mut Context<'_>, plain: &Plain, public_key: &[u8]) -> State {
        // It was parsed when it came.
        let payloads = plain.payloads().unwrap_or_default();
        let view = View(&payloads);
        let Some(idr) = view.idr() else { return self.refuse(ctx, "the answer lacks the peer's identity") };
        let octets = self.theirs(&idr.body());
        let verified = auth::verify(&self.agreed.plan.peer, public_key, view.auth(), &octets);
        match (verified, Identity::from_wire(idr)) {
            (Ok(()), Some(identity)) => self.believed(ctx, identity, view),
            (Err(text), _) => self.refuse(ctx, &text),
            (Ok(()), None) => self.refuse(ctx, "the peer's identity is none that policy can name"),
        }
    }

    /// The peer is who it says; now we, unless that is done.
    fn believed(self, ctx: &mut Context<'_>, identity: Identity, view: View<'_>) -> State {
        match &self.agreed.plan.peer.proof {
            Proof::Eap { .. } => {
                let idr = view.idr().map(crate::wire::Identity::body).unwrap_or_default();
                let login = Login::new(identity, idr);
                self.log_in(ctx, login, view)
            }
            _ => self.finish(ctx, identity, view),
        }
    }

    /// Both have proved themselves.
    pub(super) fn finish(mut self, ctx: &mut Context<'_>, identity: Identity, view: View<'_>) -> State {
        let Agreed { mut sa, plan, since, ni, nr, said, good_until, .. } = self.agreed;
        sa.now_proved();
        let mut clock = Established::clock(ctx, &plan.peer);
        let birth = Established::birth(ctx, &sa, since);
        if let Some(crate::wire::Content::AuthLifetime(seconds)) = view.content(NotifyType::AuthLifetime) {
            let soon = ctx.now + std::time::Duration::from_secs(u64::from(seconds)) * 9 / 10;
            clock.reauthenticate = Some(clock.reauthenticate.map_or(soon, |own| own.min(soon)));
        }
        clock.end_with_proof(ctx, good_until);
        let features = Features {
            mobike: plan.peer.mobike && view.has(NotifyType::MobikeSupported),
            redirect: false,
            childless: said.childless,
        };
        let mut established = Established::new(sa, plan.peer.clone(), identity, features, birth, clock);
        established.tasks = plan.wants.into_iter().map(Task::NewChild).collect();
        let text = format!(
            "IKE SA with {} ({}) stands, {}",
            established.identity,
            plan.peer.demand.word(),
            established.sa.suite
        );
        ctx.event(Code::IkeUp, Some(&plan.peer), established.sa.id, established.sa.path, text);
        configuration::take(&mut established, ctx, view);
        ctx.out.push(Effect::Proved);
        if let Some(old) = plan.supersedes {
            ctx.out.push(Effect::Supersedes(old));
        }
        if let Some(ask) = self.ask.take() {
            first_child(&mut established, ctx, ask, view, (&ni, &nr));
        }
        established.go_on(ctx)
    }

    /// Tells the peer that we do not believe it.
    pub(super) fn refuse(mut self, ctx: &mut Context<'_>, text: &str) -> State {
        ctx.event(
            Code::AuthenticationFailed,
            Some(&self.agreed.plan.peer),
            self.agreed.sa.id,
            self.agreed.sa.path,
            text,
        );
        self.forget(ctx);
        State::Closing(Box::new(Closing::refuse(ctx, self.agreed.sa, self.agreed.plan.peer)))
    }

    pub(super) fn fail(mut self, ctx: &mut Context<'_>, code: Code, text: &str) -> State {
        ctx.event(code, Some(&self.agreed.plan.peer), self.agreed.sa.id, self.agreed.sa.path, text);
        self.forget(ctx);
        State::Gone
    }

    /// Gives back the number of a child that will not be.
    pub(crate) fn forget(&mut self, ctx: &mut Context<'_>) {
        if let Some(ask) = self.ask.take() {
            ctx.shared.release_spi(ask.inbound);
        }
    }

    /// Time has passed.
    pub(crate) fn timer(mut self, ctx: &mut Context<'_>) -> State {
        let pace = ctx.policy.retransmission;
        match self.agreed.sa.window.tick(ctx.now, &pace) {
            Tick::Again(packets) => ctx.send(self.agreed.sa.path, &packets),
            Tick::GaveUp => {
                let text = format!("no answer to IKE_AUTH after {} repetitions", pace.retries);
                return self.fail(ctx, Code::PeerSilent, &text);
            }
            Tick::Idle => {}
        }
        if self.agreed.since + ctx.policy.limits.patience * 4 <= ctx.now {
            return self.fail(ctx, Code::NegotiationFailed, "it took too long");
        }
        self.stay()
    }

    /// When [`Self::timer`] has something to do next.
    pub(crate) fn deadline(&self, patience: std::time::Duration) -> Option<Time> {
        [self.agreed.sa.window.deadline(), Some(self.agreed.since + patience * 4)].into_iter().flatten().min()
    }
}

fn by_eap(peer: &Peer) -> bool {
    matches!(peer.proof, Proof::Eap { .. })
}

fn first_child(
    this: &mut Established,
    ctx: &mut Context<'_>,
    ask: ChildAsk,
    view: View<'_>,
    nonces: (&[u8], &[u8]),
) {
    let name = ask.want.child.name.clone();
    let want = ask.want.clone();
    match child::accept(ctx, &this.sa, &this.parties(), ask, view, nonces) {
        Ok((sa, child)) => {
            this.install(ctx, sa, child);
            crate::part::resources::spread(this, ctx, &want, view);
        }
        Err(failure) => {
            let text = format!("child {name}: {}", failure.text);
            ctx.event(Code::ChildFailed, Some(&this.peer), this.sa.id, this.sa.path, text);
            if view.sa().is_some() {
                this.push(Task::DeleteIke);
            }
        }
    }
}
