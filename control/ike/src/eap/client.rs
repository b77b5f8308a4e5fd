//! The one who logs in, whatever the method.

use super::Refusal;
use super::mschapv2::peer as mschapv2;
use super::tls::peer as tls;
use crate::crypto::{Random, Secret};
use crate::wire::Eap;

/// A conversation in which the server's next packet is awaited.
#[derive(Debug)]
pub enum Client {
    /// By user name and password.
    Password(mschapv2::Peer),
    /// By a certificate.
    Certificate(Box<tls::Peer>),
}

/// What it says to a packet.
#[derive(Debug)]
pub enum ClientStep {
    /// Send this, and wait with this state.
    Continue(Client, Eap<'static>),
    /// Both sides have proved themselves, certificates apart.
    Done {
        /// The master session key.
        msk: Secret,
        /// Certificates of the server that are to be judged, its own first; none where a password proved it.
        chain: Vec<Vec<u8>>,
    },
    /// There will be no session.
    Refused(Refusal),
}

impl Client {
    /// Takes a packet of the server.
    pub fn receive(self, packet: &Eap<'_>, random: &mut dyn Random) -> ClientStep {
        match self {
            Self::Password(peer) => match peer.receive(packet, random) {
                mschapv2::PeerStep::Continue(peer, packet) => {
                    ClientStep::Continue(Self::Password(peer), packet)
                }
                mschapv2::PeerStep::Done(msk) => ClientStep::Done { msk, chain: Vec::new() },
                mschapv2::PeerStep::Refused(reason) => ClientStep::Refused(reason),
            },
            Self::Certificate(peer) => match peer.receive(packet) {
                tls::PeerStep::Continue(peer, packet) => {
                    ClientStep::Continue(Self::Certificate(Box::new(peer)), packet)
                }
                tls::PeerStep::Done { msk, chain } => ClientStep::Done { msk, chain },
                tls::PeerStep::Refused(reason) => ClientStep::Refused(reason),
            },
        }
    }
}
