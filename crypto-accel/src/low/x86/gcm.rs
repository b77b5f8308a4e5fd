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
//! With a text of at most two vectors the associated data, if one block, and the block of lengths are one vector more.
//! All branches depend on lengths alone.

use std::arch::x86_64::__m128i;

use super::features::{Aesni, Vaes512};
use super::here::here;
use super::lanes::Lanes;
use super::record::{NEAR_STRIDES, Record};
use super::several::Item;
use super::span::{HALF, RUN, Run, Span, halves};
use crate::low::locked::Locked;
use crate::nonce::Octets;

/// The polynomial of POLYVAL for reduction, `x^127 + x^126 + x^121` and 1, least octet first.
const POLYNOMIAL: [u8; 16] = [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xc2];

/// The same block for each round of AES but the last, the round being a constant in it: the compiler keeps 13 rounds in a
/// loop, and with them what should stand between them.
macro_rules! each_round {
    ($round:ident of $rounds:ident => $body:block) => {
        each_round!(@ $round $body 1 2 3 4 5 6 7 8 9);
        if $rounds > 10 {
            each_round!(@ $round $body 10 11 12 13);
        }
    };
    (@ $round:ident $body:block $($number:literal)*) => {
        $({
            const $round: usize = $number;
            $body
        })*
    };
}
pub(super) use each_round;

/// Encrypts if `SEAL`, else decrypts, and gives the tag of the ciphertext. `R` is the number of AES rounds.
#[inline(always)]
pub(super) fn crypt<L: Lanes, const R: usize, const SEAL: bool>(l: L, item: Item<'_>) -> __m128i {
    let Item { record, nonce, aad, span } = item;
    let length = span.len();
    let halves = halves::<L>(length);
    let rest = length.div_ceil(16) - halves * HALF * L::N;
    let mut end = End::new(l, aad, length);
    let start = start(l, record, nonce);
    let mut walk = Walk::<L, R>::new(l, record, start);
    // Read apart from the wide keys: the compiler would else make those from these by shuffles.
    let mask = encrypt::<R>(l.narrow(), here(record), first(l, start));
    let mut sums = l.zero();
    if halves == 0 && rest <= LANED * L::N && aad.len() <= 16 {
        end = End::with_early(l, aad, length);
    } else {
        sums = l.widen(hash(l, record, aad));
    }
    if halves > 0 && SEAL {
        sums = walk.seal_runs(&span, halves, sums);
    } else if halves > 0 {
        sums = walk.open_runs(&span, halves, sums);
    }
    let hashed = if SEAL && L::N == 4 && halves % 2 == 1 {
        walk.rest_of::<HALF, SEAL>(span, rest, sums, end)
    } else {
        walk.rest_of::<0, SEAL>(span, rest, sums, end)
    };
    l.narrow().xor(l.narrow().reverse(hashed), mask)
}

/// The block of lengths in bits (NIST SP 800-38D 7.1), reversed.
#[inline(always)]
pub(super) fn lengths<L: Lanes>(l: L, aad: &[u8], text: usize) -> __m128i {
    l.narrow().block(8 * text as u64, 8 * aad.len() as u64)
}

/// What is hashed with the rest.
struct End {
    lengths: __m128i,
    /// The only block of associated data, reversed, if it has not been hashed yet.
    early: Option<__m128i>,
}

/// One text on its way: where we are and what the next counters are.
pub(super) struct Walk<'a, L: Lanes, const R: usize> {
    l: L,
    record: &'a Record,
    /// Blocks done, a multiple of `N`.
    blocks: usize,
    /// Nonce plus first round key, the counter left out.
    start: L::V,
    /// [`Walk::start`] plus the upper three octets of the counter.
    base: L::V,
}

impl<'a, L: Lanes, const R: usize> Walk<'a, L, R> {
    #[inline(always)]
    pub(super) fn new(l: L, record: &'a Record, start: __m128i) -> Self {
        let start = l.repeat(start);
        Self { l, record, blocks: 0, start, base: start }
    }

    /// Octets done.
    #[inline(always)]
    fn at(&self) -> usize {
        16 * self.blocks
    }

    /// The next `T` vectors of counters, first round key added.
    ///
    /// The first counter is 2. Lowest octets come from a table; where they would carry, every 256 blocks, the
    /// counters are worked out.
    #[inline(always)]
    pub(super) fn next<const T: usize>(&mut self) -> [L::V; T] {
        let l = self.l;
        let place = self.blocks % 256;
        let mut states = [self.base; T];
        if place + T * L::N <= LOW_COUNTERS.0.len() {
            for (i, state) in states.iter_mut().enumerate() {
                *state = l.xor(*state, l.blocks(&LOW_COUNTERS.0[place + i * L::N..]));
            }
        } else {
            let mut counters = l.counters(self.blocks as u32 + 2);
            for state in states.iter_mut() {
                *state = l.xor(self.start, l.counter_blocks(counters));
                counters = l.advance(counters);
            }
            let upper = (self.blocks as u32 / 256 + 1) << 8;
            self.base = l.xor(self.start, l.splat(&with_counter(upper)));
        }
        self.blocks += T * L::N;
        states
    }

    /// Seals `halves` halves of runs, at least one, after `sums`. Gives what the rest begins with, or what the last half is
    /// hashed after if that is left to the rest.
    ///
    /// What one run wrote is hashed while the next is encrypted.
    #[inline(always)]
    fn seal_runs(&mut self, span: &Span<'_>, halves: usize, sums: L::V) -> L::V {
        let mut hash = Hash { product: Product::zero(self.l), sums };
        if halves == 1 {
            self.run::<HALF, 0, true>(span, &mut hash);
        } else {
            self.run::<RUN, 0, true>(span, &mut hash);
        }
        for _ in 1..halves / 2 {
            self.run::<RUN, RUN, true>(span, &mut hash);
        }
        if halves.is_multiple_of(2) {
            return self.hash_written::<RUN>(span, hash);
        }
        if halves > 1 {
            self.run::<HALF, RUN, true>(span, &mut hash);
        }
        if L::N == 4 { hash.sums } else { self.hash_written::<HALF>(span, hash) }
    }

    /// Opens `halves` halves of runs after `sums`. Gives what the rest begins with.
    #[inline(always)]
    fn open_runs(&mut self, span: &Span<'_>, halves: usize, sums: L::V) -> L::V {
        let mut hash = Hash { product: Product::zero(self.l), sums };
        for _ in 0..halves / 2 {
            self.run::<RUN, RUN, false>(span, &mut hash);
        }
        if halves % 2 == 1 {
            self.run::<HALF, HALF, false>(span, &mut hash);
        }
        hash.sums
    }

    /// Encrypts or decrypts the next `K` vectors and meanwhile hashes `H`: if `SEAL` those written last, else these.
    ///
    /// Rounds and products alternate here as the processor may carry them out; it looks ahead, but not that far.
    #[inline(always)]
    fn run<const K: usize, const H: usize, const SEAL: bool>(&mut self, span: &Span<'_>, hash: &mut Hash<L>) {
        let (l, record, at) = (self.l, self.record, self.at());
        let mut run = span.run::<L, K>(at);
        let hashed = if SEAL { span.written::<L, H>(at - H * L::OCTETS) } else { span.run::<L, H>(at) };
        let mut states = self.next::<K>();
        let powers = here(record);
        each_round!(ROUND of R => {
            let key = l.splat(record.round(ROUND));
            for state in &mut states {
                *state = l.hold(l.aes(*state, key));
            }
            if ROUND <= H {
                hash.add_vector(l, powers, &hashed, ROUND % H);
            }
        });
        if H > 0 {
            hash.reduce(l);
        }
        let last = l.splat(record.round(R));
        for (i, state) in states.iter().enumerate() {
            run.store(l, i, l.xor(l.aes_last(*state, last), run.load(l, i)));
        }
    }

    /// Hashes the `H` vectors written last. Gives what follows.
    #[inline(always)]
    fn hash_written<const H: usize>(&self, span: &Span<'_>, mut hash: Hash<L>) -> L::V {
        let written = span.written::<L, H>(self.at() - H * L::OCTETS);
        for i in 1..=H {
            hash.add_vector(self.l, here(self.record), &written, i % H);
        }
        hash.reduce(self.l);
        hash.sums
    }

    /// [`Walk::rest`] for any length.
    #[inline(always)]
    fn rest_of<const H: usize, const SEAL: bool>(
        &mut self,
        span: Span<'_>,
        blocks: usize,
        sums: L::V,
        end: End,
    ) -> __m128i {
        match blocks.div_ceil(L::N) {
            0 => self.rest::<0, 0, SEAL>(span, blocks, sums, end), // only of an empty text
            1 => self.rest::<1, H, SEAL>(span, blocks, sums, end),
            2 => self.rest::<2, H, SEAL>(span, blocks, sums, end),
            3 => self.rest::<3, H, SEAL>(span, blocks, sums, end),
            4 => self.rest::<4, H, SEAL>(span, blocks, sums, end),
            _ => self.rest::<5, H, SEAL>(span, blocks, sums, end),
        }
    }

    /// The last `blocks` blocks in `T` vectors, the last of them perhaps partial, hashed together with `end` after `sums` and
    /// the `H` vectors written last. Gives the hash, reversed.
    ///
    /// The products of those written last stand between rounds: alone they take twice as long.
    #[inline(always)]
    fn rest<const T: usize, const H: usize, const SEAL: bool>(
        &mut self,
        span: Span<'_>,
        blocks: usize,
        sums: L::V,
        end: End,
    ) -> __m128i {
        let (l, record, at) = (self.l, self.record, self.at());
        let before_end = if T == 0 { l.fold(sums) } else { l.narrow().zero() };
        let mut hash = Hash { product: Product::zero(l), sums };
        let written = span.written::<L, H>(at - H * L::OCTETS);
        let mut rest = span.rest::<L, T>(at);
        let mut states = self.next::<T>();
        let powers = here(record);
        each_round!(ROUND of R => {
            let key = l.splat(record.round(ROUND));
            for state in &mut states {
                *state = l.hold(l.aes(*state, key));
            }
            if ROUND <= H {
                hash.add_vector(l, powers, &written, ROUND % H);
            }
        });
        if H > 0 {
            hash.reduce(l);
        }
        let last = l.splat(record.round(R));
        let mut product = end.product(l, record, blocks, before_end);
        for (i, state) in states.iter().enumerate() {
            let mut hashed = rest.crypt::<L, SEAL>(l, i, l.aes_last(*state, last));
            if i == 0 {
                hashed = l.xor(hashed, hash.sums);
            }
            product.add(l, hashed, l.blocks(record.powers_from((blocks + 1).wrapping_sub(i * L::N))));
        }
        l.fold(product.reduce(l))
    }
}

/// Counters 2 to 255 as GCM writes them, nothing before them: 4 KiB, of which a text touches as much as it is long.
static LOW_COUNTERS: LowCounters = LowCounters::new();

#[repr(C, align(64))]
struct LowCounters([[u8; 16]; 254]);

impl LowCounters {
    const fn new() -> Self {
        let mut blocks = [[0; 16]; 254];
        let mut i = 0;
        while i < blocks.len() {
            blocks[i] = with_counter(i as u32 + 2);
            i += 1;
        }
        Self(blocks)
    }
}

/// Zeros and this counter, big-endian.
const fn with_counter(counter: u32) -> [u8; 16] {
    (counter as u128).to_be_bytes()
}

/// Nonce plus first round key, the counter left out (NIST SP 800-38D 7.1, nonces of 96 bits).
#[inline(always)]
pub(super) fn start<L: Lanes>(l: L, record: &Record, nonce: &Octets) -> __m128i {
    let nonce = here(nonce); // from memory to a vector register, by no other
    l.narrow().xor(l.narrow().block(nonce.first, nonce.last.into()), l.narrow().splat(record.round(0)))
}

/// The block that hides the hash before its rounds: counter 1.
#[inline(always)]
pub(super) fn first<L: Lanes>(l: L, start: __m128i) -> __m128i {
    l.narrow().xor(start, l.narrow().splat(&const { with_counter(1) }))
}

impl End {
    /// Only the lengths.
    #[inline(always)]
    fn new<L: Lanes>(l: L, aad: &[u8], text: usize) -> Self {
        Self { lengths: lengths(l, aad, text), early: None }
    }

    /// Lengths and associated data of at most one block.
    #[inline(always)]
    fn with_early<L: Lanes>(l: L, aad: &[u8], text: usize) -> Self {
        let early = l.narrow().reverse(l.short(aad));
        Self { early: Some(early), ..Self::new(l, aad, text) }
    }

    /// Their part of the hash; `blocks` blocks stand between them, `sums` is what the lengths follow at once.
    #[inline(always)]
    fn product<L: Lanes>(&self, l: L, record: &Record, blocks: usize, sums: __m128i) -> Product<L> {
        let narrow = l.narrow();
        let lengths = narrow.xor(self.lengths, sums);
        let one = narrow.blocks(record.powers_from(1));
        let mut product = Product::of(narrow, lengths, one);
        if let Some(block) = self.early {
            let power = narrow.blocks(record.powers_from(blocks + 2));
            if let Some(both) = l.beside(lengths, block)
                && let Some(powers) = l.beside(one, power)
            {
                return Product::of(l, both, powers);
            }
            product.add(narrow, block, power);
        }
        Product { low: l.widen(product.low), middle: l.widen(product.middle), high: l.widen(product.high) }
    }
}

/// The hash of octets that are not encrypted, filled up with zeros to whole blocks.
#[inline(always)]
fn hash<L: Lanes>(l: L, record: &Record, octets: &[u8]) -> __m128i {
    let narrow = l.narrow();
    let mut sum = narrow.zero();
    for chunk in octets.chunks(LANED * L::OCTETS) {
        sum = if chunk.len() <= 16 {
            let block = narrow.xor(sum, narrow.reverse(l.short(chunk)));
            Product::of(narrow, block, narrow.blocks(record.powers_from(1))).reduce(narrow)
        } else {
            hash_chunk(l, record, sum, chunk)
        };
    }
    sum
}

/// The same for 2 blocks or more, up to [`LANED`] vectors, after `sum`.
#[inline(always)]
fn hash_chunk<L: Lanes>(l: L, record: &Record, sum: __m128i, chunk: &[u8]) -> __m128i {
    let blocks = chunk.len().div_ceil(16);
    let mut product = Product::zero(l);
    let mut before = l.widen(sum);
    for (i, octets) in chunk.chunks(L::OCTETS).enumerate() {
        let v = l.xor(l.reverse(l.part(octets)), before);
        before = l.zero();
        product.add(l, v, l.blocks(record.powers_from(blocks - i * L::N)));
    }
    l.fold(product.reduce(l))
}

/// Vectors at the end of a short text in which each lane meets its own power, if the key comes from far.
pub(super) const LANED: usize = 2;

/// Products of 256 bits in each lane, added up and not yet reduced.
pub(super) struct Product<L: Lanes> {
    low: L::V,
    /// Stands between the halves of `low` and `high`.
    middle: L::V,
    high: L::V,
}

impl Product<Vaes512> {
    /// Adds the sum over the lanes of product `i` to lane `i`.
    #[inline(always)]
    pub(super) fn add_folded(&mut self, l: Vaes512, [a, b, c, d]: [Self; 4]) {
        self.low = l.xor(self.low, l.fold_each([a.low, b.low, c.low, d.low]));
        self.middle = l.xor(self.middle, l.fold_each([a.middle, b.middle, c.middle, d.middle]));
        self.high = l.xor(self.high, l.fold_each([a.high, b.high, c.high, d.high]));
    }
}

impl<L: Lanes> Product<L> {
    #[inline(always)]
    pub(super) fn zero(l: L) -> Self {
        Self { low: l.zero(), middle: l.zero(), high: l.zero() }
    }

    /// Adds `a * b` by four multiplications.
    #[inline(always)]
    pub(super) fn add(&mut self, l: L, a: L::V, b: L::V) {
        self.low = l.xor(self.low, l.mul_low(a, b));
        self.middle = l.xor3(self.middle, l.mul_cross(a, b), l.mul_cross(b, a));
        self.high = l.xor(self.high, l.mul_high(a, b));
    }

    /// `a * b` alone.
    #[inline(always)]
    pub(super) fn of(l: L, a: L::V, b: L::V) -> Self {
        let middle = l.xor(l.mul_cross(a, b), l.mul_cross(b, a));
        Self { low: l.mul_low(a, b), middle, high: l.mul_high(a, b) }
    }

    /// Reduces each lane. `low` is folded into `middle`, and `middle` into `high`.
    #[inline(always)]
    pub(super) fn reduce(&self, l: L) -> L::V {
        let polynomial = l.splat(&POLYNOMIAL);
        let middle = l.xor3(self.middle, l.swap(self.low), l.mul_cross(self.low, polynomial));
        l.xor3(self.high, l.swap(middle), l.mul_cross(middle, polynomial))
    }
}

/// The hash on its way along the runs.
struct Hash<L: Lanes> {
    /// Of the vectors in work. By Karatsuba: `middle` is too large by `low` and `high`.
    product: Product<L>,
    /// What the next vectors are hashed after.
    sums: L::V,
}

impl<L: Lanes> Hash<L> {
    /// Adds vector `i` of `H`. Vector 0 comes last, as it waits for the sums before.
    #[inline(always)]
    fn add_vector<const H: usize>(&mut self, l: L, record: &Record, run: &Run<'_, H>, i: usize) {
        self.add(l, record, l.reverse(run.load(l, i)), i, H);
    }

    /// Adds a vector, the `i`-th of `count`, by three multiplications.
    #[inline(always)]
    fn add(&mut self, l: L, record: &Record, v: L::V, i: usize, count: usize) {
        let v = if i == 0 { l.xor(v, self.sums) } else { v };
        let power = l.splat(record.stride(L::N, count - i));
        // A text that needs few of them works the mids out: their line would be one more to bring.
        let mid = if count > NEAR_STRIDES {
            l.splat_half(record.mid(count - i))
        } else {
            l.xor(power, l.swap(power))
        };
        let product = &mut self.product;
        product.low = l.xor(product.low, l.mul_low(v, power));
        product.high = l.xor(product.high, l.mul_high(v, power));
        product.middle = l.xor(product.middle, l.mul_low(l.xor(v, l.swap(v)), mid));
    }

    /// Ends a run.
    #[inline(always)]
    fn reduce(&mut self, l: L) {
        let Product { low, middle, high } = std::mem::replace(&mut self.product, Product::zero(l));
        self.sums = Product { low, middle: l.xor3(middle, low, high), high }.reduce(l);
    }
}

/// Hash of a short text of `T` vectors.
pub(super) struct RestHash<L: Lanes, const T: usize, const ALL: bool> {
    /// All vectors but the last [`LANED`], hashed like a run; none if `ALL` go by powers of their own.
    strides: Hash<L>,
    /// The others, and whatever else is hashed.
    pub(super) lanes: Product<L>,
}

impl<L: Lanes, const T: usize, const ALL: bool> RestHash<L, T, ALL> {
    /// Vectors in `strides`.
    const STRIDES: usize = if ALL { 0 } else { T.saturating_sub(LANED) };

    /// The vectors come after `sums`.
    #[inline(always)]
    pub(super) fn new(l: L, sums: L::V) -> Self {
        Self { strides: Hash { product: Product::zero(l), sums }, lanes: Product::zero(l) }
    }

    /// Adds vector `i`; all hold so many blocks. Vectors come in their order.
    #[inline(always)]
    pub(super) fn step(&mut self, l: L, record: &Record, blocks: usize, v: L::V, i: usize) {
        if i < Self::STRIDES {
            self.strides.add(l, record, v, i, Self::STRIDES);
            if i + 1 == Self::STRIDES {
                self.strides.reduce(l);
            }
        } else {
            let v = if i == Self::STRIDES { l.xor(v, self.strides.sums) } else { v };
            self.lanes.add(l, v, l.blocks(record.powers_from((blocks + 1).wrapping_sub(i * L::N))));
        }
    }
}

/// Expands a key of AES-128.
#[inline(always)]
pub(super) fn expand_128<L: Lanes>(l: L, key: &[u8; 16]) -> Locked<Record> {
    expand::<L, 10>(l, l.narrow().schedule_128(key))
}

/// Expands a key of AES-256.
#[inline(always)]
pub(super) fn expand_256<L: Lanes>(l: L, key: &[u8; 32]) -> Locked<Record> {
    expand::<L, 14>(l, l.narrow().schedule_256(key))
}

/// Fills a record in: round keys as given, powers of the hash key, which is zero encrypted.
#[inline(always)]
fn expand<L: Lanes, const R: usize>(l: L, rounds: [[u8; 16]; 15]) -> Locked<Record> {
    let narrow = l.narrow();
    let mut record = Record::new(rounds);
    let hash_key = encrypt::<R>(narrow, &record, narrow.splat(record.round(0)));
    let first = narrow.splat(&doubled(narrow.octets(hash_key)).to_le_bytes());
    let mut power = first;
    record.set_power(L::N, 1, narrow.octets(first));
    for exponent in 2..=Record::highest(L::N) {
        power = Product::of(narrow, power, first).reduce(narrow);
        record.set_power(L::N, exponent, narrow.octets(power));
    }
    record
}

/// One block of AES, first round key added.
#[inline(always)]
fn encrypt<const R: usize>(narrow: Aesni, record: &Record, block: __m128i) -> __m128i {
    let mut state = block;
    each_round!(ROUND of R => {
        state = narrow.hold(narrow.aes(state, narrow.splat(record.round(ROUND))));
    });
    narrow.aes_last(state, narrow.splat(record.round(R)))
}

/// The hash key for POLYVAL: reversed and multiplied by `x` (RFC 8452 appendix A).
fn doubled(hash_key: [u8; 16]) -> u128 {
    let key = u128::from_be_bytes(hash_key);
    let carry = (key >> 127).wrapping_neg(); // all ones or none, so that no branch tells the bit
    (key << 1) ^ (carry & u128::from_le_bytes(POLYNOMIAL))
}
