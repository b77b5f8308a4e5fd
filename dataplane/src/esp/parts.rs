//! Where the parts of an ESP packet lie, as the algorithms want to see them.

use ravelin_crypto_accel::aead::TAG_LEN;

use crate::wire::esp::HEADER;

/// Octets of the upper half of an extended number, or of an SPI.
const HALF: usize = 4;

/// Offsets within a frame that begins at the IP header: `esp_at + 8 + IV = text_at <= icv_at`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parts {
    /// SPI and sequence number, with at least an IP header before them.
    pub(super) esp_at: usize,
    /// After the IV.
    pub(super) text_at: usize,
    /// After payload, padding and trailer.
    pub(super) icv_at: usize,
    /// The ICV's end.
    pub(super) end: usize,
}

/// What a combined mode takes.
pub(super) struct AeadView<'a> {
    pub(super) aad: &'a [u8],
    pub(super) text: &'a mut [u8],
    pub(super) tag: &'a mut [u8; TAG_LEN],
}

/// What encrypt-then-MAC takes; the IV lies between.
pub(super) struct EtmView<'a> {
    pub(super) header: &'a [u8],
    pub(super) iv: &'a [u8],
    pub(super) text: &'a mut [u8],
    pub(super) icv: &'a mut [u8],
}

impl Parts {
    /// The IV of a combined mode. `None` when there is no room for it.
    pub(super) fn iv8<'a>(&self, octets: &'a mut [u8]) -> Option<&'a mut [u8; 8]> {
        octets.get_mut(self.esp_at + HEADER..self.text_at)?.first_chunk_mut()
    }

    /// Cuts `octets` for a combined mode. With extended numbers they must be [`Parts::spread`]. With `in_clear` IV and
    /// text are associated data, and nothing is left to encrypt (RFC 4543 3.3). `None` when the ICV has another length.
    pub(super) fn aead<'a>(
        &self,
        octets: &'a mut [u8],
        extended: bool,
        in_clear: bool,
    ) -> Option<AeadView<'a>> {
        let aad_at = if extended { self.esp_at - HALF } else { self.esp_at };
        let (before, tag) = octets.get_mut(..self.end)?.split_at_mut(self.icv_at);
        let (text_at, aad_end) =
            if in_clear { (self.icv_at, self.icv_at) } else { (self.text_at, self.esp_at + HEADER) };
        let (front, text) = before.split_at_mut(text_at);
        Some(AeadView { aad: &front[aad_at..aad_end], text, tag: tag.try_into().ok()? })
    }

    /// Cuts `octets` for encrypt-then-MAC.
    pub(super) fn etm<'a>(&self, octets: &'a mut [u8]) -> Option<EtmView<'a>> {
        let (before, icv) = octets.get_mut(..self.end)?.split_at_mut(self.icv_at);
        let (front, text) = before.split_at_mut(self.text_at);
        let (header, iv) = front.get(self.esp_at..)?.split_at_checked(HEADER)?;
        Some(EtmView { header, iv, text, icv })
    }

    /// Puts the upper half of the number between SPI and lower half, as the associated data of an extended number wants
    /// it (RFC 4106 5, RFC 4543 3.4), over the four octets before the header. Returns what was there.
    ///
    /// So the associated data needs no place of its own, and that of AES-GMAC, which is the whole packet, no copy.
    pub(super) fn spread(&self, octets: &mut [u8], number: u64) -> [u8; HALF] {
        let (spi_at, high_at) = (self.esp_at - HALF, self.esp_at);
        let mut covered = [0; HALF];
        covered.copy_from_slice(&octets[spi_at..high_at]);
        octets.copy_within(high_at..high_at + HALF, spi_at);
        octets[high_at..high_at + HALF].copy_from_slice(&upper_half(number));
        covered
    }

    /// Undoes [`Parts::spread`].
    pub(super) fn unspread(&self, octets: &mut [u8], covered: [u8; HALF]) {
        let (spi_at, high_at) = (self.esp_at - HALF, self.esp_at);
        octets.copy_within(spi_at..high_at, high_at);
        octets[spi_at..high_at].copy_from_slice(&covered);
    }
}

/// The half of an extended number that does not travel.
pub(super) fn upper_half(number: u64) -> [u8; HALF] {
    ((number >> 32) as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARTS: Parts = Parts { esp_at: 20, text_at: 36, icv_at: 60, end: 76 };

    #[test]
    fn spread_and_back() {
        let before: Vec<u8> = (0..76).collect();
        let mut octets = before.clone();
        let covered = PARTS.spread(&mut octets, 0x0102_0304_9999_9999);
        assert_eq!(octets[16..28], [20, 21, 22, 23, 1, 2, 3, 4, 24, 25, 26, 27]);
        PARTS.unspread(&mut octets, covered);
        assert_eq!(octets, before);
    }

    #[test]
    fn associated_data_of_each_kind() {
        let mut octets: Vec<u8> = (0..80).collect();
        for (extended, in_clear, aad, text) in [
            (false, false, 20..28, 36..60),
            (true, false, 16..28, 36..60),
            (false, true, 20..60, 60..60),
            (true, true, 16..60, 60..60),
        ] {
            let view = PARTS.aead(&mut octets, extended, in_clear).unwrap();
            assert!(view.aad.iter().copied().eq(aad));
            assert!(view.text.iter().copied().eq(text));
            assert_eq!(view.tag[..], (60..76).collect::<Vec<u8>>());
        }
        assert!(PARTS.aead(&mut octets[..75], false, false).is_none());
    }
}
