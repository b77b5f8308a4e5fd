//! EAP-MSCHAPv2 as the one who logs in: answers with a password, and believes only a server that knows it too.

use super::{
    CHALLENGE, FAILURE, NtHash, RESPONSE, SUCCESS, VALUE, authenticator, challenge_hash, msk, nt_response,
    upper_hex,
};
use crate::crypto::{Random, Secret, equal};
use crate::eap::Refusal;
use crate::wire::{Eap, EapType};

/// The peer's side of one authentication.
pub struct Peer {
    name: Vec<u8>,
    hash: NtHash,
    state: State,
}

enum State {
    /// No challenge yet.
    Idle,
    /// Our response is out; only a server that knows the password can say `proof`.
    Responded { proof: String, msk: Secret },
    /// The server is believed.
    Proved { msk: Secret },
    /// The server has refused us.
    Failed,
}

/// What a peer says to a packet.
#[derive(Debug)]
pub enum PeerStep {
    /// Send this, and wait with this state.
    Continue(Peer, Eap<'static>),
    /// Both sides have proved themselves: the master session key.
    Done(Secret),
    /// There will be no session.
    Refused(Refusal),
}

impl Peer {
    /// Waits for the server's first packet.
    pub fn new(name: Vec<u8>, hash: NtHash) -> Self {
        Self { name, hash, state: State::Idle }
    }

    /// Takes a packet of the server, from its question for the identity to Success.
    pub fn receive(self, packet: &Eap<'_>, random: &mut dyn Random) -> PeerStep {
        match (packet, self.state) {
            (Eap::Request { identifier, kind: EapType::Identity, .. }, State::Idle) => {
                let data = self.name.clone().into();
                let answer = Eap::Response { identifier: *identifier, kind: EapType::Identity, data };
                PeerStep::Continue(Self { state: State::Idle, ..self }, answer)
            }
            (Eap::Request { identifier, kind: EapType::MsChapV2, data }, state) => {
                receive_request(self.name, self.hash, state, *identifier, data, random)
            }
            // Other methods are not ours: say which is (RFC 3748 5.3.1).
            (Eap::Request { identifier, .. }, State::Idle) => {
                let data = vec![EapType::MsChapV2.into()].into();
                let answer = Eap::Response { identifier: *identifier, kind: EapType::Nak, data };
                PeerStep::Continue(Self { state: State::Idle, ..self }, answer)
            }
            (Eap::Success { .. }, State::Proved { msk }) => PeerStep::Done(msk),
            (Eap::Failure { .. }, State::Failed) => PeerStep::Refused(Refusal::Credentials),
            _ => PeerStep::Refused(Refusal::Unexpected),
        }
    }
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({})", self.name.escape_ascii())
    }
}

fn receive_request(
    name: Vec<u8>,
    hash: NtHash,
    state: State,
    identifier: u8,
    data: &[u8],
    random: &mut dyn Random,
) -> PeerStep {
    let Some((code, id, value)) = open(data) else { return PeerStep::Refused(Refusal::Malformed) };
    let (state, answer) = match (code, state) {
        (CHALLENGE, State::Idle) => {
            let Some(challenge) = server_challenge(value) else {
                return PeerStep::Refused(Refusal::Malformed);
            };
            let mut own = [0; 16];
            random.fill(&mut own);
            respond(&name, &hash, id, challenge, own)
        }
        (SUCCESS, State::Responded { proof, msk }) => {
            // "S=" and 40 digits; a message for people may follow.
            let told = value.get(..proof.len()).is_some_and(|told| equal(told, proof.as_bytes()));
            if !told {
                return PeerStep::Refused(Refusal::Credentials);
            }
            (State::Proved { msk }, vec![SUCCESS])
        }
        (FAILURE, State::Responded { .. }) => (State::Failed, vec![FAILURE]),
        _ => return PeerStep::Refused(Refusal::Unexpected),
    };
    let answer = Eap::Response { identifier, kind: EapType::MsChapV2, data: answer.into() };
    PeerStep::Continue(Peer { name, hash, state }, answer)
}

/// Code, identifier and value of a request whose length is true.
fn open(data: &[u8]) -> Option<(u8, u8, &[u8])> {
    let (&[code, id, high, low], value) = data.split_first_chunk::<4>()?;
    (usize::from(u16::from_be_bytes([high, low])) == data.len()).then_some((code, id, value))
}

fn server_challenge(value: &[u8]) -> Option<[u8; 16]> {
    let (size, rest) = value.split_first()?;
    rest.first_chunk().copied().filter(|_| *size == 16)
}

fn respond(name: &[u8], hash: &NtHash, id: u8, challenge: [u8; 16], own: [u8; 16]) -> (State, Vec<u8>) {
    // A domain before the name is no part of the hash (RFC 2759 8.2).
    let bare = name.rsplit(|octet| *octet == b'\\').next().unwrap_or(name);
    let hashed = challenge_hash(&own, &challenge, bare);
    let response = nt_response(&hashed, hash);
    let proof = format!("S={}", upper_hex(&authenticator(hash, &response, &hashed)));
    // Names are at most as long as an identity.
    let length = (5 + VALUE + name.len()) as u16;
    let head = [&[RESPONSE, id][..], &length.to_be_bytes(), &[VALUE as u8]].concat();
    let answer = [&head[..], &own, &[0; 8], &response[..], &[0], name].concat();
    (State::Responded { proof, msk: msk(hash, &response) }, answer)
}
