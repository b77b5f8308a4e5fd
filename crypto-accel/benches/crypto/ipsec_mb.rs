//! Intel's multi-buffer library as Debian packages it, by its direct calls: for GCM they cost less than its jobs.
#![expect(unsafe_code, reason = "a C library")]

use std::ffi::{CStr, c_char};

use crate::dynamic::Library;
use crate::peer::{AAD, Algorithm, Keyed, Packet, Peer};

/// Room for `struct gcm_key_data`: 15 round keys and 48 powers, aligned to 64.
#[repr(C, align(64))]
struct KeyData([u8; 16 * (15 + 48)]);

/// Room for `struct gcm_context_data`.
#[repr(C, align(64))]
struct Context([u8; 128]);

type Expand = unsafe extern "C" fn(*const u8, *mut KeyData);
type Crypt = unsafe extern "C" fn(
    *const KeyData,
    *mut Context,
    *mut u8,
    *const u8,
    u64,
    *const u8,
    *const u8,
    u64,
    *mut u8,
    u64,
);

#[derive(Clone, Copy)]
struct Functions {
    expand: Expand,
    seal: Crypt,
    open: Crypt,
}

pub(crate) fn peer() -> Peer {
    const NAME: &str = "intel-ipsec-mb";
    let Some(library) = Library::open(c"libIPSec_MB.so.1") else {
        return Peer::absent(NAME, "no libIPSec_MB.so.1 (Debian: libipsec-mb1)");
    };
    if !is_x86_feature_detected!("vaes") || !is_x86_feature_detected!("avx512bw") {
        return Peer::absent(NAME, "only its functions for AVX-512 with VAES are compared");
    }
    let found = functions(
        library,
        [c"aes_gcm_pre_128_vaes_avx512", c"aes_gcm_enc_128_vaes_avx512", c"aes_gcm_dec_128_vaes_avx512"],
    )
    .zip(functions(
        library,
        [c"aes_gcm_pre_256_vaes_avx512", c"aes_gcm_enc_256_vaes_avx512", c"aes_gcm_dec_256_vaes_avx512"],
    ));
    let Some((short, long)) = found else {
        return Peer::absent(NAME, "it lacks functions that version 1.3 has");
    };
    Peer::present(NAME, &version(library), move |algorithm, keys| {
        let functions = match algorithm {
            Algorithm::Aes128Gcm => short,
            Algorithm::Aes256Gcm => long,
            Algorithm::ChaCha20Poly1305 => return None,
        };
        Some(Box::new(IpsecMb::new(functions, keys)))
    })
}

fn functions(library: Library, [expand, seal, open]: [&CStr; 3]) -> Option<Functions> {
    // SAFETY: `aes_gcm_pre_t` of the library's header.
    let expand = unsafe { library.function(expand) }?;
    // SAFETY: `aes_gcm_enc_dec_t` of the library's header.
    let seal = unsafe { library.function(seal) }?;
    // SAFETY: as above.
    let open = unsafe { library.function(open) }?;
    Some(Functions { expand, seal, open })
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
    functions: Functions,
    keys: Vec<KeyData>,
    context: Box<Context>,
}

impl IpsecMb {
    fn new(functions: Functions, keys: &[Vec<u8>]) -> Self {
        let expand = |octets: &Vec<u8>| {
            let mut data = KeyData([0; 16 * 63]);
            // SAFETY: the key is as long as the function expects, the record as large as the header says.
            unsafe { (functions.expand)(octets.as_ptr(), &raw mut data) };
            data
        };
        Self { functions, keys: keys.iter().map(expand).collect(), context: Box::new(Context([0; 128])) }
    }

    fn crypt(&mut self, crypt: Crypt, packet: &mut Packet, tag: &mut [u8; 16]) {
        let length = packet.text().len() as u64;
        let text = packet.text().as_mut_ptr();
        let (iv, aad) = (packet.nonce.as_ptr(), packet.aad.as_ptr());
        // SAFETY: all pointers are valid for the lengths given; in place is allowed.
        unsafe {
            crypt(
                &raw const self.keys[packet.key],
                &raw mut *self.context,
                text,
                text,
                length,
                iv,
                aad,
                AAD as u64,
                tag.as_mut_ptr(),
                16,
            )
        };
    }
}

impl Keyed for IpsecMb {
    fn seal(&mut self, batch: &mut [Packet]) {
        for packet in batch {
            let mut tag = [0; 16];
            self.crypt(self.functions.seal, packet, &mut tag);
            packet.set_tag(&tag);
        }
    }

    fn open(&mut self, batch: &mut [Packet]) {
        for packet in batch {
            let mut tag = [0; 16];
            self.crypt(self.functions.open, packet, &mut tag);
            assert!(equal(&tag, packet.parts().1));
        }
    }
}

/// The library leaves the comparison to its caller; this is the least that a careful one does.
fn equal(a: &[u8; 16], b: &[u8; 16]) -> bool {
    std::hint::black_box(u128::from_ne_bytes(*a) ^ u128::from_ne_bytes(*b)) == 0
}
