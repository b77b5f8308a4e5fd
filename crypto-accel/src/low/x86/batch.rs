//! The jobs of a batch, one after the other or four at once.

use std::arch::x86_64::__m128i;
use std::ops::Range;

use super::features::{Aesni, Vaes512};
use super::job::{Job, MadeTag};
use super::lanes::Lanes;
use super::record::Record;
use super::several::{Item, crypt_four};
use super::span::Span;
use super::{Key, gcm};
use crate::aead::{TAG_LEN, Work};
use crate::low::AeadKey;

/// The key, if it was made for this back end.
#[inline(always)]
fn key_for<'a, L: Lanes>(l: L, work: &Work<'a>) -> Option<&'a Key> {
    match work.key {
        AeadKey::X86(key) if key.level == l.level() => Some(key),
        _ => None,
    }
}

/// Marks the work as begun and takes it up. `None` if it was begun before.
#[inline(always)]
fn begin<'w, L: Lanes>(l: L, work: &'w mut Work<'_>) -> Option<Item<'w>> {
    let record = &key_for(l, work)?.record;
    if !work.begin() {
        return None;
    }
    Some(Item { record, nonce: &work.nonce, aad: work.aad, span: Span::new::<L>(&mut work.text) })
}

/// A tag in a register.
struct InRegister(Aesni, __m128i);

impl MadeTag for InRegister {
    #[inline(always)]
    fn write(self, to: &mut [u8; TAG_LEN]) {
        self.0.write(to, self.1);
    }

    #[inline(always)]
    fn equals(self, other: &[u8; TAG_LEN]) -> bool {
        self.0.equal(self.1, self.0.splat(other))
    }
}

/// Does jobs as long as their keys were made for this back end; returns how many.
#[inline(always)]
pub(super) fn leading<'a, L: Lanes, J: Job<'a>>(l: L, jobs: &mut [J]) -> usize {
    let mut done = 0;
    while done < jobs.len() {
        let rest = &mut jobs[done..];
        let Some(long) = key_for(l, rest[0].work()).map(|key| key.long) else { break };
        // No closure stands here: it would be compiled for itself, without the instructions.
        if let Some(wide) = l.four()
            && let Some(four) = rest.first_chunk()
            && let Some(alike) = short_alike(wide, long, four)
        {
            if !alike.same_key {
                prefetch(l, rest, if done == 0 { 4..4 + AHEAD_SHORT } else { AHEAD_SHORT..4 + AHEAD_SHORT });
            }
            let Some(four) = rest.first_chunk_mut() else { break };
            done += do_four(wide, long, alike, four);
            continue;
        }
        prefetch(l, rest, if done == 0 { 1..AHEAD + 1 } else { AHEAD..AHEAD + 1 });
        done += do_one(l, long, &mut rest[0]);
    }
    done
}

/// How many jobs ahead a key is asked for. One would do for the near caches; main memory takes longer than one text of 512
/// octets.
const AHEAD: usize = 2;
/// The same where texts go four at a time.
const AHEAD_SHORT: usize = 4;

/// Brings the keys of these later jobs, as far as their texts need them, if they are others than the first's.
#[inline(always)]
fn prefetch<'a, L: Lanes, J: Job<'a>>(l: L, jobs: &[J], later: Range<usize>) {
    for job in jobs.iter().take(later.end).skip(later.start) {
        let work = job.work();
        if let (Some(first), Some(key)) = (key_for(l, jobs[0].work()), key_for(l, work))
            && !std::ptr::eq(first, key)
        {
            for octets in Record::parts_for(work.text.len().div_ceil(64), key.long) {
                l.narrow().prefetch(&*key.record, octets);
            }
        }
    }
}

/// What four fresh jobs share.
struct Alike {
    /// How many vectors each text fills, at most four.
    vectors: usize,
    /// Whether all have the same key.
    same_key: bool,
}

/// What four jobs share, if they are fresh, short, and keyed for as many rounds. Only vectors of 512 bits leave enough
/// registers for four.
#[inline(always)]
fn short_alike<'a, J: Job<'a>>(l: Vaes512, long: bool, jobs: &[J; 4]) -> Option<Alike> {
    let first = key_for(l, jobs[0].work())?;
    let vectors = jobs[0].work().text.len().div_ceil(Vaes512::OCTETS);
    let mut same_key = true;
    for job in jobs {
        let work = job.work();
        let key = key_for(l, work)?;
        let alike = key.long == long && work.text.len().div_ceil(Vaes512::OCTETS) == vectors;
        if !work.is_fresh() || work.aad.len() > 16 || !alike {
            return None;
        }
        same_key &= std::ptr::eq(key, first);
    }
    (1..=4).contains(&vectors).then_some(Alike { vectors, same_key })
}

/// Four fresh jobs, keyed alike, whose texts fill as many vectors each.
#[inline(always)]
fn do_four<'a, J: Job<'a>>(l: Vaes512, long: bool, alike: Alike, jobs: &mut [J; 4]) -> usize {
    let [a, b, c, d] = jobs;
    let (Some(w), Some(x), Some(y), Some(z)) =
        (begin(l, a.work_mut()), begin(l, b.work_mut()), begin(l, c.work_mut()), begin(l, d.work_mut()))
    else {
        unreachable!("the jobs are fresh");
    };
    let items = [w, x, y, z];
    let tags = match (long, J::SEAL) {
        (false, true) => four_of::<10, true>(l, alike, items),
        (false, false) => four_of::<10, false>(l, alike, items),
        (true, true) => four_of::<14, true>(l, alike, items),
        (true, false) => four_of::<14, false>(l, alike, items),
    };
    let [w, x, y, z] = tags;
    a.finish(InRegister(l.narrow(), w));
    b.finish(InRegister(l.narrow(), x));
    c.finish(InRegister(l.narrow(), y));
    d.finish(InRegister(l.narrow(), z));
    4
}

/// The kernel for their length and keys.
#[inline(always)]
fn four_of<const R: usize, const SEAL: bool>(l: Vaes512, alike: Alike, items: [Item<'_>; 4]) -> [__m128i; 4] {
    match (alike.vectors, alike.same_key) {
        (1, true) => crypt_four::<R, 1, SEAL, true>(l, items),
        (2, true) => crypt_four::<R, 2, SEAL, true>(l, items),
        (3, true) => crypt_four::<R, 3, SEAL, true>(l, items),
        (_, true) => crypt_four::<R, 4, SEAL, true>(l, items),
        (1, false) => crypt_four::<R, 1, SEAL, false>(l, items),
        (2, false) => crypt_four::<R, 2, SEAL, false>(l, items),
        (3, false) => crypt_four::<R, 3, SEAL, false>(l, items),
        (_, false) => crypt_four::<R, 4, SEAL, false>(l, items),
    }
}

/// One job, unless it was done already.
#[inline(always)]
fn do_one<'a, L: Lanes, J: Job<'a>>(l: L, long: bool, job: &mut J) -> usize {
    if let Some(item) = begin(l, job.work_mut()) {
        let tag = match (long, J::SEAL) {
            (false, true) => gcm::crypt::<L, 10, true>(l, item),
            (false, false) => gcm::crypt::<L, 10, false>(l, item),
            (true, true) => gcm::crypt::<L, 14, true>(l, item),
            (true, false) => gcm::crypt::<L, 14, false>(l, item),
        };
        job.finish(InRegister(l.narrow(), tag));
    }
    1
}
