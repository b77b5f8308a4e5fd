//! The key stream (RFC 8439 2.3): 16 blocks in a pass, word `i` of all of them in one register.

use std::arch::x86_64::*;

use super::vector::{V, load, store_words, turn_quarters, turn_words, with_quarter, words};
use crate::low::x86::here::here;

/// Blocks of a pass.
pub(super) const BLOCKS: usize = 16;

/// `expand 32-byte k`.
const CONSTANTS: [u32; 4] = [0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574];

/// Counter and nonce, as the last row of a block begins.
pub(super) type Row = [u32; 4];

/// What 16 blocks begin with, by lane.
pub(super) struct Starts<'a> {
    pub(super) keys: [&'a [u8; 32]; BLOCKS],
    /// The row of lane `i` stands at `4 * (i % 4) + i / 4`, as it is loaded.
    pub(super) rows: &'a [Row; BLOCKS],
}

/// Where a lane's row stands in [`Starts::rows`].
#[inline]
pub(super) fn place(lane: usize) -> usize {
    4 * (lane % 4) + lane / 4
}

/// One block in each lane, whatever they are for. `initial` is room that the caller wipes.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn mixed(starts: &Starts<'_>, initial: &mut [[u32; 16]; 12]) -> [V; BLOCKS] {
    let first = key_rows(&starts.keys, 0);
    let second = key_rows(&starts.keys, 1);
    let rows: &[[Row; 4]; 4] = starts.rows.as_chunks().0.try_into().expect("16 rows");
    let mut third = [_mm512_setzero_si512(); 4];
    for i in 0..4 {
        third[i] = words(rows[i].as_flattened().try_into().expect("16 words"));
    }
    let third = turn_words(third);
    let mut state = [_mm512_setzero_si512(); 16];
    for i in 0..4 {
        state[i] = _mm512_set1_epi32(CONSTANTS[i] as i32);
        state[4 + i] = first[i];
        state[8 + i] = second[i];
        state[12 + i] = third[i];
    }
    for i in 0..12 {
        store_words(&mut initial[i], state[4 + i]);
    }
    rounds(&mut state);
    let initial = here(initial);
    for i in 0..4 {
        state[i] = _mm512_add_epi32(state[i], _mm512_set1_epi32(CONSTANTS[i] as i32));
    }
    for i in 0..12 {
        state[4 + i] = _mm512_add_epi32(state[4 + i], words(&initial[i]));
    }
    blocks(state)
}

/// Half of each lane's key, by words.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn key_rows(keys: &[&[u8; 32]; BLOCKS], half: usize) -> [V; 4] {
    let quarter = |lane: usize| {
        let (halves, _) = keys[lane].as_chunks::<16>();
        &halves[half]
    };
    let mut rows = [_mm512_setzero_si512(); 4];
    for (i, row) in rows.iter_mut().enumerate() {
        *row = with_quarter::<0x000f>(*row, quarter(i));
        *row = with_quarter::<0x00f0>(*row, quarter(i + 4));
        *row = with_quarter::<0x0f00>(*row, quarter(i + 8));
        *row = with_quarter::<0xf000>(*row, quarter(i + 12));
    }
    turn_words(rows)
}

/// Sixteen blocks that follow each other. `words` are the key's and the row of the first block.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn run(start: &[u32; 12]) -> [V; BLOCKS] {
    let counters = || {
        let steps = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
        _mm512_add_epi32(_mm512_set1_epi32(here(start)[8] as i32), steps)
    };
    let mut state = [_mm512_setzero_si512(); 16];
    for i in 0..4 {
        state[i] = _mm512_set1_epi32(CONSTANTS[i] as i32);
    }
    for i in 0..12 {
        state[4 + i] = _mm512_set1_epi32(start[i] as i32);
    }
    state[12] = counters();
    rounds(&mut state);
    let again = here(start);
    for i in 0..4 {
        state[i] = _mm512_add_epi32(state[i], _mm512_set1_epi32(CONSTANTS[i] as i32));
    }
    for i in (0..12).filter(|i| *i != 8) {
        state[4 + i] = _mm512_add_epi32(state[4 + i], _mm512_set1_epi32(again[i] as i32));
    }
    state[12] = _mm512_add_epi32(state[12], counters());
    blocks(state)
}

/// Ten double rounds (RFC 8439 2.3.1).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn rounds(state: &mut [V; 16]) {
    for _ in 0..10 {
        round::<0>(state);
        round::<1>(state);
    }
}

/// Four quarter rounds, step by step side by side: on columns, or turned by one on diagonals.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn round<const TURN: usize>(s: &mut [V; 16]) {
    let b = |i: usize| 4 + (i + TURN) % 4;
    let c = |i: usize| 8 + (i + 2 * TURN) % 4;
    let d = |i: usize| 12 + (i + 3 * TURN) % 4;
    for i in 0..4 {
        s[i] = _mm512_add_epi32(s[i], s[b(i)]);
        s[d(i)] = _mm512_rol_epi32::<16>(_mm512_xor_si512(s[d(i)], s[i]));
    }
    for i in 0..4 {
        s[c(i)] = _mm512_add_epi32(s[c(i)], s[d(i)]);
        s[b(i)] = _mm512_rol_epi32::<12>(_mm512_xor_si512(s[b(i)], s[c(i)]));
    }
    for i in 0..4 {
        s[i] = _mm512_add_epi32(s[i], s[b(i)]);
        s[d(i)] = _mm512_rol_epi32::<8>(_mm512_xor_si512(s[d(i)], s[i]));
    }
    for i in 0..4 {
        s[c(i)] = _mm512_add_epi32(s[c(i)], s[d(i)]);
        s[b(i)] = _mm512_rol_epi32::<7>(_mm512_xor_si512(s[b(i)], s[c(i)]));
    }
}

/// Words by register become blocks by register.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn blocks(s: [V; 16]) -> [V; BLOCKS] {
    // Row `r` of blocks `g`, `4 + g`, `8 + g`, `12 + g` in the quarters of `rows[r][g]`.
    let mut rows = [[_mm512_setzero_si512(); 4]; 4];
    for r in 0..4 {
        rows[r] = turn_words([s[4 * r], s[4 * r + 1], s[4 * r + 2], s[4 * r + 3]]);
    }
    let a = turn_quarters([rows[0][0], rows[1][0], rows[2][0], rows[3][0]]);
    let b = turn_quarters([rows[0][1], rows[1][1], rows[2][1], rows[3][1]]);
    let c = turn_quarters([rows[0][2], rows[1][2], rows[2][2], rows[3][2]]);
    let d = turn_quarters([rows[0][3], rows[1][3], rows[2][3], rows[3][3]]);
    [a[0], b[0], c[0], d[0], a[1], b[1], c[1], d[1], a[2], b[2], c[2], d[2], a[3], b[3], c[3], d[3]]
}

/// A run's stream added to its octets.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn add_run(start: &[u32; 12], octets: &mut [[u8; 64]; BLOCKS]) {
    let stream = run(start);
    for (block, stream) in octets.iter_mut().zip(stream) {
        super::vector::store(block, _mm512_xor_si512(load(block), stream));
    }
}
