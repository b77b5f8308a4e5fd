//! The maximum segment size option of a TCP header (RFC 9293 3.7.1).

use ravelin_splice::wire::options;

use super::ip::word;

const SYN: u8 = 0x02;

/// Offset of the 16-bit MSS value in a segment that carries SYN.
///
/// `None` when the segment has no SYN, has no such option, or ends early; the walk is bounded by the header.
pub fn mss_at(segment: &[u8]) -> Option<usize> {
    const OPTIONS: usize = 20;
    let header_len = usize::from(segment.get(12)? >> 4) * 4;
    let header = segment.get(..header_len)?;
    if header.get(13)? & SYN == 0 {
        return None;
    }
    let mss = |(kind, _, value): &(u8, usize, &[u8])| *kind == options::kind::MSS && value.len() == 2;
    options::walk(header.get(OPTIONS..)?).find(mss).map(|(_, at, _)| OPTIONS + at)
}

/// Lowers the MSS that a SYN announces to `most` and lets the TCP checksum follow. Says whether it changed.
pub fn clamp_mss(segment: &mut [u8], most: u16) -> bool {
    let Some(at) = mss_at(segment) else { return false };
    let announced = word(segment, at);
    if announced <= most {
        return false;
    }
    // Options may lie at odd offsets, so update the sum by the two aligned words that the value touches.
    let aligned = at & !1;
    let touched = aligned..(at + 2).next_multiple_of(2);
    let before: [u16; 2] = words(&segment[touched.clone()]);
    segment[at..at + 2].copy_from_slice(&most.to_be_bytes());
    let after: [u16; 2] = words(&segment[touched]);
    let mut checksum = word(segment, CHECKSUM);
    for (old, new) in before.into_iter().zip(after) {
        checksum = super::checksum::update(checksum, old, new);
    }
    segment[CHECKSUM..CHECKSUM + 2].copy_from_slice(&checksum.to_be_bytes());
    true
}

/// Offset of the checksum.
const CHECKSUM: usize = 16;

/// One or two words; the second is 0 where there is one.
fn words(octets: &[u8]) -> [u16; 2] {
    [word(octets, 0), if octets.len() > 2 { word(octets, 2) } else { 0 }]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{internet_checksum, tcp};
    use super::*;

    const MSS_1460: [u8; 4] = [2, 4, 0x05, 0xb4];

    fn options() -> impl Strategy<Value = Vec<u8>> {
        let option = prop::sample::select(vec![
            vec![1],
            vec![3, 3, 7],
            vec![4, 2],
            MSS_1460.to_vec(),
            vec![8, 10, 0, 0, 0, 1, 0, 0, 0, 0],
            vec![2, 3, 5],
            vec![9, 0],
            vec![0],
        ]);
        prop::collection::vec(option, 0..6).prop_map(|options| {
            let mut octets = options.concat();
            octets.resize(octets.len().next_multiple_of(4).min(40), 0);
            octets
        })
    }

    fn seal_checksum(segment: &mut [u8]) {
        segment[16..18].fill(0);
        let checksum = internet_checksum(segment);
        segment[16..18].copy_from_slice(&checksum.to_be_bytes());
    }

    proptest! {
        /// Whatever the options: only the value changes, only downwards, and the checksum stays right.
        #[test]
        fn clamping_keeps_the_checksum(options in options(), flags: u8, most in 500u16..1600, data in prop::collection::vec(any::<u8>(), 0..9)) {
            let mut segment = tcp(1, 2, flags, &options);
            segment.extend(data);
            seal_checksum(&mut segment);
            let before = segment.clone();
            let at = mss_at(&segment);
            let changed = clamp_mss(&mut segment, most);
            prop_assert_eq!(internet_checksum(&segment), 0);
            prop_assert_eq!(mss_at(&segment), at);
            let expected = at.map(|at| word(&before, at).min(most));
            prop_assert_eq!(at.map(|at| word(&segment, at)), expected);
            prop_assert_eq!(changed, segment != before);
            if flags & SYN == 0 {
                prop_assert!(!changed);
            }
        }

        #[test]
        fn any_octets_are_survived(octets in prop::collection::vec(any::<u8>(), 0..80), most: u16) {
            let mut octets = octets;
            clamp_mss(&mut octets, most);
        }
    }

    #[test]
    fn finds_the_option_behind_others() {
        let segment = tcp(1, 2, 0x12, &[1, 4, 2, 2, 4, 0x05, 0xb4, 0]);
        assert_eq!(mss_at(&segment), Some(25));
        assert_eq!(mss_at(&tcp(1, 2, 0x10, &MSS_1460)), None);
        assert_eq!(mss_at(&tcp(1, 2, 0x02, &[0, 1, 1, 1, 2, 4, 5, 180])), None);
        assert_eq!(mss_at(&tcp(1, 2, 0x02, &[5, 6, 2, 4])), None);
    }
}
