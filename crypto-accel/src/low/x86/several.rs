//! Four short texts side by side, each under its own key.
//!
//! A short text cannot fill the processor: its rounds wait for each other, then the products for the rounds, then
//! the reduction for the products. Four of them can. Beyond two vectors a text is long enough by itself.

use std::arch::x86_64::__m128i;

use super::gcm::{End, Walk, first, start};
use super::here::here;
use super::lanes::Lanes;
use super::record::Record;
use super::span::Span;
use crate::nonce::Octets;

/// One of the texts.
pub(super) struct Item<'a> {
    pub(super) record: &'a Record,
    pub(super) nonce: Octets,
    /// At most one block.
    pub(super) aad: &'a [u8],
    pub(super) span: Span<'a>,
}

impl Item<'_> {
    /// Blocks of the text.
    #[inline(always)]
    fn blocks(&self) -> usize {
        self.span.len().div_ceil(16)
    }

    /// What is hashed with the text.
    #[inline(always)]
    fn end<L: Lanes>(&self, l: L) -> End {
        End::with_early(l, self.aad, self.span.len())
    }
}

/// The same expression four times, `$i` being 0 to 3; a loop might stay one.
macro_rules! four {
    ($i:ident => $body:expr) => {
        [
            {
                const $i: usize = 0;
                $body
            },
            {
                const $i: usize = 1;
                $body
            },
            {
                const $i: usize = 2;
                $body
            },
            {
                const $i: usize = 3;
                $body
            },
        ]
    };
}

/// Encrypts if `SEAL`, else decrypts, texts of `T` vectors; gives the tags.
#[inline(always)]
pub(super) fn crypt_four<L: Lanes, const R: usize, const T: usize, const SEAL: bool>(
    l: L,
    items: [Item<'_>; 4],
) -> [__m128i; 4] {
    // All that may panic comes first: a branch further down would make the compiler tear the kernel apart.
    let narrow = l.narrow();
    let [a, b, c, d] = items;
    let records = [a.record, b.record, c.record, d.record];
    let nonces = [a.nonce, b.nonce, c.nonce, d.nonce];
    let blocks = [a.blocks(), b.blocks(), c.blocks(), d.blocks()];
    let ends = [a.end(l), b.end(l), c.end(l), d.end(l)];
    let mut rests =
        [a.span.rest::<L, T>(0), b.span.rest::<L, T>(0), c.span.rest::<L, T>(0), d.span.rest::<L, T>(0)];

    let starts = four!(I => start(l, records[I], nonces[I]));
    let mut states = four!(I => Walk::<L, R>::new(l, records[I], starts[I]).next::<T>());
    let mut masks = four!(I => first(l, starts[I]));
    let mut products = four!(I => ends[I].product(l, records[I], blocks[I], narrow.zero()));
    for round in 1..R {
        four!(I => {
            let key = l.splat(&here(records[I]).rounds[round]);
            for state in &mut states[I] {
                *state = l.hold(l.aes(*state, key));
            }
            masks[I] = narrow.hold(narrow.aes(masks[I], l.low(key)));
        });
    }
    four!(I => {
        let record = here(records[I]);
        let key = l.splat(&record.rounds[R]);
        masks[I] = narrow.aes_last(masks[I], l.low(key));
        for (i, state) in states[I].iter().enumerate() {
            let hashed = rests[I].crypt::<L, SEAL>(l, i, l.aes_last(*state, key));
            products[I].add(l, hashed, l.blocks(record.powers_from(blocks[I] + 1 - i * L::N)));
        }
    });
    let sums = four!(I => products[I].reduce(l));
    four!(I => narrow.xor(narrow.reverse(l.fold(sums[I])), masks[I]))
}
