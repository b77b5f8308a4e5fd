//! KE and nonce payloads (RFC 7296 3.4, 3.9).

use std::borrow::Cow;

use super::cursor::{Body, Reader, at_most};
use super::error::WriteError;
use super::limits;
use super::transform::GroupId;

/// One side's share of a key exchange: a public value, or a KEM's key or ciphertext (RFC 9370).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyExchange<'a> {
    /// The method.
    pub group: GroupId,
    /// The share, in the form the method asks for.
    pub data: Cow<'a, [u8]>,
}

impl<'a> KeyExchange<'a> {
    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let group = reader.u16().ok_or("ends within the method")?;
        reader.u16().ok_or("ends within the reserved octets")?;
        let data = reader.rest();
        at_most(data.len(), limits::KEY_EXCHANGE, "the share is too long")?;
        if data.is_empty() {
            return Err("the share is empty");
        }
        Ok(Self { group: group.into(), data: data.into() })
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.data.is_empty() || self.data.len() > limits::KEY_EXCHANGE {
            return Err(WriteError("a share is empty or too long"));
        }
        out.extend_from_slice(&u16::from(self.group).to_be_bytes());
        out.extend_from_slice(&[0, 0]);
        out.extend_from_slice(&self.data);
        Ok(())
    }
}

/// A nonce of 16 to 256 octets; no other can be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nonce<'a>(Cow<'a, [u8]>);

impl<'a> Nonce<'a> {
    /// Refuses other lengths.
    pub fn new(octets: impl Into<Cow<'a, [u8]>>) -> Option<Self> {
        let octets = octets.into();
        (limits::NONCE_MIN..=limits::NONCE_MAX).contains(&octets.len()).then_some(Self(octets))
    }

    /// Its octets.
    pub fn octets(&self) -> &[u8] {
        &self.0
    }

    /// A copy that outlives the datagram.
    pub fn into_owned(self) -> Nonce<'static> {
        Nonce(Cow::Owned(self.0.into_owned()))
    }

    pub(super) fn parse(octets: &'a [u8]) -> Body<Self> {
        Self::new(octets).ok_or("a nonce has less than 16 or more than 256 octets")
    }
}
