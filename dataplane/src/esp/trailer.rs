//! The ESP trailer (RFC 4303 2.4 to 2.7): padding, pad length, next header, and padding that hides the packet's length.

use ravelin_contract::verdict::Verdict;

/// Pad length and next header.
pub const TRAILER: usize = 2;
/// Most octets of padding; the length field has one octet.
const MOST: usize = 255;

/// What padding looks like unless the algorithm says otherwise, and none of ours does: 1, 2, 3 (RFC 4303 2.4).
static PATTERN: [u8; MOST] = {
    let mut pattern = [0; MOST];
    let mut at = 0;
    while at < MOST {
        pattern[at] = at as u8 + 1;
        at += 1;
    }
    pattern
};

/// Octets of padding after `payload` octets, so that payload, padding and trailer fill whole units of `align`, which is
/// at most 16.
pub fn padding(payload: usize, align: usize) -> usize {
    (payload + TRAILER).next_multiple_of(align) - TRAILER - payload
}

/// Octets of traffic-flow padding after a packet of `length` (RFC 4303 2.7): up to a multiple of `unit`, but never so
/// many that the packet outgrows `most`. 0 units mean none.
pub fn flow_padding(length: usize, unit: usize, most: usize) -> usize {
    if unit == 0 {
        return 0;
    }
    length.next_multiple_of(unit).min(most).saturating_sub(length)
}

/// Fills `room`, which is the padding and the two octets after it.
pub fn write(room: &mut [u8], next_header: u8) {
    if let Some((pad, trailer)) = room.split_last_chunk_mut() {
        pad.copy_from_slice(&PATTERN[..pad.len()]);
        *trailer = [pad.len() as u8, next_header];
    }
}

/// Takes the trailer off: length of the payload, next header.
///
/// # Errors
/// `BadPadding` when the pad length leads out of `text` or the padding is not 1, 2, 3.
pub fn read(text: &[u8]) -> Result<(usize, u8), Verdict> {
    let (rest, &[pad_len, next_header]) = text.split_last_chunk().ok_or(Verdict::BadPadding)?;
    let payload = rest.len().checked_sub(pad_len.into()).ok_or(Verdict::BadPadding)?;
    if rest[payload..] != PATTERN[..pad_len.into()] {
        return Err(Verdict::BadPadding);
    }
    Ok((payload, next_header))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples() {
        let mut room = [0xee; 5];
        write(&mut room, 41);
        assert_eq!(room, [1, 2, 3, 3, 41]);
        assert_eq!(read(&room), Ok((0, 41)));
        assert_eq!(read(&[7, 7, 0, 4]), Ok((2, 4)));
    }

    #[test]
    fn wrong_padding_is_refused() {
        for text in
            [&[][..], &[4], &[1, 4], &[9, 2, 4], &[1, 1, 2, 4], &[1, 2, 0, 3, 4], &[0, 1, 2, 3, 255, 4]]
        {
            assert_eq!(read(text), Err(Verdict::BadPadding), "{text:?}");
        }
    }

    #[test]
    fn flow_padding_stops_at_the_mtu() {
        assert_eq!(flow_padding(100, 0, 1400), 0);
        assert_eq!(flow_padding(100, 256, 1400), 156);
        assert_eq!(flow_padding(256, 256, 1400), 0);
        assert_eq!(flow_padding(1300, 1000, 1400), 100);
        assert_eq!(flow_padding(1500, 1000, 1400), 0, "what is too long already is not made longer");
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(payload in prop::collection::vec(any::<u8>(), 0..200), wide: bool, next: u8) {
            let align = if wide { 16 } else { 4 };
            let pad = padding(payload.len(), align);
            prop_assert!(pad < align);
            let mut text = payload.clone();
            text.resize(payload.len() + pad + TRAILER, 0);
            write(&mut text[payload.len()..], next);
            prop_assert!(text.len().is_multiple_of(align));
            prop_assert_eq!(read(&text), Ok((payload.len(), next)));
        }

        /// Every octet of the padding counts: RFC 4303 2.4 asks the receiver to inspect it.
        #[test]
        fn any_changed_pad_octet_is_seen(pad in 1usize..256, at in 0usize..255, change in 1u8..) {
            let mut text = vec![0; 3 + pad + TRAILER];
            write(&mut text[3..], 4);
            text[3 + at % pad] ^= change;
            prop_assert_eq!(read(&text), Err(Verdict::BadPadding));
        }

        #[test]
        fn never_panics(text in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok((payload, _)) = read(&text) {
                prop_assert!(payload + TRAILER <= text.len());
            }
        }
    }
}
