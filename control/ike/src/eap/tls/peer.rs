//! EAP-TLS as the one who logs in (RFC 5216, RFC 9190). Whether the server's certificate is good has to be asked afterwards.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion};

use super::flight::{Fragment, Incoming, Outgoing, START, msk};
use crate::crypto::Secret;
use crate::eap::Refusal;
use crate::wire::{Eap, EapType};

/// The peer's side of one authentication.
pub struct Peer {
    name: Vec<u8>,
    tls: Box<ClientConnection>,
    incoming: Incoming,
    outgoing: Outgoing,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The server has not asked to begin.
    Idle,
    Handshake,
    /// The server holds the key of its certificate and has said that it is done.
    Proved,
    /// An alert is on its way.
    Failed,
}

/// What a peer says to a packet.
#[derive(Debug)]
pub enum PeerStep {
    /// Send this, and wait with this state.
    Continue(Peer, Eap<'static>),
    /// Both sides hold the keys of their certificates.
    Done {
        /// The master session key.
        msk: Secret,
        /// The server's certificates in DER, its own first. Nobody has judged them yet.
        chain: Vec<Vec<u8>>,
    },
    /// There will be no session.
    Refused(Refusal),
}

impl Peer {
    /// Waits for the server's first packet.
    pub fn new(name: Vec<u8>, config: Arc<ClientConfig>) -> Result<Self, rustls::Error> {
        // The server is asked for no name: its certificate is judged by that of its IKE identity.
        let server = ServerName::from(IpAddr::from(Ipv4Addr::UNSPECIFIED));
        let tls = Box::new(ClientConnection::new(config, server)?);
        let (incoming, outgoing) = (Incoming::default(), Outgoing::default());
        Ok(Self { name, tls, incoming, outgoing, stage: Stage::Idle })
    }

    /// Takes a packet of the server, from its question for the identity to Success.
    pub fn receive(mut self, packet: &Eap<'_>) -> PeerStep {
        match packet {
            Eap::Request { identifier, kind: EapType::Identity, .. } if self.stage == Stage::Idle => {
                let data = self.name.clone().into();
                let answer = Eap::Response { identifier: *identifier, kind: EapType::Identity, data };
                PeerStep::Continue(self, answer)
            }
            Eap::Request { identifier, kind: EapType::Tls, data } => match self.request(data) {
                Ok(said) => {
                    let answer =
                        Eap::Response { identifier: *identifier, kind: EapType::Tls, data: said.into() };
                    PeerStep::Continue(self, answer)
                }
                Err(refusal) => PeerStep::Refused(refusal),
            },
            // Other methods are not ours: say which is (RFC 3748 5.3.1).
            Eap::Request { identifier, .. } if self.stage == Stage::Idle => {
                let data = vec![EapType::Tls.into()].into();
                let answer = Eap::Response { identifier: *identifier, kind: EapType::Nak, data };
                PeerStep::Continue(self, answer)
            }
            Eap::Success { .. } if self.stage == Stage::Proved => self.finish(),
            Eap::Failure { .. } => PeerStep::Refused(Refusal::Credentials),
            _ => PeerStep::Refused(Refusal::Unexpected),
        }
    }

    /// What is said to a packet of TLS.
    fn request(&mut self, data: &[u8]) -> Result<Vec<u8>, Refusal> {
        if self.stage == Stage::Idle {
            let begins = data.first().is_some_and(|flags| flags & START != 0);
            if !begins {
                return Err(Refusal::Unexpected);
            }
            self.stage = Stage::Handshake;
            return self.answer();
        }
        let fragment = Fragment::parse(data).ok_or(Refusal::Malformed)?;
        if !self.outgoing.is_sent() {
            let goes_on = fragment.is_acknowledgement();
            return goes_on.then(|| self.outgoing.next()).ok_or(Refusal::Unexpected);
        }
        if self.stage == Stage::Failed {
            return Err(Refusal::Credentials);
        }
        if !self.incoming.add(&fragment) {
            return Err(Refusal::Malformed);
        }
        if fragment.more {
            return Ok(vec![0]);
        }
        if self.handshake().is_err() {
            self.stage = Stage::Failed;
        }
        self.answer()
    }

    /// Hands the flight to TLS.
    fn handshake(&mut self) -> Result<(), rustls::Error> {
        let mut proved = false;
        self.incoming.feed(&mut self.tls, |tls, state| {
            // RFC 9190 2.1.1: one octet says that the server is done. Under TLS 1.2 its Finished does.
            proved |= match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_3) => state.plaintext_bytes_to_read() > 0,
                _ => !tls.is_handshaking(),
            };
        })?;
        if proved {
            self.stage = Stage::Proved;
        }
        Ok(())
    }

    /// Our next flight; an acknowledgement where TLS has nothing to say.
    fn answer(&mut self) -> Result<Vec<u8>, Refusal> {
        self.outgoing = Outgoing::of(&mut self.tls).map_err(|_| Refusal::Unexpected)?;
        Ok(self.outgoing.next())
    }

    fn finish(self) -> PeerStep {
        let shown = self.tls.peer_certificates().unwrap_or_default();
        let chain: Vec<Vec<u8>> = shown.iter().map(|der| der.to_vec()).collect();
        match msk(&self.tls) {
            Ok(msk) if !chain.is_empty() => PeerStep::Done { msk, chain },
            _ => PeerStep::Refused(Refusal::Credentials),
        }
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({}, {:?})", self.name.escape_ascii(), self.stage)
    }
}
