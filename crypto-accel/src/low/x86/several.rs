//! Four short texts side by side, each under its own key.
//!
//! A short text cannot fill the processor: its rounds wait for each other, then the products for the rounds, then
//! the reduction for the products. Four of them can. Beyond four vectors a text is long enough by itself.
//!
//! Under one key each lane of each vector meets its own power. Under four keys, which must come from far, few powers are
//! read: the vectors before the last two are hashed like a run, and so is the associated data.

use std::arch::x86_64::__m128i;

use super::features::Vaes512;
use super::gcm::{Product, RestHash, Walk, each_round, first, lengths, start};
use super::here::here;
use super::lanes::Lanes;
use super::record::Record;
use super::span::Span;
use crate::nonce::Octets;

/// One of the texts.
pub(super) struct Item<'a> {
    pub(super) record: &'a Record,
    pub(super) nonce: &'a Octets,
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

    /// The block of lengths.
    #[inline(always)]
    fn lengths(&self, l: Vaes512) -> __m128i {
        lengths(l, self.aad, self.span.len())
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

/// Encrypts if `SEAL`, else decrypts, texts of `T` vectors; gives the tags. `SAME` if all have one key.
///
/// What is one block for each text, the block that hides its hash, its associated data and its lengths, stands side by
/// side in one vector, and so do the hashes when they are reduced.
#[inline(always)]
pub(super) fn crypt_four<const R: usize, const T: usize, const SEAL: bool, const SAME: bool>(
    l: Vaes512,
    items: [Item<'_>; 4],
) -> [__m128i; 4] {
    // All that may panic comes first: a branch further down would make the compiler tear the kernel apart.
    let narrow = l.narrow();
    let [a, b, c, d] = items;
    let records = [a.record, b.record, c.record, d.record];
    let nonces = [a.nonce, b.nonce, c.nonce, d.nonce];
    let blocks = [a.blocks(), b.blocks(), c.blocks(), d.blocks()];
    let lengths = l.side_by_side([a.lengths(l), b.lengths(l), c.lengths(l), d.lengths(l)]);
    let aads = l.reverse(l.side_by_side([l.short(a.aad), l.short(b.aad), l.short(c.aad), l.short(d.aad)]));
    let mut rests = [
        a.span.rest::<Vaes512, T>(0),
        b.span.rest::<Vaes512, T>(0),
        c.span.rest::<Vaes512, T>(0),
        d.span.rest::<Vaes512, T>(0),
    ];

    let starts = four!(I => start(l, records[I], nonces[I]));
    // The hash of the associated data comes before the rounds, which hide that its steps wait for each other.
    let before = if SAME {
        l.zero()
    } else {
        let ones = four!(I => narrow.blocks(records[I].powers_from(1)));
        l.hold(Product::of(l, aads, l.side_by_side(ones)).reduce(l))
    };
    let mut states = four!(I => Walk::<Vaes512, R>::new(l, records[I], starts[I]).next::<T>());
    let mut masks = four!(I => first(l, starts[I]));
    let mut all_masks = l.side_by_side(masks);
    each_round!(ROUND of R => {
        let key = l.splat(here(records[0]).round(ROUND));
        four!(I => {
            let key = if SAME { key } else { l.splat(here(records[I]).round(ROUND)) };
            for state in &mut states[I] {
                *state = l.hold(l.aes(*state, key));
            }
            if !SAME {
                masks[I] = narrow.hold(narrow.aes(masks[I], l.low(key)));
            }
        });
        if SAME {
            all_masks = l.hold(l.aes(all_masks, key));
        }
    });
    let ones = four!(I => narrow.blocks(here(records[I]).powers_from(1)));
    let mut sums = Product::of(l, lengths, l.side_by_side(ones));
    if SAME {
        let highest = four!(I => narrow.blocks(records[I].powers_from(blocks[I] + 2)));
        sums.add(l, aads, l.side_by_side(highest));
    }
    let before = l.apart(before);
    let products = four!(I => {
        let record = here(records[I]);
        let key = l.splat(record.round(R));
        if !SAME {
            masks[I] = narrow.aes_last(masks[I], l.low(key));
        } else if I == 0 {
            all_masks = l.aes_last(all_masks, key);
        }
        let mut hash = RestHash::<Vaes512, T, SAME>::new(l, l.widen(before[I]));
        for (i, state) in states[I].iter().enumerate() {
            let hashed = rests[I].crypt::<Vaes512, SEAL>(l, i, l.aes_last(*state, key));
            hash.step(l, record, blocks[I], hashed, i);
        }
        hash.lanes
    });
    if !SAME {
        all_masks = l.side_by_side(masks);
    }
    sums.add_folded(l, products);
    l.apart(l.xor(l.reverse(sums.reduce(l)), all_masks))
}
