//! Up to 16 texts at once.
//!
//! The first pass gives each text the block that its Poly1305 key is in (RFC 8439 2.6) and, as far as lanes are left,
//! the first blocks of the streams. Then whole passes go to one text, and what is left of all texts shares passes.

use super::hash::{self, ALONE_AAD_MOST, ALONE_LEAST, Eight};
use super::stream::{self, BLOCKS, Row, Starts, place};
use super::vector::{load, scalar, store, xor_part};
use crate::nonce::Octets;

/// Texts of a group.
pub(super) const MOST: usize = BLOCKS;

/// Octets of a group beyond which no text is added: a group stays in the near caches.
const ENOUGH: usize = 64 << 10;

/// One of the texts.
pub(super) struct Item<'a> {
    key: &'a [u8; 32],
    nonce: Octets,
    aad: &'a [u8],
    text: &'a mut [u8],
}

impl<'a> Item<'a> {
    #[inline]
    pub(super) fn new(key: &'a [u8; 32], nonce: Octets, aad: &'a [u8], text: &'a mut [u8]) -> Self {
        Self { key, nonce, aad, text }
    }

    /// No text.
    #[inline]
    pub(super) fn none() -> Self {
        Self { key: &[0; 32], nonce: Octets { first: 0, last: 0 }, aad: &[], text: &mut [] }
    }

    /// How the last row of its blocks begins.
    #[inline]
    fn row(&self, counter: u32) -> Row {
        [counter, self.nonce.first as u32, (self.nonce.first >> 32) as u32, self.nonce.last]
    }

    /// Blocks of its stream that its text needs.
    #[inline]
    fn blocks(&self) -> usize {
        self.text.len().div_ceil(64)
    }
}

/// How many of the texts at the head make a group, given their lengths.
#[inline]
pub(super) fn size(lengths: impl Iterator<Item = usize>) -> usize {
    let mut octets = 0;
    let mut count = 0;
    for length in lengths.take(MOST) {
        octets += length;
        if count > 0 && octets > ENOUGH {
            break;
        }
        count += 1;
    }
    count
}

/// A block of a text's stream; its number, the first for data being 0.
#[derive(Clone, Copy)]
struct Lane {
    item: u8,
    block: u32,
}

/// Where secrets lie while a group is worked on.
#[repr(C, align(64))]
pub(super) struct Room {
    /// What the first pass gave.
    first: [[u8; 64]; BLOCKS],
    /// What a later one gave.
    stream: [[u8; 64]; BLOCKS],
    initial: [[u32; 16]; 12],
    rows: [Row; BLOCKS],
    start: [u32; 12],
    tags: [[[u64; 8]; 2]; 2],
}

impl Room {
    #[inline]
    pub(super) fn new() -> Self {
        Self {
            first: [[0; 64]; BLOCKS],
            stream: [[0; 64]; BLOCKS],
            initial: [[0; 16]; 12],
            rows: [[0; 4]; BLOCKS],
            start: [0; 12],
            tags: [[[0; 8]; 2]; 2],
        }
    }

    /// The tag of text `i`.
    #[inline]
    pub(super) fn tag(&self, i: usize) -> [u8; 16] {
        let [low, high] = &self.tags[i / 8];
        (u128::from(low[i % 8]) | u128::from(high[i % 8]) << 64).to_le_bytes()
    }
}

/// Lanes of the next pass.
struct Queue {
    lanes: [Lane; BLOCKS],
    used: usize,
}

impl Queue {
    #[inline]
    fn new() -> Self {
        Self { lanes: [Lane { item: 0, block: 0 }; BLOCKS], used: 0 }
    }

    #[inline]
    fn push(&mut self, item: usize, block: usize) {
        self.lanes[self.used] = Lane { item: item as u8, block: block as u32 };
        self.used += 1;
    }
}

/// Encrypts if `seal`, else decrypts, the first `count` texts; their tags are in the room then.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
pub(super) fn crypt(room: &mut Room, items: &mut [Item<'_>; MOST], count: usize, seal: bool) {
    let mut queue = Queue::new();
    for item in 0..count {
        queue.push(item, 0);
    }
    let (mut item, mut block) = (0, 0);
    while queue.used < BLOCKS && item < count {
        if block < items[item].blocks() {
            queue.push(item, block);
            block += 1;
        } else {
            (item, block) = (item + 1, 0);
        }
    }
    pass(room, items, &queue, count);
    room.first = room.stream;
    if !seal {
        hash_all(room, items, count);
    }
    add(room, items, &queue, count);
    queue.used = 0;
    while item < count {
        let blocks = items[item].blocks();
        while blocks - block >= BLOCKS && 64 * (block + BLOCKS) <= items[item].text.len() {
            run(room, &mut items[item], block);
            block += BLOCKS;
        }
        while block < blocks {
            queue.push(item, block);
            block += 1;
            if queue.used == BLOCKS {
                pass(room, items, &queue, 0);
                add(room, items, &queue, 0);
                queue.used = 0;
            }
        }
        (item, block) = (item + 1, 0);
    }
    if queue.used > 0 {
        pass(room, items, &queue, 0);
        add(room, items, &queue, 0);
    }
    if seal {
        hash_all(room, items, count);
    }
}

/// Streams for the lanes of the queue, the first `keys` of them for keys.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn pass(room: &mut Room, items: &[Item<'_>; MOST], queue: &Queue, keys: usize) {
    let mut starts = [&[0; 32]; BLOCKS];
    for (i, lane) in queue.lanes[..queue.used].iter().enumerate() {
        let item = &items[usize::from(lane.item)];
        starts[i] = item.key;
        room.rows[place(i)] = item.row(if i < keys { 0 } else { lane.block + 1 });
    }
    let stream = stream::mixed(&Starts { keys: starts, rows: &room.rows }, &mut room.initial);
    for (place, stream) in room.stream.iter_mut().zip(stream) {
        store(place, stream);
    }
}

/// Adds the streams of a pass to their texts; the first `keys` lanes are no text's.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn add(room: &Room, items: &mut [Item<'_>; MOST], queue: &Queue, keys: usize) {
    for (lane, stream) in queue.lanes[..queue.used].iter().zip(&room.stream).skip(keys) {
        let text = &mut items[usize::from(lane.item)].text[64 * lane.block as usize..];
        let length = text.len().min(64);
        xor_part(&mut text[..length], load(stream));
    }
}

/// A whole pass for one text.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn run(room: &mut Room, item: &mut Item<'_>, block: usize) {
    let (words, _) = item.key.as_chunks::<4>();
    for (word, octets) in room.start.iter_mut().zip(words) {
        *word = u32::from_le_bytes(*octets);
    }
    room.start[8..].copy_from_slice(&item.row(block as u32 + 1));
    let (blocks, _) = item.text[64 * block..].as_chunks_mut::<64>();
    stream::add_run(&room.start, blocks.first_chunk_mut().expect("the caller counted the blocks"));
}

/// What one step of eight texts costs, one text each lane, in cycles; likewise one text alone, and a block of it.
const COST: [usize; 3] = [28, 170, 4];

/// Hashes all texts; the first blocks of their streams are in the room. Leaves the tags there.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512ifma,bmi2")]
fn hash_all(room: &mut Room, items: &[Item<'_>; MOST], count: usize) {
    let (mut longest, mut each) = (0, 0);
    for item in &items[..count] {
        let blocks = scalar(item.text.len()).div_ceil(16);
        longest = longest.max(blocks);
        each += COST[1] + COST[2] * blocks;
    }
    let together = longest * COST[0] * count.div_ceil(8) <= each;
    let (keys, _) = room.first.as_chunks::<8>();
    let mut eights = [Eight::new(&keys[0]), Eight::new(&keys[1])];
    let mut aads = [[[].as_slice(); 8]; 2];
    let mut texts = [[[].as_slice(); 8]; 2];
    let mut lengths = [[[0; 8]; 2]; 2];
    let mut present = [0; 2];
    for (i, item) in items[..count].iter().enumerate() {
        let (e, lane) = (i / 8, i % 8);
        if together || item.text.len() < ALONE_LEAST || item.aad.len() > ALONE_AAD_MOST {
            aads[e][lane] = item.aad;
            texts[e][lane] = &*item.text;
            lengths[e][0][lane] = item.aad.len() as u64;
            lengths[e][1][lane] = item.text.len() as u64;
            present[e] |= 1 << lane;
        }
    }
    if count > 8 {
        hash::side_by_side::<2>(&mut eights, &aads);
        hash::side_by_side::<2>(&mut eights, &texts);
        eights[1].lengths(&lengths[1][0], &lengths[1][1], present[1]);
    } else {
        let (eights, aads, texts) = (&mut eights[..1], &aads[..1], &texts[..1]);
        let eights: &mut [Eight; 1] = eights.try_into().expect("one");
        hash::side_by_side::<1>(eights, aads.try_into().expect("one"));
        hash::side_by_side::<1>(eights, texts.try_into().expect("one"));
    }
    eights[0].lengths(&lengths[0][0], &lengths[0][1], present[0]);
    for (i, item) in items[..count].iter().enumerate() {
        if present[i / 8] >> (i % 8) & 1 == 0 {
            eights[i / 8].set(i % 8, hash::alone(&room.first[i], item.aad, item.text));
        }
    }
    for (eight, tags) in eights.iter().zip(&mut room.tags) {
        eight.tags(tags);
    }
}
