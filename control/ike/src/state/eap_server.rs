//! The peer proves itself by EAP (RFC 7296 2.16): from its first IKE_AUTH without AUTH to its last one with AUTH by the key
//! that EAP left.

use std::sync::Arc;

use ravelin_contract::secret::Secret;

use super::State;
use super::responding::{Held, Responding, Step};
use crate::action::Ask;
use crate::context::Context;
use crate::eap::server::{Need, Server, Turn, Waiting};
use crate::event::Code;
use crate::exchange::auth::{self, Shown};
use crate::exchange::child::Failure;
use crate::exchange::view::View;
use crate::input::Answer;
use crate::policy::{Demand, Eap, EapMethod, Identity, Proof};
use crate::sealed::Plain;
use crate::wire::{ExchangeType, NotifyType, Payload};

/// A conversation with the peer, and its first IKE_AUTH, which says what it wants afterwards.
#[derive(Debug)]
pub(super) struct Talk {
    held: Held,
    at: At,
}

/// Whose turn it is.
#[derive(Debug)]
enum At {
    /// The peer's next packet is awaited.
    Peer(Box<Server>),
    /// An answer from outside is awaited.
    World(Box<Waiting>),
    /// EAP is over; AUTH by this key is awaited.
    Proof(Secret),
}

impl Talk {
    /// Whether the peer has the word.
    pub(super) fn awaits_peer(&self) -> bool {
        !matches!(self.at, At::World(_))
    }
}

impl Responding {
    /// The peer said who it is and leaves the proof to EAP. `alone`: nothing but EAP proves us either (RFC 5998).
    pub(super) fn meet_user(self, ctx: &mut Context<'_>, eap: &Eap, held: Held, alone: bool) -> State {
        if alone && eap.methods.iter().any(EapMethod::stands_alone) {
            return self.open_eap(ctx, held, None);
        }
        self.prove(ctx, held)
    }

    /// Our proof goes out, and the first packet with it.
    pub(super) fn open_eap(mut self, ctx: &mut Context<'_>, held: Held, made: Option<Shown>) -> State {
        let peer = Arc::clone(&self.agreed.plan.peer);
        let Demand::Eap(eap) = &peer.demand else {
            return self.unbelieved(ctx, held.id, Code::AuthenticationFailed, "policy speaks of no EAP");
        };
        let fits = |method: &&EapMethod| made.is_some() || method.stands_alone();
        let methods = eap.methods.iter().filter(fits).cloned().collect();
        let (server, packet) = Server::start(peer.local_identity.to_string(), methods, ctx.random);
        let mut answer = vec![Payload::IdResponder(peer.local_identity.to_wire())];
        if let Some(mut made) = made {
            answer.extend(made.certificates());
            answer.push(Payload::Authentication(made.auth));
        }
        answer.push(Payload::Eap(packet));
        // People are slower than programs, but not for ever.
        self.until = ctx.now + ctx.policy.limits.patience * 2;
        self.agreed.sa.respond(ctx, ExchangeType::IkeAuth, held.id, &answer);
        self.wait(held, At::Peer(Box::new(server)))
    }

    fn wait(mut self, held: Held, at: At) -> State {
        self.step = Step::Eap(Box::new(Talk { held, at }));
        self.stay()
    }

    /// The peer's next IKE_AUTH.
    pub(super) fn eap_message(self, ctx: &mut Context<'_>, talk: Talk, id: u32, plain: &Plain) -> State {
        let held = Held { id, ..talk.held };
        let payloads = match plain.payloads() {
            Ok(payloads) => payloads,
            Err(error) => {
                let failure = Failure::new(NotifyType::InvalidSyntax, error.to_string());
                return self.refuse(ctx, ExchangeType::IkeAuth, id, Code::Malformed, &failure);
            }
        };
        let view = View(&payloads);
        match (talk.at, view.eap()) {
            (At::Peer(server), Some(packet)) => {
                let turn = server.receive(packet.clone().into_owned(), ctx.random);
                self.turn(ctx, held, turn)
            }
            (At::Proof(msk), None) => self.judge_user(ctx, held, &msk, view),
            _ => {
                let text = format!("{}: the message is not the one that EAP wants next", held.identity);
                self.unbelieved(ctx, id, Code::AuthenticationFailed, &text)
            }
        }
    }

    /// The peer ends the log-in in an exchange of its own, as some do who were told that their password is wrong.
    pub(super) fn eap_given_up(self, ctx: &mut Context<'_>, talk: Talk, id: u32) -> State {
        let text = match talk.at {
            At::Peer(server) => {
                let (user, why) = server.given_up();
                format!("EAP user {user}: {why}")
            }
            At::World(_) | At::Proof(_) => format!("{}: the client gave up", talk.held.identity),
        };
        self.event(ctx, Code::AuthenticationFailed, text);
        self.last_words(ctx, ExchangeType::Informational, id, &[])
    }

    /// An answer from outside.
    pub(super) fn eap_answer(self, ctx: &mut Context<'_>, talk: Talk, answer: Answer) -> State {
        match talk.at {
            At::World(waiting) => {
                let turn = waiting.answer(answer, ctx.random);
                self.turn(ctx, talk.held, turn)
            }
            at => self.wait(talk.held, at),
        }
    }

    fn turn(mut self, ctx: &mut Context<'_>, held: Held, turn: Turn) -> State {
        match turn {
            Turn::Send(server, packet) => {
                self.agreed.sa.respond(ctx, ExchangeType::IkeAuth, held.id, &[Payload::Eap(packet)]);
                self.wait(held, At::Peer(server))
            }
            Turn::Need(waiting, need) => {
                let ask = self.ask_for(need, &held.identity);
                self.inquire(ctx, ask);
                self.wait(held, At::World(waiting))
            }
            Turn::Accepted { packet, user, msk, good_for } => {
                self.agreed.limit(ctx.now, good_for);
                self.agreed.sa.respond(ctx, ExchangeType::IkeAuth, held.id, &[Payload::Eap(packet)]);
                self.wait(Held { identity: Identity::User(user), ..held }, At::Proof(msk))
            }
            Turn::Refused { packet, user, why } => {
                self.event(ctx, Code::AuthenticationFailed, format!("EAP user {user}: {why}"));
                let payloads = [Payload::Eap(packet), auth::status(NotifyType::AuthenticationFailed)];
                self.last_words(ctx, ExchangeType::IkeAuth, held.id, &payloads)
            }
        }
    }

    /// The question to the world outside. A distinguished name stands in the ID payload as octets, in EAP as text.
    fn ask_for(&self, need: Need, said: &Identity) -> Ask {
        let peer = &self.agreed.plan.peer;
        match need {
            Need::Password(user) => Ask::Password { peer: peer.name.clone(), user },
            Need::Tls => {
                let key = match &peer.proof {
                    Proof::Key { key, .. } => key.clone(),
                    // The world outside has no key without a name.
                    Proof::SharedKey(_) | Proof::Eap { .. } => String::new(),
                };
                Ask::Tls { key, identity: peer.local_identity.clone() }
            }
            Need::Judgement { chain, name, trust } => {
                let identity = match said {
                    Identity::Dn(_) => said.clone(),
                    _ => Identity::of_user(&name),
                };
                Ask::Verify { chain, identity, trust }
            }
        }
    }

    /// EAP is over: both sides prove with its key that they were the ones who spoke.
    fn judge_user(mut self, ctx: &mut Context<'_>, held: Held, msk: &Secret, view: View<'_>) -> State {
        let judged = self.settle_ppk(view).and_then(|()| self.believe(&held, msk, view));
        if let Err(text) = judged {
            let text = format!("{}: {text}", held.identity);
            return self.unbelieved(ctx, held.id, Code::AuthenticationFailed, &text);
        }
        let made = auth::by_msk(&self.agreed, msk, &self.ours());
        self.finish(ctx, &held, Shown::alone(made))
    }

    fn believe(&self, held: &Held, msk: &Secret, view: View<'_>) -> Result<(), String> {
        let first = held.plain.payloads().unwrap_or_default();
        let idi = View(&first).idi().map(crate::wire::Identity::body).unwrap_or_default();
        let proof = view.auth().ok_or("the peer sent no AUTH after EAP")?;
        auth::shared(&self.agreed, proof, msk, &self.theirs(&idi)).map(drop)
    }
}
