//! Intel's multi-buffer library as Debian packages it, by each of its ways in: direct calls, jobs, bursts of jobs.
//!
//! It is asked for its functions as a C program would ask: a manager, set up for this processor, holds them all. No way
//! in checks its arguments here.
#![expect(unsafe_code, reason = "a C library")]

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use crate::dynamic::Library;
use crate::ipsec_mb_layout::{Job, KeyData, Manager, code};
use crate::peer::{AAD, Algorithm, BATCH, Keyed, Operation, Packet, Peer};

/// The family of rows; the best of them is compared.
pub(crate) const NAME: &str = "intel-ipsec-mb";

/// How packets are handed over.
#[derive(Clone, Copy)]
enum Way {
    Direct,
    Jobs,
    Bursts,
}

pub(crate) fn peers() -> Vec<Peer> {
    let ways = [(Way::Direct, ""), (Way::Jobs, " jobs"), (Way::Bursts, " bursts")];
    ways.map(|(way, suffix)| peer(&format!("{NAME}{suffix}"), way)).into()
}

fn peer(name: &str, way: Way) -> Peer {
    let Some(library) = Library::open(c"libIPSec_MB.so.1") else {
        return Peer::absent(name, "no libIPSec_MB.so.1 (Debian: libipsec-mb1)");
    };
    let version = version(library);
    // The layout of jobs and managers is that of 1.3; others may differ.
    if !version.starts_with("1.3.") {
        return Peer::absent(name, &format!("it is version {version}, the layout known here is that of 1.3"));
    }
    let Some(manager) = manager(library) else {
        return Peer::absent(name, "it gives no manager");
    };
    Peer::present(name, &version, move |algorithm, keys| {
        Some(Box::new(IpsecMb::new(manager, way, algorithm, keys)))
    })
}

/// A manager that stays, set up for the best that the processor can do.
fn manager(library: Library) -> Option<*mut Manager> {
    // SAFETY: the header has `IMB_MGR *alloc_mb_mgr(uint64_t flags)`.
    let make: unsafe extern "C" fn(u64) -> *mut Manager = unsafe { library.function(c"alloc_mb_mgr") }?;
    // SAFETY: the header has `void init_mb_mgr_auto(IMB_MGR *, IMB_ARCH *)`.
    let set_up: unsafe extern "C" fn(*mut Manager, *mut c_void) =
        unsafe { library.function(c"init_mb_mgr_auto") }?;
    // SAFETY: 0 asks for nothing special.
    let manager = unsafe { make(0) };
    if manager.is_null() {
        return None;
    }
    // SAFETY: a fresh manager; the architecture chosen need not be told.
    unsafe { set_up(manager, ptr::null_mut()) };
    Some(manager)
}

fn version(library: Library) -> String {
    // SAFETY: the header has `const char *imb_get_version_str(void)`.
    let ask: Option<unsafe extern "C" fn() -> *const c_char> =
        unsafe { library.function(c"imb_get_version_str") };
    ask.map_or_else(String::new, |ask| {
        // SAFETY: it takes nothing.
        let text = unsafe { ask() };
        // SAFETY: it gives a constant string.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    })
}

struct IpsecMb {
    manager: *mut Manager,
    way: Way,
    algorithm: Algorithm,
    keys: Vec<KeyData>,
    tags: [[u8; 16]; BATCH],
    /// Room for `struct gcm_context_data` or `struct chacha20_poly1305_context_data`.
    context: Box<[u64; 64]>,
}

impl IpsecMb {
    fn new(manager: *mut Manager, way: Way, algorithm: Algorithm, keys: &[Vec<u8>]) -> Self {
        // SAFETY: the manager lives as long as the process.
        let functions = unsafe { &*manager };
        let expand = |octets: &Vec<u8>| {
            let mut data = KeyData::new();
            let precompute = match algorithm {
                Algorithm::Aes128Gcm => functions.gcm_pre[0],
                Algorithm::Aes256Gcm => functions.gcm_pre[2],
                Algorithm::ChaCha20Poly1305 => {
                    data.0[..32].copy_from_slice(octets);
                    return data;
                }
            };
            // SAFETY: the key is as long as the function expects, the record as large as the header says.
            unsafe { precompute(octets.as_ptr(), &raw mut data) };
            data
        };
        let keys = keys.iter().map(expand).collect();
        Self { manager, way, algorithm, keys, tags: [[0; 16]; BATCH], context: Box::new([0; 64]) }
    }

    /// Works on the batch and leaves the tags in [`IpsecMb::tags`].
    fn crypt(&mut self, operation: Operation, batch: &mut [Packet]) {
        match self.way {
            Way::Direct => {
                for (i, packet) in batch.iter_mut().enumerate() {
                    self.direct(operation, i, packet);
                }
            }
            Way::Jobs => {
                for (i, packet) in batch.iter_mut().enumerate() {
                    self.job(operation, i, packet);
                }
            }
            Way::Bursts => self.burst(operation, batch),
        }
    }

    fn direct(&mut self, operation: Operation, i: usize, packet: &mut Packet) {
        // SAFETY: the manager lives as long as the process.
        let functions = unsafe { &*self.manager };
        let (length, iv, aad) = (packet.text().len() as u64, packet.nonce.as_ptr(), packet.aad.as_ptr());
        let text = packet.text().as_mut_ptr();
        let key = &raw const self.keys[packet.key];
        let context: *mut c_void = self.context.as_mut_ptr().cast();
        let tag = self.tags[i].as_mut_ptr();
        let way = usize::from(operation == Operation::Open);
        let long = match self.algorithm {
            Algorithm::Aes128Gcm => 0,
            Algorithm::Aes256Gcm => 2,
            Algorithm::ChaCha20Poly1305 => {
                // SAFETY: all pointers are valid for what the header says.
                unsafe { (functions.chacha_init)(key, context, iv, aad, AAD as u64) };
                // SAFETY: in place is allowed.
                unsafe { (functions.chacha_update[way])(key, context, text, text, length) };
                // SAFETY: the tag has room for 16 octets.
                unsafe { (functions.chacha_finish)(context, tag, 16) };
                return;
            }
        };
        let crypt = functions.gcm[3 * way + long];
        // SAFETY: all pointers are valid for the lengths given; in place is allowed.
        unsafe { crypt(key, context, text, text, length, iv, aad, AAD as u64, tag, 16) };
    }

    fn job(&mut self, operation: Operation, i: usize, packet: &mut Packet) {
        // SAFETY: the manager lives as long as the process.
        let functions = unsafe { &*self.manager };
        // SAFETY: it gives a job of its own ring.
        let job = unsafe { (functions.get_next_job)(self.manager) };
        // SAFETY: the job is ours until it is submitted.
        self.fill(operation, unsafe { &mut *job }, i, packet);
        // SAFETY: it has been filled in whole.
        let done = unsafe { (functions.submit_job_nocheck)(self.manager) };
        // SAFETY: jobs of an AEAD are done when they are submitted.
        assert_eq!(unsafe { (*done).status }, code::COMPLETED);
    }

    fn burst(&mut self, operation: Operation, batch: &mut [Packet]) {
        // SAFETY: the manager lives as long as the process.
        let functions = unsafe { &*self.manager };
        let mut jobs = [ptr::null_mut(); BATCH];
        let count = batch.len() as u32;
        // SAFETY: there is room for that many.
        let given = unsafe { (functions.get_next_burst)(self.manager, count, jobs.as_mut_ptr()) };
        assert_eq!(given, count);
        for (i, packet) in batch.iter_mut().enumerate() {
            // SAFETY: the job is ours until it is submitted.
            self.fill(operation, unsafe { &mut *jobs[i] }, i, packet);
        }
        // SAFETY: all have been filled in.
        let done = unsafe { (functions.submit_burst_nocheck)(self.manager, count, jobs.as_mut_ptr()) };
        assert_eq!(done, count);
    }

    #[inline(always)]
    fn fill(&mut self, operation: Operation, job: &mut Job, i: usize, packet: &mut Packet) {
        let (length, text) = (packet.text().len() as u64, packet.text().as_mut_ptr());
        let key: *const KeyData = &raw const self.keys[packet.key];
        (job.enc_keys, job.dec_keys) = (key, key);
        job.key_len = self.algorithm.key_len() as u64;
        (job.src, job.dst) = (text, text);
        (job.cipher_start, job.cipher_len) = (0, length);
        (job.hash_start, job.hash_len) = (0, length);
        (job.iv, job.iv_len) = (packet.nonce.as_ptr(), 12);
        (job.tag, job.tag_len) = (self.tags[i].as_mut_ptr(), 16);
        (job.aad, job.aad_len) = (packet.aad.as_ptr(), AAD as u64);
        (job.direction, job.order) = match operation {
            Operation::Seal => (code::ENCRYPT, code::CIPHER_THEN_HASH),
            Operation::Open => (code::DECRYPT, code::HASH_THEN_CIPHER),
        };
        (job.cipher, job.hash) = match self.algorithm {
            Algorithm::ChaCha20Poly1305 => (code::CIPHER_CHACHA, code::HASH_CHACHA),
            Algorithm::Aes128Gcm | Algorithm::Aes256Gcm => (code::CIPHER_GCM, code::HASH_GCM),
        };
    }
}

impl Keyed for IpsecMb {
    fn seal(&mut self, batch: &mut [Packet]) {
        self.crypt(Operation::Seal, batch);
        for (packet, tag) in batch.iter_mut().zip(&self.tags) {
            packet.set_tag(tag);
        }
    }

    fn open(&mut self, batch: &mut [Packet]) {
        self.crypt(Operation::Open, batch);
        for (packet, tag) in batch.iter_mut().zip(&self.tags) {
            assert!(equal(tag, packet.parts().1));
        }
    }
}

/// The library leaves the comparison to its caller; this is the least that a careful one does.
fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    std::hint::black_box(u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)) == 0
}
