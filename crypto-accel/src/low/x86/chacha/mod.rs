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

use super::Level;
use super::features::Ifma512;
use super::job::{Job, MadeTag};
use super::wipe;
use crate::aead::{OpenJob, SealJob, TAG_LEN, Work};
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

fn enter<'a, J: Job<'a>>(_proof: Ifma512, jobs: &mut [J]) -> usize {
    // SAFETY: the proof exists only where the processor has these instructions.
    let done = unsafe { leading(jobs) };
    wipe::registers_and_stack::<DEPTH>();
    done
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
#[inline(never)]
fn leading<'a, J: Job<'a>>(jobs: &mut [J]) -> usize {
    let mut room = Room::new();
    let mut done = 0;
    loop {
        let rest = &mut jobs[done..];
        let count =
            group::size(rest.iter().map_while(|job| key_of(job.work()).map(|_| job.work().text.len())));
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
fn group_of<'a, J: Job<'a>>(room: &mut Room, jobs: &mut [J]) {
    let (mut fresh, count) = (0u32, jobs.len());
    let mut items: [Item<'_>; group::MOST] = std::array::from_fn(|_| Item::none());
    for (i, (item, job)) in items.iter_mut().zip(jobs.iter_mut()).enumerate() {
        if let Some(begun) = begin(job.work_mut()) {
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

/// The key, if it is of this kind.
#[inline(always)]
fn key_of<'a>(work: &Work<'a>) -> Option<&'a Key> {
    match work.key {
        AeadKey::ChaCha512(key) => Some(key),
        _ => None,
    }
}

/// Marks the work as begun and takes it up. `None` if it was begun before.
#[inline(always)]
fn begin<'w>(work: &'w mut Work<'_>) -> Option<Item<'w>> {
    let key = &key_of(work)?.octets;
    if !work.begin() {
        return None;
    }
    Some(Item::new(key, work.nonce, work.aad, work.text.gather()))
}

impl MadeTag for [u8; TAG_LEN] {
    #[inline(always)]
    fn write(self, to: &mut [u8; TAG_LEN]) {
        *to = self;
    }

    #[inline(always)]
    fn equals(self, other: &[u8; TAG_LEN]) -> bool {
        let difference = u128::from_ne_bytes(self) ^ u128::from_ne_bytes(*other);
        std::hint::black_box(difference) == 0
    }
}
