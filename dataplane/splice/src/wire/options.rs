//! TCP options: where they lie, and those that a leg understands (RFC 9293 3.2, 7323, 2018).

use super::seq::Seq;

/// Kind numbers of the IANA registry.
pub mod kind {
    /// End of the list.
    pub const END: u8 = 0;
    /// Padding.
    pub const NO_OPERATION: u8 = 1;
    /// Maximum segment size.
    pub const MSS: u8 = 2;
    /// Window scale.
    pub const SCALE: u8 = 3;
    /// SACK permitted.
    pub const SACK_PERMITTED: u8 = 4;
    /// SACK blocks.
    pub const SACK: u8 = 5;
    /// Time stamps.
    pub const TIMESTAMPS: u8 = 8;
}

/// SACK blocks that fit one segment without other options.
pub const MOST_BLOCKS: usize = 4;

/// Steps over the options of a header, and ends at the first that contradicts itself.
#[derive(Debug, Clone)]
pub struct Walk<'a> {
    /// All options.
    octets: &'a [u8],
    /// Where the next one begins.
    at: usize,
}

/// Walks the options of a header; `octets` begin after the twentieth octet of it.
pub fn walk(octets: &[u8]) -> Walk<'_> {
    Walk { octets, at: 0 }
}

impl<'a> Iterator for Walk<'a> {
    /// Kind, offset of the value within the options, and the value.
    type Item = (u8, usize, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        while *self.octets.get(self.at)? == kind::NO_OPERATION {
            self.at += 1;
        }
        let at = self.at;
        let kind = self.octets[at];
        if kind == kind::END {
            return None;
        }
        let length = usize::from(*self.octets.get(at + 1)?);
        let value = self.octets.get(at + 2..at + length)?;
        self.at = at + length;
        Some((kind, at + 2, value))
    }
}

/// The options of one segment that a leg understands. All others are as if they were not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Options {
    /// Maximum segment size.
    pub mss: Option<u16>,
    /// Window scale.
    pub scale: Option<u8>,
    /// Whether SACK blocks may be sent.
    pub sack_permitted: bool,
    /// TSval and TSecr.
    pub timestamps: Option<(u32, u32)>,
    /// SACK blocks, of which `block_count` are there.
    blocks: [(Seq, Seq); MOST_BLOCKS],
    /// Number of blocks.
    block_count: u8,
}

impl Options {
    /// Reads them.
    #[inline]
    pub fn read(octets: &[u8]) -> Self {
        // What nearly every segment of a connection carries, at the place where RFC 7323 appendix A puts it.
        if let [1, 1, kind::TIMESTAMPS, 10, stamps @ ..] = octets
            && let Ok(stamps) = <&[u8; 8]>::try_from(stamps)
        {
            return Self { timestamps: Some((number(stamps, 0), number(stamps, 4))), ..Self::default() };
        }
        Self::read_any(octets)
    }

    fn read_any(octets: &[u8]) -> Self {
        let mut found = Self::default();
        walk(octets).for_each(|(kind, _, value)| found.note(kind, value));
        found
    }

    /// SACK blocks, each from its first number to the one after its last.
    pub fn blocks(&self) -> &[(Seq, Seq)] {
        &self.blocks[..self.block_count.into()]
    }

    fn note(&mut self, kind: u8, value: &[u8]) {
        match (kind, value) {
            (kind::MSS, [high, low]) => self.mss = Some(u16::from_be_bytes([*high, *low])),
            (kind::SCALE, [shift]) => self.scale = Some(*shift),
            (kind::SACK_PERMITTED, []) => self.sack_permitted = true,
            (kind::TIMESTAMPS, stamps) if stamps.len() == 8 => {
                self.timestamps = Some((number(stamps, 0), number(stamps, 4)));
            }
            (kind::SACK, blocks) => {
                let (blocks, _) = blocks.as_chunks::<8>();
                for (place, block) in self.blocks.iter_mut().zip(blocks) {
                    *place = (Seq(number(block, 0)), Seq(number(block, 4)));
                }
                self.block_count = blocks.len().min(MOST_BLOCKS) as u8;
            }
            _ => {}
        }
    }
}

fn number(octets: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([octets[at], octets[at + 1], octets[at + 2], octets[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reads_what_a_syn_of_linux_carries() {
        let octets = [2, 4, 5, 180, 4, 2, 8, 10, 0, 0, 0, 7, 0, 0, 0, 0, 1, 3, 3, 7];
        let found = Options::read(&octets);
        assert_eq!((found.mss, found.scale, found.sack_permitted), (Some(1460), Some(7), true));
        assert_eq!(found.timestamps, Some((7, 0)));
    }

    #[test]
    fn reads_blocks_beside_time_stamps() {
        let mut octets = vec![1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2, 1, 1, 5, 18];
        octets.extend([0, 0, 0, 10, 0, 0, 0, 20, 0, 0, 0, 30, 0, 0, 0, 40]);
        let found = Options::read(&octets);
        assert_eq!(found.blocks(), [(Seq(10), Seq(20)), (Seq(30), Seq(40))]);
        assert_eq!(found.timestamps, Some((1, 2)));
    }

    /// RFC 9293 MUST-7 and MUST-6: a length that cannot be, and kinds that nobody knows.
    #[test]
    fn ends_at_what_contradicts_itself() {
        assert_eq!(Options::read(&[9, 0, 2, 4, 5, 180]), Options::default());
        assert_eq!(Options::read(&[9, 1, 2, 4, 5, 180]), Options::default());
        assert_eq!(Options::read(&[2, 40, 5, 180]), Options::default());
        assert_eq!(Options::read(&[200, 3, 0, 2, 4, 5, 180]).mss, Some(1460));
        assert_eq!(Options::read(&[0, 2, 4, 5, 180]).mss, None);
    }

    proptest! {
        #[test]
        fn any_octets_are_survived(octets in prop::collection::vec(any::<u8>(), 0..60)) {
            let found = Options::read(&octets);
            prop_assert!(found.blocks().len() <= MOST_BLOCKS);
        }

        /// The short way and the long way tell the same.
        #[test]
        fn short_way_is_the_long_way(value: u32, echo: u32) {
            let mut octets = vec![1, 1, 8, 10];
            octets.extend(value.to_be_bytes());
            octets.extend(echo.to_be_bytes());
            let short = Options::read(&octets);
            octets.extend([1, 1, 1, 0]);
            prop_assert_eq!(short, Options::read(&octets));
        }
    }
}
