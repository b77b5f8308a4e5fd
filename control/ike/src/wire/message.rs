//! Whole messages: those in clear, and the clear part of those that are encrypted (RFC 7296 3.14, RFC 7383 2.5).

use super::cursor::Reader;
use super::error::{ParseError, WriteError};
use super::header::Header;
use super::limits;
use super::payload::{Link, Payload, PayloadType, write_chain};

/// A datagram that was understood as far as it can be without keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// The header.
    pub header: Header,
    /// Payloads in clear. Before an encrypted payload nothing may be believed of them.
    pub payloads: Vec<Payload<'a>>,
    /// The encrypted payload, always the last.
    pub sealed: Option<Sealed<'a>>,
}

/// An encrypted payload, not decrypted yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// Type of the first payload inside. In fragments after the first it is [`PayloadType::None`].
    pub first: PayloadType,
    /// Which fragment it is, if it is one.
    pub fragment: Option<FragmentNumber>,
    /// The message up to the IV: what is authenticated and not encrypted.
    pub associated: &'a [u8],
    /// IV, ciphertext and checksum.
    pub body: &'a [u8],
}

/// Number of a fragment, from 1, and of all of them. `1 <= number <= total <=` [`limits::FRAGMENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentNumber {
    number: u16,
    total: u16,
}

impl FragmentNumber {
    /// Refuses what contradicts itself.
    pub fn new(number: u16, total: u16) -> Option<Self> {
        let sound = number >= 1 && number <= total && total <= limits::FRAGMENTS;
        sound.then_some(Self { number, total })
    }

    /// From 1.
    pub fn number(self) -> u16 {
        self.number
    }

    /// How many there are.
    pub fn total(self) -> u16 {
        self.total
    }
}

impl<'a> Message<'a> {
    /// Reads one datagram (without the non-ESP marker of port 4500).
    pub fn parse(datagram: &'a [u8]) -> Result<Self, ParseError> {
        let (header, first, rest) = Header::parse(datagram)?;
        let mut reader = Reader::new(rest);
        let mut payloads = Vec::new();
        let mut kind = first;
        while kind != PayloadType::None {
            if payloads.len() == limits::PAYLOADS {
                return Err(ParseError::TooManyPayloads);
            }
            let link = Link::read(kind, &mut reader)?;
            let next = link.next;
            if matches!(kind, PayloadType::Encrypted | PayloadType::EncryptedFragment) {
                let sealed = Sealed::parse(kind, &link, datagram, reader)?;
                return Ok(Self { header, payloads, sealed: Some(sealed) });
            }
            payloads.push(link.payload(kind)?);
            kind = next;
        }
        if reader.is_empty() {
            Ok(Self { header, payloads, sealed: None })
        } else {
            Err(ParseError::Trailing(reader.left()))
        }
    }

    /// The octets of a message in clear. Encrypted ones are written by [`crate::sealed`].
    pub fn write(header: &Header, payloads: &[Payload<'_>]) -> Result<Vec<u8>, WriteError> {
        let mut out = vec![0; limits::HEADER];
        let first = write_chain(payloads, PayloadType::None, &mut out)?;
        finish(header, first, &mut out)?;
        Ok(out)
    }
}

/// Puts the header of a message whose payloads `first`.. are all written into the room left for it.
pub(crate) fn finish(header: &Header, first: PayloadType, out: &mut [u8]) -> Result<(), WriteError> {
    if header.initiator_spi.is_zero() {
        return Err(WriteError("the initiator's SPI is zero"));
    }
    if out.len() > limits::MESSAGE {
        return Err(WriteError("the message is longer than a datagram"));
    }
    let length = u32::try_from(out.len()).map_err(|_| WriteError("the message is longer than a datagram"))?;
    out[..limits::HEADER].copy_from_slice(&header.to_octets(first, length));
    Ok(())
}

impl<'a> Sealed<'a> {
    fn parse(
        kind: PayloadType,
        link: &Link<'a>,
        datagram: &'a [u8],
        after: Reader<'_>,
    ) -> Result<Self, ParseError> {
        if !after.is_empty() {
            return Err(ParseError::Trailing(after.left()));
        }
        let mut body = Reader::new(link.body);
        let fragment = match kind {
            PayloadType::EncryptedFragment => {
                Some(Self::parse_fragment(&mut body).ok_or(ParseError::Payload {
                    kind,
                    why: "the fragment's number contradicts its total",
                })?)
            }
            _ => None,
        };
        let body = body.rest();
        // The encrypted payload is the last, so that its body ends the datagram.
        let associated = &datagram[..datagram.len() - body.len()];
        Ok(Self { first: link.next, fragment, associated, body })
    }

    fn parse_fragment(body: &mut Reader<'_>) -> Option<FragmentNumber> {
        FragmentNumber::new(body.u16()?, body.u16()?)
    }
}

impl std::fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} [", self.header)?;
        self.payloads.iter().try_for_each(|payload| write!(f, " {payload}"))?;
        match self.sealed {
            Some(Sealed { fragment: Some(part), .. }) => write!(f, " SKF({}/{})", part.number, part.total)?,
            Some(_) => f.write_str(" SK")?,
            None => {}
        }
        f.write_str(" ]")
    }
}
