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
    items: &mut [Item<'_>; 4],
) -> [__m128i; 4] {
    // All that may panic comes first: a branch further down would make the compiler tear the kernel apart.
    let narrow = l.narrow();
    let blocks = four!(I => items[I].span.len().div_ceil(16));
    let ends = four!(I => End::with_early(l, items[I].aad, items[I].span.len()));
    let nonces = four!(I => items[I].nonce);
    let records = four!(I => items[I].record);
    let mut rests = items.each_mut().map(|item| item.span.rest::<L, T>(0));

    let starts = four!(I => start(l, records[I], nonces[I]));
    let mut states = four!(I => Walk::<L, R>::new(l, records[I], starts[I]).next::<T>());
    let mut masks = four!(I => first(l, starts[I]));
    let [a, b, c, d] = ends;
    let none = narrow.zero();
    let mut products = [
        a.product(l, records[0], blocks[0], none),
        b.product(l, records[1], blocks[1], none),
        c.product(l, records[2], blocks[2], none),
        d.product(l, records[3], blocks[3], none),
    ];
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
