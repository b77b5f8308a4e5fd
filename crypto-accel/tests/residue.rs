//! What a batch leaves in vector registers and in the stack that it used: nothing that depends on a key or a text.
//!
//! Each batch runs twice, under other keys and on other texts but at the same places; whatever differs afterwards
//! comes from a secret.
#![cfg(target_arch = "x86_64")]
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "looks at registers, and at stack not in use")
)]

mod common;

use std::arch::asm;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::{ALGORITHMS, nonce, received};
use ravelin_crypto_accel::aead::{Algorithm, Key, OpenJob, SealJob, open, seal};
use ravelin_crypto_accel::etm::{self, Cipher, Hash};
use ravelin_crypto_accel::iv::Iv;
use ravelin_crypto_accel::{BackEnd, Text};

/// Octets of stack that are looked at.
const DEPTH: usize = 32 << 10;
/// What was there before.
const PAINT: u8 = 0xd7;

/// Registers and stack as they were found.
#[derive(Clone, PartialEq, Eq)]
struct Residue {
    registers: [[u8; 64]; 32],
    stack: [u8; DEPTH],
}

/// Whether a word is an address where a process has code, heap or stack.
fn is_address(word: [u8; 8]) -> bool {
    (0x5500_0000_0000..0x8000_0000_0000).contains(&u64::from_ne_bytes(word))
}

/// Where the next residue is noted, always the same place. Who holds it is alone, so that keys come to lie where those
/// before them lay.
fn note() -> MutexGuard<'static, Residue> {
    static NOTE: Mutex<Residue> = Mutex::new(Residue { registers: [[0; 64]; 32], stack: [0; DEPTH] });
    NOTE.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Residue {
    /// Where two differ, by register and by the word of stack from the top down. Words that are addresses both times
    /// do not count: the frames above are not always called from one place.
    fn difference(&self, other: &Self) -> Vec<String> {
        let registers = (0..32).filter(|i| self.registers[*i] != other.registers[*i]);
        let words = self.stack.as_chunks().0.iter().zip(other.stack.as_chunks().0).enumerate();
        let words =
            words.filter(|(_, (one, other))| one != other && !(is_address(**one) && is_address(**other)));
        let registers = registers.map(|i| format!("zmm{i}"));
        let words = words.map(|(i, (one, other))| format!("at -{} {one:02x?} {other:02x?}", DEPTH - 8 * i));
        registers.chain(words).collect()
    }

    /// How deep the stack was used.
    fn depth(&self) -> usize {
        DEPTH - self.stack.iter().take_while(|octet| **octet == PAINT).count()
    }
}

/// Does the work on painted stack and looks at what it leaves.
#[inline(never)]
fn residue_of(note: &mut Residue, work: &mut dyn FnMut()) -> Box<Residue> {
    let (registers, stack) = (note.registers.as_mut_ptr(), note.stack.as_mut_ptr());
    paint();
    work();
    if is_x86_feature_detected!("avx512f") {
        // SAFETY: the array has room for 32 registers of 64 octets, and the processor has them.
        unsafe { save_wide(registers) };
    } else {
        // SAFETY: as above, and every x86-64 processor has 16 registers of 16 octets.
        unsafe { save_narrow(registers) };
    }
    // SAFETY: the stack below is ours though not in use: `paint` wrote all of it, and the copy uses none.
    unsafe {
        asm!(
            "lea rsi, [rsp - {depth}]", "rep movsb",
            depth = const DEPTH,
            inout("rcx") DEPTH => _, inout("rdi") stack => _, out("rsi") _,
            options(preserves_flags)
        );
    }
    Box::new(note.clone())
}

/// Paints the stack below the caller.
#[inline(never)]
fn paint() {
    // SAFETY: only stack is written that this piece of assembly makes room for and gives back, page after page.
    unsafe {
        asm!(
            "mov rdi, rsp", "std", "dec rdi", "rep stosb", "cld",
            inout("rcx") 2 * DEPTH => _, out("rdi") _, in("al") PAINT,
        );
    }
}

/// # Safety
/// `to` is valid for writing 32 times 64 octets, and the processor has AVX-512.
#[inline(always)]
unsafe fn save_wide(to: *mut [u8; 64]) {
    // SAFETY: the caller vouches for the memory and the instructions.
    unsafe {
        asm!(
            "vmovdqu64 [{0}], zmm0", "vmovdqu64 [{0} + 64], zmm1", "vmovdqu64 [{0} + 128], zmm2",
            "vmovdqu64 [{0} + 192], zmm3", "vmovdqu64 [{0} + 256], zmm4", "vmovdqu64 [{0} + 320], zmm5",
            "vmovdqu64 [{0} + 384], zmm6", "vmovdqu64 [{0} + 448], zmm7", "vmovdqu64 [{0} + 512], zmm8",
            "vmovdqu64 [{0} + 576], zmm9", "vmovdqu64 [{0} + 640], zmm10", "vmovdqu64 [{0} + 704], zmm11",
            "vmovdqu64 [{0} + 768], zmm12", "vmovdqu64 [{0} + 832], zmm13", "vmovdqu64 [{0} + 896], zmm14",
            "vmovdqu64 [{0} + 960], zmm15", "vmovdqu64 [{0} + 1024], zmm16", "vmovdqu64 [{0} + 1088], zmm17",
            "vmovdqu64 [{0} + 1152], zmm18", "vmovdqu64 [{0} + 1216], zmm19", "vmovdqu64 [{0} + 1280], zmm20",
            "vmovdqu64 [{0} + 1344], zmm21", "vmovdqu64 [{0} + 1408], zmm22", "vmovdqu64 [{0} + 1472], zmm23",
            "vmovdqu64 [{0} + 1536], zmm24", "vmovdqu64 [{0} + 1600], zmm25", "vmovdqu64 [{0} + 1664], zmm26",
            "vmovdqu64 [{0} + 1728], zmm27", "vmovdqu64 [{0} + 1792], zmm28", "vmovdqu64 [{0} + 1856], zmm29",
            "vmovdqu64 [{0} + 1920], zmm30", "vmovdqu64 [{0} + 1984], zmm31",
            in(reg) to,
            options(nostack, preserves_flags)
        );
    }
}

/// # Safety
/// `to` is valid for writing 32 times 64 octets.
#[inline(always)]
unsafe fn save_narrow(to: *mut [u8; 64]) {
    // SAFETY: the caller vouches for the memory.
    unsafe {
        asm!(
            "movups [{0}], xmm0", "movups [{0} + 64], xmm1", "movups [{0} + 128], xmm2", "movups [{0} + 192], xmm3",
            "movups [{0} + 256], xmm4", "movups [{0} + 320], xmm5", "movups [{0} + 384], xmm6",
            "movups [{0} + 448], xmm7", "movups [{0} + 512], xmm8", "movups [{0} + 576], xmm9",
            "movups [{0} + 640], xmm10", "movups [{0} + 704], xmm11", "movups [{0} + 768], xmm12",
            "movups [{0} + 832], xmm13", "movups [{0} + 896], xmm14", "movups [{0} + 960], xmm15",
            in(reg) to,
            options(nostack, preserves_flags)
        );
    }
}

/// What all secrets come from. No argument anywhere, which a register would keep and the stack would show.
static SEED: AtomicU64 = AtomicU64::new(0);

/// Octets that come from a secret, others for each `number`.
fn secret(length: usize, number: u64) -> Vec<u8> {
    let start = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(SEED.load(SeqCst) + 2 * number + 1);
    (1..=length as u64).map(|i| (i.wrapping_mul(start) >> 29) as u8).collect()
}

/// Texts in buffers that stay where they are, like the jobs on them.
struct Buffers<const N: usize> {
    texts: [Vec<u8>; N],
    tags: [[u8; 16]; N],
    aad: Vec<u8>,
}

impl<const N: usize> Buffers<N> {
    fn new(length: usize, aad: usize) -> Self {
        Self { texts: std::array::from_fn(|_| vec![0; length]), tags: [[0; 16]; N], aad: vec![0x77; aad] }
    }

    fn fill(&mut self) {
        for (i, text) in self.texts.iter_mut().enumerate() {
            let octets = secret(text.len(), i as u64 + 1);
            text.copy_from_slice(&octets);
        }
    }

    fn seal(&mut self, note: &mut Residue, key: &Key) -> Box<Residue> {
        let mut tags = self.tags.each_mut().into_iter();
        let mut jobs = self.texts.each_mut().map(|text| {
            let (text, tag) = (Text::in_place(text).expect("it is short"), tags.next().expect("as many"));
            SealJob::new(key, nonce(&[3; 12]), &self.aad, text, tag)
        });
        residue_of(note, &mut || seal(&mut jobs))
    }

    fn open(&mut self, note: &mut Residue, key: &Key) -> Box<Residue> {
        let mut tags = self.tags.iter();
        let mut jobs = self.texts.each_mut().map(|text| {
            let (text, tag) = (Text::in_place(text).expect("it is short"), tags.next().expect("as many"));
            OpenJob::new(key, received(&[3; 12]), &self.aad, text, tag)
        });
        let residue = residue_of(note, &mut || open(&mut jobs));
        assert!(jobs.iter().all(|job| job.outcome().is_ok()));
        residue
    }
}

/// Seals and opens under a key made from this seed. Making the key is watched, too.
fn seen<const N: usize>(
    note: &mut Residue,
    (back_end, algorithm): (BackEnd, Algorithm),
    buffers: &mut Buffers<N>,
    seed: u64,
) -> [Box<Residue>; 3] {
    SEED.store(seed, SeqCst);
    let mut octets = [0; 32]; // not on the heap, where it might come to lie elsewhere
    let octets = &mut octets[..algorithm.key_len()];
    octets.copy_from_slice(&secret(algorithm.key_len(), 0));
    let mut key = None;
    let made = residue_of(note, &mut || key = Key::on(back_end, algorithm, octets).ok());
    let key = key.expect("the length is right");
    buffers.fill();
    let sealed = buffers.seal(note, &key);
    [made, sealed, buffers.open(note, &key)]
}

/// Whether `N` texts of a length leave the same, whatever the key and the texts.
fn check<const N: usize>(
    note: &mut Residue,
    back_end: BackEnd,
    algorithm: Algorithm,
    length: usize,
    aad: usize,
) {
    let mut buffers = Buffers::<N>::new(length, aad);
    let [one, other] = [1, 100].map(|seed| seen(note, (back_end, algorithm), &mut buffers, seed));
    for ((one, other), what) in one.iter().zip(&other).zip(["made", "sealed", "opened"]) {
        let case = format!("{} {algorithm:?} {N} of {length}, {what}", back_end.name());
        assert_eq!(one.difference(other), Vec::<String>::new(), "{case}");
        assert!(one.depth() < DEPTH, "{case}: looked not deep enough");
    }
}

#[test]
fn the_look_sees_what_is_left() {
    #[inline(never)]
    fn careless(secret: &[u8]) -> u8 {
        let mut copy = [0u8; 64];
        copy.copy_from_slice(secret);
        std::hint::black_box(&mut copy)[3]
    }
    let note = &mut *note();
    let [one, other] = [1, 2].map(|seed| {
        SEED.store(seed, SeqCst);
        let octets = secret(64, 0);
        residue_of(note, &mut || {
            std::hint::black_box(careless(&octets));
        })
    });
    assert!(one.difference(&other).len() >= 8, "a copy on the stack was not seen");
    assert!(one.depth() < DEPTH);
}

#[test]
fn nothing_secret_is_left_after_a_batch() {
    let note = &mut *note();
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            for (length, aad) in
                [(0, 0), (1, 12), (15, 8), (16, 16), (77, 0), (300, 20), (1420, 12), (16_401, 5)]
            {
                check::<1>(note, back_end, algorithm, length, aad);
            }
            for (length, aad) in [(0, 8), (15, 8), (64, 8), (77, 12), (130, 16), (511, 12), (4099, 80)] {
                check::<9>(note, back_end, algorithm, length, aad);
            }
        }
    }
}

/// The compiler may use the low quarter of the first 16 registers after the batch; all else is as we left it.
#[test]
fn registers_are_zero_after_a_batch() {
    let note = &mut *note();
    if !is_x86_feature_detected!("avx512f") {
        return; // the low quarters of 16 registers are all there is, and the test above looks at them
    }
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            let residues = seen(note, (back_end, algorithm), &mut Buffers::<2>::new(4096, 12), 9);
            for (residue, what) in residues.iter().zip(["made", "sealed", "opened"]) {
                for (number, register) in residue.registers.iter().enumerate() {
                    let ours = if number < 16 { &register[16..] } else { &register[..] };
                    let case = format!("{} {algorithm:?} {what} zmm{number}", back_end.name());
                    assert!(ours.iter().all(|octet| *octet == 0), "{case} {register:02x?}");
                }
            }
        }
    }
}

#[test]
fn nothing_secret_is_left_by_encrypt_then_mac() {
    let note = &mut *note();
    // The first key of a process finds its memory; what that leaves depends on no secret, and on no second key.
    drop(etm::Key::new(Cipher::AesCbc, &[1; 32], Hash::Sha256, &[2; 32]).expect("the lengths are right"));
    for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
        let (mut octets, mut icv) = (vec![0; 1424], vec![0; hash.icv_len()]);
        let [one, other] = [1, 2].map(|seed| {
            SEED.store(seed, SeqCst);
            let (mut crypt_key, mut mac_key) = ([0; 32], [0; 64]);
            let (crypt_key, mac_key) = (&mut crypt_key, &mut mac_key[..hash.key_len()]);
            crypt_key.copy_from_slice(&secret(32, 0));
            mac_key.copy_from_slice(&secret(hash.key_len(), 1));
            let mut key = None;
            let made = residue_of(note, &mut || {
                key = etm::Key::new(Cipher::AesCbc, crypt_key, hash, mac_key).ok();
            });
            let key = key.expect("the lengths are right");
            octets.copy_from_slice(&secret(1424, 2));
            let sealed = residue_of(note, &mut || {
                let text = Text::in_place(&mut octets).expect("it is short");
                key.seal(b"before", Iv::promised([5; 16]), text, b"", &mut icv).expect("it is whole blocks");
            });
            let opened = residue_of(note, &mut || {
                let text = Text::in_place(&mut octets).expect("it is short");
                key.open(b"before", &[5; 16], text, b"", &icv).expect("it is authentic");
            });
            [made, sealed, opened]
        });
        for ((one, other), what) in one.iter().zip(&other).zip(["made", "sealed", "opened"]) {
            assert_eq!(one.difference(other), Vec::<String>::new(), "{hash:?} {what}");
        }
    }
}
