//! The jobs of a batch, one after the other or four at once.

use std::arch::x86_64::__m128i;

use super::features::{Aesni, Vaes512};
use super::lanes::Lanes;
use super::record::Record;
use super::several::{Item, crypt_four};
use super::span::Span;
use super::{Key, gcm};
use crate::aead::{OpenJob, SealJob};
use crate::error::BadTag;
use crate::low::AeadKey;

/// What both kinds of job have in common.
pub(super) trait Job {
    /// Which way.
    const SEAL: bool;

    /// The key, if it was made for this back end.
    fn key<L: Lanes>(&self, l: L) -> Option<&Key>;
    /// Octets of associated data and text; `None` if the job was done already.
    fn lengths(&self) -> Option<(usize, usize)>;
    /// Marks the job as done, so that nobody does it again. `None` if it was done already.
    fn begin<L: Lanes>(&mut self, l: L) -> Option<Item<'_>>;
    /// Takes the tag of the ciphertext.
    fn finish(&mut self, proof: Aesni, tag: __m128i);
}

impl Job for SealJob<'_> {
    const SEAL: bool = true;

    #[inline(always)]
    fn key<L: Lanes>(&self, l: L) -> Option<&Key> {
        key_for(l, &self.key.0)
    }

    #[inline(always)]
    fn lengths(&self) -> Option<(usize, usize)> {
        if self.done { None } else { Some((self.aad.len(), self.text.len())) }
    }

    #[inline(always)]
    fn begin<L: Lanes>(&mut self, l: L) -> Option<Item<'_>> {
        let record = &key_for(l, &self.key.0)?.record;
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        Some(Item { record, nonce: &self.nonce.0, aad: self.aad, span: Span::new::<L>(&mut self.text) })
    }

    #[inline(always)]
    fn finish(&mut self, proof: Aesni, tag: __m128i) {
        *self.tag = proof.octets(tag);
    }
}

impl Job for OpenJob<'_> {
    const SEAL: bool = false;

    #[inline(always)]
    fn key<L: Lanes>(&self, l: L) -> Option<&Key> {
        key_for(l, &self.key.0)
    }

    #[inline(always)]
    fn lengths(&self) -> Option<(usize, usize)> {
        if self.done { None } else { Some((self.aad.len(), self.text.len())) }
    }

    #[inline(always)]
    fn begin<L: Lanes>(&mut self, l: L) -> Option<Item<'_>> {
        let record = &key_for(l, &self.key.0)?.record;
        if std::mem::replace(&mut self.done, true) {
            return None;
        }
        Some(Item { record, nonce: &self.nonce.0, aad: self.aad, span: Span::new::<L>(&mut self.text) })
    }

    #[inline(always)]
    fn finish(&mut self, proof: Aesni, tag: __m128i) {
        if proof.equal(tag, proof.splat(self.tag)) {
            self.outcome = Ok(());
        } else {
            self.outcome = Err(BadTag);
            self.text.wipe();
        }
    }
}

#[inline(always)]
fn key_for<L: Lanes>(l: L, key: &AeadKey) -> Option<&Key> {
    match key {
        AeadKey::X86(key) if key.level == l.level() => Some(key),
        _ => None,
    }
}

/// Does jobs as long as their keys were made for this back end; returns how many.
#[inline(always)]
pub(super) fn leading<L: Lanes, J: Job>(l: L, jobs: &mut [J]) -> usize {
    let mut done = 0;
    while done < jobs.len() {
        let rest = &mut jobs[done..];
        let Some(long) = rest[0].key(l).map(|key| key.long) else { break };
        // No closure stands here: it would be compiled for itself, without the instructions.
        if let Some(wide) = l.four()
            && let Some(four) = rest.first_chunk()
            && let Some(alike) = short_alike(wide, long, four)
        {
            if !alike.same_key
                && let Some(next) = rest[4..].first_chunk::<4>()
            {
                prefetch_four(l, next, alike.vectors);
            }
            let Some(four) = rest.first_chunk_mut() else { break };
            done += do_four(wide, long, alike, four);
            continue;
        }
        prefetch_next(l, rest);
        done += do_one(l, long, &mut rest[0]);
    }
    done
}

/// Texts from this length on give the memory time to bring the next key; for shorter ones asking costs more than it
/// saves.
const WORTH_PREFETCH: usize = 512;

/// Brings the second job's key if it is another one than the first's.
#[inline(always)]
fn prefetch_next<L: Lanes, J: Job>(l: L, jobs: &[J]) {
    let [first, second, ..] = jobs else { return };
    let long = second.lengths().is_some_and(|(_, text)| text >= WORTH_PREFETCH);
    if let (true, Some(first), Some(second)) = (long, first.key(l), second.key(l))
        && !std::ptr::eq(first, second)
    {
        l.narrow().prefetch(&*second.record, 0);
    }
}

/// Brings the keys of the next four jobs, as far as texts of so many vectors need them.
#[inline(always)]
fn prefetch_four<L: Lanes, J: Job>(l: L, jobs: &[J; 4], vectors: usize) {
    for job in jobs {
        if let Some(key) = job.key(l) {
            l.narrow().prefetch(&*key.record, Record::begin(vectors * L::N + 2));
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
fn short_alike<J: Job>(l: Vaes512, long: bool, jobs: &[J; 4]) -> Option<Alike> {
    let first = jobs[0].key(l)?;
    let vectors = jobs[0].lengths()?.1.div_ceil(Vaes512::OCTETS);
    let mut same_key = true;
    for job in jobs {
        let (aad, text) = job.lengths()?;
        let key = job.key(l)?;
        if aad > 16 || key.long != long || text.div_ceil(Vaes512::OCTETS) != vectors {
            return None;
        }
        same_key &= std::ptr::eq(key, first);
    }
    (1..=4).contains(&vectors).then_some(Alike { vectors, same_key })
}

/// Four fresh jobs, keyed alike, whose texts fill as many vectors each.
#[inline(always)]
fn do_four<J: Job>(l: Vaes512, long: bool, alike: Alike, jobs: &mut [J; 4]) -> usize {
    let [a, b, c, d] = jobs;
    let (Some(w), Some(x), Some(y), Some(z)) = (a.begin(l), b.begin(l), c.begin(l), d.begin(l)) else {
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
    a.finish(l.narrow(), w);
    b.finish(l.narrow(), x);
    c.finish(l.narrow(), y);
    d.finish(l.narrow(), z);
    4
}

/// The kernel for their length and keys.
#[inline(always)]
fn four_of<const R: usize, const SEAL: bool>(l: Vaes512, alike: Alike, items: [Item<'_>; 4]) -> [__m128i; 4] {
    match (alike.vectors, alike.same_key) {
        (1, true) => crypt_four::<R, 1, SEAL, true>(l, items),
        (2, true) => crypt_four::<R, 2, SEAL, true>(l, items),
        (4, true) => crypt_four::<R, 4, SEAL, true>(l, items),
        (1, false) => crypt_four::<R, 1, SEAL, false>(l, items),
        (2, false) => crypt_four::<R, 2, SEAL, false>(l, items),
        (3, _) => crypt_four::<R, 3, SEAL, false>(l, items),
        _ => crypt_four::<R, 4, SEAL, false>(l, items),
    }
}

/// One job, unless it was done already.
#[inline(always)]
fn do_one<L: Lanes, J: Job>(l: L, long: bool, job: &mut J) -> usize {
    if let Some(item) = job.begin(l) {
        let tag = match (long, J::SEAL) {
            (false, true) => gcm::crypt::<L, 10, true>(l, item),
            (false, false) => gcm::crypt::<L, 10, false>(l, item),
            (true, true) => gcm::crypt::<L, 14, true>(l, item),
            (true, false) => gcm::crypt::<L, 14, false>(l, item),
        };
        job.finish(l.narrow(), tag);
    }
    1
}
