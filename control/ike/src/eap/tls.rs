//! EAP-TLS as a server (RFC 5216, RFC 9190): TLS in pieces, rustls for what is inside, and the key that it leaves.

mod flight;
pub mod peer;
mod possession;

use std::sync::Arc;

use rustls::client::{ResolvesClientCert, Resumption};
use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{ClientConfig, ProtocolVersion, ServerConfig, ServerConnection};

pub use possession::Possession;

use self::flight::{Fragment, Incoming, Outgoing, START, msk};
use super::{Accepted, Refusal, Refused, Step, Who, response};
use crate::crypto::CryptoError;
use crate::wire::{Eap, EapType};

/// What the server shows and whom it believes. Sessions are not resumed: each log-in proves the certificate anew.
pub fn config(
    shown: Arc<dyn ResolvesServerCert>,
    verifier: Arc<dyn ClientCertVerifier>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Ok(Arc::new(config))
}

/// What a client shows. Whom to believe is asked afterwards.
pub fn client_config(shown: Arc<dyn ResolvesClientCert>) -> Result<Arc<ClientConfig>, rustls::Error> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Possession::default()))
        .with_client_cert_resolver(shown);
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(Arc::new(config))
}

/// The server's side of one authentication.
pub struct EapTls {
    identifier: u8,
    tls: Box<ServerConnection>,
    incoming: Incoming,
    outgoing: Outgoing,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    /// The peer is believed; it has to acknowledge our last flight.
    Proved,
    /// An alert is on its way.
    Failed,
}

impl EapTls {
    /// Asks the peer to begin. `identifier` is the one after that of the last packet.
    pub fn start(identifier: u8, config: Arc<ServerConfig>) -> Result<(Self, Eap<'static>), CryptoError> {
        let tls = ServerConnection::new(config).map_err(|_| CryptoError::Library)?;
        let state = Self {
            identifier,
            tls: Box::new(tls),
            incoming: Incoming::default(),
            outgoing: Outgoing::default(),
            stage: Stage::Handshake,
        };
        let packet = state.request(vec![START]);
        Ok((state, packet))
    }

    fn request(&self, data: Vec<u8>) -> Eap<'static> {
        Eap::Request { identifier: self.identifier, kind: EapType::Tls, data: data.into() }
    }

    fn refuse(&self, reason: Refusal) -> Step<Self> {
        Step::Refused(Refused::new(self.identifier, reason))
    }

    /// Takes the peer's response.
    pub fn receive(self, packet: &Eap<'_>) -> Step<Self> {
        let data = match response(packet, self.identifier, EapType::Tls) {
            Ok(data) => data,
            Err(refused) => return Step::Refused(refused),
        };
        let Some(fragment) = Fragment::parse(data) else { return self.refuse(Refusal::Malformed) };
        if !self.outgoing.is_sent() {
            return if fragment.is_acknowledgement() {
                self.send()
            } else {
                self.refuse(Refusal::Unexpected)
            };
        }
        match self.stage {
            Stage::Failed => self.refuse(Refusal::Credentials),
            Stage::Proved if fragment.is_acknowledgement() => self.accept(),
            Stage::Proved => self.refuse(Refusal::Unexpected),
            Stage::Handshake => self.collect(&fragment),
        }
    }

    /// Adds a piece of the peer's flight; the last one goes to TLS.
    fn collect(mut self, fragment: &Fragment<'_>) -> Step<Self> {
        if !self.incoming.add(fragment) {
            return self.refuse(Refusal::Malformed);
        }
        if fragment.more {
            self.identifier = self.identifier.wrapping_add(1);
            let acknowledgement = self.request(vec![0]);
            return Step::Continue(self, acknowledgement);
        }
        self.stage = match self.handshake() {
            Ok(true) => Stage::Proved,
            Ok(false) => Stage::Handshake,
            Err(_) => Stage::Failed,
        };
        match Outgoing::of(&mut self.tls) {
            Ok(flight) if !flight.is_empty() => {
                self.outgoing = flight;
                self.send()
            }
            _ => self.refuse(Refusal::Credentials),
        }
    }

    /// Hands the flight to TLS. True when the peer is believed.
    fn handshake(&mut self) -> Result<bool, rustls::Error> {
        self.incoming.feed(&mut self.tls, |_, _| {})?;
        if self.tls.is_handshaking() {
            return Ok(false);
        }
        if self.tls.protocol_version() == Some(ProtocolVersion::TLSv1_3) {
            // RFC 9190 2.1.1: one octet of application data says that we are done.
            std::io::Write::write_all(&mut self.tls.writer(), &[0])
                .map_err(|error| rustls::Error::General(error.to_string()))?;
        }
        Ok(true)
    }

    fn send(mut self) -> Step<Self> {
        let data = self.outgoing.next();
        self.identifier = self.identifier.wrapping_add(1);
        let packet = self.request(data);
        Step::Continue(self, packet)
    }

    fn accept(self) -> Step<Self> {
        let shown = self.tls.peer_certificates().unwrap_or_default();
        let chain: Vec<Vec<u8>> = shown.iter().map(|der| der.to_vec()).collect();
        match msk(&self.tls) {
            Ok(msk) if !chain.is_empty() => {
                let packet = Eap::Success { identifier: self.identifier };
                Step::Accepted(Accepted { packet, who: Who::Certificates(chain), msk })
            }
            _ => self.refuse(Refusal::Credentials),
        }
    }
}

impl std::fmt::Debug for EapTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EapTls({}, {:?})", self.identifier, self.stage)
    }
}

#[cfg(test)]
mod tests;
