//! EAP-TLS as a server (RFC 5216, RFC 9190): TLS in pieces, rustls for what is inside, and the key that it leaves.

mod possession;

use std::sync::Arc;

use rustls::crypto::aws_lc_rs;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{ProtocolVersion, ServerConfig, ServerConnection};

pub use possession::Possession;

use super::{Accepted, Refusal, Refused, Step, Who, response};
use crate::crypto::{CryptoError, Secret};
use crate::wire::{Eap, EapType};

const LENGTH_INCLUDED: u8 = 0x80;
const MORE_FRAGMENTS: u8 = 0x40;
const START: u8 = 0x20;

/// Octets of one side's flight: a long chain of certificates and everything around it.
const FLIGHT: usize = 65_536;
/// Octets of TLS in one packet, so that the IKE message fits a path of 1,280 octets even unfragmented.
const FRAGMENT: usize = 1_000;
/// Octets of the master session key.
const MSK: usize = 64;

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

/// The server's side of one authentication.
pub struct EapTls {
    identifier: u8,
    tls: Box<ServerConnection>,
    /// What the peer has sent of its flight.
    incoming: Vec<u8>,
    /// Our flight, and how much of it has been sent.
    outgoing: Vec<u8>,
    sent: usize,
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

/// One packet's data (RFC 5216 3.1).
struct Fragment<'a> {
    more: bool,
    octets: &'a [u8],
}

impl<'a> Fragment<'a> {
    fn parse(data: &'a [u8]) -> Option<Self> {
        let (&flags, rest) = data.split_first()?;
        let octets = if flags & LENGTH_INCLUDED == 0 {
            rest
        } else {
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let said = usize::try_from(u32::from_be_bytes(*length)).ok()?;
            (said <= FLIGHT && rest.len() <= said).then_some(rest)?
        };
        (flags & START == 0).then_some(Self { more: flags & MORE_FRAGMENTS != 0, octets })
    }

    fn is_acknowledgement(&self) -> bool {
        !self.more && self.octets.is_empty()
    }
}

impl EapTls {
    /// Asks the peer to begin. `identifier` is the one after that of the last packet.
    pub fn start(identifier: u8, config: Arc<ServerConfig>) -> Result<(Self, Eap<'static>), CryptoError> {
        let tls = ServerConnection::new(config).map_err(|_| CryptoError::Library)?;
        let state = Self {
            identifier,
            tls: Box::new(tls),
            incoming: Vec::new(),
            outgoing: Vec::new(),
            sent: 0,
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
        if self.sent < self.outgoing.len() {
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
        if fragment.octets.is_empty() || self.incoming.len() + fragment.octets.len() > FLIGHT {
            return self.refuse(Refusal::Malformed);
        }
        self.incoming.extend_from_slice(fragment.octets);
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
        if self.collect_outgoing().is_err() || self.outgoing.is_empty() {
            return self.refuse(Refusal::Credentials);
        }
        self.send()
    }

    /// Hands the flight to TLS. True when the peer is believed.
    fn handshake(&mut self) -> Result<bool, rustls::Error> {
        let flight = std::mem::take(&mut self.incoming);
        let mut rest = &flight[..];
        while !rest.is_empty() {
            let read =
                self.tls.read_tls(&mut rest).map_err(|error| rustls::Error::General(error.to_string()))?;
            self.tls.process_new_packets()?;
            if read == 0 {
                break;
            }
        }
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

    fn collect_outgoing(&mut self) -> std::io::Result<()> {
        self.outgoing.clear();
        self.sent = 0;
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.outgoing)?;
        }
        Ok(())
    }

    /// The next piece of our flight; the first says how long all of it is.
    fn send(mut self) -> Step<Self> {
        let left = &self.outgoing[self.sent..];
        let piece = &left[..left.len().min(FRAGMENT)];
        let more = if piece.len() < left.len() { MORE_FRAGMENTS } else { 0 };
        let mut data = Vec::with_capacity(5 + piece.len());
        if self.sent == 0 {
            data.push(more | LENGTH_INCLUDED);
            // A flight is far below four gigabytes.
            data.extend_from_slice(&(self.outgoing.len() as u32).to_be_bytes());
        } else {
            data.push(more);
        }
        data.extend_from_slice(piece);
        self.sent += piece.len();
        self.identifier = self.identifier.wrapping_add(1);
        let packet = self.request(data);
        Step::Continue(self, packet)
    }

    fn accept(self) -> Step<Self> {
        let shown = self.tls.peer_certificates().unwrap_or_default();
        let chain: Vec<Vec<u8>> = shown.iter().map(|der| der.to_vec()).collect();
        match self.msk() {
            Ok(msk) if !chain.is_empty() => {
                let packet = Eap::Success { identifier: self.identifier };
                Step::Accepted(Accepted { packet, who: Who::Certificates(chain), msk })
            }
            _ => self.refuse(Refusal::Credentials),
        }
    }

    /// RFC 5216 2.3 for TLS 1.2, RFC 9190 2.3 for TLS 1.3.
    fn msk(&self) -> Result<Secret, rustls::Error> {
        let mut out = zeroize::Zeroizing::new([0; 2 * MSK]);
        let (label, context): (&[u8], Option<&[u8]>) = match self.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => (b"EXPORTER_EAP_TLS_Key_Material", Some(&[13])),
            _ => (b"client EAP encryption", None),
        };
        self.tls.export_keying_material(&mut out[..], label, context)?;
        Ok(Secret::new(out[..MSK].to_vec()))
    }
}

impl std::fmt::Debug for EapTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EapTls({}, {:?})", self.identifier, self.stage)
    }
}

#[cfg(test)]
mod tests;
