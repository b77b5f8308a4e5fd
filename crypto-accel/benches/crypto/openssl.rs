//! The system's OpenSSL, through EVP: one context per key, so that a packet only sets its nonce.
#![expect(unsafe_code, reason = "a C library")]

use std::ffi::{CStr, c_char, c_int, c_void};
use std::ptr;

use crate::dynamic::Library;
use crate::peer::{AAD, Algorithm, Keyed, Packet, Peer};

type Handle = *mut c_void;
type Initialise = unsafe extern "C" fn(Handle, *const c_void, *const c_void, *const u8, *const u8) -> c_int;
type Update = unsafe extern "C" fn(Handle, *mut u8, *mut c_int, *const u8, c_int) -> c_int;
type Finish = unsafe extern "C" fn(Handle, *mut u8, *mut c_int) -> c_int;
type Control = unsafe extern "C" fn(Handle, c_int, c_int, *mut c_void) -> c_int;

const GET_TAG: c_int = 0x10;
const SET_TAG: c_int = 0x11;

#[derive(Clone, Copy)]
struct Functions {
    new: unsafe extern "C" fn() -> Handle,
    cipher: [unsafe extern "C" fn() -> *const c_void; 3],
    initialise: [Initialise; 2],
    update: [Update; 2],
    finish: [Finish; 2],
    control: Control,
}

pub(crate) fn peer() -> Peer {
    let Some(library) = Library::open(c"libcrypto.so.3") else {
        return Peer::absent("OpenSSL", "no libcrypto.so.3 (Debian: libssl3)");
    };
    let Some(functions) = functions(library) else {
        return Peer::absent("OpenSSL", "it lacks EVP functions");
    };
    Peer::present("OpenSSL", &version(library), move |algorithm, keys| {
        Some(Box::new(OpenSsl::new(functions, algorithm, keys)))
    })
}

fn functions(library: Library) -> Option<Functions> {
    macro_rules! find {
        ($name:literal) => {
            // SAFETY: the field has the type that openssl/evp.h declares for the function.
            unsafe { library.function($name) }?
        };
    }
    Some(Functions {
        new: find!(c"EVP_CIPHER_CTX_new"),
        cipher: [find!(c"EVP_aes_128_gcm"), find!(c"EVP_aes_256_gcm"), find!(c"EVP_chacha20_poly1305")],
        initialise: [find!(c"EVP_EncryptInit_ex"), find!(c"EVP_DecryptInit_ex")],
        update: [find!(c"EVP_EncryptUpdate"), find!(c"EVP_DecryptUpdate")],
        finish: [find!(c"EVP_EncryptFinal_ex"), find!(c"EVP_DecryptFinal_ex")],
        control: find!(c"EVP_CIPHER_CTX_ctrl"),
    })
}

fn version(library: Library) -> String {
    // SAFETY: openssl/crypto.h has `const char *OpenSSL_version(int)`.
    let ask: Option<unsafe extern "C" fn(c_int) -> *const c_char> =
        unsafe { library.function(c"OpenSSL_version") };
    ask.map_or_else(String::new, |ask| {
        // SAFETY: 0 asks for the version.
        let text = unsafe { ask(0) };
        // SAFETY: it gives a constant string.
        unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
    })
}

/// The contexts live as long as the process.
struct OpenSsl {
    functions: Functions,
    seal: Vec<Handle>,
    open: Vec<Handle>,
}

impl OpenSsl {
    fn new(functions: Functions, algorithm: Algorithm, keys: &[Vec<u8>]) -> Self {
        let which = match algorithm {
            Algorithm::Aes128Gcm => 0,
            Algorithm::Aes256Gcm => 1,
            Algorithm::ChaCha20Poly1305 => 2,
        };
        // SAFETY: it takes nothing and gives a constant.
        let cipher = unsafe { (functions.cipher[which])() };
        let context = |way: usize, octets: &Vec<u8>| {
            // SAFETY: it takes nothing.
            let context = unsafe { (functions.new)() };
            // SAFETY: the context is fresh, the key as long as the cipher says.
            let good = unsafe {
                functions.initialise[way](context, cipher, ptr::null(), octets.as_ptr(), ptr::null())
            };
            assert_eq!(good, 1);
            context
        };
        let contexts = |way: usize| keys.iter().map(|octets| context(way, octets)).collect();
        Self { functions, seal: contexts(0), open: contexts(1) }
    }

    fn crypt(&self, way: usize, context: Handle, packet: &mut Packet) -> bool {
        let Functions { initialise, update, finish, control, .. } = self.functions;
        let (nonce, aad) = (packet.nonce.as_ptr(), packet.aad.as_ptr());
        let (text, tag) = packet.parts();
        let (mut length, size) = (0, text.len() as c_int);
        let (text, tag): (*mut u8, *mut c_void) = (text.as_mut_ptr(), tag.as_mut_ptr().cast());
        // SAFETY: cipher and key are set already, the nonce has 12 octets.
        unsafe { initialise[way](context, ptr::null(), ptr::null(), ptr::null(), nonce) };
        // SAFETY: no output means associated data.
        unsafe { update[way](context, ptr::null_mut(), &raw mut length, aad, AAD as c_int) };
        // SAFETY: in place, for as many octets as the text has.
        unsafe { update[way](context, text, &raw mut length, text, size) };
        if way == 1 {
            // SAFETY: the tag has 16 octets, which are read.
            unsafe { control(context, SET_TAG, 16, tag) };
        }
        // SAFETY: stream ciphers write nothing at the end.
        let good = unsafe { finish[way](context, text.wrapping_add(size as usize), &raw mut length) };
        if way == 0 {
            // SAFETY: the tag has room for 16 octets.
            unsafe { control(context, GET_TAG, 16, tag) };
        }
        good == 1
    }
}

impl Keyed for OpenSsl {
    fn seal(&mut self, batch: &mut [Packet]) {
        for packet in batch {
            assert!(self.crypt(0, self.seal[packet.key], packet));
        }
    }

    fn open(&mut self, batch: &mut [Packet]) {
        for packet in batch {
            assert!(self.crypt(1, self.open[packet.key], packet));
        }
    }
}
