//! The peer's part of a log-in by EAP, with a password or a certificate, on either side.

use ravelin_ike::Answer;
use ravelin_ike::crypto::{Random, Secret};
use ravelin_ike::eap::client::{Client, ClientStep};
use ravelin_ike::eap::mschapv2::{self, NtHash};
use ravelin_ike::eap::server::{Need, Server, Turn};
use ravelin_ike::eap::tls;
use ravelin_ike::policy::EapMethod;
use ravelin_ike::wire::{Eap, EapType};

use super::mallory::PASSWORD;
use super::papers;
use super::rules::{Proofs, trust};

/// How far it has come.
pub(crate) struct Talk {
    heard: Option<Eap<'static>>,
    side: Side,
    /// The method that a server insists on.
    method: EapMethod,
}

enum Side {
    /// The one who logs in.
    Client(Client),
    /// The one who asks, before and after its first packet.
    Asks,
    Server(Box<Server>),
    /// Both know the key, or there will be none.
    Over(Option<Secret>),
}

impl Talk {
    pub(crate) fn new(client: bool, proofs: Proofs) -> Self {
        let certificate = proofs == Proofs::Certificate;
        let name = || b"mallory".to_vec();
        let log_in = || match certificate {
            true => {
                let peer = tls::peer::Peer::new(name(), papers::client()).expect("TLS begins");
                Client::Certificate(Box::new(peer))
            }
            false => Client::Password(mschapv2::peer::Peer::new(name(), NtHash::of_password(PASSWORD))),
        };
        let side = if client { Side::Client(log_in()) } else { Side::Asks };
        let method = if certificate { EapMethod::Tls(trust()) } else { EapMethod::MsChapV2 };
        Self { heard: None, side, method }
    }

    /// What the endpoint said.
    pub(crate) fn hear(&mut self, packet: &Eap<'_>) {
        self.heard = Some(packet.clone().into_owned());
    }

    /// The key that EAP left.
    pub(crate) fn key(&self) -> Option<&Secret> {
        match &self.side {
            Side::Over(key) => key.as_ref(),
            _ => None,
        }
    }

    /// What an honest side says next, if it has anything to say.
    pub(crate) fn next(&mut self, random: &mut dyn Random) -> Option<Eap<'static>> {
        match (std::mem::replace(&mut self.side, Side::Over(None)), self.heard.take()) {
            (Side::Client(client), Some(packet)) => match client.receive(&packet, random) {
                ClientStep::Continue(client, packet) => {
                    self.side = Side::Client(client);
                    Some(packet)
                }
                ClientStep::Done { msk, .. } => {
                    self.side = Side::Over(Some(msk));
                    None
                }
                ClientStep::Refused(_) => None,
            },
            (Side::Asks, _) => {
                let (server, packet) = Server::start("gate".into(), vec![self.method.clone()], random);
                self.side = Side::Server(Box::new(server));
                Some(packet)
            }
            (Side::Server(server), Some(packet)) => {
                let turn = server.receive(packet, random);
                Some(self.turn(turn, random))
            }
            // Nobody asked.
            (side @ Side::Client(_), None) => {
                self.side = side;
                let data = b"mallory".as_slice().into();
                Some(Eap::Response { identifier: 1, kind: EapType::Identity, data })
            }
            (side, _) => {
                self.side = side;
                None
            }
        }
    }

    fn turn(&mut self, turn: Turn, random: &mut dyn Random) -> Eap<'static> {
        match turn {
            Turn::Send(server, packet) => {
                self.side = Side::Server(server);
                packet
            }
            Turn::Need(waiting, need) => {
                let turn = waiting.answer(outside(&need), random);
                self.turn(turn, random)
            }
            Turn::Accepted { packet, msk, .. } => {
                self.side = Side::Over(Some(msk));
                packet
            }
            Turn::Refused { packet, .. } => packet,
        }
    }
}

/// What is known outside, for the peer as for the endpoint.
fn outside(need: &Need) -> Answer {
    match need {
        Need::Password(_) => Answer::Password(Secret::new(PASSWORD.into())),
        Need::Tls => Answer::Tls(papers::server()),
        Need::Judgement { .. } => papers::believed(),
    }
}
