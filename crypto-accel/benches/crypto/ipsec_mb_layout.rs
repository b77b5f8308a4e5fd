//! Structures of intel-ipsec-mb 1.3 as its header `intel-ipsec-mb.h` lays them out, as far as they are used.

use std::ffi::c_void;

/// `struct gcm_key_data`: 15 round keys and 48 powers, aligned to 64. For ChaCha20-Poly1305 its head is the plain key.
#[repr(C, align(64))]
pub(crate) struct KeyData(pub(crate) [u8; 16 * (15 + 48)]);

impl KeyData {
    pub(crate) fn new() -> Self {
        Self([0; 16 * (15 + 48)])
    }
}

/// `struct IMB_JOB`.
#[repr(C)]
pub(crate) struct Job {
    pub(crate) enc_keys: *const KeyData,
    pub(crate) dec_keys: *const KeyData,
    pub(crate) key_len: u64,
    pub(crate) src: *const u8,
    pub(crate) dst: *mut u8,
    pub(crate) cipher_start: u64,
    pub(crate) cipher_len: u64,
    pub(crate) hash_start: u64,
    pub(crate) hash_len: u64,
    pub(crate) iv: *const u8,
    pub(crate) iv_len: u64,
    pub(crate) tag: *mut u8,
    pub(crate) tag_len: u64,
    pub(crate) aad: *const u8,
    pub(crate) aad_len: u64,
    context: *mut c_void,
    pub(crate) status: u32,
    pub(crate) cipher: u32,
    pub(crate) direction: u32,
    pub(crate) hash: u32,
    pub(crate) order: u32,
    // What follows is not for these algorithms.
}

/// Values of its enumerations.
pub(crate) mod code {
    pub(crate) const CIPHER_GCM: u32 = 5;
    pub(crate) const CIPHER_CHACHA: u32 = 19;
    pub(crate) const HASH_GCM: u32 = 9;
    pub(crate) const HASH_CHACHA: u32 = 29;
    pub(crate) const ENCRYPT: u32 = 1;
    pub(crate) const DECRYPT: u32 = 2;
    pub(crate) const CIPHER_THEN_HASH: u32 = 1;
    pub(crate) const HASH_THEN_CIPHER: u32 = 2;
    pub(crate) const COMPLETED: u32 = 3;
}

/// `aes_gcm_enc_dec_t`.
type Gcm = unsafe extern "C" fn(
    *const KeyData,
    *mut c_void,
    *mut u8,
    *const u8,
    u64,
    *const u8,
    *const u8,
    u64,
    *mut u8,
    u64,
);

type Burst = unsafe extern "C" fn(*mut Manager, u32, *mut *mut Job) -> u32;

/// `struct IMB_MGR`; its functions, 8 octets each, stand in the order of the header.
#[repr(C)]
pub(crate) struct Manager {
    head: [u64; 8],
    pub(crate) get_next_job: unsafe extern "C" fn(*mut Self) -> *mut Job,
    submit_job: *const c_void,
    pub(crate) submit_job_nocheck: unsafe extern "C" fn(*mut Self) -> *mut Job,
    before_gcm: [*const c_void; 21],
    /// Encryption with 128, 192 and 256 bits, then decryption.
    pub(crate) gcm: [Gcm; 6],
    between_gcm: [*const c_void; 18],
    /// Key expansion with 128, 192 and 256 bits.
    pub(crate) gcm_pre: [unsafe extern "C" fn(*const u8, *mut KeyData); 3],
    before_chacha: [*const c_void; 56],
    pub(crate) chacha_init: unsafe extern "C" fn(*const KeyData, *mut c_void, *const u8, *const u8, u64),
    /// Encryption, then decryption.
    pub(crate) chacha_update: [unsafe extern "C" fn(*const KeyData, *mut c_void, *mut u8, *const u8, u64); 2],
    pub(crate) chacha_finish: unsafe extern "C" fn(*mut c_void, *mut u8, u64),
    pub(crate) get_next_burst: Burst,
    submit_burst: *const c_void,
    pub(crate) submit_burst_nocheck: Burst,
    // More follows.
}

const _: () = {
    assert!(std::mem::offset_of!(Job, order) == 144);
    assert!(std::mem::offset_of!(Job, status) == 128);
    assert!(std::mem::offset_of!(Manager, gcm) == 256);
    assert!(std::mem::offset_of!(Manager, gcm_pre) == 448);
    assert!(std::mem::offset_of!(Manager, chacha_init) == 920);
    assert!(std::mem::offset_of!(Manager, submit_burst_nocheck) == 968);
};
