//! The encrypted payload (RFC 7296 3.14, RFC 5282), whole and in fragments (RFC 7383 2.5).

use zeroize::Zeroizing;

use crate::crypto::{Cipher, CryptoError, IkeSuite, Random, Secret};
use crate::crypto::{aead, aead::AeadKey, cbc_hmac, cbc_hmac::CbcHmacKey};
use crate::keymat::IkeKeys;
use crate::wire::message::finish;
use crate::wire::{
    FragmentNumber, Header, ParseError, Payload, PayloadType, Sealed, WriteError, limits, parse_chain,
    write_chain,
};

/// What is encrypted, in clear: a chain of payloads or a piece of one. Wiped when dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct Plain {
    first: PayloadType,
    octets: Zeroizing<Vec<u8>>,
}

impl Plain {
    /// The chain of these payloads.
    pub fn write(payloads: &[Payload<'_>]) -> Result<Self, WriteError> {
        let mut octets = Zeroizing::new(Vec::new());
        let first = write_chain(payloads, PayloadType::None, &mut octets)?;
        Ok(Self { first, octets })
    }

    /// A chain as somebody has written it, sound or not.
    pub fn of_chain(first: PayloadType, octets: Vec<u8>) -> Self {
        Self::new(first, Zeroizing::new(octets))
    }

    pub(crate) fn new(first: PayloadType, octets: Zeroizing<Vec<u8>>) -> Self {
        Self { first, octets }
    }

    /// Type of the first payload.
    pub fn first(&self) -> PayloadType {
        self.first
    }

    /// The chain.
    pub fn octets(&self) -> &[u8] {
        &self.octets
    }

    /// Its payloads.
    pub fn payloads(&self) -> Result<Vec<Payload<'_>>, ParseError> {
        parse_chain(self.first, &self.octets)
    }
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Plain({} .. {} octets)", self.first, self.octets.len())
    }
}

/// Whose messages a key protects: those of who began the IKE SA, or the other side's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// SK_ei, SK_ai.
    Initiator,
    /// SK_er, SK_ar.
    Responder,
}

impl Side {
    /// The other one.
    pub fn peer(self) -> Self {
        match self {
            Self::Initiator => Self::Responder,
            Self::Responder => Self::Initiator,
        }
    }

    fn keys(self, keys: &IkeKeys) -> (&Secret, &Secret) {
        match self {
            Self::Initiator => (&keys.ei, &keys.ai),
            Self::Responder => (&keys.er, &keys.ar),
        }
    }
}

/// Why nothing was sealed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A payload has no form on the wire.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The key has no number left for its IVs: the IKE SA must go.
    #[error("the key has no IV left")]
    Exhausted,
    /// Fragments would be too many or too small.
    #[error("the message does not fit into {} fragments of this size", limits::FRAGMENTS)]
    Fragments,
    /// The library refused.
    #[error(transparent)]
    Crypto(#[from] CryptoError),
}

/// Why nothing was opened. Peers learn none of it: such messages are dropped and counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// Less than IV, one block and checksum, or no whole blocks.
    #[error("the encrypted payload has an impossible length")]
    Length,
    /// Not made with this key, or changed on the way.
    #[error("the checksum is wrong")]
    Checksum,
    /// The padding is longer than what was encrypted.
    #[error("the padding is longer than the plaintext")]
    Padding,
}

enum Protection {
    Aead(AeadKey),
    CbcHmac(CbcHmacKey),
}

impl Protection {
    fn new(suite: &IkeSuite, keys: &IkeKeys, side: Side) -> Result<Self, CryptoError> {
        let (encryption, integrity) = side.keys(keys);
        match (suite.cipher, suite.integrity) {
            (Cipher::AesCbc(size), Some(algorithm)) => {
                CbcHmacKey::new(size, encryption.expose(), algorithm, integrity.expose()).map(Self::CbcHmac)
            }
            (Cipher::AesCbc(_), None) => Err(CryptoError::KeyLength),
            (cipher, _) => AeadKey::new(cipher, encryption.expose()).map(Self::Aead),
        }
    }

    fn iv_len(&self) -> usize {
        match self {
            Self::Aead(_) => aead::IV,
            Self::CbcHmac(_) => cbc_hmac::BLOCK,
        }
    }

    fn checksum_len(&self) -> usize {
        match self {
            Self::Aead(_) => aead::TAG,
            Self::CbcHmac(key) => key.checksum_len(),
        }
    }

    fn block(&self) -> usize {
        match self {
            Self::Aead(_) => 1,
            Self::CbcHmac(_) => cbc_hmac::BLOCK,
        }
    }

    /// Octets of the message that carries so many octets of plaintext after `before` octets.
    fn length(&self, before: usize, plain: usize) -> usize {
        before + self.iv_len() + (plain + 1).next_multiple_of(self.block()) + self.checksum_len()
    }

    /// The most plaintext in a message of `limit` octets.
    fn capacity(&self, before: usize, limit: usize) -> Option<usize> {
        let room = limit.checked_sub(before + self.iv_len() + self.checksum_len())?;
        (room / self.block() * self.block()).checked_sub(1).filter(|capacity| *capacity > 0)
    }
}

/// Numbers for IVs under one key: each is handed out once. It cannot be copied, and it ends rather than begins again.
#[derive(Debug)]
struct IvCounter(Option<u64>);

impl IvCounter {
    fn take(&mut self) -> Option<[u8; aead::IV]> {
        let number = self.0?;
        self.0 = number.checked_add(1);
        Some(number.to_be_bytes())
    }
}

/// Seals what one side sends. There must be one for each key only; it is no `Clone`.
pub struct SealingKey {
    protection: Protection,
    ivs: IvCounter,
}

impl SealingKey {
    /// For messages of `side`. A new IKE SA begins with IV 0. One that is taken over (restart, hand-over) begins at a number
    /// that was reserved before and is above all that were used.
    pub fn new(suite: &IkeSuite, keys: &IkeKeys, side: Side, first_iv: u64) -> Result<Self, CryptoError> {
        Ok(Self { protection: Protection::new(suite, keys, side)?, ivs: IvCounter(Some(first_iv)) })
    }

    /// The number of the next IV, or none when they are used up. A fragment takes one each.
    pub fn next_iv(&self) -> Option<u64> {
        self.ivs.0
    }

    /// Octets of the datagram that a whole message with `plain` would be.
    pub fn sealed_len(&self, plain: &Plain) -> usize {
        self.protection.length(limits::HEADER + limits::PAYLOAD_HEADER, plain.octets.len())
    }

    /// One message. CBC draws its IV from `random`, AEAD counts.
    pub fn seal(
        &mut self,
        header: &Header,
        plain: &Plain,
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        self.seal_part(header, None, plain.first, &plain.octets, random)
    }

    /// One message in datagrams of at most `limit` octets: whole if it fits, else in fragments of equal size. Only for peers that
    /// have said IKEV2_FRAGMENTATION_SUPPORTED.
    pub fn seal_within(
        &mut self,
        header: &Header,
        plain: &Plain,
        limit: usize,
        random: &mut dyn Random,
    ) -> Result<Vec<Vec<u8>>, SealError> {
        if self.sealed_len(plain) <= limit {
            return Ok(vec![self.seal(header, plain, random)?]);
        }
        let before = limits::HEADER + limits::PAYLOAD_HEADER + FRAGMENT_HEADER;
        let capacity = self.protection.capacity(before, limit).ok_or(SealError::Fragments)?;
        let total = u16::try_from(plain.octets.len().div_ceil(capacity)).map_err(|_| SealError::Fragments)?;
        let mut datagrams = Vec::with_capacity(total.into());
        for (number, part) in (1..=total).zip(plain.octets.chunks(capacity)) {
            let fragment = FragmentNumber::new(number, total).ok_or(SealError::Fragments)?;
            let first = if number == 1 { plain.first } else { PayloadType::None };
            datagrams.push(self.seal_part(header, Some(fragment), first, part, random)?);
        }
        Ok(datagrams)
    }

    fn seal_part(
        &mut self,
        header: &Header,
        fragment: Option<FragmentNumber>,
        first: PayloadType,
        plain: &[u8],
        random: &mut dyn Random,
    ) -> Result<Vec<u8>, SealError> {
        let kind = if fragment.is_some() { PayloadType::EncryptedFragment } else { PayloadType::Encrypted };
        let before =
            limits::HEADER + limits::PAYLOAD_HEADER + if fragment.is_some() { FRAGMENT_HEADER } else { 0 };
        let length = self.protection.length(before, plain.len());
        let payload = u16::try_from(length - limits::HEADER)
            .map_err(|_| WriteError("the message is longer than a datagram"))?;
        let mut out = Vec::with_capacity(length);
        out.resize(limits::HEADER, 0);
        out.extend_from_slice(&[first.into(), 0]);
        out.extend_from_slice(&payload.to_be_bytes());
        if let Some(fragment) = fragment {
            out.extend_from_slice(&fragment.number().to_be_bytes());
            out.extend_from_slice(&fragment.total().to_be_bytes());
        }
        self.put_iv(&mut out, random)?;
        out.extend_from_slice(plain);
        pad(&mut out, plain.len(), self.protection.block());
        // The header is authenticated, so that its length must be known before.
        let text = out.len();
        out.resize(length, 0);
        finish(header, kind, &mut out)?;
        out.truncate(text);
        self.encrypt(&mut out, before)?;
        Ok(out)
    }

    fn put_iv(&mut self, out: &mut Vec<u8>, random: &mut dyn Random) -> Result<(), SealError> {
        match self.protection {
            Protection::Aead(_) => out.extend_from_slice(&self.ivs.take().ok_or(SealError::Exhausted)?),
            Protection::CbcHmac(_) => {
                let mut iv = [0; cbc_hmac::BLOCK];
                random.fill(&mut iv);
                out.extend_from_slice(&iv);
            }
        }
        Ok(())
    }

    /// `out` holds everything but the checksum; the IV begins at `before`.
    fn encrypt(&self, out: &mut Vec<u8>, before: usize) -> Result<(), CryptoError> {
        let (associated, rest) = out.split_at_mut(before);
        match &self.protection {
            Protection::Aead(key) => {
                let (iv, text) = rest.split_first_chunk_mut().ok_or(CryptoError::Library)?;
                let tag = key.seal(*iv, associated, text)?;
                out.extend_from_slice(&tag);
            }
            Protection::CbcHmac(key) => {
                let (iv, text) = rest.split_first_chunk_mut().ok_or(CryptoError::Library)?;
                key.encrypt(*iv, text)?;
                let checksum = key.checksum([out, &[]]);
                out.extend_from_slice(&checksum);
            }
        }
        Ok(())
    }
}

/// Octets of number and total in a fragment.
const FRAGMENT_HEADER: usize = 4;

/// Padding of zeros up to whole blocks, and its length.
fn pad(out: &mut Vec<u8>, plain: usize, block: usize) {
    let padding = (plain + 1).next_multiple_of(block) - plain - 1;
    out.resize(out.len() + padding, 0);
    // Below the block's 16 octets.
    out.push(padding as u8);
}

/// Opens what the other side sent.
pub struct OpeningKey {
    protection: Protection,
}

impl OpeningKey {
    /// For messages of `side`.
    pub fn new(suite: &IkeSuite, keys: &IkeKeys, side: Side) -> Result<Self, CryptoError> {
        Ok(Self { protection: Protection::new(suite, keys, side)? })
    }

    /// What was encrypted, once its checksum has proved it. A fragment goes on to [`crate::fragment`].
    pub fn open(&self, sealed: &Sealed<'_>) -> Result<Plain, OpenError> {
        let text = match &self.protection {
            Protection::Aead(key) => open_aead(key, sealed)?,
            Protection::CbcHmac(key) => open_cbc(key, sealed)?,
        };
        Ok(Plain { first: sealed.first, octets: unpad(text)? })
    }
}

fn open_aead(key: &AeadKey, sealed: &Sealed<'_>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let (iv, text) = sealed.body.split_first_chunk().ok_or(OpenError::Length)?;
    if text.len() <= aead::TAG {
        return Err(OpenError::Length);
    }
    let mut text = Zeroizing::new(text.to_vec());
    let length = key.open(*iv, sealed.associated, &mut text).ok_or(OpenError::Checksum)?;
    text.truncate(length);
    Ok(text)
}

/// The checksum comes first: nothing is decrypted that was not proved.
fn open_cbc(key: &CbcHmacKey, sealed: &Sealed<'_>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let covered = sealed.body.len().checked_sub(key.checksum_len()).ok_or(OpenError::Length)?;
    let (covered, checksum) = sealed.body.split_at(covered);
    let (iv, text) = covered.split_first_chunk().ok_or(OpenError::Length)?;
    if text.is_empty() || !text.len().is_multiple_of(cbc_hmac::BLOCK) {
        return Err(OpenError::Length);
    }
    if !key.verify([sealed.associated, covered], checksum) {
        return Err(OpenError::Checksum);
    }
    let mut text = Zeroizing::new(text.to_vec());
    key.decrypt(*iv, &mut text).map_err(|_| OpenError::Length)?;
    Ok(text)
}

/// Takes the padding off. Its octets may be anything (RFC 7296 3.14), its length may not.
fn unpad(mut text: Zeroizing<Vec<u8>>) -> Result<Zeroizing<Vec<u8>>, OpenError> {
    let padding = usize::from(text.pop().ok_or(OpenError::Length)?);
    let length = text.len().checked_sub(padding).ok_or(OpenError::Padding)?;
    text.truncate(length);
    Ok(text)
}
