//! The SA payload (RFC 7296 3.3): what a side offers, or what it has chosen.

use super::code::code_points;
use super::cursor::{Body, Reader, at_most, with_length};
use super::error::WriteError;
use super::header::IkeSpi;
use super::limits;
use super::transform::Transform;

code_points! {
    /// What a proposal, a notification or a delete speaks of.
    ProtocolId: u8 {
        Ike = 1 "IKE",
        Ah = 2 "AH",
        Esp = 3 "ESP",
    }
}

/// The SPI of a proposal or a notification, by its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ProposalSpi {
    /// None: the first exchange of an IKE SA.
    None,
    /// Four octets: ESP and AH.
    Child(u32),
    /// Eight octets: rekeying an IKE SA.
    Ike(IkeSpi),
}

impl ProposalSpi {
    pub(super) fn parse(octets: &[u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        match octets.len() {
            0 => Ok(Self::None),
            4 => reader.u32().map(Self::Child).ok_or("ends within an SPI"),
            8 => reader.u64().map(|spi| Self::Ike(IkeSpi(spi))).ok_or("ends within an SPI"),
            _ => Err("an SPI has neither 0, 4 nor 8 octets"),
        }
    }

    pub(super) fn len(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Child(_) => 4,
            Self::Ike(_) => 8,
        }
    }

    pub(super) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::None => {}
            Self::Child(spi) => out.extend_from_slice(&spi.to_be_bytes()),
            Self::Ike(spi) => out.extend_from_slice(&spi.to_octets()),
        }
    }
}

/// One way to protect: for each transform type one of those listed is to be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Proposal {
    /// Number within the payload, from 1. The answer repeats that of the chosen one.
    pub number: u8,
    /// What is to be protected.
    pub protocol: ProtocolId,
    /// The SPI of the side that sends this.
    pub spi: ProposalSpi,
    /// Algorithms, in the order of preference within each type.
    pub transforms: Vec<Transform>,
}

impl Proposal {
    fn parse(reader: &mut Reader<'_>) -> Body<(Self, bool)> {
        let short = "ends within a proposal";
        let more = match reader.u8().ok_or(short)? {
            0 => false,
            2 => true,
            _ => return Err("a proposal's first octet is neither 0 nor 2"),
        };
        reader.u8().ok_or(short)?;
        let length = usize::from(reader.u16().ok_or(short)?);
        let inside = length.checked_sub(4).ok_or("a proposal's length is below 8")?;
        let mut body = Reader::new(reader.take(inside).ok_or(short)?);
        let number = body.u8().ok_or(short)?;
        let protocol = ProtocolId::from(body.u8().ok_or(short)?);
        let spi_len = usize::from(body.u8().ok_or(short)?);
        let count = usize::from(body.u8().ok_or(short)?);
        let spi = ProposalSpi::parse(body.take(spi_len).ok_or(short)?)?;
        let transforms = parse_transforms(&mut body, count)?;
        Ok((Self { number, protocol, spi, transforms }, more))
    }

    fn write(&self, more: bool, out: &mut Vec<u8>) -> Result<(), WriteError> {
        at_most(self.transforms.len(), limits::TRANSFORMS, "too many transforms").map_err(WriteError)?;
        let count = u8::try_from(self.transforms.len()).map_err(|_| WriteError("too many transforms"))?;
        let start = out.len();
        out.extend_from_slice(&[if more { 2 } else { 0 }, 0]);
        with_length(out, start, |out| {
            out.extend_from_slice(&[self.number, self.protocol.into(), self.spi.len(), count]);
            self.spi.write(out);
            let last = self.transforms.len().wrapping_sub(1);
            self.transforms
                .iter()
                .enumerate()
                .try_for_each(|(index, transform)| transform.write(index != last, out))
        })
    }
}

fn parse_transforms(body: &mut Reader<'_>, count: usize) -> Body<Vec<Transform>> {
    at_most(count, limits::TRANSFORMS, "a proposal has too many transforms")?;
    // Eight octets are the least transform: a count that cannot be true allocates nothing.
    let mut transforms = Vec::with_capacity(count.min(body.left() / 8));
    for index in 0..count {
        let (transform, more) = Transform::parse(body)?;
        transforms.push(transform);
        if more != (index + 1 < count) {
            return Err("a proposal's count of transforms is not that of its list");
        }
    }
    if body.is_empty() { Ok(transforms) } else { Err("octets after a proposal's last transform") }
}

impl Proposal {
    /// Its algorithms in the field's words, `AES_GCM_16_256/PRF_HMAC_SHA2_384/CURVE_25519`.
    pub(crate) fn fmt_algorithms(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, transform) in self.transforms.iter().enumerate() {
            let between = if index == 0 { "" } else { "/" };
            write!(f, "{between}{transform}")?;
        }
        Ok(())
    }
}

impl std::fmt::Display for Proposal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:", self.protocol)?;
        self.fmt_algorithms(f)
    }
}

/// Proposals in the order of preference. An answer holds exactly one, with one transform of each type.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct SecurityAssociation {
    /// At least one on the wire.
    pub proposals: Vec<Proposal>,
}

impl SecurityAssociation {
    pub(super) fn parse(octets: &[u8]) -> Body<Self> {
        let mut reader = Reader::new(octets);
        let mut proposals = Vec::new();
        let mut more = true;
        while more {
            at_most(proposals.len() + 1, limits::PROPOSALS, "too many proposals")?;
            let (proposal, another) = Proposal::parse(&mut reader)?;
            proposals.push(proposal);
            more = another;
        }
        if reader.is_empty() { Ok(Self { proposals }) } else { Err("octets after the last proposal") }
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) -> Result<(), WriteError> {
        if self.proposals.is_empty() {
            return Err(WriteError("an SA payload without proposals"));
        }
        at_most(self.proposals.len(), limits::PROPOSALS, "too many proposals").map_err(WriteError)?;
        let last = self.proposals.len() - 1;
        self.proposals.iter().enumerate().try_for_each(|(index, proposal)| proposal.write(index != last, out))
    }
}

impl std::fmt::Display for SecurityAssociation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, proposal) in self.proposals.iter().enumerate() {
            let between = if index == 0 { "" } else { ", " };
            write!(f, "{between}{proposal}")?;
        }
        Ok(())
    }
}
