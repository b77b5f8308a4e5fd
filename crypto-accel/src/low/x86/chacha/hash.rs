//! Poly1305 over associated data, ciphertext and lengths (RFC 8439 2.8).

use std::arch::x86_64::*;

use super::field::{self, Factor, Limbs, Wide};
use super::vector::{V, load, load_part, numbers, scalar, store, store_numbers, turn_numbers};

/// Eight texts, each with its own key.
pub(super) struct Eight {
    sums: Limbs,
    key: Factor,
    hide: [V; 2],
}

/// Bits of the key that are kept (RFC 8439 2.5).
const CLAMP: [i64; 2] = [0x0fff_fffc_0fff_ffff, 0x0fff_fffc_0fff_fffc];

impl Eight {
    /// From the first block of each key stream.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn new(first: &[[u8; 64]; 8]) -> Self {
        let mut rows = [_mm512_setzero_si512(); 8];
        for i in 0..8 {
            rows[i] = load(&first[i]);
        }
        let [low, high, hide_low, hide_high, ..] = turn_numbers(rows);
        let low = _mm512_and_si512(low, _mm512_set1_epi64(CLAMP[0]));
        let high = _mm512_and_si512(high, _mm512_set1_epi64(CLAMP[1]));
        Self { sums: field::zero(), key: Factor::new(field::split(low, high)), hide: [hide_low, hide_high] }
    }

    /// The next block of each text in the mask.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    fn step(&mut self, low: V, high: V, present: __mmask8) {
        let next = self.key.times(field::add(self.sums, field::blocks(low, high, 0xff)));
        self.sums = field::choose(present, next, self.sums);
    }

    /// The block of lengths of each text in the mask.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn lengths(&mut self, aad: &[u64; 8], text: &[u64; 8], present: __mmask8) {
        self.step(numbers(aad), numbers(text), present);
    }

    /// Takes the hash of one text that was hashed alone.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn set(&mut self, lane: usize, sums: Limbs) {
        self.sums = field::choose(1 << lane, sums, self.sums);
    }

    /// The tags.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn tags(&self, tags: &mut [[u64; 8]; 2]) {
        let [low, high] = field::tag(self.sums, self.hide);
        store_numbers(&mut tags[0], low);
        store_numbers(&mut tags[1], high);
    }
}

/// Octets of each text, zeros filling up their last blocks: one text in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn side_by_side<const N: usize>(eights: &mut [Eight; N], parts: &[[&[u8]; 8]; N]) {
    let mut ends = [_mm512_setzero_si512(); N];
    let mut longest = 0;
    for e in 0..N {
        let mut lengths = [0u64; 8];
        for i in 0..8 {
            let length = scalar(parts[e][i].len());
            lengths[i] = length as u64;
            longest = longest.max(length);
        }
        ends[e] = numbers(&lengths);
    }
    let mut at = 0;
    while at < longest {
        let mut columns = [[_mm512_setzero_si512(); 8]; N];
        for e in 0..N {
            for i in 0..8 {
                columns[e][i] = load_part(parts[e][i].get(at..).unwrap_or_default());
            }
            columns[e] = turn_numbers(columns[e]);
        }
        for k in 0..4 {
            let begin = at + 16 * k;
            if begin >= longest {
                break;
            }
            for e in 0..N {
                let present = _mm512_cmpgt_epu64_mask(ends[e], _mm512_set1_epi64(begin as i64));
                eights[e].step(columns[e][2 * k], columns[e][2 * k + 1], present);
            }
        }
        at += 64;
    }
}

/// Blocks in the order in which [`eight_blocks`] leaves them in the lanes.
const ORDER: [u64; 8] = [0, 4, 1, 5, 2, 6, 3, 7];

/// Texts from this length on may be hashed alone.
pub(super) const ALONE_LEAST: usize = 256;
/// Associated data up to this length, too.
pub(super) const ALONE_AAD_MOST: usize = 64;

/// Eight blocks of one text, one in each lane.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn eight_blocks(first: V, second: V, present: __mmask8) -> Limbs {
    field::blocks(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second), present)
}

/// Powers of one text's key.
struct Powers {
    eighth: Factor,
    sixteenth: Factor,
    /// In each lane the one that its block waits for: from the eighth for block 0 down to the first for block 7.
    falling: Factor,
}

impl Powers {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    fn new(first: &[u8; 64]) -> Self {
        let (low, high) = first.split_first_chunk::<8>().expect("64 octets");
        let high = high.first_chunk::<8>().expect("56 octets");
        let each = |half: &[u8; 8], kept: i64| {
            (_mm512_set1_epi64(i64::from_le_bytes(*half)), _mm512_set1_epi64(kept))
        };
        let (low, low_kept) = each(low, CLAMP[0]);
        let (high, high_kept) = each(high, CLAMP[1]);
        let one = field::split(_mm512_and_si512(low, low_kept), _mm512_and_si512(high, high_kept));
        let two = Factor::new(one).times(one);
        let by_two = Factor::new(two);
        let four = by_two.times(two);
        let by_four = Factor::new(four);
        // Exponents are 8, 4, 7, 3, 6, 2, 5, 1: first what is left of them by 2, then by 4, then whole.
        let of_two = field::choose(0b0011_0011, two, one);
        let of_four = field::choose(0b0000_1111, by_two.times(of_two), of_two);
        let falling = field::choose(0b0101_0101, by_four.times(of_four), of_four);
        let eight = by_four.times(four);
        let eighth = Factor::new(eight);
        Self { sixteenth: Factor::new(eighth.times(eight)), eighth, falling: Factor::new(falling) }
    }
}

/// The hash of one text of [`ALONE_LEAST`] octets or more, by eight of its blocks at once; the same in every lane.
///
/// The last eight blocks end in that of the lengths; what does not fill eight stands at the begin.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn alone(first: &[u8; 64], aad: &[u8], text: &[u8]) -> Limbs {
    assert!(text.len() >= ALONE_LEAST && aad.len() <= ALONE_AAD_MOST);
    let split = (text.len().div_ceil(16) + 1) % 8 * 16;
    let (lead, text) = text.split_at(split);
    let missing = (aad.len().div_ceil(16) * 16 + lead.len()).next_multiple_of(128)
        - aad.len().div_ceil(16) * 16
        - lead.len();
    let mut begin = [0; 5 * 64];
    let at = |offset: usize| offset.min(4 * 64);
    let aad_end = missing + aad.len().div_ceil(16) * 16;
    store(begin[at(missing)..].first_chunk_mut().expect("64 octets"), load_part(aad));
    store(begin[at(aad_end)..].first_chunk_mut().expect("64 octets"), load_part(lead));
    if lead.len() > 64 {
        store(begin[at(aad_end + 64)..].first_chunk_mut().expect("64 octets"), load_part(&lead[64..]));
    }
    let used = aad_end + lead.len();

    let powers = Powers::new(first);
    let mut sums = field::zero();
    let (begin, _) = begin.as_chunks::<64>();
    if used > 0 {
        let order = numbers(&ORDER);
        let present = _mm512_cmpge_epu64_mask(order, _mm512_set1_epi64((missing / 16) as i64));
        sums = eight_blocks(load(&begin[0]), load(&begin[1]), present);
    }
    if used > 128 {
        let next = eight_blocks(load(&begin[2]), load(&begin[3]), 0xff);
        sums = field::add(powers.eighth.times(sums), next);
    }
    let whole = (text.len() - 1) / 128;
    let (body, end) = text.split_at(whole * 128);
    let (vectors, _) = body.as_chunks::<64>();
    let (fours, two) = vectors.as_chunks::<4>();
    for four in fours {
        let one = eight_blocks(load(&four[0]), load(&four[1]), 0xff);
        let next = eight_blocks(load(&four[2]), load(&four[3]), 0xff);
        sums = field::add(Wide::sum(&powers.sixteenth, sums, &powers.eighth, one), next);
    }
    if let [a, b] = two {
        sums = field::add(powers.eighth.times(sums), eight_blocks(load(a), load(b), 0xff));
    }
    let lengths = _mm_set_epi64x((split + text.len()) as i64, aad.len() as i64);
    let second = load_part(end.get(64..).unwrap_or_default());
    let last = eight_blocks(load_part(end), _mm512_inserti32x4::<3>(second, lengths), 0xff);
    field::total(powers.falling.times(field::add(powers.eighth.times(sums), last)))
}
