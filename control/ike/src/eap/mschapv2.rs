//! EAP-MSCHAPv2 (draft-kamath-pppext-eap-mschapv2, RFC 2759, RFC 3079), for road warriors that have nothing better.
//! The server is here, the other side in [`peer`].
//!
//! MD4 and DES live here and nowhere else: the method's definition has no other hash and no other cipher, and every phone and
//! every Windows speaks it. It is worth something only inside an IKE SA whose server has proved itself by a certificate, where
//! nobody on the way sees the exchange; RFC 7296 2.16 asks for that.

pub mod peer;

use aes::cipher::{Array, BlockCipherEncrypt, KeyInit};
use aws_lc_rs::digest;
use des::Des;
use md4::{Digest, Md4};
use zeroize::Zeroizing;

use super::{Accepted, Refusal, Refused, Step, Who, response};
use crate::crypto::{Random, Secret, equal};
use crate::wire::{Eap, EapType};

const CHALLENGE: u8 = 1;
const RESPONSE: u8 = 2;
const SUCCESS: u8 = 3;
const FAILURE: u8 = 4;

/// Octets of the value in a response: peer challenge, reserved, NT response, flags.
const VALUE: usize = 49;
/// Octets of the master session key (RFC 3748 7.10).
const MSK: usize = 64;

/// The server's side of one authentication.
pub struct MsChapV2 {
    identifier: u8,
    state: State,
}

enum State {
    /// Our challenge is out.
    Challenged {
        challenge: [u8; 16],
        /// What an unknown name's password is compared with, so that unknown names take as long as known ones.
        decoy: Secret,
    },
    /// The peer is believed and has to believe us.
    Proved { name: Vec<u8>, msk: Secret },
    /// The peer was told that it failed.
    Failed,
}

/// What a peer's name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NtHash(Secret);

impl NtHash {
    /// MD4 of the password in UTF-16 (RFC 2759 8.3). As good as the password: it is stored as a secret.
    pub fn of_password(password: &str) -> Self {
        let units: Zeroizing<Vec<u8>> =
            Zeroizing::new(password.encode_utf16().flat_map(u16::to_le_bytes).collect());
        Self(Secret::new(Md4::digest(&units[..]).to_vec()))
    }
}

impl MsChapV2 {
    /// Challenges the peer. `identifier` is the one after that of the last packet; `server` is a name shown to people.
    pub fn start(identifier: u8, server: &str, random: &mut dyn Random) -> (Self, Eap<'static>) {
        let mut challenge = [0; 16];
        random.fill(&mut challenge);
        let mut decoy = vec![0; 16];
        random.fill(&mut decoy);
        let value = [&[16][..], &challenge, server.as_bytes()].concat();
        let state = State::Challenged { challenge, decoy: Secret::new(decoy) };
        (Self { identifier, state }, request(identifier, CHALLENGE, identifier, &value))
    }

    /// Whether the peer was told that it failed. Some do not answer that, and end everything.
    pub fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed)
    }

    /// The name in a peer's response, for those who must ask elsewhere for its password before [`Self::receive`].
    pub fn name<'a>(packet: &'a Eap<'_>) -> Option<&'a [u8]> {
        match packet {
            Eap::Response { kind: EapType::MsChapV2, data, .. } => {
                Response::parse(data).map(|found| found.name)
            }
            _ => None,
        }
    }

    /// Takes the peer's response. `lookup` gives the hash of the password for a name, if there is such a name.
    pub fn receive(self, packet: &Eap<'_>, lookup: impl FnOnce(&[u8]) -> Option<NtHash>) -> Step<Self> {
        let data = match response(packet, self.identifier, EapType::MsChapV2) {
            Ok(data) => data,
            Err(refused) => return Step::Refused(refused),
        };
        match self.state {
            State::Challenged { challenge, decoy } => {
                answer(self.identifier, &challenge, &NtHash(decoy), data, lookup)
            }
            State::Proved { name, msk } if data == [SUCCESS] => {
                let packet = Eap::Success { identifier: self.identifier };
                Step::Accepted(Accepted { packet, who: Who::Name(name), msk })
            }
            State::Proved { .. } => Step::Refused(Refused::new(self.identifier, Refusal::Unexpected)),
            State::Failed => Step::Refused(Refused::new(self.identifier, Refusal::Credentials)),
        }
    }
}

impl std::fmt::Debug for MsChapV2 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "MsChapV2({})", self.identifier)
    }
}

fn answer(
    identifier: u8,
    challenge: &[u8; 16],
    decoy: &NtHash,
    data: &[u8],
    lookup: impl FnOnce(&[u8]) -> Option<NtHash>,
) -> Step<MsChapV2> {
    let Some(found) = Response::parse(data) else {
        return Step::Refused(Refused::new(identifier, Refusal::Malformed));
    };
    let known = lookup(found.name);
    let hash = known.as_ref().unwrap_or(decoy);
    let hashed = challenge_hash(&found.peer_challenge, challenge, found.name);
    let right = equal(&nt_response(&hashed, hash), &found.nt_response);
    let identifier = identifier.wrapping_add(1);
    if !(right && known.is_some()) {
        let packet = failure(identifier, found.id, challenge);
        return Step::Continue(MsChapV2 { identifier, state: State::Failed }, packet);
    }
    let message = format!("S={} M=Welcome", upper_hex(&authenticator(hash, &found.nt_response, &hashed)));
    let state = State::Proved { name: found.name.to_vec(), msk: msk(hash, &found.nt_response) };
    let packet = request(identifier, SUCCESS, found.id, message.as_bytes());
    Step::Continue(MsChapV2 { identifier, state }, packet)
}

/// 691 is "authentication failure"; R=0 says that there is no second try.
fn failure(identifier: u8, id: u8, challenge: &[u8; 16]) -> Eap<'static> {
    let message = format!("E=691 R=0 C={} V=3 M=Refused", upper_hex(challenge));
    request(identifier, FAILURE, id, message.as_bytes())
}

/// An EAP request with MS-CHAPv2's own header: code, its identifier, its length.
fn request(identifier: u8, code: u8, id: u8, value: &[u8]) -> Eap<'static> {
    // Values are names and messages made here, far below 65,535 octets.
    let length = (4 + value.len()) as u16;
    let data = [&[code, id][..], &length.to_be_bytes(), value].concat();
    Eap::Request { identifier, kind: EapType::MsChapV2, data: data.into() }
}

/// A peer's response to the challenge.
struct Response<'a> {
    id: u8,
    peer_challenge: [u8; 16],
    nt_response: [u8; 24],
    /// As it came; a domain before it is part of neither the hash nor the lookup (RFC 2759 8.2).
    name: &'a [u8],
}

impl<'a> Response<'a> {
    fn parse(data: &'a [u8]) -> Option<Self> {
        let (&[code, id, high, low, value_size], rest) = data.split_first_chunk::<5>()?;
        let length = usize::from(u16::from_be_bytes([high, low]));
        if code != RESPONSE || usize::from(value_size) != VALUE || length != data.len() {
            return None;
        }
        let (value, name) = rest.split_first_chunk::<VALUE>()?;
        let name = name.rsplit(|octet| *octet == b'\\').next().filter(|name| !name.is_empty())?;
        Some(Self {
            id,
            peer_challenge: *value.first_chunk()?,
            nt_response: *value[24..].first_chunk()?,
            name,
        })
    }
}

fn sha1(parts: &[&[u8]]) -> [u8; 20] {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 20];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// RFC 2759 8.2.
fn challenge_hash(peer: &[u8; 16], server: &[u8; 16], name: &[u8]) -> [u8; 8] {
    let mut out = [0; 8];
    out.copy_from_slice(&sha1(&[peer, server, name])[..8]);
    out
}

/// RFC 2759 8.5: the challenge, encrypted three times by DES with 56 bits of the hash each.
fn nt_response(challenge: &[u8; 8], hash: &NtHash) -> [u8; 24] {
    let mut key = Zeroizing::new([0; 21]);
    key[..16].copy_from_slice(hash.0.expose());
    let mut out = [0; 24];
    for (seven, to) in key.as_chunks::<7>().0.iter().zip(out.as_chunks_mut::<8>().0) {
        let mut block = Array::from(*challenge);
        Des::new(&Array::from(with_parity(seven))).encrypt_block(&mut block);
        *to = block.into();
    }
    out
}

/// 56 bits spread over eight octets; the lowest bit of each is parity, which DES ignores.
fn with_parity(seven: &[u8; 7]) -> [u8; 8] {
    let mut octets = [0; 8];
    octets[1..].copy_from_slice(seven);
    let bits = u64::from_be_bytes(octets);
    std::array::from_fn(|index| ((bits >> (49 - 7 * index)) as u8 & 0x7f) << 1)
}

/// RFC 2759 8.7: what proves the server to the peer.
fn authenticator(hash: &NtHash, nt_response: &[u8; 24], challenge: &[u8; 8]) -> [u8; 20] {
    const ONE: &[u8] = b"Magic server to client signing constant";
    const TWO: &[u8] = b"Pad to make it do more than one iteration";
    let hash_hash = Zeroizing::new(Md4::digest(hash.0.expose()).to_vec());
    let first = sha1(&[&hash_hash, nt_response, ONE]);
    sha1(&[&first, challenge, TWO])
}

/// RFC 3079 3.4: both start keys of the server, then zeros up to 64 octets.
fn msk(hash: &NtHash, nt_response: &[u8; 24]) -> Secret {
    const MASTER: &[u8] = b"This is the MPPE Master Key";
    const RECEIVE: &[u8] =
        b"On the client side, this is the send key; on the server side, it is the receive key.";
    const SEND: &[u8] =
        b"On the client side, this is the receive key; on the server side, it is the send key.";
    let hash_hash = Zeroizing::new(Md4::digest(hash.0.expose()).to_vec());
    let master = Zeroizing::new(sha1(&[&hash_hash, nt_response, MASTER]));
    let mut out = Vec::with_capacity(MSK);
    for magic in [RECEIVE, SEND] {
        let key = Zeroizing::new(sha1(&[&master[..16], &[0; 40], magic, &[0xf2; 40]]));
        out.extend_from_slice(&key[..16]);
    }
    out.resize(MSK, 0);
    Secret::new(out)
}

fn upper_hex(octets: &[u8]) -> String {
    octets.iter().map(|octet| format!("{octet:02X}")).collect()
}

#[cfg(test)]
mod tests;
