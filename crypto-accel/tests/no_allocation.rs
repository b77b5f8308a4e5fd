//! Sealing and opening never allocate, whatever the algorithm, also on the way of a bad tag.
#![expect(unsafe_code, reason = "a counting allocator must implement GlobalAlloc")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use common::{ALGORITHMS, counting_key, nonce, received};
use ravelin_crypto_accel::aead::{open_one, seal_one};
use ravelin_crypto_accel::etm::{self, Cipher, Hash};
use ravelin_crypto_accel::iv::Iv;
use ravelin_crypto_accel::{BadTag, Text};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call goes to the system's allocator unchanged; the counter is a thread-local integer without
// destructor and allocates nothing itself.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps the contract of `alloc`, which is the same here.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, place: *mut u8, layout: Layout) {
        // SAFETY: `place` came from `alloc` above, and so from the system, with this layout.
        unsafe { System.dealloc(place, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(work: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    work();
    ALLOCATIONS.get() - before
}

#[test]
fn the_counter_counts() {
    assert_eq!(allocations(|| drop(std::hint::black_box(vec![1u8; 9]))), 1);
}

#[test]
fn aead_does_not_allocate() {
    for algorithm in ALGORITHMS {
        let key = counting_key(algorithm, 1);
        let (input, mut output, mut tag) = ([5; 1420], [0; 1430], [0; 16]);
        let count = allocations(|| {
            let text = Text::across(&input, &[1; 10], &mut output).unwrap();
            seal_one(&key, nonce(&[3; 12]), b"aad", text, &mut tag);
            let good = open_one(&key, received(&[3; 12]), b"aad", Text::in_place(&mut output).unwrap(), &tag);
            assert_eq!(good, Ok(()));
            let bad = open_one(&key, received(&[3; 12]), b"aad", Text::in_place(&mut output).unwrap(), &tag);
            assert_eq!(bad, Err(BadTag));
        });
        assert_eq!(count, 0, "{algorithm:?}");
    }
}

#[test]
fn encrypt_then_mac_does_not_allocate() {
    for (cipher, cipher_key) in
        [(Cipher::Null, &[][..]), (Cipher::AesCbc, &[1; 16]), (Cipher::AesCbc, &[1; 32])]
    {
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let key = etm::Key::new(cipher, cipher_key, hash, &vec![2; hash.key_len()]).unwrap();
            let (mut octets, mut icv) = ([5; 1424], [0; 32]);
            let icv = &mut icv[..hash.icv_len()];
            let count = allocations(|| {
                key.seal(b"before", Iv::promised([7; 16]), Text::in_place(&mut octets).unwrap(), b"", icv)
                    .unwrap();
                key.open(b"before", &[7; 16], Text::in_place(&mut octets).unwrap(), b"", icv).unwrap();
                key.open(b"forged", &[7; 16], Text::in_place(&mut octets).unwrap(), b"", icv).unwrap_err();
            });
            assert_eq!(count, 0, "{key:?}");
        }
    }
}
