//! One TCP segment as it arrived: checked once, then a small value (RFC 9293 3.1).

use std::net::IpAddr;

use super::checksum::Sum;
use super::options::Options;
use super::seq::Seq;

/// Protocol number of TCP.
pub const PROTOCOL: u8 = 6;

/// Octets of a header without options.
pub const HEADER: usize = 20;

/// Control bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags(pub u8);

impl Flags {
    /// No more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(0x02);
    /// Reset the connection.
    pub const RST: Self = Self(0x04);
    /// Push.
    pub const PSH: Self = Self(0x08);
    /// The acknowledgment field means something.
    pub const ACK: Self = Self(0x10);

    /// Whether one of `other` is set.
    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// These and those.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// Why octets are no segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Malformed {
    /// Shorter than its header says, or than any header.
    Short,
    /// The checksum does not fit (RFC 9293 MUST-3).
    Checksum,
    /// Control bits that contradict each other, or a port 0.
    Contradiction,
}

/// A segment. Its data lie in the octets it was read from, `data_at .. data_at + len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Port of the sender.
    pub source: u16,
    /// Port of the receiver.
    pub destination: u16,
    /// First sequence number.
    pub seq: Seq,
    /// Next number that the sender expects; only with ACK.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// Window, not scaled.
    pub window: u16,
    /// Options.
    pub options: Options,
    /// Offset of the data.
    pub data_at: u16,
    /// Octets of data.
    pub len: u16,
}

impl Segment {
    /// Reads a segment: header, data, and nothing after. The checksum has been or will be judged by `intact`.
    ///
    /// # Errors
    /// What is wrong with it.
    #[inline]
    pub fn read(octets: &[u8]) -> Result<Self, Malformed> {
        let Some(fixed) = octets.first_chunk::<HEADER>() else { return Err(Malformed::Short) };
        let data_at = usize::from(fixed[12] >> 4) * 4;
        let (Some(options), Ok(len)) =
            (octets.get(HEADER..data_at), u16::try_from(octets.len().wrapping_sub(data_at)))
        else {
            return Err(Malformed::Short);
        };
        let half = |at: usize| u16::from_be_bytes([fixed[at], fixed[at + 1]]);
        let whole = |at: usize| u32::from_be_bytes([fixed[at], fixed[at + 1], fixed[at + 2], fixed[at + 3]]);
        let (source, destination, flags) = (half(0), half(2), Flags(fixed[13] & 0x3f));
        let contradicts = flags.has(Flags::SYN) && flags.has(Flags::FIN.and(Flags::RST));
        if contradicts || source == 0 || destination == 0 {
            return Err(Malformed::Contradiction);
        }
        Ok(Self {
            source,
            destination,
            seq: Seq(whole(4)),
            ack: Seq(whole(8)),
            flags,
            window: half(14),
            options: Options::read(options),
            data_at: data_at as u16,
            len,
        })
    }

    /// Sequence numbers it takes: octets, SYN and FIN.
    pub fn span(&self) -> u32 {
        u32::from(self.len) + u32::from(self.flags.has(Flags::SYN)) + u32::from(self.flags.has(Flags::FIN))
    }

    /// The number after its last.
    pub fn end(&self) -> Seq {
        self.seq.plus(self.span())
    }
}

/// Whether the checksum over pseudo-header and segment is right.
///
/// # Errors
/// [`Malformed::Checksum`] when it is not.
#[inline]
pub fn intact(octets: &[u8], source: IpAddr, destination: IpAddr) -> Result<(), Malformed> {
    let length = u16::try_from(octets.len()).map_err(|_| Malformed::Short)?;
    let sum = Sum::default().pseudo_header(source, destination, PROTOCOL, length).octets(octets);
    if sum.is_intact() { Ok(()) } else { Err(Malformed::Checksum) }
}
