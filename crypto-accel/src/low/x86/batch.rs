//! The jobs of a batch, one after the other or four at once.

use std::arch::x86_64::__m128i;

use super::features::Aesni;
use super::lanes::Lanes;
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
        Some(Item { record, nonce: self.nonce.0, aad: self.aad, span: Span::new::<L>(&mut self.text) })
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
        Some(Item { record, nonce: self.nonce.0, aad: self.aad, span: Span::new::<L>(&mut self.text) })
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
        let alike = rest.first_chunk_mut().and_then(|four| Some((short_alike(l, long, four)?, four)));
        done += match alike {
            Some((vectors, four)) => do_four(l, long, vectors, four),
            None => {
                prefetch_next(l, rest);
                do_one(l, long, &mut rest[0])
            }
        };
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
        l.narrow().prefetch(&*second.record);
    }
}

/// How many vectors the texts of four fresh jobs fill, if all need the same number, at most two, and all are keyed
/// alike. Only vectors of 512 bits leave enough registers for four.
#[inline(always)]
fn short_alike<L: Lanes, J: Job>(l: L, long: bool, jobs: &[J; 4]) -> Option<usize> {
    if L::N < 4 {
        return None;
    }
    let mut same = None;
    for job in jobs {
        let (aad, text) = job.lengths()?;
        let vectors = text.div_ceil(L::OCTETS);
        let fits = aad <= 16 && (vectors == 1 || vectors == 2) && job.key(l)?.long == long;
        if !fits || vectors != *same.get_or_insert(vectors) {
            return None;
        }
    }
    same
}

/// Four fresh jobs, keyed alike, whose texts fill as many vectors each.
#[inline(always)]
fn do_four<L: Lanes, J: Job>(l: L, long: bool, vectors: usize, jobs: &mut [J; 4]) -> usize {
    let [a, b, c, d] = jobs;
    let (Some(w), Some(x), Some(y), Some(z)) = (a.begin(l), b.begin(l), c.begin(l), d.begin(l)) else {
        unreachable!("the jobs are fresh");
    };
    let items = [w, x, y, z];
    let tags = match (long, vectors, J::SEAL) {
        (false, 1, true) => crypt_four::<L, 10, 1, true>(l, items),
        (false, 1, false) => crypt_four::<L, 10, 1, false>(l, items),
        (false, _, true) => crypt_four::<L, 10, 2, true>(l, items),
        (false, _, false) => crypt_four::<L, 10, 2, false>(l, items),
        (true, 1, true) => crypt_four::<L, 14, 1, true>(l, items),
        (true, 1, false) => crypt_four::<L, 14, 1, false>(l, items),
        (true, _, true) => crypt_four::<L, 14, 2, true>(l, items),
        (true, _, false) => crypt_four::<L, 14, 2, false>(l, items),
    };
    let [w, x, y, z] = tags;
    a.finish(l.narrow(), w);
    b.finish(l.narrow(), x);
    c.finish(l.narrow(), y);
    d.finish(l.narrow(), z);
    4
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
