//! Writes a TCP header in front of data that already lie in place.

use std::net::IpAddr;

use super::checksum::Sum;
use super::options::kind;
use super::segment::{Flags, HEADER, PROTOCOL};
use super::seq::Seq;
use super::template::Template;

/// Octets of the longest header.
pub const LONGEST_HEADER: usize = 60;

/// Octets that time stamps take in a header, padding included.
pub const TIMESTAMPS: usize = 12;

/// What a header says. Ports are part of it, addresses only of its checksum.
#[derive(Debug, Clone, Copy)]
pub struct Header<'a> {
    /// Port we speak for.
    pub source: u16,
    /// Port of the receiver.
    pub destination: u16,
    /// First sequence number.
    pub seq: Seq,
    /// Next expected number.
    pub ack: Seq,
    /// Control bits.
    pub flags: Flags,
    /// Window, scaled already.
    pub window: u16,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// SACK blocks, the most recent first; as many as fit are sent.
    pub blocks: &'a [(Seq, Seq)],
    /// Options of a SYN.
    pub opening: Option<Opening>,
}

/// What only a SYN says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opening {
    /// Maximum segment size.
    pub mss: u16,
    /// Window scale.
    pub scale: Option<u8>,
    /// SACK permitted.
    pub sack: bool,
}

/// Options being put together.
struct Writer {
    octets: [u8; LONGEST_HEADER],
    at: usize,
}

impl Writer {
    fn put(&mut self, octets: &[u8]) {
        self.octets[self.at..self.at + octets.len()].copy_from_slice(octets);
        self.at += octets.len();
    }

    fn put_stamps(&mut self, (value, echo): (u32, u32)) {
        self.put(&[kind::NO_OPERATION, kind::NO_OPERATION, kind::TIMESTAMPS, 10]);
        self.put(&value.to_be_bytes());
        self.put(&echo.to_be_bytes());
    }

    fn put_opening(&mut self, opening: Opening) {
        self.put(&[kind::MSS, 4]);
        self.put(&opening.mss.to_be_bytes());
        if opening.sack {
            self.put(&[kind::NO_OPERATION, kind::NO_OPERATION, kind::SACK_PERMITTED, 2]);
        }
        if let Some(shift) = opening.scale {
            self.put(&[kind::NO_OPERATION, kind::SCALE, 3, shift]);
        }
    }

    fn put_blocks(&mut self, blocks: &[(Seq, Seq)]) {
        let count = blocks.len().min((LONGEST_HEADER - self.at).saturating_sub(4) / 8);
        if count == 0 {
            return;
        }
        self.put(&[kind::NO_OPERATION, kind::NO_OPERATION, kind::SACK, 2 + 8 * count as u8]);
        for (first, end) in &blocks[..count] {
            self.put(&first.0.to_be_bytes());
            self.put(&end.0.to_be_bytes());
        }
    }
}

impl Header<'_> {
    /// Writes it so that it ends at `data_at`, with the checksum over it and `len` octets of data from there.
    /// Gives the offset at which the segment begins, `None` when there is no room before the data.
    pub fn write(
        &self,
        octets: &mut [u8],
        data_at: usize,
        len: usize,
        (local, remote): (IpAddr, IpAddr),
    ) -> Option<usize> {
        self.write_over(octets, data_at, len, Sum::default().addresses(local, remote))
    }

    /// The same, where the sum of the addresses is known.
    #[inline]
    pub(crate) fn write_over(
        &self,
        octets: &mut [u8],
        data_at: usize,
        len: usize,
        addresses: Sum,
    ) -> Option<usize> {
        match Template::of(self, addresses) {
            Some(template) => template.write((self.seq, self.flags), octets, data_at, len),
            None => self.write_any(octets, data_at, len, addresses),
        }
    }

    fn write_any(&self, octets: &mut [u8], data_at: usize, len: usize, addresses: Sum) -> Option<usize> {
        let header = self.lay_out();
        let start = data_at.checked_sub(header.at)?;
        let segment = octets.get_mut(start..data_at + len)?;
        segment[..header.at].copy_from_slice(&header.octets[..header.at]);
        let length = u16::try_from(segment.len()).ok()?;
        let sum = addresses.word(PROTOCOL.into()).word(length).octets(segment).finish();
        segment[16..18].copy_from_slice(&sum.to_be_bytes());
        Some(start)
    }

    fn lay_out(&self) -> Writer {
        let mut writer = Writer { octets: [0; LONGEST_HEADER], at: HEADER };
        if let Some(opening) = self.opening {
            writer.put_opening(opening);
        }
        if let Some(stamps) = self.timestamps {
            writer.put_stamps(stamps);
        }
        writer.put_blocks(self.blocks);
        let length = writer.at;
        writer.at = 0;
        writer.put(&self.source.to_be_bytes());
        writer.put(&self.destination.to_be_bytes());
        writer.put(&self.seq.0.to_be_bytes());
        writer.put(&self.ack.0.to_be_bytes());
        writer.put(&[(length / 4 * 16) as u8, self.flags.0]);
        writer.put(&self.window.to_be_bytes());
        writer.at = length;
        writer
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::segment::{Malformed, Segment, intact};
    use super::*;

    proptest! {
        /// What was written is read back, and any flipped bit is noticed.
        #[test]
        fn read_is_the_inverse_of_write(
            (seq, ack, window) in any::<(u32, u32, u16)>(),
            (source, destination) in (1u16.., 1u16..),
            timestamps: Option<(u32, u32)>,
            syn in prop::option::of((any::<u16>(), prop::option::of(0u8..15), any::<bool>())),
            blocks in prop::collection::vec(any::<(u32, u32)>(), 0..5),
            data in prop::collection::vec(any::<u8>(), 0..40),
            flip in 0usize..1000,
        ) {
            let ends: (IpAddr, IpAddr) = ([192, 0, 2, 1].into(), [198, 51, 100, 7].into());
            let blocks: Vec<_> = blocks.into_iter().map(|(a, b)| (Seq(a), Seq(b))).collect();
            let opening = syn.map(|(mss, scale, sack)| Opening { mss, scale, sack });
            let flags = if opening.is_some() { Flags::SYN.and(Flags::ACK) } else { Flags::ACK };
            let blocks = if opening.is_some() { &[][..] } else { &blocks[..] };
            let (seq, ack) = (Seq(seq), Seq(ack));
            let header = Header { source, destination, seq, ack, flags, window, timestamps, blocks, opening };
            let mut octets = vec![0xee; 64];
            octets.extend(&data);
            let start = header.write(&mut octets, 64, data.len(), ends).unwrap();
            let octets = &mut octets[start..];
            let read = Segment::read(octets).unwrap();
            prop_assert_eq!((read.source, read.destination, read.window), (source, destination, window));
            prop_assert_eq!((read.seq, read.ack, read.flags), (seq, ack, flags));
            prop_assert_eq!(read.options.timestamps, timestamps);
            prop_assert_eq!(read.options.mss, opening.map(|opening| opening.mss));
            prop_assert_eq!(read.options.scale, opening.and_then(|opening| opening.scale));
            let room = if timestamps.is_some() { 3 } else { 4 };
            prop_assert_eq!(read.options.blocks(), &blocks[..blocks.len().min(room)]);
            prop_assert_eq!(&octets[read.data_at.into()..], &data[..]);
            prop_assert_eq!(intact(octets, ends.0, ends.1), Ok(()));
            let at = flip % octets.len();
            octets[at] ^= 0x40;
            prop_assert_eq!(intact(octets, ends.0, ends.1), Err(Malformed::Checksum));
        }

        #[test]
        fn any_octets_are_survived(octets in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Ok(segment) = Segment::read(&octets) {
                prop_assert_eq!(usize::from(segment.data_at) + usize::from(segment.len), octets.len());
            }
        }
    }
}
