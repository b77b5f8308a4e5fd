//! AES-GCM (NIST SP 800-38D) over vectors of any width, written once for all back ends.
//!
//! GHASH runs in the form of POLYVAL (RFC 8452 appendix A): octets of a block reversed, hash key doubled, and a
//! product is `a * b / x^128`, which needs two multiplications to reduce. For `N` lanes the text is cut into
//!
//! - *runs* of four vectors. Lane `j` of each vector holds every `N`-th block, so all lanes are multiplied by the
//!   same power and the sums of the lanes stay apart until the end. Two runs share one reduction. When sealing,
//!   the ciphertext of one run is hashed while the next is encrypted, for both then have enough to do.
//! - a *rest* of at most `5 * N - 2` blocks, the last perhaps partial. Here lane `j` meets its own power, so that
//!   the sum over the lanes is the hash.
//!
//! With a short text the associated data, if one block, and the block of lengths are one vector of the rest. All
//! branches depend on lengths alone.

use std::arch::x86_64::__m128i;

use super::features::Aesni;
use super::here::here;
use super::lanes::Lanes;
use super::record::{Record, Strides};
use super::span::Span;

/// The polynomial of POLYVAL for reduction, `x^127 + x^126 + x^121` and 1, least octet first.
const POLYNOMIAL: [u8; 16] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2];

/// Vectors of a run.
const RUN: usize = 4;

/// Encrypts if `SEAL`, else decrypts, and gives the tag of the ciphertext. `R` is the number of AES rounds.
#[inline(always)]
pub(super) fn crypt<L: Lanes, const R: usize, const SEAL: bool>(
    l: L,
    record: &Record,
    nonce: &[u8; 12],
    aad: &[u8],
    span: Span<'_>,
) -> __m128i {
    let blocks = span.len().div_ceil(16);
    let runs = blocks.saturating_sub(least_rest::<L>()) / (RUN * L::N);
    let rest = blocks - runs * RUN * L::N;
    let mut end = End { lengths: lengths(l, aad.len(), span.len()), early: None };
    let mut walk = Walk::<L, R>::new(l, record, nonce, span);
    let mask = encrypt::<R>(l.narrow(), record, &initial(nonce, 1)); // hides the hash
    let mut sums = l.zero();
    if runs == 0 && aad.len() <= 16 {
        end.early = Some(l.narrow().reverse(l.short(aad)));
    } else {
        sums = l.widen(hash(l, record, aad));
    }
    if runs > 0 {
        sums = if SEAL { walk.seal_runs(runs, sums) } else { walk.open_runs(runs, sums) };
    }
    let hashed = match rest.div_ceil(L::N) {
        0 => walk.rest::<0, SEAL>(rest, sums, end),
        1 => walk.rest::<1, SEAL>(rest, sums, end),
        2 => walk.rest::<2, SEAL>(rest, sums, end),
        3 => walk.rest::<3, SEAL>(rest, sums, end),
        4 => walk.rest::<4, SEAL>(rest, sums, end),
        _ => walk.rest::<5, SEAL>(rest, sums, end),
    };
    l.narrow().xor(l.narrow().reverse(hashed), mask)
}

/// A rest of fewer blocks after a run would ask for powers below 1, for each lane of a run expects a full turn of
/// lanes behind it.
const fn least_rest<L: Lanes>() -> usize {
    if L::N == 4 { 3 } else { 1 }
}

/// What is hashed with the rest.
struct End {
    /// The block of lengths, reversed.
    lengths: __m128i,
    /// The only block of associated data, reversed, if it has not been hashed yet.
    early: Option<__m128i>,
}

/// The block of lengths in bits (NIST SP 800-38D 7.1), reversed.
#[inline(always)]
fn lengths<L: Lanes>(l: L, aad: usize, text: usize) -> __m128i {
    let block = ((aad as u128 * 8) << 64) | (text as u128 * 8);
    l.narrow().splat(&block.to_le_bytes())
}

/// One text on its way: where we are and what the next counter is.
struct Walk<'a, L: Lanes, const R: usize> {
    l: L,
    record: &'a Record,
    span: Span<'a>,
    /// Octets done, a multiple of the vector's length.
    at: usize,
    /// Nonce plus first round key, the counter left out.
    base: L::V,
    counters: L::V,
}

impl<'a, L: Lanes, const R: usize> Walk<'a, L, R> {
    #[inline(always)]
    fn new(l: L, record: &'a Record, nonce: &[u8; 12], span: Span<'a>) -> Self {
        let base = l.xor(l.splat(&initial(nonce, 0)), l.splat(&record.rounds[0]));
        Self { l, record, span, at: 0, base, counters: l.counters(2) }
    }

    /// The next `T` vectors of counters, first round key added.
    #[inline(always)]
    fn next<const T: usize>(&mut self) -> [L::V; T] {
        let mut states = [self.base; T];
        for state in &mut states {
            *state = self.l.xor(*state, self.l.counter_blocks(self.counters));
            self.counters = self.l.advance(self.counters);
        }
        states
    }

    /// Seals `runs` runs, at least one, after `sums`. Gives what the rest begins with.
    ///
    /// Runs alternate between far and near powers and end with near ones, for only these are followed by a
    /// reduction.
    #[inline(always)]
    fn seal_runs(&mut self, runs: usize, sums: L::V) -> L::V {
        let mut hash = Hash::after(self.l, sums);
        let first = self.run::<true, false, false>(&mut hash);
        hash.take(self.l, first);
        let mut left = runs - 1;
        if left % 2 == 1 {
            let next = self.run::<true, true, true>(&mut hash);
            hash.take(self.l, next);
            left -= 1;
        }
        while left > 0 {
            let next = self.run::<true, true, false>(&mut hash);
            hash.reduce(self.l);
            hash.take(self.l, next);
            let next = self.run::<true, true, true>(&mut hash);
            hash.take(self.l, next);
            left -= 2;
        }
        let strides = here(self.record).strides(L::N, false);
        for i in [1, 2, 3, 0] {
            hash.step(self.l, strides, i);
        }
        hash.reduce(self.l);
        hash.sums
    }

    /// Opens `runs` runs after `sums`. Gives what the rest begins with.
    #[inline(always)]
    fn open_runs(&mut self, runs: usize, sums: L::V) -> L::V {
        let mut hash = Hash::after(self.l, sums);
        let mut left = runs;
        if left % 2 == 1 {
            hash.take(self.l, self.peek());
            self.run::<false, true, false>(&mut hash);
            hash.reduce(self.l);
            left -= 1;
        }
        while left > 0 {
            hash.take(self.l, self.peek());
            self.run::<false, true, true>(&mut hash);
            hash.take(self.l, self.peek());
            self.run::<false, true, false>(&mut hash);
            hash.reduce(self.l);
            left -= 2;
        }
        hash.sums
    }

    /// The input of the next run, reversed.
    #[inline(always)]
    fn peek(&self) -> [L::V; RUN] {
        let mut run = [self.l.zero(); RUN];
        for (i, v) in run.iter_mut().enumerate() {
            *v = self.l.reverse(self.span.load(self.l, self.at + i * L::OCTETS));
        }
        run
    }

    /// Encrypts or decrypts the next run, and meanwhile hashes what is ready if `HASH`, by the far powers if `FAR`.
    /// Gives the output reversed if `SEAL`.
    ///
    /// Rounds and products alternate here as the processor may carry them out; it looks ahead, but not that far.
    #[inline(always)]
    fn run<const SEAL: bool, const HASH: bool, const FAR: bool>(
        &mut self,
        hash: &mut Hash<L>,
    ) -> [L::V; RUN] {
        let (l, record) = (self.l, self.record);
        let mut states = self.next::<RUN>();
        let strides = here(record).strides(L::N, FAR);
        for (step, i) in [1, 2, 3, 0].into_iter().enumerate() {
            rounds::<L, RUN>(l, record, &mut states, 1 + 2 * step, 3 + 2 * step);
            if HASH {
                hash.step(l, strides, i);
            }
        }
        rounds::<L, RUN>(l, record, &mut states, 9, R);
        let last = l.splat(&record.rounds[R]);
        for (i, state) in states.iter_mut().enumerate() {
            let at = self.at + i * L::OCTETS;
            let output = l.xor(l.aes_last(*state, last), self.span.load(l, at));
            self.span.store(l, at, output);
            *state = if SEAL { l.reverse(output) } else { output };
        }
        self.at += RUN * L::OCTETS;
        states
    }

    /// The last `blocks` blocks in `T` vectors, the last of them perhaps partial, hashed after `sums` together with
    /// `end`. Gives the hash, reversed.
    #[inline(always)]
    fn rest<const T: usize, const SEAL: bool>(&mut self, blocks: usize, sums: L::V, end: End) -> __m128i {
        let (l, record) = (self.l, self.record);
        let mut states = self.next::<T>();
        rounds::<L, T>(l, record, &mut states, 1, R);
        let last = l.splat(&record.rounds[R]);
        let mut product =
            end.product(l, record, blocks, if T == 0 { l.fold(sums) } else { l.narrow().zero() });
        for (i, state) in states.iter().enumerate() {
            let stream = l.aes_last(*state, last);
            let mut hashed = if i + 1 < T { self.whole::<SEAL>(stream) } else { self.part::<SEAL>(stream) };
            if i == 0 {
                hashed = l.xor(hashed, sums);
            }
            product = product.plus(l, hashed, l.blocks(record.powers_from(blocks + 1 - i * L::N)));
        }
        l.fold(product.reduce(l))
    }

    /// One whole vector of the rest. Gives its ciphertext, reversed.
    #[inline(always)]
    fn whole<const SEAL: bool>(&mut self, stream: L::V) -> L::V {
        let input = self.span.load(self.l, self.at);
        let output = self.l.xor(stream, input);
        self.span.store(self.l, self.at, output);
        self.at += L::OCTETS;
        self.l.reverse(if SEAL { output } else { input })
    }

    /// The last vector of the rest, whole or not. Gives its ciphertext, reversed, zeros behind it.
    #[inline(always)]
    fn part<const SEAL: bool>(&mut self, stream: L::V) -> L::V {
        let count = self.span.rest::<L>(self.at);
        let input = self.span.load_rest(self.l, self.at);
        let output = self.l.xor(stream, input);
        self.span.store_rest(self.l, self.at, output);
        self.l.reverse(if SEAL { self.l.keep(output, count) } else { input })
    }
}

/// The counter block with this counter (NIST SP 800-38D 7.1, nonces of 96 bits).
#[inline(always)]
fn initial(nonce: &[u8; 12], counter: u8) -> [u8; 16] {
    let mut block = [0; 16];
    block[..12].copy_from_slice(nonce);
    block[15] = counter;
    block
}

/// AES rounds `from` to `to - 1` on each state.
#[inline(always)]
fn rounds<L: Lanes, const T: usize>(l: L, record: &Record, states: &mut [L::V; T], from: usize, to: usize) {
    for round in from..to {
        let key = l.splat(&record.rounds[round]);
        for state in states.iter_mut() {
            *state = l.aes(*state, key);
        }
    }
}

impl End {
    /// Their part of the hash; `blocks` blocks stand between them, `sums` is what the lengths follow at once.
    #[inline(always)]
    fn product<L: Lanes>(self, l: L, record: &Record, blocks: usize, sums: __m128i) -> Product<L> {
        let narrow = l.narrow();
        let lengths = narrow.xor(self.lengths, sums);
        let mut product = Product::zero(narrow).plus(narrow, lengths, narrow.blocks(record.powers_from(1)));
        if let Some(block) = self.early {
            product = product.plus(narrow, block, narrow.blocks(record.powers_from(blocks + 2)));
        }
        Product { low: l.widen(product.low), middle: l.widen(product.middle), high: l.widen(product.high) }
    }
}

/// The hash of octets that are not encrypted, filled up with zeros to whole blocks.
#[inline(always)]
fn hash<L: Lanes>(l: L, record: &Record, octets: &[u8]) -> __m128i {
    let narrow = l.narrow();
    let mut sum = narrow.zero();
    for chunk in octets.chunks(RUN * L::OCTETS) {
        sum = if chunk.len() <= 16 {
            let block = narrow.xor(sum, narrow.reverse(l.short(chunk)));
            Product::zero(narrow).plus(narrow, block, narrow.blocks(record.powers_from(1))).reduce(narrow)
        } else {
            hash_chunk(l, record, sum, chunk)
        };
    }
    sum
}

/// The same for 2 blocks or more, up to four vectors, after `sum`.
#[inline(always)]
fn hash_chunk<L: Lanes>(l: L, record: &Record, sum: __m128i, chunk: &[u8]) -> __m128i {
    let blocks = chunk.len().div_ceil(16);
    let mut product = Product::zero(l);
    let mut before = l.widen(sum);
    for (i, octets) in chunk.chunks(L::OCTETS).enumerate() {
        let v = l.xor(l.reverse(l.part(octets)), before);
        before = l.zero();
        product = product.plus(l, v, l.blocks(record.powers_from(blocks - i * L::N)));
    }
    l.fold(product.reduce(l))
}

/// Products of 256 bits in each lane, added up and not yet reduced.
struct Product<L: Lanes> {
    low: L::V,
    /// Stands between the halves of `low` and `high`.
    middle: L::V,
    high: L::V,
}

impl<L: Lanes> Product<L> {
    #[inline(always)]
    fn zero(l: L) -> Self {
        Self { low: l.zero(), middle: l.zero(), high: l.zero() }
    }

    /// Adds `a * b` by four multiplications.
    #[inline(always)]
    fn plus(self, l: L, a: L::V, b: L::V) -> Self {
        Self {
            low: l.xor(self.low, l.mul_low(a, b)),
            middle: l.xor3(self.middle, l.mul_cross(a, b), l.mul_cross(b, a)),
            high: l.xor(self.high, l.mul_high(a, b)),
        }
    }

    /// Reduces each lane. `low` is folded into `middle`, and `middle` into `high`.
    #[inline(always)]
    fn reduce(self, l: L) -> L::V {
        let polynomial = l.splat(&POLYNOMIAL);
        let middle = l.xor3(self.middle, l.swap(self.low), l.mul_cross(self.low, polynomial));
        l.xor3(self.high, l.swap(middle), l.mul_cross(middle, polynomial))
    }
}

/// The hash on its way along the runs.
struct Hash<L: Lanes> {
    /// Of the run in work, and of the far run before a near one. By Karatsuba: `middle` is too large by `low` and
    /// `high`.
    product: Product<L>,
    /// Ciphertext that waits, reversed.
    ready: [L::V; RUN],
    /// What the next run is hashed after; zeros while a near run follows a far one.
    sums: L::V,
}

impl<L: Lanes> Hash<L> {
    #[inline(always)]
    fn after(l: L, sums: L::V) -> Self {
        Self { product: Product::zero(l), ready: [l.zero(); RUN], sums }
    }

    /// Takes the next run up.
    #[inline(always)]
    fn take(&mut self, l: L, ready: [L::V; RUN]) {
        self.ready = ready;
        self.ready[0] = l.xor(self.ready[0], self.sums);
        self.sums = l.zero();
    }

    /// Multiplies one vector of those ready, by three multiplications.
    #[inline(always)]
    fn step(&mut self, l: L, strides: Strides<'_>, i: usize) {
        let (v, power, mid) = (self.ready[i], l.splat(strides[i].0), l.splat_half(strides[i].1));
        let product = &mut self.product;
        product.low = l.xor(product.low, l.mul_low(v, power));
        product.high = l.xor(product.high, l.mul_high(v, power));
        product.middle = l.xor(product.middle, l.mul_low(l.xor(v, l.swap(v)), mid));
    }

    /// Ends a near run.
    #[inline(always)]
    fn reduce(&mut self, l: L) {
        let Product { low, middle, high } = std::mem::replace(&mut self.product, Product::zero(l));
        self.sums = Product { low, middle: l.xor3(middle, low, high), high }.reduce(l);
    }
}

/// Expands a key of AES-128.
#[inline(always)]
pub(super) fn expand_128<L: Lanes>(l: L, key: &[u8; 16]) -> Box<Record> {
    expand::<L, 10>(l, l.narrow().schedule_128(key))
}

/// Expands a key of AES-256.
#[inline(always)]
pub(super) fn expand_256<L: Lanes>(l: L, key: &[u8; 32]) -> Box<Record> {
    expand::<L, 14>(l, l.narrow().schedule_256(key))
}

/// Fills a record in: round keys as given, powers of the hash key, which is zero encrypted.
#[inline(always)]
fn expand<L: Lanes, const R: usize>(l: L, rounds: [[u8; 16]; 15]) -> Box<Record> {
    let narrow = l.narrow();
    let mut record = Record::new(rounds);
    let hash_key = encrypt::<R>(narrow, &record, &[0; 16]);
    let first = narrow.splat(&doubled(narrow.octets(hash_key)).to_le_bytes());
    let mut power = first;
    record.set_power(1, narrow.octets(first));
    for exponent in 2..=Record::HIGHEST {
        power = Product::zero(narrow).plus(narrow, power, first).reduce(narrow);
        record.set_power(exponent, narrow.octets(power));
    }
    record.set_mids(L::N);
    record
}

/// One block of AES.
#[inline(always)]
fn encrypt<const R: usize>(narrow: Aesni, record: &Record, block: &[u8; 16]) -> __m128i {
    let mut state = [narrow.xor(narrow.splat(block), narrow.splat(&record.rounds[0]))];
    rounds(narrow, record, &mut state, 1, R);
    narrow.aes_last(state[0], narrow.splat(&record.rounds[R]))
}

/// The hash key for POLYVAL: reversed and multiplied by `x` (RFC 8452 appendix A).
fn doubled(hash_key: [u8; 16]) -> u128 {
    let key = u128::from_be_bytes(hash_key);
    let carry = (key >> 127).wrapping_neg(); // all ones or none, so that no branch tells the bit
    (key << 1) ^ (carry & u128::from_le_bytes(POLYNOMIAL))
}
