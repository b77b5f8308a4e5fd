//! We prove ourselves by EAP (RFC 7296 2.16): from the peer's first IKE_AUTH, which proved the peer, to its last one.

use ravelin_contract::secret::Secret;

use super::State;
use super::authenticating::{Authenticating, Step};
use crate::action::Ask;
use crate::context::Context;
use crate::eap::Refusal;
use crate::eap::client::{Client, ClientStep};
use crate::eap::mschapv2::{self, NtHash};
use crate::eap::tls;
use crate::event::Code;
use crate::exchange::auth;
use crate::exchange::view::View;
use crate::input::Answer;
use crate::policy::{Identity, LogIn, Proof};
use crate::wire::{Eap, ExchangeType, Payload};

/// A log-in, and whom the peer proved to be.
#[derive(Debug)]
pub(super) struct Login {
    identity: Identity,
    /// Body of the identification payload that came with the peer's first proof.
    idr: Vec<u8>,
    at: At,
}

#[derive(Debug)]
enum At {
    /// Nothing has been said.
    Begin,
    /// What we show by TLS is being found out; then this is answered.
    Showing(Eap<'static>),
    /// The peer's next packet is awaited.
    Talking(Client),
    /// The certificates that the peer showed by TLS are being judged.
    Judging(Secret),
    /// EAP is over and our AUTH by this key is on its way; the peer's is awaited.
    Proof(Secret),
}

impl Login {
    pub(super) fn new(identity: Identity, idr: Vec<u8>) -> Self {
        Self { identity, idr, at: At::Begin }
    }

    fn at(self, at: At) -> Self {
        Self { at, ..self }
    }
}

impl Authenticating {
    /// The peer's IKE_AUTH within EAP.
    pub(super) fn log_in(self, ctx: &mut Context<'_>, mut login: Login, view: View<'_>) -> State {
        let at = std::mem::replace(&mut login.at, At::Begin);
        match (at, view.eap(), view.error()) {
            (At::Begin, Some(packet), _) => self.begin_log_in(ctx, login, packet),
            (At::Talking(client), Some(packet), _) => self.talk(ctx, login, client, packet),
            (_, _, Some(error)) if view.auth().is_none() => {
                let text = format!("the peer answers {error} while we log in by EAP");
                self.fail(ctx, Code::AuthenticationFailed, &text)
            }
            (At::Begin | At::Talking(_), None, _) => {
                self.refuse(ctx, "the peer speaks no EAP, by which policy proves us")
            }
            (At::Proof(msk), ..) => self.judge_peer(ctx, login, &msk, view),
            // No message of ours is under way.
            (at, ..) => self.wait(login.at(at)),
        }
    }

    fn begin_log_in(mut self, ctx: &mut Context<'_>, login: Login, packet: &Eap<'_>) -> State {
        let peer = self.agreed.plan.peer.clone();
        match &peer.proof {
            Proof::Eap { user, by: LogIn::Password(password) } => {
                // A password that is not text belongs to nobody.
                let hash = NtHash::of_password(str::from_utf8(password.expose()).unwrap_or_default());
                let client = mschapv2::peer::Peer::new(user.as_bytes().to_vec(), hash);
                self.talk(ctx, login, Client::Password(client), packet)
            }
            Proof::Eap { by: LogIn::Certificate { key, .. }, .. } => {
                let ask = Ask::TlsLogIn { key: key.clone(), identity: peer.local_identity.clone() };
                self.inquire(ctx, ask);
                self.wait(login.at(At::Showing(packet.clone().into_owned())))
            }
            Proof::SharedKey(_) | Proof::Key { .. } => self.refuse(ctx, "policy speaks of no EAP"),
        }
    }

    fn talk(mut self, ctx: &mut Context<'_>, login: Login, client: Client, packet: &Eap<'_>) -> State {
        match client.receive(packet, ctx.random) {
            ClientStep::Continue(client, packet) => {
                self.say(ctx, login.at(At::Talking(client)), &[Payload::Eap(packet)])
            }
            ClientStep::Done { msk, chain } => match (&self.agreed.plan.peer.proof, chain.is_empty()) {
                (Proof::Eap { by: LogIn::Certificate { trust, .. }, .. }, false) => {
                    let (identity, trust) = (login.identity.clone(), trust.clone());
                    self.inquire(ctx, Ask::Verify { chain, identity, trust });
                    self.wait(login.at(At::Judging(msk)))
                }
                _ => self.prove_by(ctx, login, msk),
            },
            ClientStep::Refused(Refusal::Credentials) => {
                let text = "the peer refuses what we log in with by EAP, or does not hold its own part of it";
                self.refuse(ctx, text)
            }
            ClientStep::Refused(reason) => self.refuse(ctx, &reason.to_string()),
        }
    }

    /// An answer from outside.
    pub(super) fn log_in_answer(mut self, ctx: &mut Context<'_>, mut login: Login, answer: Answer) -> State {
        match (std::mem::replace(&mut login.at, At::Begin), answer) {
            (At::Showing(packet), Answer::TlsLogIn(config)) => {
                let Proof::Eap { user, .. } = &self.agreed.plan.peer.proof else {
                    return self.refuse(ctx, "policy speaks of no EAP");
                };
                match tls::peer::Peer::new(user.as_bytes().to_vec(), config) {
                    Ok(peer) => self.talk(ctx, login, Client::Certificate(Box::new(peer)), &packet),
                    Err(error) => self.refuse(ctx, &format!("we cannot begin TLS: {error}")),
                }
            }
            (At::Judging(msk), Answer::Trusted { good_for, .. }) => {
                self.agreed.limit(ctx.now, good_for);
                self.prove_by(ctx, login, msk)
            }
            (At::Showing(_), Answer::Refused(why)) => {
                self.refuse(ctx, &format!("we cannot log in by EAP: {why}"))
            }
            (At::Judging(_), Answer::Refused(why)) => self.refuse(ctx, &why),
            (at, _) => self.wait(login.at(at)),
        }
    }

    fn wait(mut self, login: Login) -> State {
        self.step = Step::Eap(Box::new(login));
        self.stay()
    }

    fn say(mut self, ctx: &mut Context<'_>, login: Login, payloads: &[Payload<'_>]) -> State {
        self.agreed.sa.request(ctx, ExchangeType::IkeAuth, payloads);
        self.wait(login)
    }

    fn prove_by(self, ctx: &mut Context<'_>, login: Login, msk: Secret) -> State {
        let made = auth::by_msk(&self.agreed, &msk, &self.ours(&self.sk_pi()));
        let mut payloads = vec![Payload::Authentication(made)];
        payloads.extend(self.ppk_payloads());
        self.say(ctx, login.at(At::Proof(msk)), &payloads)
    }

    /// The peer proves with EAP's key that it was the one who spoke.
    fn judge_peer(mut self, ctx: &mut Context<'_>, login: Login, msk: &Secret, view: View<'_>) -> State {
        let judged = self.settle_ppk(view).and_then(|()| {
            let octets = self.theirs(&login.idr);
            let proof = view.auth().ok_or("the peer sent no AUTH after EAP")?;
            auth::shared(&self.agreed, proof, msk, &octets)
        });
        match judged {
            Ok(_) => self.finish(ctx, login.identity, view),
            Err(text) => self.refuse(ctx, &text),
        }
    }
}
