//! We prove ourselves by EAP (RFC 7296 2.16): from the peer's first IKE_AUTH, which proved the peer, to its last one.

use ravelin_contract::secret::Secret;

use super::State;
use super::authenticating::{Authenticating, Step};
use crate::context::Context;
use crate::eap::Refusal;
use crate::eap::mschapv2::NtHash;
use crate::eap::mschapv2::peer::{Peer, PeerStep};
use crate::event::Code;
use crate::exchange::auth;
use crate::exchange::view::View;
use crate::policy::Identity;
use crate::wire::{ExchangeType, Payload};

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
    /// The peer's next packet is awaited.
    Talking(Peer),
    /// EAP is over and our AUTH by this key is on its way; the peer's is awaited.
    Proof(Secret),
}

impl Login {
    pub(super) fn new(identity: Identity, idr: Vec<u8>, user: &str, password: &Secret) -> Self {
        // A password that is not text belongs to nobody.
        let hash = NtHash::of_password(str::from_utf8(password.expose()).unwrap_or_default());
        Self { identity, idr, at: At::Talking(Peer::new(user.as_bytes().to_vec(), hash)) }
    }
}

impl Authenticating {
    /// The peer's IKE_AUTH within EAP.
    pub(super) fn log_in(self, ctx: &mut Context<'_>, login: Login, view: View<'_>) -> State {
        let Login { identity, idr, at } = login;
        match (at, view.eap(), view.error()) {
            (At::Talking(peer), Some(packet), _) => match peer.receive(packet, ctx.random) {
                PeerStep::Continue(peer, packet) => {
                    let login = Login { identity, idr, at: At::Talking(peer) };
                    self.say(ctx, login, &[Payload::Eap(packet)])
                }
                PeerStep::Done(msk) => self.prove_by(ctx, identity, idr, msk),
                PeerStep::Refused(Refusal::Credentials) => {
                    let text = "the peer refuses our EAP user and password, or does not know the password";
                    self.refuse(ctx, text)
                }
                PeerStep::Refused(reason) => self.refuse(ctx, &reason.to_string()),
            },
            (_, _, Some(error)) if view.auth().is_none() => {
                let text = format!("the peer answers {error} while we log in by EAP");
                self.fail(ctx, Code::AuthenticationFailed, &text)
            }
            (At::Talking(_), None, _) => {
                self.refuse(ctx, "the peer speaks no EAP, by which policy proves us")
            }
            (At::Proof(msk), _, _) => self.judge_peer(ctx, identity, &idr, &msk, view),
        }
    }

    fn say(mut self, ctx: &mut Context<'_>, login: Login, payloads: &[Payload<'_>]) -> State {
        self.agreed.sa.request(ctx, ExchangeType::IkeAuth, payloads);
        self.step = Step::Eap(Box::new(login));
        self.stay()
    }

    fn prove_by(self, ctx: &mut Context<'_>, identity: Identity, idr: Vec<u8>, msk: Secret) -> State {
        let made = auth::by_msk(&self.agreed, &msk, &self.ours(&self.sk_pi()));
        let mut payloads = vec![Payload::Authentication(made)];
        payloads.extend(self.ppk_payloads());
        self.say(ctx, Login { identity, idr, at: At::Proof(msk) }, &payloads)
    }

    /// The peer proves with EAP's key that it was the one who spoke.
    fn judge_peer(
        mut self,
        ctx: &mut Context<'_>,
        identity: Identity,
        idr: &[u8],
        msk: &Secret,
        view: View<'_>,
    ) -> State {
        let judged = self.settle_ppk(view).and_then(|()| {
            let octets = self.theirs(idr);
            let proof = view.auth().ok_or("the peer sent no AUTH after EAP")?;
            auth::shared(&self.agreed, proof, msk, &octets)
        });
        match judged {
            Ok(_) => self.finish(ctx, identity, view),
            Err(text) => self.refuse(ctx, &text),
        }
    }
}
