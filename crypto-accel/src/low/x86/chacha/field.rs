//! Numbers modulo 2^130 - 5 (RFC 8439 2.5), eight side by side, each in limbs of 44, 44 and 42 bits.
//!
//! A limb may be a little longer than its share: below 2^47 wherever a product takes it, so that no sum of a product
//! passes 64 bits and no factor the 52 bits that the multiplier reads.

use std::arch::x86_64::*;

use super::vector::V;

/// The limbs of eight numbers, lowest first.
pub(super) type Limbs = [V; 3];

/// A factor, with what its upper limbs count for once they have passed 2^130.
#[derive(Clone, Copy)]
pub(super) struct Factor {
    limbs: Limbs,
    /// Twenty times limbs 1 and 2: five for 2^130, four since 3 * 44 is 132.
    again: [V; 2],
}

/// Products added up, not carried yet: what counts in its own limb, and 2^52 times as much.
#[derive(Clone, Copy)]
pub(super) struct Wide {
    low: Limbs,
    high: Limbs,
}

const BITS_44: i64 = (1 << 44) - 1;
const BITS_42: i64 = (1 << 42) - 1;

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn same(number: i64) -> V {
    _mm512_set1_epi64(number)
}

/// Nothing.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn zero() -> Limbs {
    [_mm512_setzero_si512(); 3]
}

/// The limbs of 128 bits, given as halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn split(low: V, high: V) -> Limbs {
    let middle = _mm512_or_si512(_mm512_srli_epi64::<44>(low), _mm512_slli_epi64::<20>(high));
    [
        _mm512_and_si512(low, same(BITS_44)),
        _mm512_and_si512(middle, same(BITS_44)),
        _mm512_srli_epi64::<24>(high),
    ]
}

/// Blocks of a message: 128 bits and a one above them, in the lanes of the mask.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn blocks(low: V, high: V, present: __mmask8) -> Limbs {
    let [a, b, c] = split(low, high);
    [a, b, _mm512_mask_or_epi64(c, present, c, same(1 << 40))]
}

/// The sum, not carried.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn add(a: Limbs, b: Limbs) -> Limbs {
    [_mm512_add_epi64(a[0], b[0]), _mm512_add_epi64(a[1], b[1]), _mm512_add_epi64(a[2], b[2])]
}

/// In every lane the sum over all lanes, not carried. It never leaves the vectors, where nothing can go by it.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn total(limbs: Limbs) -> Limbs {
    let halves = |v: V| _mm512_shuffle_i64x2::<0x4e>(v, v);
    let quarters = |v: V| _mm512_shuffle_i64x2::<0xb1>(v, v);
    let eighths = |v: V| _mm512_shuffle_epi32::<0x4e>(v);
    let sums = add(limbs, [halves(limbs[0]), halves(limbs[1]), halves(limbs[2])]);
    let sums = add(sums, [quarters(sums[0]), quarters(sums[1]), quarters(sums[2])]);
    add(sums, [eighths(sums[0]), eighths(sums[1]), eighths(sums[2])])
}

/// `a` in the lanes of the mask, else `b`.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn choose(mask: __mmask8, a: Limbs, b: Limbs) -> Limbs {
    [
        _mm512_mask_mov_epi64(b[0], mask, a[0]),
        _mm512_mask_mov_epi64(b[1], mask, a[1]),
        _mm512_mask_mov_epi64(b[2], mask, a[2]),
    ]
}

impl Factor {
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn new(limbs: Limbs) -> Self {
        let twenty = |v: V| {
            let five = _mm512_add_epi64(v, _mm512_slli_epi64::<2>(v));
            _mm512_slli_epi64::<2>(five)
        };
        Self { limbs, again: [twenty(limbs[1]), twenty(limbs[2])] }
    }

    /// The product, carried.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn times(&self, a: Limbs) -> Limbs {
        let mut wide = Wide { low: zero(), high: zero() };
        wide.add(self, a);
        wide.carried()
    }
}

impl Wide {
    /// `a * factor + b * other`, carried: one carrying for two products.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    pub(super) fn sum(factor: &Factor, a: Limbs, other: &Factor, b: Limbs) -> Limbs {
        let mut wide = Self { low: zero(), high: zero() };
        wide.add(other, b);
        wide.add(factor, a);
        wide.carried()
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    fn add(&mut self, factor: &Factor, a: Limbs) {
        let Factor { limbs: r, again: s } = factor;
        let (low, high) = (&mut self.low, &mut self.high);
        // Limb 2 first: it is ready first. What passes 2^132 comes back twentyfold.
        let columns = [(a[2], [s[0], s[1], r[0]]), (a[0], [r[0], r[1], r[2]]), (a[1], [s[1], r[0], r[1]])];
        for (limb, column) in columns {
            for j in 0..3 {
                low[j] = _mm512_madd52lo_epu64(low[j], limb, column[j]);
                high[j] = _mm512_madd52hi_epu64(high[j], limb, column[j]);
            }
        }
    }

    /// Limbs again: the first 44 bits, the second below 2^45, the third 42 bits.
    #[inline]
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
    fn carried(self) -> Limbs {
        let Self { low, high } = self;
        let over =
            |limb: V, high: V| _mm512_add_epi64(_mm512_srli_epi64::<44>(limb), _mm512_slli_epi64::<8>(high));
        let first = _mm512_and_si512(low[0], same(BITS_44));
        let second = _mm512_add_epi64(low[1], over(low[0], high[0]));
        let third = _mm512_add_epi64(low[2], over(second, high[1]));
        let second = _mm512_and_si512(second, same(BITS_44));
        let carry = _mm512_add_epi64(_mm512_srli_epi64::<42>(third), _mm512_slli_epi64::<10>(high[2]));
        let third = _mm512_and_si512(third, same(BITS_42));
        let five = _mm512_add_epi64(carry, _mm512_slli_epi64::<2>(carry));
        let first = _mm512_add_epi64(first, five);
        let second = _mm512_add_epi64(second, _mm512_srli_epi64::<44>(first));
        [_mm512_and_si512(first, same(BITS_44)), second, third]
    }
}

/// The tag (RFC 8439 2.5.1): the number itself, fully carried, plus 128 bits given as halves.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn tag(sums: Limbs, hide: [V; 2]) -> [V; 2] {
    let [mut a, mut b, mut c] = sums;
    let low_44 = |v: V| _mm512_and_si512(v, same(BITS_44));
    let up_44 = |v: V| _mm512_srli_epi64::<44>(v);
    for _ in 0..2 {
        b = _mm512_add_epi64(b, up_44(a));
        a = low_44(a);
        c = _mm512_add_epi64(c, up_44(b));
        b = low_44(b);
        let carry = _mm512_srli_epi64::<42>(c);
        c = _mm512_and_si512(c, same(BITS_42));
        a = _mm512_add_epi64(a, _mm512_add_epi64(carry, _mm512_slli_epi64::<2>(carry)));
    }
    b = _mm512_add_epi64(b, up_44(a));
    a = low_44(a);
    // Minus the modulus: plus 5, minus 2^130. If that is not negative, it is the number.
    let plus = _mm512_add_epi64(a, same(5));
    let (x, plus) = (low_44(plus), _mm512_add_epi64(b, up_44(plus)));
    let (y, plus) = (low_44(plus), _mm512_add_epi64(c, up_44(plus)));
    let z = _mm512_sub_epi64(plus, same(1 << 42));
    let not_negative = _mm512_cmpge_epi64_mask(z, _mm512_setzero_si512());
    let [a, b, c] = choose(not_negative, [x, y, z], [a, b, c]);
    let low = _mm512_or_si512(a, _mm512_slli_epi64::<44>(b));
    let high = _mm512_or_si512(_mm512_srli_epi64::<20>(b), _mm512_slli_epi64::<24>(c));
    let low = _mm512_add_epi64(low, hide[0]);
    let carry = _mm512_cmplt_epu64_mask(low, hide[0]);
    let high = _mm512_add_epi64(high, hide[1]);
    [low, _mm512_mask_add_epi64(high, carry, high, same(1))]
}
