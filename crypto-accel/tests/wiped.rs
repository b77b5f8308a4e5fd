//! What a key leaves behind: nothing in memory that is given back, nothing in vector registers.
#![expect(unsafe_code, reason = "looks at memory as it is freed, and at registers")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};

use common::{ALGORITHMS, nonce};
use ravelin_crypto_accel::aead::{Key, seal_one};
use ravelin_crypto_accel::{BackEnd, Text};

/// Octets of a key that nothing else in the process has.
const KEY: [u8; 32] = *b"\xd1\x3aa key that no freed\xe9memory ha\x07";

/// Looks at each block that this thread frees while it is watching.
struct Watching;

thread_local! {
    static WATCH: Cell<bool> = const { Cell::new(false) };
    /// Freed blocks: how many octets, whether all zero, whether the key is in it.
    static FREED: RefCell<[Option<Freed>; 16]> = const { RefCell::new([None; 16]) };
}

#[derive(Debug, Clone, Copy)]
struct Freed {
    layout: Layout,
    zeros: bool,
    has_key: bool,
}

// SAFETY: every call goes to the system's allocator unchanged; a block is only looked at while it is still ours.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller keeps the contract of `alloc`. Zeroed, so that all of the block may be read later.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        if WATCH.get() {
            // SAFETY: the block has that many octets, all written at least by `alloc_zeroed`.
            let octets = unsafe { std::slice::from_raw_parts(place, layout.size()) };
            let zeros = octets.iter().all(|octet| *octet == 0);
            let has_key = octets.windows(8).any(|window| window == &KEY[..8] || window == &KEY[8..16]);
            FREED.with_borrow_mut(|freed| {
                if let Some(room) = freed.iter_mut().find(|freed| freed.is_none()) {
                    *room = Some(Freed { layout, zeros, has_key });
                }
            });
        }
        // SAFETY: `place` came from `alloc` above, and so from the system, with this layout.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

fn freed_by(work: impl FnOnce()) -> Vec<Freed> {
    FREED.with_borrow_mut(|freed| *freed = [None; 16]);
    WATCH.set(true);
    work();
    WATCH.set(false);
    FREED.with_borrow(|freed| freed.iter().flatten().copied().collect())
}

#[test]
fn the_watch_sees_keys() {
    let block = KEY.to_vec();
    let freed = freed_by(|| drop(std::hint::black_box(block)));
    assert!(freed.len() == 1 && freed[0].has_key && !freed[0].zeros);
}

#[test]
fn a_dropped_key_leaves_zeros() {
    for back_end in BackEnd::available() {
        for algorithm in ALGORITHMS {
            let key = Key::on(back_end, algorithm, &KEY[..algorithm.key_len()]).unwrap();
            let freed = freed_by(|| drop(std::hint::black_box(key)));
            let case = format!("{} {algorithm:?} {freed:?}", back_end.name());
            assert!(!freed.is_empty() && freed.iter().all(|block| !block.has_key), "{case}");
            // The record of the vector back ends, all of which comes from the key.
            let records: Vec<_> = freed.iter().filter(|block| block.layout.align() == 64).collect();
            assert!(records.iter().all(|record| record.zeros), "{case}");
        }
    }
}

/// The compiler may use the low quarter of the first 16 registers after the batch; all else is as we left it.
#[cfg(target_arch = "x86_64")]
#[test]
fn registers_are_clear_after_a_batch() {
    use std::arch::asm;

    if !is_x86_feature_detected!("avx512f") {
        return; // the other back ends have no registers that only they use
    }
    for back_end in BackEnd::available().filter(|back_end| back_end.name().starts_with("vaes512")) {
        let key = Key::on(back_end, ALGORITHMS[0], &KEY[..16]).unwrap();
        let (mut text, mut tag, mut registers) = ([0x5a; 4096], [0; 16], [[0xffu8; 64]; 32]);
        let (nonce, text) = (nonce(&[1; 12]), Text::in_place(&mut text).unwrap());
        seal_one(&key, nonce, b"", text, &mut tag);
        // SAFETY: the array has room for 32 registers of 64 octets, and the processor has them.
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
                in(reg) registers.as_mut_ptr(),
                options(nostack, preserves_flags)
            );
        }
        for (number, register) in registers.iter().enumerate() {
            let ours = if number < 16 { &register[16..] } else { &register[..] };
            assert!(ours.iter().all(|octet| *octet == 0), "zmm{number} {register:02x?}");
        }
    }
}
