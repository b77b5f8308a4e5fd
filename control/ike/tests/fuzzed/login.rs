//! The peer's part of a log-in by EAP with a password, on either side.

use ravelin_ike::Answer;
use ravelin_ike::crypto::{Random, Secret};
use ravelin_ike::eap::client::{Client, ClientStep};
use ravelin_ike::eap::mschapv2::{NtHash, peer::Peer};
use ravelin_ike::eap::server::{Server, Turn};
use ravelin_ike::policy::EapMethod;
use ravelin_ike::wire::{Eap, EapType};

use super::mallory::PASSWORD;

/// How far it has come.
pub(crate) struct Talk {
    heard: Option<Eap<'static>>,
    side: Side,
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
    pub(crate) fn new(client: bool) -> Self {
        let peer = || Peer::new(b"mallory".to_vec(), NtHash::of_password(PASSWORD));
        let side = if client { Side::Client(Client::Password(peer())) } else { Side::Asks };
        Self { heard: None, side }
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
                let (server, packet) = Server::start("gate".into(), vec![EapMethod::MsChapV2], random);
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
            Turn::Need(waiting, _) => {
                let password = Answer::Password(Secret::new(PASSWORD.into()));
                let turn = waiting.answer(password, random);
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
