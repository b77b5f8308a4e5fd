//! The header of segments that follow each other: what all of them say is put together, and summed, once.

use super::build::{Header, TIMESTAMPS};
use super::checksum::Sum;
use super::options::kind;
use super::segment::{Flags, HEADER, PROTOCOL};
use super::seq::Seq;

/// Octets of a header with time stamps and nothing else.
const OCTETS: usize = HEADER + TIMESTAMPS;

/// A header with time stamps and nothing else, as nearly every segment has it, but for its number and its control bits. Its octets
/// are put together, and summed, as numbers: octets that were just written are slow to be read as parts of larger words.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Template {
    words: [u64; OCTETS / 8],
    /// Of the words, the addresses and the protocol.
    sum: Sum,
}

impl Template {
    /// Of a header; `None` when it is an unusual one. `addresses` is their sum.
    #[inline]
    pub(crate) fn of(header: &Header<'_>, addresses: Sum) -> Option<Self> {
        let (value, echo) = header.timestamps?;
        if !header.blocks.is_empty() || header.opening.is_some() {
            return None;
        }
        let ports = u32::from(header.source) << 16 | u32::from(header.destination);
        let rest = (OCTETS as u32 / 4) << 28 | u32::from(header.window);
        let kinds = u32::from_be_bytes([kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10]);
        let words = [pair(ports, 0), pair(header.ack.0, rest), pair(0, kinds), pair(value, echo)];
        let sum = words.into_iter().fold(addresses.word(PROTOCOL.into()), Sum::long);
        Some(Self { words, sum })
    }

    /// Writes it as [`Header::write`] does.
    #[inline]
    pub(crate) fn write(
        &self,
        (seq, flags): (Seq, Flags),
        octets: &mut [u8],
        data_at: usize,
        len: usize,
    ) -> Option<usize> {
        let start = data_at.checked_sub(OCTETS)?;
        let (header, data) = octets.get_mut(start..data_at + len)?.split_first_chunk_mut::<OCTETS>()?;
        let length = u16::try_from(OCTETS + len).ok()?;
        let own = [pair(0, seq.0), pair(0, u32::from(flags.0) << 16)];
        let sum = own.into_iter().fold(self.sum.word(length), Sum::long).octets(data);
        let [first, second, third, fourth] = self.words;
        let words = [first | own[0], second | own[1], third | u64::from(sum.finish()) << 48, fourth];
        for (place, word) in header.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *place = word.to_be_bytes();
        }
        Some(start)
    }
}

#[inline]
fn pair(one: u32, other: u32) -> u64 {
    u64::from(one) << 32 | u64::from(other)
}
