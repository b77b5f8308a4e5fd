//! Ethernet II headers with up to two VLAN tags (IEEE 802.1Q).

use arrayvec::ArrayVec;

/// Octets of a header without tags.
pub const HEADER: usize = 14;
/// Most octets of a header: two tags.
pub const LONGEST_HEADER: usize = HEADER + MAX_TAGS * TAG;
/// Most tags that are read: a service and a customer tag.
pub const MAX_TAGS: usize = 2;
const TAG: usize = 4;

/// EtherTypes that are treated by name.
pub mod ether_type {
    /// IPv4.
    pub const IPV4: u16 = 0x0800;
    /// Address resolution.
    pub const ARP: u16 = 0x0806;
    /// A customer VLAN tag follows.
    pub const VLAN: u16 = 0x8100;
    /// IPv6.
    pub const IPV6: u16 = 0x86dd;
    /// A service VLAN tag follows (802.1ad).
    pub const SERVICE_VLAN: u16 = 0x88a8;
}

/// One VLAN tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// [`ether_type::VLAN`] or [`ether_type::SERVICE_VLAN`].
    pub kind: u16,
    /// Priority, drop eligibility and VLAN number.
    pub control: u16,
}

impl Tag {
    /// VLAN number, 0 to 4095.
    pub fn vlan(self) -> u16 {
        self.control & 0x0fff
    }
}

/// A link header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Receiver.
    pub destination: [u8; 6],
    /// Sender.
    pub source: [u8; 6],
    /// Outermost first.
    pub tags: ArrayVec<Tag, MAX_TAGS>,
    /// What follows. A VLAN type here means more tags than are read.
    pub ether_type: u16,
}

impl Header {
    /// Reads the header of `frame`. `None` when the frame ends before the header does.
    pub fn read(frame: &[u8]) -> Option<Self> {
        let (destination, rest) = frame.split_first_chunk()?;
        let (source, mut rest) = rest.split_first_chunk()?;
        let mut tags = ArrayVec::new();
        loop {
            let (kind, after) = rest.split_first_chunk()?;
            let kind = u16::from_be_bytes(*kind);
            if !matches!(kind, ether_type::VLAN | ether_type::SERVICE_VLAN) || tags.is_full() {
                return Some(Self { destination: *destination, source: *source, tags, ether_type: kind });
            }
            let (control, after) = after.split_first_chunk()?;
            tags.push(Tag { kind, control: u16::from_be_bytes(*control) });
            rest = after;
        }
    }

    /// Octets that it takes: 14 and 4 for each tag.
    pub fn size(&self) -> usize {
        HEADER + self.tags.len() * TAG
    }

    /// Writes it at the start of `frame`. `None`, with nothing written, when the frame is shorter than [`Self::size`].
    pub fn write(&self, frame: &mut [u8]) -> Option<()> {
        let header = frame.get_mut(..self.size())?;
        let (addresses, rest) = header.split_at_mut(12);
        addresses[..6].copy_from_slice(&self.destination);
        addresses[6..].copy_from_slice(&self.source);
        let words = self.tags.iter().flat_map(|tag| [tag.kind, tag.control]).chain([self.ether_type]);
        for (place, word) in rest.chunks_exact_mut(2).zip(words) {
            place.copy_from_slice(&word.to_be_bytes());
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers() -> impl Strategy<Value = Header> {
        let tag = (prop::sample::select(vec![ether_type::VLAN, ether_type::SERVICE_VLAN]), any::<u16>())
            .prop_map(|(kind, control)| Tag { kind, control });
        let ether_types = prop::sample::select(vec![ether_type::IPV4, ether_type::IPV6, ether_type::ARP]);
        (any::<[u8; 6]>(), any::<[u8; 6]>(), prop::collection::vec(tag, 0..=2), ether_types).prop_map(
            |(destination, source, tags, ether_type)| Header {
                destination,
                source,
                tags: tags.into_iter().collect(),
                ether_type,
            },
        )
    }

    proptest! {
        #[test]
        fn written_is_read_again(header in headers(), rest in prop::collection::vec(any::<u8>(), 0..20)) {
            let mut frame = vec![0; header.size()];
            frame.extend(rest);
            prop_assert_eq!(header.write(&mut frame), Some(()));
            prop_assert_eq!(Header::read(&frame), Some(header.clone()));
            for short in 0..header.size() {
                prop_assert_eq!(Header::read(&frame[..short]), None);
                prop_assert_eq!(header.write(&mut vec![0; short]), None);
            }
        }
    }

    #[test]
    fn reads_a_tagged_frame() {
        let frame =
            [&[1; 6][..], &[2; 6], &[0x88, 0xa8, 0x20, 0x05, 0x81, 0x00, 0x00, 0x64, 0x86, 0xdd, 0x60]]
                .concat();
        let header = Header::read(&frame).unwrap();
        assert_eq!((header.size(), header.ether_type), (22, ether_type::IPV6));
        assert_eq!(header.tags.iter().map(|tag| tag.vlan()).collect::<Vec<_>>(), [5, 100]);
    }

    #[test]
    fn a_third_tag_is_not_read() {
        let frame = [&[0; 12][..], &[0x81, 0, 0, 1, 0x81, 0, 0, 2, 0x81, 0, 0, 3, 8, 0]].concat();
        assert_eq!(Header::read(&frame).unwrap().ether_type, ether_type::VLAN);
    }
}
