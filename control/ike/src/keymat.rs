//! Keys of IKE SAs and child SAs: SKEYSEED and what follows (RFC 7296 2.14, 2.17, 2.18; RFC 9370 2.2; RFC 8784).

use ravelin_contract::sa;

use crate::crypto::{ChildCipher, ChildSuite, CryptoError, IkeSuite, Integrity, Prf, Secret};
use crate::wire::IkeSpi;

/// The nonces of one exchange, by who began it.
#[derive(Debug, Clone, Copy)]
pub struct Nonces<'a> {
    /// Ni.
    pub initiator: &'a [u8],
    /// Nr.
    pub responder: &'a [u8],
}

/// The SPIs of an IKE SA, by who began it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spis {
    /// SPIi.
    pub initiator: IkeSpi,
    /// SPIr.
    pub responder: IkeSpi,
}

/// The seven keys of an IKE SA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IkeKeys {
    /// SK_d: child SAs and the next IKE SA come from it.
    pub d: Secret,
    /// SK_ai: integrity of the initiator's messages. Empty with AEAD.
    pub ai: Secret,
    /// SK_ar: integrity of the responder's messages. Empty with AEAD.
    pub ar: Secret,
    /// SK_ei: encryption of the initiator's messages, with its salt.
    pub ei: Secret,
    /// SK_er: encryption of the responder's messages, with its salt.
    pub er: Secret,
    /// SK_pi: binds the initiator's identity.
    pub pi: Secret,
    /// SK_pr: binds the responder's identity.
    pub pr: Secret,
}

impl IkeKeys {
    /// After IKE_SA_INIT: `SKEYSEED = prf(Ni | Nr, g^ir)`.
    pub fn initial(suite: &IkeSuite, nonces: Nonces<'_>, spis: Spis, shared: &Secret) -> Self {
        let key = [nonces.initiator, nonces.responder].concat();
        let seed = suite.prf.mac(&key, &[shared.expose()]);
        Self::expand(suite, &seed, nonces, spis)
    }

    /// After an additional key exchange in IKE_INTERMEDIATE: `SKEYSEED(n) = prf(SK_d(n-1), SK(n) | Ni | Nr)`.
    /// Nonces and SPIs stay those of IKE_SA_INIT.
    pub fn intermediate(&self, suite: &IkeSuite, nonces: Nonces<'_>, spis: Spis, shared: &Secret) -> Self {
        let parts = [shared.expose(), nonces.initiator, nonces.responder];
        let seed = suite.prf.mac(self.d.expose(), &parts);
        Self::expand(suite, &seed, nonces, spis)
    }

    /// Of the IKE SA that replaces this one: `SKEYSEED = prf(SK_d, SK(0) | Ni | Nr | SK(1) | ..)`. `old` is the PRF of this
    /// SA, everything else is new.
    pub fn successor(
        &self,
        old: Prf,
        suite: &IkeSuite,
        nonces: Nonces<'_>,
        spis: Spis,
        shared: &[Secret],
    ) -> Self {
        let seed = old.mac(self.d.expose(), &seed_parts(nonces, shared));
        Self::expand(suite, &seed, nonces, spis)
    }

    /// `{SK_d | SK_ai | SK_ar | SK_ei | SK_er | SK_pi | SK_pr} = prf+(SKEYSEED, Ni | Nr | SPIi | SPIr)`.
    fn expand(suite: &IkeSuite, seed: &Secret, nonces: Nonces<'_>, spis: Spis) -> Self {
        let (initiator, responder) = (spis.initiator.to_octets(), spis.responder.to_octets());
        let parts = [nonces.initiator, nonces.responder, &initiator, &responder];
        let prf = suite.prf.output_len();
        let mac = suite.integrity.map_or(0, Integrity::key_len);
        let cipher = suite.cipher.key_len();
        let stream = suite.prf.plus(seed.expose(), &parts, 3 * prf + 2 * mac + 2 * cipher);
        let mut cut = Cutter(stream.expose());
        Self {
            d: cut.next(prf),
            ai: cut.next(mac),
            ar: cut.next(mac),
            ei: cut.next(cipher),
            er: cut.next(cipher),
            pi: cut.next(prf),
            pr: cut.next(prf),
        }
    }

    /// Mixes a post-quantum pre-shared key in (RFC 8784 3): `SK_d`, `SK_pi` and `SK_pr` become `prf+(PPK, ..)` of themselves.
    pub fn with_ppk(&self, prf: Prf, ppk: &Secret) -> Self {
        let mix = |key: &Secret| prf.plus(ppk.expose(), &[key.expose()], key.len());
        Self { d: mix(&self.d), pi: mix(&self.pi), pr: mix(&self.pr), ..self.clone() }
    }
}

/// `SK(0) | Ni | Nr | SK(1) | ..` (RFC 9370 2.2.4); without key exchange `Ni | Nr`.
fn seed_parts<'a>(nonces: Nonces<'a>, shared: &'a [Secret]) -> Vec<&'a [u8]> {
    let mut parts: Vec<&[u8]> = Vec::with_capacity(shared.len() + 2);
    parts.extend(shared.first().map(Secret::expose));
    parts.extend([nonces.initiator, nonces.responder]);
    parts.extend(shared.iter().skip(1).map(Secret::expose));
    parts
}

/// Cuts keys off a stream in order.
struct Cutter<'a>(&'a [u8]);

impl Cutter<'_> {
    fn next(&mut self, length: usize) -> Secret {
        let (key, rest) = self.0.split_at(length);
        self.0 = rest;
        Secret::new(key.to_vec())
    }
}

/// Keys of the two ESP SAs of a child, by who began the exchange that made it, as the dataplane takes them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildKeys {
    /// From the exchange's initiator to its responder.
    pub from_initiator: sa::Transform,
    /// The other way.
    pub from_responder: sa::Transform,
}

impl ChildKeys {
    /// `KEYMAT = prf+(SK_d, SK(0) | Ni | Nr | SK(1) | ..)`, with `shared` empty when there was no key exchange (in IKE_AUTH
    /// always). `prf` is that of the IKE SA. Fails only when a suite has no integrity though its cipher needs one.
    pub fn derive(
        prf: Prf,
        sk_d: &Secret,
        suite: &ChildSuite,
        nonces: Nonces<'_>,
        shared: &[Secret],
    ) -> Result<Self, CryptoError> {
        let mac = suite.integrity.map_or(0, Integrity::key_len);
        let length = 2 * (suite.cipher.key_len() + mac);
        let stream = prf.plus(sk_d.expose(), &seed_parts(nonces, shared), length);
        let mut cut = Cutter(stream.expose());
        Ok(Self { from_initiator: cut.transform(suite)?, from_responder: cut.transform(suite)? })
    }
}

const SALT: usize = 4;

impl Cutter<'_> {
    /// Encryption first, then integrity (RFC 7296 2.17).
    fn transform(&mut self, suite: &ChildSuite) -> Result<sa::Transform, CryptoError> {
        Ok(match suite.cipher {
            ChildCipher::AesGcm16(size) => {
                let (key, salt) = self.salted(size.octets());
                sa::Transform::AesGcm16 { key, salt }
            }
            ChildCipher::AesGmac(size) => {
                let (key, salt) = self.salted(size.octets());
                sa::Transform::AesGmac { key, salt }
            }
            ChildCipher::ChaCha20Poly1305 => {
                let (key, salt) = self.salted(32);
                sa::Transform::ChaCha20Poly1305 { key, salt }
            }
            ChildCipher::AesCbc(size) => {
                let key = self.next(size.octets());
                sa::Transform::AesCbc { key, integrity: self.integrity(suite)? }
            }
            ChildCipher::Null => sa::Transform::Null { integrity: self.integrity(suite)? },
        })
    }

    fn salted(&mut self, length: usize) -> (Secret, [u8; SALT]) {
        let key = self.next(length);
        let mut salt = [0; SALT];
        salt.copy_from_slice(self.next(SALT).expose());
        (key, salt)
    }

    fn integrity(&mut self, suite: &ChildSuite) -> Result<sa::Integrity, CryptoError> {
        let integrity = suite.integrity.ok_or(CryptoError::KeyLength)?;
        Ok(sa::Integrity { hash: integrity.hash(), key: self.next(integrity.key_len()) })
    }
}

/// The MAC over one message of an IKE_INTERMEDIATE exchange (RFC 9242 3.3.2), `IntAuth_iN` or `IntAuth_rN`: binds it to AUTH.
/// `previous` is the MAC of the same side's message before, `header` the first 28 octets of the message or of its first
/// fragment. The lengths are those the message would have without IV, padding and checksum, and unfragmented.
pub fn intermediate_mac(
    prf: Prf,
    sk_p: &Secret,
    previous: Option<&Secret>,
    header: &[u8; 28],
    plain: &crate::sealed::Plain,
) -> Secret {
    let mut associated = [0u8; 32];
    associated[..28].copy_from_slice(header);
    associated[16] = crate::wire::PayloadType::Encrypted.into();
    // A message is below 65,507 octets, so is what was encrypted in it.
    let length = plain.octets().len() as u32;
    associated[24..28].copy_from_slice(&(length + 32).to_be_bytes());
    associated[28] = plain.first().into();
    associated[30..].copy_from_slice(&(length as u16 + 4).to_be_bytes());
    let previous = previous.map_or(&[][..], Secret::expose);
    prf.mac(sk_p.expose(), &[previous, &associated, plain.octets()])
}
