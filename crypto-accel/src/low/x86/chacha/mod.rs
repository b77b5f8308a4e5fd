//! ChaCha20-Poly1305 (RFC 8439) on registers of 512 bits, several texts at once.
//!
//! A register holds one word of 16 blocks of the key stream, whichever texts they are for: short texts share a pass.
//! Poly1305 has one text per lane where texts are alike, else one block of the same text per lane.
#![expect(unsafe_code, reason = "entering functions that enable instructions")]

mod field;
mod group;
mod hash;
mod stream;
mod vector;

use std::mem;

use super::Level;
use super::features::Ifma512;
use super::wipe;
use crate::aead::{OpenJob, SealJob};
use crate::error::BadTag;
use crate::low::{AeadKey, Locked};
use group::{Item, Room};

/// A key, 32 octets in one cache line; nothing is worked out before a nonce is known.
pub(crate) struct Key {
    proof: Ifma512,
    octets: Locked<[u8; 32]>,
}

impl Key {
    /// `None` if the length is not 32 or the back end cannot.
    pub(in crate::low) fn new(level: Level, octets: &[u8]) -> Option<Self> {
        let Level::Vaes512(proof) = level else { return None };
        let proof = proof.ifma()?;
        let octets: &[u8; 32] = octets.try_into().ok()?;
        Some(Self { proof, octets: Locked::new(*octets) })
    }

    pub(in crate::low) fn proof(&self) -> Ifma512 {
        self.proof
    }
}

/// Seals the jobs at the head whose keys are of this kind; returns how many.
pub(in crate::low) fn seal_some(proof: Ifma512, jobs: &mut [SealJob<'_>]) -> usize {
    enter(proof, jobs)
}

/// Opens the jobs at the head whose keys are of this kind; returns how many.
pub(in crate::low) fn open_some(proof: Ifma512, jobs: &mut [OpenJob<'_>]) -> usize {
    enter(proof, jobs)
}

/// Octets of stack that [`leading`] uses at most. Code that is hardly optimised spills more.
const DEPTH: usize = if cfg!(debug_assertions) { 16 << 10 } else { 12 << 10 };

fn enter<J: Job>(_proof: Ifma512, jobs: &mut [J]) -> usize {
    // SAFETY: the proof exists only where the processor has these instructions.
    let done = unsafe { leading(jobs) };
    wipe::registers_and_stack::<DEPTH>();
    done
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
#[inline(never)]
fn leading<J: Job>(jobs: &mut [J]) -> usize {
    let mut room = Room::new();
    let mut done = 0;
    loop {
        let rest = &mut jobs[done..];
        let count = group::size(rest.iter().map_while(|job| job.length()));
        if count == 0 {
            break;
        }
        group_of(&mut room, &mut rest[..count]);
        done += count;
    }
    done
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn group_of<J: Job>(room: &mut Room, jobs: &mut [J]) {
    let (mut fresh, count) = (0u32, jobs.len());
    let mut items: [Item<'_>; group::MOST] = std::array::from_fn(|_| Item::none());
    for (i, (item, job)) in items.iter_mut().zip(jobs.iter_mut()).enumerate() {
        if let Some(begun) = job.begin() {
            *item = begun;
            fresh |= 1 << i;
        }
    }
    group::crypt(room, &mut items, count, J::SEAL);
    for (i, job) in jobs.iter_mut().enumerate() {
        if fresh >> i & 1 == 1 {
            job.finish(room.tag(i));
        }
    }
}

/// What both kinds of job have in common.
trait Job {
    /// Which way.
    const SEAL: bool;

    /// Octets of text if the key is of this kind.
    fn length(&self) -> Option<usize>;
    /// Marks the job as done, so that nobody does it again. `None` if it was done already.
    fn begin(&mut self) -> Option<Item<'_>>;
    /// Takes the tag of the ciphertext.
    fn finish(&mut self, tag: [u8; 16]);
}

fn key_of(key: &AeadKey) -> Option<&Key> {
    match key {
        AeadKey::ChaCha512(key) => Some(key),
        _ => None,
    }
}

impl Job for SealJob<'_> {
    const SEAL: bool = true;

    #[inline]
    fn length(&self) -> Option<usize> {
        key_of(&self.key.0).map(|_| self.text.len())
    }

    #[inline]
    fn begin(&mut self) -> Option<Item<'_>> {
        let key = &key_of(&self.key.0)?.octets;
        if mem::replace(&mut self.done, true) {
            return None;
        }
        Some(Item::new(key, self.nonce.0, self.aad, self.text.gather()))
    }

    #[inline]
    fn finish(&mut self, tag: [u8; 16]) {
        *self.tag = tag;
    }
}

impl Job for OpenJob<'_> {
    const SEAL: bool = false;

    #[inline]
    fn length(&self) -> Option<usize> {
        key_of(&self.key.0).map(|_| self.text.len())
    }

    #[inline]
    fn begin(&mut self) -> Option<Item<'_>> {
        let key = &key_of(&self.key.0)?.octets;
        if mem::replace(&mut self.done, true) {
            return None;
        }
        Some(Item::new(key, self.nonce.0, self.aad, self.text.gather()))
    }

    #[inline]
    fn finish(&mut self, tag: [u8; 16]) {
        let difference = u128::from_ne_bytes(tag) ^ u128::from_ne_bytes(*self.tag);
        if std::hint::black_box(difference) == 0 {
            self.outcome = Ok(());
        } else {
            self.outcome = Err(BadTag);
            self.text.wipe();
        }
    }
}
